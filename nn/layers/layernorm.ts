/**
 * Layer normalization.
 *
 * Source: nndl/layers.py of the CS231n / ECE C147 course; Ba, Kiros and Hinton, "Layer Normalization"
 * (2016).
 *
 * @module
 */

import { ArgumentTypeError } from "../../kernels/errors.ts";
import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { show } from "../../kernels/tensor.ts";
import { readOptions } from "../checks.ts";
import { type LayerDefinition, layerOf } from "./layer.ts";
import { normalizeBackward, type NormGradients } from "./norm_loops.ts";
import {
  checkBackward,
  checkInputs,
  EPS,
  LAYERNORM_PARAMS,
  type LayernormParams,
  type NormCache,
  normParams,
  normPass,
  runLayernorm,
} from "./normalization.ts";

/**
 * Layer normalization: each of the N rows gets mean 0 and variance 1, then each column is scaled by
 * gamma and shifted by beta. Training and inference are the same.
 *
 * Source: layernorm_forward in nndl/layers.py; Ba, Kiros and Hinton (2016).
 *
 * @example
 * ```ts
 * import { full, layernormForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(231).randn([4, 50]);
 * const { out } = layernormForward(x, full([50], 1), full([50], 0));
 * ```
 *
 * @param x Input, (N, D).
 * @param gamma Scales, (D).
 * @param beta Shifts, (D).
 * @param lnParam eps.
 * @returns `out` (N, D) and the cache.
 * @throws {TypeError} If a tensor has a wrong type, dtype or rank, or an option is unknown.
 * @throws {RangeError} If sizes do not fit, or eps is negative.
 */
export function layernormForward<A extends FloatArray>(
  x: Tensor<A>,
  gamma: Tensor<A>,
  beta: Tensor<A>,
  lnParam: LayernormParams = {},
): { out: Tensor<A>; cache: NormCache<A, "layernorm"> } {
  checkInputs(2, x, gamma, beta);
  const { eps } = readOptions("lnParam", lnParam, LAYERNORM_PARAMS);
  return runLayernorm("layernorm", x, gamma, beta, x.shape[1], eps);
}

/**
 * Gradients of layer normalization. Source: layernorm_backward in nndl/layers.py.
 *
 * @example
 * ```ts
 * import { full, layernormBackward, layernormForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(231).randn([4, 5]);
 * const { out, cache } = layernormForward(x, full([5], 1), full([5], 0));
 * const { dx, dgamma, dbeta } = layernormBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, D).
 * @param cache From the forward pass.
 * @returns `dx` (N, D), `dgamma` (D) and `dbeta` (D).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank, or comes from another layer.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function layernormBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: NormCache<A, "layernorm">,
): NormGradients<A> {
  return normalizeBackward(checkBackward(dout, cache, "layernorm"), dout, cache);
}

/** Options of layer and group normalization as layers of a net. */
export interface LayernormOptions {
  /** Added to the variance, so that it is never 0. Default: 1e-5. */
  readonly eps?: number;
}

/**
 * Layer normalization as a layer of a net, of vectors (D). Parameters: gamma and beta (D). Images
 * have {@linkcode groupnorm}, with one group.
 *
 * @example
 * ```ts
 * import { affine, layernorm, Net, relu } from "@cnn-layers/cnn-layers";
 *
 * const layers = [affine(20), layernorm(), relu(), affine(10)];
 * const net = new Net({ inputDim: 15, layers });
 * ```
 *
 * @param options eps (1e-5).
 * @returns The layer.
 * @throws {TypeError} If an option is unknown or has a wrong type.
 * @throws {RangeError} If eps is negative.
 */
export function layernorm(options: LayernormOptions = {}): LayerDefinition {
  const { eps } = readOptions("layernorm", options, { eps: EPS });
  return layerOf("layernorm", [options], (inShape, { path }) => {
    if (inShape.length !== 1) {
      throw new ArgumentTypeError(
        `${path} needs an input of (D): it gets ${show(inShape)}`,
        "INVALID_RANK",
      );
    }
    const [D] = inShape;
    return {
      outShape: inShape,
      params: normParams(D),
      ownsOut: true,
      ownsDx: true,
      forward: (x, { gamma, beta }) => normPass(runLayernorm("layernorm", x, gamma, beta, D, eps)),
    };
  });
}
