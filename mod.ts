/**
 * Convolutional-network layers that need nothing but an import: forward and backward, float64 and
 * float32, NCHW, gradient-checked, with kernels made for the shape.
 *
 * @example A convolution
 * ```ts
 * import { convForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([2, 3, 8, 8]), w = random.randn([4, 3, 3, 3]), b = random.randn([4]);
 * const { out } = convForward(x, w, b, { stride: 1, pad: 1 });
 * console.log(out.shape); // [2, 4, 8, 8]
 * ```
 *
 * @module
 */

export type { ArrayOf, DType, FloatArray, Tensor } from "./nn/tensor.ts";
export { full, linspace, tensor, zeros } from "./nn/tensor.ts";
export type { ChoiceOptions, RandomStateData, Shufflable } from "./nn/random.ts";
export { RandomState } from "./nn/random.ts";
export type { GradientCheck } from "./nn/gradient_check.ts";
export {
  evalNumericalGradient,
  evalNumericalGradientArray,
  gradCheckSparse,
  relError,
} from "./nn/gradient_check.ts";
export type {
  BackwardOptions,
  ConvCache,
  ConvParams,
  Explanation,
  Gradients,
  Pad,
  PoolCache,
  PoolParams,
} from "./nn/conv_layers.ts";
export {
  convBackward,
  convBackwardNaive,
  convForward,
  convForwardNaive,
  explainConv,
  explainMaxPool,
  maxPoolBackward,
  maxPoolBackwardNaive,
  maxPoolForward,
  maxPoolForwardNaive,
} from "./nn/conv_layers.ts";
export type {
  GeneratedConv,
  GeneratedPass,
  GeneratedPool,
  KernelInfo,
  PassSizes,
  PoolSizes,
  Tier,
} from "./kernels/kernel.ts";
export type { KernelChoice } from "./kernels/select.ts";
export { registerKernels, useKernels } from "./kernels/select.ts";
