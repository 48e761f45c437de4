/**
 * Convolutions whose weights are packed once, for a server that runs the same layer again and again.
 *
 * @module
 */

import { checkTensor, checkTensorShape } from "../../kernels/check.ts";
import { ArgumentTypeError } from "../../kernels/errors.ts";
import { type ConvParams, convShape } from "../../kernels/shape.ts";
import { dtypeOf, type FloatArray, show, type Tensor } from "../../kernels/tensor.ts";
import { bindConv } from "./bound_kernel.ts";
import { checkBiases } from "./gradients.ts";

/** A convolution that keeps its weights, packed as its kernel needs them. */
export interface PreparedConv<A extends FloatArray = FloatArray> {
  /** The kernel's name, as {@linkcode explainConv} gives it. */
  readonly name: string;
  /**
   * Runs forward.
   *
   * @param x Input, (N, C, H, W): any N.
   * @returns The output, (N, F, H', W').
   * @throws {TypeError} If x has a wrong type, dtype or rank.
   * @throws {RangeError} If its images do not have the size that was prepared.
   */
  forward(x: Tensor<A>): Tensor<A>;
}

/**
 * Packs the weights of a convolution once. A call then takes no longer than its sums: for few images of many
 * channels, packing takes as long. The values are those of {@linkcode convForward}, perhaps by another
 * algorithm: equal on integers. The weights and biases are copied: later writes to them are not seen. The
 * kernel is the one of the kernels and the arithmetic in force now.
 *
 * @example
 * ```ts
 * import { convForward, prepareConv, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(0);
 * const x = random.randn([1, 64, 7, 7]), w = random.randn([32, 64, 3, 3]), b = random.randn([32]);
 * const prepared = prepareConv(x.shape, w, b, { pad: 1 });
 * const out = prepared.forward(x); // (1, 32, 7, 7)
 * const difference = out.data[0] - convForward(x, w, b, { pad: 1 }).out.data[0];
 * if (Math.abs(difference) > 1e-10) throw new Error("they differ");
 * ```
 *
 * @param xShape Shape of the input, (N, C, H, W); N does not matter.
 * @param w Filters, (F, C / groups, KH, KW).
 * @param b Biases, (F), or null for none.
 * @param convParam As for convForward.
 * @returns The kernel's name, and the forward pass.
 * @throws {TypeError} If a tensor has a wrong type, dtype or rank, or an option is unknown.
 * @throws {RangeError} If sizes do not fit each other, groups do not divide C and F, or the kernel is larger
 * than the padded input.
 */
export function prepareConv<A extends FloatArray>(
  xShape: readonly number[],
  w: Tensor<A>,
  b: Tensor<A> | null,
  convParam: ConvParams = {},
): PreparedConv<A> {
  checkTensor("w", w, 4);
  const shape = convShape(xShape, w.shape, convParam);
  checkBiases(b, { w }, shape.F, `one bias a filter of w ${show(w.shape)}`);
  const { name, run } = bindConv(shape, w.data.slice(), { bias: b?.data.slice() });
  const { C, H, W } = shape, dtype = dtypeOf(w.data);
  return {
    name,
    forward(x) {
      checkTensor("x", x, 4);
      checkTensorShape("x", x, [x.shape[0], C, H, W], "the input that was prepared");
      if (dtypeOf(x.data) !== dtype) {
        throw new ArgumentTypeError(
          `x must be ${dtype}, as w is: it is ${dtypeOf(x.data)}`,
          "INVALID_DTYPE",
        );
      }
      return run(x);
    },
  };
}
