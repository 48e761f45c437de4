/**
 * What each layer of this library is in ONNX.
 *
 * Pools are written without ceil mode, which runtimes have understood in different ways: windows that
 * hang over the edge stand in padding that is written out.
 *
 * @module
 */

import {
  averagePoolShape,
  convShape,
  convTransposeParams,
  convTransposeShape,
  extentOf,
  hangsOver,
  poolShape,
  type WindowShape,
} from "../../kernels/shape.ts";
import { tensor } from "../../nn/tensor.ts";
import { option, readOptions, unchecked, whole } from "../../nn/checks.ts";
import type { AveragePoolOptions } from "../../nn/layers/average_pool.ts";
import { type ConvOptions, halfPad, WALK } from "../../nn/layers/conv.ts";
import type { ConvTransposeOptions } from "../../nn/layers/conv_transpose.ts";
import { type MaxPoolOptions, poolWindow } from "../../nn/layers/max_pool.ts";
import type { Size } from "../../nn/layers/layer.ts";
import type { LayerExporter, OnnxGraph, OnnxLayer } from "./export.ts";
import type { OnnxAttributes } from "./messages.ts";

/** What a layer was called with. */
function argsOf<A extends readonly unknown[]>({ layer: { layer } }: OnnxLayer): A {
  return (layer.args ?? []) as readonly unknown[] as A;
}

/** What normalizations add to the variance. */
const epsilon = (options: { readonly eps?: number } = {}) => ({ float: options.eps ?? 1e-5 });

/** The attributes of a window's walk, with other padding behind if wanted. */
function walk(
  s: WindowShape,
  [bottom, right]: readonly number[] = [s.padBottom, s.padRight],
): OnnxAttributes {
  return {
    kernel_shape: [s.KH, s.KW],
    strides: [s.strideY, s.strideX],
    pads: [s.padTop, s.padLeft, bottom, right],
  };
}

const dilations = (s: WindowShape) => ({ dilations: [s.dilationY, s.dilationX] });

/** A convolution with this many groups. */
function addConv(l: OnnxLayer, g: OnnxGraph, options: ConvOptions, groups: number): string {
  const { bias, kernel, stride, dilation, pad = halfPad(kernel, dilation) } = //
    readOptions("conv", options, WALK);
  const shape = convShape([1, ...l.inShape], l.tensors.W.shape, { stride, pad, dilation, groups });
  const inputs = [l.input, l.names.W, ...bias ? [l.names.b] : []];
  return g.node("Conv", inputs, { ...walk(shape), ...dilations(shape), group: groups });
}

const conv: LayerExporter = (l, g) => {
  const [, { groups = 1, ...options } = {}] = argsOf<[number, ConvOptions?]>(l);
  return addConv(l, g, options, groups);
};

const depthwiseConv: LayerExporter = (l, g) => {
  const [{ multiplier: _, ...options } = {}] = argsOf<[(ConvOptions & { multiplier?: number })?]>(
    l,
  );
  return addConv(l, g, options, l.inShape[0]);
};

const convTranspose: LayerExporter = (l, g) => {
  const [, options = {}] = argsOf<[number, ConvTransposeOptions?]>(l);
  const { kernel, bias, stride, dilation, groups, outputPad = 0, pad = halfPad(kernel, dilation) } =
    readOptions("convTranspose", options, {
      ...WALK,
      groups: option(whole(1), 1),
      outputPad: unchecked<ConvTransposeOptions["outputPad"]>,
    });
  const convParam = { stride, pad, dilation, groups, outputPad };
  const shape = convTransposeShape([1, ...l.inShape], l.tensors.W.shape, convParam);
  const inputs = [l.input, l.names.W, ...bias ? [l.names.b] : []];
  return g.node("ConvTranspose", inputs, {
    ...walk(shape),
    ...dilations(shape),
    group: groups,
    output_padding: convTransposeParams(shape).outputPad as readonly number[],
  });
};

/** Padding below and on the right that holds every window, and no window more. */
function behind(s: WindowShape): readonly [bottom: number, right: number] {
  const needed = (outputs: number, stride: number, extent: number, size: number, before: number) =>
    (outputs - 1) * stride + extent - size - before;
  return [
    Math.max(s.padBottom, needed(s.OH, s.strideY, extentOf(s.KH, s.dilationY), s.H, s.padTop)),
    Math.max(s.padRight, needed(s.OW, s.strideX, extentOf(s.KW, s.dilationX), s.W, s.padLeft)),
  ];
}

/** A pool's input with its padding around it, and a pool over that. */
function padded(l: OnnxLayer, g: OnnxGraph, pads: readonly number[], value: number): string {
  const [top, left, bottom, right] = pads;
  const sides = g.constant([0, 0, top, left, 0, 0, bottom, right]);
  return g.node("Pad", [l.input, sides, g.constant(tensor(Float32Array.of(value), []))]);
}

const maxPool: LayerExporter = (l, g) => {
  const [size, { stride, ...options } = {}] = argsOf<[Size, MaxPoolOptions?]>(l);
  const window = poolWindow("maxPool.size", size, stride);
  const s = poolShape([1, ...l.inShape], { ...window, ...options });
  const [bottom, right] = behind(s), pads = [s.padTop, s.padLeft, bottom, right];
  // Runtimes take less padding than the window has taps, however far these are apart.
  if (pads.every((pad, side) => pad < [s.KH, s.KW][side % 2])) {
    return g.node("MaxPool", [l.input], { ...walk(s, [bottom, right]), ...dilations(s) });
  }
  const input = padded(l, g, pads, -Infinity);
  return g.node("MaxPool", [input], { ...walk(s), ...dilations(s), pads: [0, 0, 0, 0] });
};

const averagePool: LayerExporter = (l, g) => {
  const [size, { stride, ...options } = {}] = argsOf<[Size, AveragePoolOptions?]>(l);
  const window = poolWindow("averagePool.size", size, stride);
  const s = averagePoolShape([1, ...l.inShape], { ...window, ...options });
  const all = behind(s);
  const node = (input: string, attributes: OnnxAttributes, counts: boolean) =>
    g.node("AveragePool", [input], { ...attributes, count_include_pad: Number(counts) });
  if (!s.countIncludePad) return node(l.input, walk(s, all), false);
  if (!hangsOver(s)) return node(l.input, walk(s), true);
  // The padding counts, but not what hangs over it.
  const pads = [s.padTop, s.padLeft, s.padBottom, s.padRight];
  const input = pads.some((pad) => pad > 0) ? padded(l, g, pads, 0) : l.input;
  const over = [0, 0, all[0] - s.padBottom, all[1] - s.padRight];
  return node(input, { ...walk(s), pads: over }, false);
};

/** A pool over whole planes, and what is left of them as vectors. */
const globalPool = (opType: string): LayerExporter => ({ input }, g) =>
  g.node("Flatten", [g.node(opType, [input])], { axis: 1 });

const affine: LayerExporter = ({ input, inShape, names }, g) => {
  const flat = inShape.length === 1 ? input : g.node("Flatten", [input], { axis: 1 });
  return g.node("Gemm", [flat, names.W, names.b]);
};

/** x * 0.5 * (1 + erf(x / sqrt(2))): an operator of its own from set 20 on. */
const gelu: LayerExporter = ({ input }, g) => {
  const number = (value: number) => g.constant(tensor(Float32Array.of(value), []));
  const erf = g.node("Erf", [g.node("Div", [input, number(Math.SQRT2)])]);
  const product = g.node("Mul", [input, g.node("Add", [erf, number(1)])]);
  return g.node("Mul", [product, number(0.5)]);
};

const batchnorm: LayerExporter = (l, g) => {
  const [{ eps, momentum = 0.9 } = {}] = argsOf<[{ eps?: number; momentum?: number }?]>(l);
  const { gamma, beta, runningMean, runningVar } = l.names;
  const attributes = { epsilon: epsilon({ eps }), momentum: { float: momentum } };
  const inputs = [l.input, gamma, beta, runningMean, runningVar];
  return g.node("BatchNormalization", inputs, attributes);
};

const layernorm: LayerExporter = (l, g) => {
  const [options] = argsOf<[{ eps?: number }?]>(l);
  const attributes = { axis: -1, epsilon: epsilon(options) };
  return g.node("LayerNormalization", [l.input, l.names.gamma, l.names.beta], attributes);
};

/** Instance normalization of groups as channels, then a scale and a shift of each channel. */
const groupnorm: LayerExporter = (l, g) => {
  const [groups, options] = argsOf<[number, { eps?: number }?]>(l);
  const [C] = l.inShape;
  const all = (value: number) => g.constant(tensor(new Float32Array(groups).fill(value), [groups]));
  const grouped = g.node("Reshape", [l.input, g.constant([0, groups, -1])]);
  const attributes = { epsilon: epsilon(options) };
  const normal = g.node("InstanceNormalization", [grouped, all(1), all(0)], attributes);
  const restored = g.node("Reshape", [normal, g.constant([0, ...l.inShape])]);
  const scale = g.constant(tensor(l.tensors.gamma.data, [C, 1, 1]));
  const shift = g.constant(tensor(l.tensors.beta.data, [C, 1, 1]));
  return g.node("Add", [g.node("Mul", [restored, scale]), shift]);
};

const sequential: LayerExporter = ({ layer, input, inShape, add }) => {
  let value = input, shape = inShape;
  for (const part of layer.plan.parts ?? []) {
    value = add(part, value, shape);
    shape = part.plan.outShape;
  }
  return value;
};

const residual: LayerExporter = ({ layer, input, inShape, add }, g) => {
  const [branch, shortcut] = layer.plan.parts ?? [];
  const value = add(branch, input, inShape);
  return g.node("Add", [value, shortcut === undefined ? input : add(shortcut, input, inShape)]);
};

const concat: LayerExporter = ({ layer, input, inShape, add }, g) => {
  const values = (layer.plan.parts ?? []).map((part) => add(part, input, inShape));
  return g.node("Concat", values, { axis: 1 });
};

const unary = (opType: string): LayerExporter => ({ input }, g) => g.node(opType, [input]);

/** Each layer's function, by its type. */
export const EXPORTERS: Readonly<Record<string, LayerExporter>> = {
  affine,
  averagePool,
  batchnorm,
  concat,
  conv,
  convTranspose,
  depthwiseConv,
  dropout: ({ input }) => input,
  flatten: ({ input }, g) => g.node("Flatten", [input], { axis: 1 }),
  gelu,
  globalAverage: globalPool("GlobalAveragePool"),
  globalMax: globalPool("GlobalMaxPool"),
  groupnorm,
  layernorm,
  leakyRelu: (l, g) => {
    const [a = 0.01] = argsOf<[number?]>(l);
    return g.node("LeakyRelu", [l.input], { alpha: { float: a } });
  },
  maxPool,
  relu: unary("Relu"),
  residual,
  sequential,
  sigmoid: unary("Sigmoid"),
  softmax: ({ input }, g) => g.node("Softmax", [input], { axis: 1 }),
  tanh: unary("Tanh"),
};
