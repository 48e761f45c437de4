/**
 * What the backward passes of layers with weights share.
 *
 * @module
 */

import type { WeightedKernel } from "../../kernels/kernel.ts";
import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkSameDType } from "../../kernels/check.ts";
import { checkBoolean, option, readOptions } from "../checks.ts";
import { zerosLike } from "../tensor.ts";

/** The gradients of a layer with weights and biases. */
export interface Gradients<A extends FloatArray = FloatArray> {
  /** Gradient of the input. */
  readonly dx: Tensor<A>;
  /** Gradient of the weights. */
  readonly dw: Tensor<A>;
  /** Gradient of the biases. */
  readonly db: Tensor<A>;
}

/** Which gradients a backward pass computes. */
export interface BackwardOptions {
  /** False leaves out dx, which the first layer of a net has no use for. True if left out. */
  readonly dx?: boolean;
}

/** Gradients of a backward pass that may have been told to leave out dx. */
export type OptionalDx<G extends { readonly dx: unknown }> =
  & Omit<G, "dx">
  & Partial<Pick<G, "dx">>;

const BACKWARD_OPTIONS = { dx: option(checkBoolean, true) };

/** Runs the backward pass of a layer with weights. */
export function runBackward<A extends FloatArray>(
  kernel: WeightedKernel,
  dout: Tensor<A>,
  { x, w, b }: { readonly x: Tensor<A>; readonly w: Tensor<A>; readonly b: Tensor<A> },
  options: BackwardOptions,
): OptionalDx<Gradients<A>> {
  checkSameDType({ dout, x });
  const wanted = readOptions("options", options, BACKWARD_OPTIONS);
  const [N] = x.shape;
  const dw = zerosLike(w), db = zerosLike(b);
  kernel.backwardWeights(N, x.data, dout.data, dw.data, db.data);
  if (!wanted.dx) return { dw, db };
  const dx = zerosLike(x);
  kernel.backwardData(N, dout.data, w.data, dx.data);
  return { dx, dw, db };
}
