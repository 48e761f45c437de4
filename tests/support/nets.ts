/**
 * Nets of every layer, for tests of files.
 *
 * @module
 */

import {
  affine,
  averagePool,
  batchnorm,
  concat,
  conv,
  convTranspose,
  depthwiseConv,
  dropout,
  type DType,
  flatten,
  gelu,
  globalAverage,
  globalMax,
  groupnorm,
  type LayerDefinition,
  layernorm,
  leakyRelu,
  maxPool,
  Net,
  RandomState,
  relu,
  residual,
  sequential,
  sigmoid,
  tanh,
  type Tensor,
} from "../../mod.ts";

/** Layers with their options, for images of 4 channels. */
export const LAYERS: Readonly<Record<string, readonly LayerDefinition[]>> = {
  "a convolution with everything": [
    conv(4, { kernel: [3, 5], stride: [2, 1], pad: [1, 0, 2, 3], dilation: [1, 2], groups: 2 }),
    relu(),
  ],
  "convolutions of the same and of the valid size": [
    conv(4, { kernel: 4, stride: 2, pad: "same", bias: false }),
    conv(2, { pad: "valid" }),
  ],
  "depthwise convolutions": [depthwiseConv({ multiplier: 2, stride: 2 }), depthwiseConv()],
  "transposed convolutions": [
    convTranspose(4, { stride: 2, outputPad: [1, 0], pad: 1 }),
    convTranspose(4, { kernel: 2, stride: 3, pad: "same", groups: 2 }),
    convTranspose(2, { dilation: 2, bias: false, stride: [1, 2] }),
  ],
  "max-pools": [
    maxPool(2, { stride: 2, ceilMode: true }),
    maxPool([2, 3], { stride: 1, pad: "same" }),
    maxPool(2, { stride: 1, dilation: 3, pad: 3 }),
  ],
  "max-pools that hang over their padding": [maxPool(4, { stride: 2, pad: 1, ceilMode: true })],
  "average pools": [
    averagePool(3, { stride: 1, pad: 1 }),
    averagePool([2, 3], { stride: 1, pad: "same", countIncludePad: false }),
    averagePool(2),
  ],
  "average pools that hang over": [averagePool(2, { stride: 3, ceilMode: true })],
  "average pools that hang over padding that counts": [
    averagePool(4, { stride: 2, ceilMode: true, pad: 1 }),
  ],
  "average pools that hang over padding that does not": [
    averagePool(4, { stride: 2, ceilMode: true, pad: 1, countIncludePad: false }),
  ],
  "normalizations of images": [
    ...[batchnorm({ eps: 1e-3, momentum: 0.8 }), groupnorm(2), groupnorm(4, { eps: 0.01 })],
    ...[conv(3), groupnorm(1)],
  ],
  "normalizations of vectors": [
    flatten(),
    layernorm(),
    affine(6),
    batchnorm(),
    layernorm({ eps: 0.1 }),
  ],
  "every activation": [leakyRelu(0.2), gelu(), tanh(), sigmoid(), leakyRelu(), relu()],
  "dropout": [dropout(0.5), conv(3), dropout(0.9), affine(5), dropout(0.3)],
  "global averages": [conv(6), globalAverage()],
  "global maxima": [conv(6), globalMax(), dropout(0.5)],
  "residual blocks": [
    residual(sequential(conv(4), gelu(), conv(4)), conv(4, { kernel: 1 })),
    ...[relu(), residual(sequential(batchnorm(), conv(4)))],
    residual(residual(conv(4)), residual(sequential(conv(4), relu()))),
  ],
  "a residual block of nothing": [residual(sequential()), residual(dropout(0.5), sequential())],
  "concatenations": [
    concat(
      ...[conv(2), sequential(), sequential(maxPool(3, { stride: 1, pad: 1 }), conv(3), relu())],
      concat(sequential(conv(1), tanh()), residual(conv(4))),
    ),
    concat(sequential(globalMax(), affine(3)), globalAverage()),
  ],
};

/** A net of layers, every parameter and running statistic of which is a number of its own. */
export function netOf<D extends DType>(
  layers: readonly LayerDefinition[],
  inputDim: readonly number[],
  dtype: D,
  seed = 0,
): Net<D> {
  const random = new RandomState(seed);
  const net = new Net({ inputDim, layers, dtype, random });
  const state: Record<string, Tensor> = net.state();
  for (const [name, { data }] of Object.entries(state)) {
    if (name.startsWith("W")) continue;
    const isVariance = name.startsWith("runningVar");
    for (let i = 0; i < data.length; i++) {
      data[i] = isVariance ? 0.5 + random.rand() : random.randn();
    }
  }
  net.loadState(state);
  return net;
}
