/**
 * Convolution of sequences (N, C, L): a thin form of that of images, whose kernels it runs.
 *
 * @module
 */

import type { ConvParams } from "../../kernels/shape.ts";
import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkSameDType, checkTensor, checkTensorShape } from "../../kernels/check.ts";
import { checkChannels, convShape } from "../../kernels/shape.ts";
import { show } from "../../kernels/tensor.ts";
import { checkCache, readOptions } from "../checks.ts";
import { convBackward, convForward } from "./conv.ts";
import { type BackwardOptions, checkBiases, type Gradients, type OptionalDx } from "./gradients.ts";
import { asRow, asSequence, type Pad1d, readPad1d, readStep, rowPad } from "./sequence.ts";

/** How a convolution walks over a sequence. */
export interface Conv1dParams {
  /** Stride of the windows. Default: 1. */
  readonly stride?: number;
  /** Zeros before and after the sequence. Default: 0. */
  readonly pad?: Pad1d;
  /** Step between the taps of a kernel. Default: 1. */
  readonly dilation?: number;
  /** Groups of channels, each convolved with filters of its own. Default: 1. */
  readonly groups?: number;
}

/** What a 1-d convolution's backward pass needs of its forward pass. */
export interface Conv1dCache<
  A extends FloatArray = FloatArray,
  B extends Tensor<A> | null = Tensor<A>,
> {
  /** Input, (N, C, L). */
  readonly x: Tensor<A>;
  /** Filters, (F, C / groups, K). */
  readonly w: Tensor<A>;
  /** Biases, (F), or null. */
  readonly b: B;
  /** Stride, padding, dilation and groups, written out. */
  readonly convParam: Conv1dParams;
}

const CONV1D_PARAM = {
  stride: readStep,
  pad: readPad1d,
  dilation: readStep,
  groups: readStep,
};

/** The operands and parameters as a convolution of images has them, and the parameters written out. */
function asConv<A extends FloatArray>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: Tensor<A> | null,
  given: Conv1dParams,
) {
  checkTensor("x", x, 3);
  checkTensor("w", w, 3);
  const written = readOptions("convParam", given, CONV1D_PARAM);
  const { stride, pad, dilation, groups } = written;
  // Here, so that messages show the shapes of sequences.
  checkChannels(x.shape, w.shape, groups);
  checkBiases(b, { x, w }, w.shape[0], `one bias a filter of w ${show(w.shape)}`);
  const convParam: ConvParams = {
    stride: [1, stride],
    pad: rowPad(pad),
    dilation: [1, dilation],
    groups,
  };
  return { x: asRow(x), w: asRow(w), convParam, written };
}

/**
 * Convolution of sequences, by the fastest kernel for the shape: that of {@linkcode convForward} for
 * images of one row, x (N, C, 1, L) and w (F, C / groups, 1, K). explainConv names it for these shapes.
 *
 * @example A causal convolution: padding before the sequence alone
 * ```ts
 * import { conv1dForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(0);
 * const x = random.randn([2, 4, 100]), w = random.randn([8, 4, 3]), b = random.randn([8]);
 * const { out } = conv1dForward(x, w, b, { dilation: 2, pad: [4, 0] });
 * console.log(out.shape); // [2, 8, 100]
 * ```
 *
 * @param x Input, (N, C, L).
 * @param w Filters, (F, C / groups, K).
 * @param b Biases, (F), or null for none.
 * @param convParam Stride (1), padding (0; a number, [left, right], "same" or "valid"), dilation (1) and
 * groups (1), or nothing for these.
 * @returns `out` (N, F, L') with L' = 1 + floor((L + left + right - dilation * (K - 1) - 1) / stride), and
 * the cache.
 * @throws {TypeError} If a tensor has a wrong type, dtype or rank, or an option is unknown.
 * @throws {RangeError} If sizes do not fit each other, groups do not divide C and F, or the kernel is larger
 * than the padded input.
 */
export function conv1dForward<A extends FloatArray, B extends Tensor<A> | null = Tensor<A>>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: B,
  convParam: Conv1dParams = {},
): { out: Tensor<A>; cache: Conv1dCache<A, B> } {
  const conv = asConv(x, w, b, convParam);
  const { out } = convForward(conv.x, conv.w, b, conv.convParam);
  return { out: asSequence(out), cache: { x, w, b, convParam: conv.written } };
}

/**
 * Gradients of a 1-d convolution.
 *
 * @example
 * ```ts
 * import { conv1dBackward, conv1dForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(0);
 * const x = random.randn([2, 4, 100]), w = random.randn([8, 4, 3]), b = random.randn([8]);
 * const { out, cache } = conv1dForward(x, w, b, { pad: "same" });
 * const { dx, dw, db } = conv1dBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, F, L').
 * @param cache From the forward pass.
 * @param options `dx: false` leaves out dx.
 * @returns `dx` (N, C, L), `dw` (F, C / groups, K) and `db` (F), null if there were no biases.
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function conv1dBackward<A extends FloatArray, B extends Tensor<A> | null = Tensor<A>>(
  dout: Tensor<A>,
  cache: Conv1dCache<A, B>,
  options?: { readonly dx?: true },
): Gradients<A, B>;
/** The same, with dx only if it is asked for. */
export function conv1dBackward<A extends FloatArray, B extends Tensor<A> | null = Tensor<A>>(
  dout: Tensor<A>,
  cache: Conv1dCache<A, B>,
  options: BackwardOptions,
): OptionalDx<Gradients<A, B>>;
export function conv1dBackward<A extends FloatArray, B extends Tensor<A> | null = Tensor<A>>(
  dout: Tensor<A>,
  cache: Conv1dCache<A, B>,
  options: BackwardOptions = {},
): OptionalDx<Gradients<A, B>> {
  checkCache(cache, ["x", "w", "b", "convParam"]);
  const { b } = cache;
  const { x, w, convParam } = asConv(cache.x, cache.w, b, cache.convParam);
  const { F, OW } = convShape(x.shape, w.shape, convParam);
  checkTensorShape("dout", dout, [x.shape[0], F, OW], "the convolution's output");
  checkSameDType({ dout, x: cache.x });
  const { dx, dw, db } = convBackward(asRow(dout), { x, w, b, convParam }, options);
  const gradients = { dw: asSequence(dw), db };
  return dx === undefined ? gradients : { dx: asSequence(dx), ...gradients };
}
