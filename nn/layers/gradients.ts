/**
 * What layers with weights share: their gradients' types, the check of their biases, and the backward
 * pass.
 *
 * @module
 */

import type { WeightedKernel } from "../../kernels/kernel.ts";
import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkSameDType, checkTensorShape, checkType } from "../../kernels/check.ts";
import { checkBoolean, option, readOptions } from "../checks.ts";
import { emptyLike, gradientLike } from "../tensor.ts";

/** The gradients of a layer with weights and biases. */
export interface Gradients<
  A extends FloatArray = FloatArray,
  B extends Tensor<A> | null = Tensor<A>,
> {
  /** Gradient of the input. */
  readonly dx: Tensor<A>;
  /** Gradient of the weights. */
  readonly dw: Tensor<A>;
  /** Gradient of the biases; null if there were none. */
  readonly db: B;
}

/** Which gradients a backward pass computes. */
export interface BackwardOptions {
  /** False leaves out dx, which the first layer of a net has no use for. Default: true. */
  readonly dx?: boolean;
}

/** Which gradients a layer of a net computes. */
export interface PassOptions extends BackwardOptions {
  /** Says that the layer's parameters are frozen, so that their gradients may be left out. */
  readonly params?: false;
}

/** Gradients of a backward pass that may have been told to leave out dx. */
export type OptionalDx<G extends { readonly dx: unknown }> =
  & Omit<G, "dx">
  & Partial<Pick<G, "dx">>;

/**
 * Checks biases, and that they have the dtype of the other operands.
 *
 * @param b One number an output, or null.
 * @param others The other operands, already checked.
 * @param size How many outputs there are.
 * @param why What asks for as many, for example "one bias a filter".
 */
export function checkBiases(
  b: unknown,
  others: Readonly<Record<string, Tensor>>,
  size: number,
  why: string,
): void {
  if (b === null) return checkSameDType(others);
  checkType(b !== undefined, "b", "be a tensor, or null for no biases", b);
  checkTensorShape("b", b, [size], why);
  checkSameDType({ ...others, b });
}

const BACKWARD_OPTIONS = { dx: option(checkBoolean, true) };

/** Runs the backward pass of a layer with weights. */
export function runBackward<A extends FloatArray, B extends Tensor<A> | null>(
  kernel: WeightedKernel,
  dout: Tensor<A>,
  { x, w, b }: { readonly x: Tensor<A>; readonly w: Tensor<A>; readonly b: B },
  options: PassOptions,
): OptionalDx<Gradients<A, B>> {
  checkSameDType({ dout, x });
  // What a net says of frozen parameters is not an option of the public functions.
  const isFrozen = options?.params === false;
  const wanted = readOptions("options", isFrozen ? { dx: options.dx } : options, BACKWARD_OPTIONS);
  const [N] = x.shape;
  const dw = gradientLike(w), db = (b && gradientLike(b)) as B;
  if (!isFrozen) kernel.backwardWeights(N, x.data, dout.data, dw.data, db?.data);
  if (!wanted.dx) return { dw, db };
  const dx = emptyLike(x);
  kernel.backwardData(N, dout.data, w.data, dx.data);
  return { dx, dw, db };
}
