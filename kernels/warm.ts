/**
 * Making a kernel ready before it is needed.
 *
 * @module
 */

import { checkDType } from "./check.ts";
import { convKernels } from "./operations.ts";
import { select } from "./select.ts";
import { type ConvParams, convShape } from "./shape.ts";
import { type DType, sizeOf, zerosOf } from "./tensor.ts";

/** Calls after which engines have replaced quickly compiled code by optimized code. */
const CALLS = 100;
/** Milliseconds after which a direction is left, if it has run at least twice. */
const PATIENCE = 50;

/**
 * Makes and warms up the kernel of a convolution, forward and backward, for a benchmark or a server
 * whose first call should be as fast as the others. It takes up to 0.2 s, more for very large images.
 *
 * @example
 * ```ts
 * import { warmConv } from "@cnn-layers/cnn-layers";
 *
 * warmConv([1, 3, 8, 8], [4, 3, 3, 3], { stride: 1, pad: 1 }, "float32");
 * ```
 *
 * @param xShape Shape of the input, (N, C, H, W); N does not matter.
 * @param wShape Shape of the filters, (F, C / groups, KH, KW).
 * @param convParam As for convForward.
 * @param dtype Data type of the tensors.
 * @throws {TypeError} If a rank or a type is wrong, or an option unknown.
 * @throws {RangeError} If sizes do not fit each other, or the kernel is larger than the padded input.
 */
export function warmConv(
  xShape: readonly number[],
  wShape: readonly number[],
  convParam: ConvParams,
  dtype: DType = "float64",
): void {
  const shape = convShape(xShape, wShape, convParam);
  const { C, H, W, F, OH, OW } = shape;
  const kernel = select(convKernels, shape, checkDType(dtype));
  const zeros = (length: number) => zerosOf(dtype, length);
  const x = zeros(C * H * W), w = zeros(sizeOf(wShape)), out = zeros(F * OH * OW);
  const bias = zeros(F);
  repeat(() => kernel.forward(1, x, w, out, { bias }));
  repeat(() => kernel.forward(1, x, w, out, { bias, relu: true }));
  repeat(() => kernel.backwardData(1, out, w, x));
  repeat(() => kernel.backwardWeights(1, x, out, w, bias));
}

function repeat(call: () => void): void {
  const start = performance.now();
  for (let i = 0; i < CALLS; i++) {
    call();
    if (i > 0 && performance.now() - start > PATIENCE) return;
  }
}
