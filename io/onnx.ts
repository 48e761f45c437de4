/**
 * Nets as ONNX models, and ONNX models as nets. A separate entry point, as it needs packages:
 * `@cnn-layers/cnn-layers/onnx`.
 *
 * @example To a file that ONNX Runtime, Triton and KServe serve, and back
 * ```ts
 * import { affine, batchnorm, conv, globalAverage, Net, relu } from "@cnn-layers/cnn-layers";
 * import { fromOnnx, toOnnx } from "@cnn-layers/cnn-layers/onnx";
 *
 * const layers = [conv(8, { bias: false }), batchnorm(), relu(), globalAverage(), affine(10)];
 * const net = new Net({ inputDim: [3, 32, 32], layers, dtype: "float32" });
 * const bytes = toOnnx(net);
 * const copy = fromOnnx(bytes);
 * console.log(copy.summary() === net.summary()); // true
 * ```
 *
 * @module
 */

export type { FloatArray, Tensor } from "../kernels/tensor.ts";
export type { LayerExporter, OnnxGraph, OnnxLayer, ToOnnxOptions } from "./onnx/export.ts";
export { toOnnx } from "./onnx/export.ts";
export type { FromOnnxOptions } from "./onnx/import.ts";
export { fromOnnx } from "./onnx/import.ts";
export type { OnnxAttributes } from "./onnx/messages.ts";
export { crossEntropyLoss, softmax } from "./onnx/softmax.ts";
