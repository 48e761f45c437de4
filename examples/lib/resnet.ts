/**
 * The residual nets for CIFAR-10.
 *
 * Source: section 4.2 of He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition" (2016),
 * with a 1x1 convolution where a shortcut changes its size.
 *
 * @module
 */

import {
  affine,
  batchnorm,
  conv,
  globalAverage,
  type LayerDefinition,
  Net,
  type RandomState,
  relu,
  residual,
  sequential,
} from "../../mod.ts";

/**
 * A residual net of 6 n + 2 layers with weights.
 *
 * @param n Residual blocks of each of the three stages: 3 for ResNet-20.
 * @param random Draws the weights.
 * @param reg Strength of the L2 penalty.
 * @returns The net.
 */
export function resnet(n: number, random: RandomState, reg: number): Net<"float32"> {
  const convNorm = (filters: number, kernel: number, stride: number) =>
    sequential(conv(filters, { kernel, stride, bias: false }), batchnorm());
  const block = (filters: number, stride: number): LayerDefinition =>
    residual(
      sequential(convNorm(filters, 3, stride), relu(), convNorm(filters, 3, 1)),
      stride === 1 ? undefined : convNorm(filters, 1, stride),
    );
  const stage = (filters: number, stride: number) =>
    Array.from({ length: n }, (_, i) => [block(filters, i === 0 ? stride : 1), relu()]).flat();
  return new Net({
    inputDim: [3, 32, 32],
    layers: [
      ...[convNorm(16, 3, 1), relu()],
      ...[...stage(16, 1), ...stage(32, 2), ...stage(64, 2)],
      ...[globalAverage(), affine(10)],
    ],
    reg,
    dtype: "float32",
    random,
  });
}
