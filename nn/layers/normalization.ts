/**
 * What batch, layer and group normalization share: they subtract a mean, divide by a standard
 * deviation, scale and shift.
 *
 * @module
 */

import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import {
  checkNonEmpty,
  checkSameDType,
  checkTensor,
  checkTensorShape,
} from "../../kernels/check.ts";
import { ArgumentTypeError } from "../../kernels/errors.ts";
import { show, sizeOf } from "../../kernels/tensor.ts";
import { checkCache, checkMode, type Mode, option, within } from "../checks.ts";
import {
  groupByChannel,
  groupByExample,
  type Layout,
  normalize,
  normalizeBackward,
  type Normalized,
} from "./norm_loops.ts";
import type { ParameterPlan, Pass } from "./layer.ts";

/** Options of layer and group normalization: the course's `ln_param` and `gn_param`. */
export interface LayernormParams {
  /** Added to the variance, so that it is never 0. Default: 1e-5. */
  readonly eps?: number;
  /** Taken, as the course's calls have it, and without effect: each example has its own statistics. */
  readonly mode?: Mode;
}

/** The normalizations, as their caches name them. */
export type NormLayer = "batchnorm" | "layernorm" | "spatialBatchnorm" | "spatialGroupnorm";

/** What a normalization's backward pass needs of its forward pass. */
export interface NormCache<A extends FloatArray = FloatArray, L extends NormLayer = NormLayer>
  extends Normalized<A> {
  /** Which layer made it. */
  readonly layer: L;
}

/** x (N, D) or (N, C, H, W) as N times C planes of P values. */
export function planesOf({ shape: [N, C, ...plane] }: Tensor): [N: number, C: number, P: number] {
  return [N, C, sizeOf(plane)];
}

/** Checks x, which may be a batch of nothing, and gamma and beta: one value per channel. */
export function checkInputs(
  rank: number,
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  shape: readonly number[] = [x?.shape?.[1]],
): void {
  checkTensor("x", x, rank);
  checkNonEmpty("x", x.shape, 1);
  const why = `one value per channel of x ${show(x.shape)}`;
  checkTensorShape("gamma", gamma, shape, why);
  checkTensorShape("beta", beta, shape, why);
  checkSameDType({ x, gamma, beta });
}

/** Reads what is added to the variance. */
export const EPS = option(within(0), 1e-5);
/** The options of layer and group normalization. */
export const LAYERNORM_PARAMS = { eps: EPS, mode: option(checkMode) };

/** Normalization of `planes` channels of an example together, of x (N, D) or (N, C, H, W). */
export function runLayernorm<A extends FloatArray, L extends NormLayer>(
  layer: L,
  x: Tensor<A>,
  gamma: Tensor<A>,
  beta: Tensor<A>,
  planes: number,
  eps: number,
): { out: Tensor<A>; cache: NormCache<A, L> } {
  const layout = groupByExample(...planesOf(x), planes);
  const { out, normalized } = normalize(layout, x, gamma, beta, eps);
  return { out, cache: { layer, ...normalized } };
}

/** Checks the arguments of a backward pass; returns how its loops see x. */
export function checkBackward(dout: Tensor, cache: NormCache, layer: NormLayer): Layout {
  checkCache(cache, ["layer", "x", "gamma", "mean", "inverseStd", "count"]);
  if (cache.layer !== layer) {
    throw new ArgumentTypeError(
      `cache must come from ${layer}Forward: it comes from ${cache.layer}Forward`,
    );
  }
  const { x, gamma, count } = cache;
  checkTensor("cache.x", x);
  checkTensorShape("dout", dout, x.shape, "the layer's output");
  checkSameDType({ dout, x, gamma });
  const [N, C, P] = planesOf(x);
  const byChannel = layer === "batchnorm" || layer === "spatialBatchnorm";
  return byChannel ? groupByChannel(N, C, P) : groupByExample(N, C, P, count / P);
}

/** The parameters of a normalization of C channels: scales that start with 1, shifts with 0. */
export function normParams(C: number): Readonly<Record<"gamma" | "beta", ParameterPlan>> {
  return { gamma: { shape: [C], init: 1 }, beta: { shape: [C], init: 0 } };
}

/** The pass of a normalization layer of a net. */
export function normPass<L extends NormLayer>(
  { out, cache }: { readonly out: Tensor; readonly cache: NormCache<FloatArray, L> },
): Pass {
  return {
    out,
    backward(dout, _, ownsDout) {
      const layout = checkBackward(dout, cache, cache.layer), to = ownsDout ? dout : undefined;
      const { dx, dgamma: gamma, dbeta: beta } = normalizeBackward(layout, dout, cache, to);
      return { dx, grads: { gamma, beta } };
    },
  };
}
