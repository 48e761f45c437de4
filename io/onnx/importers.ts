/**
 * What each operator of ONNX is here.
 *
 * Source: https://onnx.ai/onnx/operators, in the versions of operator sets 7 to 25.
 *
 * @module
 */

import { extentOf, type Pad } from "../../kernels/shape.ts";
import { show, sizeOf, type Tensor } from "../../kernels/tensor.ts";
import { affine } from "../../nn/layers/affine.ts";
import { averagePool } from "../../nn/layers/average_pool.ts";
import { batchnorm } from "../../nn/layers/batchnorm.ts";
import { conv } from "../../nn/layers/conv.ts";
import { convTranspose } from "../../nn/layers/conv_transpose.ts";
import { dropout } from "../../nn/layers/dropout.ts";
import { flatten } from "../../nn/layers/flatten.ts";
import { gelu } from "../../nn/layers/gelu.ts";
import { globalAverage } from "../../nn/layers/global_pool.ts";
import { groupnorm } from "../../nn/layers/groupnorm.ts";
import type { LayerDefinition } from "../../nn/layers/layer.ts";
import { layernorm } from "../../nn/layers/layernorm.ts";
import { leakyRelu } from "../../nn/layers/leaky_relu.ts";
import { maxPool } from "../../nn/layers/max_pool.ts";
import { relu } from "../../nn/layers/relu.ts";
import { sigmoid } from "../../nn/layers/sigmoid.ts";
import { tanh } from "../../nn/layers/tanh.ts";
import { globalPool } from "./compose.ts";
import type { GraphNode } from "./graph.ts";
import { type Constant, shortest } from "./messages.ts";
import { softmax } from "./softmax.ts";

/** What a Pad in front of a node puts around images. */
export interface Padding {
  /** Rows and columns: top, left, bottom, right. */
  readonly sides: readonly [number, number, number, number];
  /** What they hold. */
  readonly value: number;
}

/** What a constant must be: values of the model's type, whole sizes, or anything. */
export type ConstantKind = "sizes" | "any";

/** A node that becomes a layer: its first input is a value, the others are constants. */
export interface LayerNode extends GraphNode {
  /** The version of the operators. */
  readonly opset: number;
  /** How many examples the model takes; undefined for any number. */
  readonly batch: number | undefined;
  /** The shape of one example of its input. */
  readonly inShape: readonly number[];
  /** What is around its input, which is images; undefined if nothing is. */
  readonly padding: Padding | undefined;
  /** The constant that is an input; undefined if that is left out. */
  readonly optional: (i: number, kind?: ConstantKind) => Constant | undefined;
  /** The constant that must be an input. */
  readonly constant: (i: number, kind?: ConstantKind) => Constant;
}

/** A layer with its tensors, by their short names. */
export interface Imported {
  /** The layer. */
  readonly layer: LayerDefinition;
  /** The values of its parameters and running statistics. Default: none. */
  readonly tensors?: Readonly<Record<string, Tensor>>;
  /** The same layer with a bias, if it has none yet. */
  readonly withBias?: (b: Tensor) => Imported;
}

/** Makes a layer of a node; undefined if the node gives its input. */
export type Importer = (node: LayerNode) => Imported | undefined;

/** Rows and columns of a constant's or an attribute's list. */
function pairOf(node: LayerNode, name: string): readonly [number, number] {
  const [y = 1, x = 1, ...rest] = node.attributes.ints(name) ?? [];
  if (rest.length > 0) node.attributes.refuse(`has ${name} for more than rows and columns`);
  return [y, x];
}

/** Refuses an input that does not have so many dimensions beside the batch. */
function checkRank(node: LayerNode, ...ranks: readonly number[]): void {
  const rank = node.inShape.length;
  if (ranks.includes(rank)) return;
  const shape = show(["N", ...node.inShape] as never);
  node.attributes.refuse(
    `gets ${shape}, where ${ranks.map((r) => r + 1).join(" or ")} dimensions are read`,
  );
}

/** A constant of so many values, one per channel: as they are, or as the sizes of the others are 1. */
function vector(node: LayerNode, { data, shape }: Constant, C: number): Tensor {
  const isVector = data.length === C && shape.every((size) => size === 1 || size === C);
  if (!isVector) {
    node.attributes.refuse(`has a constant of shape ${show(shape)}, where [${C}] is read`);
  }
  return { data, shape: [C] };
}

/** Padding as the attributes say it. */
function padOf(
  node: LayerNode,
  kernel: readonly number[],
  strides: readonly number[],
  dilations: readonly number[],
  transposed = false,
): Pad {
  const { attributes, inShape, padding } = node;
  const auto = attributes.string("auto_pad", "NOTSET"), pads = attributes.ints("pads");
  if (auto !== "NOTSET" && pads?.some((pad) => pad !== 0)) {
    attributes.refuse(`has pads beside auto_pad = ${auto}`);
  }
  if (auto === "NOTSET") {
    const [top, left, bottom, right, ...rest] = pads ?? [0, 0, 0, 0];
    if (right === undefined || rest.length > 0) {
      attributes.refuse("has pads for other than 4 sides");
    }
    const [above, before, below, behind] = padding?.sides ?? [0, 0, 0, 0];
    return [top + above, left + before, bottom + below, right + behind];
  }
  if (auto === "VALID") return padding?.sides ?? "valid";
  if (padding !== undefined) attributes.refuse(`has auto_pad = ${auto} after a Pad`);
  if (auto === "SAME_UPPER") return "same";
  if (auto !== "SAME_LOWER") attributes.refuse(`has auto_pad = ${auto}, which is not read`);
  // The odd row or column comes first.
  const [y, x] = [0, 1].map((axis) => {
    const extent = extentOf(kernel[axis], dilations[axis]), size = inShape[axis + 1];
    return transposed
      ? Math.max(0, extent - strides[axis])
      : Math.max(0, (Math.ceil(size / strides[axis]) - 1) * strides[axis] + extent - size);
  });
  return [Math.ceil(y / 2), Math.ceil(x / 2), Math.floor(y / 2), Math.floor(x / 2)];
}

/** Refuses a Pad in front that puts something else around images than the layer here would. */
function checkPadding({ attributes, padding }: LayerNode, value: number): void {
  if (padding === undefined || padding.value === value) return;
  attributes.refuse(`is after a Pad with ${padding.value}, where ${value} is read`);
}

/** The walk of a convolution, and its weights. */
function convolution(node: LayerNode, transposed: boolean) {
  checkRank(node, 3);
  checkPadding(node, 0);
  const { attributes } = node, { data, shape } = node.constant(1);
  if (shape.length !== 4) {
    attributes.refuse(`has weights ${show(shape)}, where 4 dimensions are read`);
  }
  const kernel = [shape[2], shape[3]] as const;
  const named = attributes.ints("kernel_shape") ?? kernel;
  if (named.join() !== kernel.join()) {
    attributes.refuse(`has kernel_shape ${show(named)}, and weights ${show(shape)}`);
  }
  const stride = pairOf(node, "strides"), dilation = pairOf(node, "dilations");
  const groups = attributes.int("group", 1);
  const pad = padOf(node, kernel, stride, dilation, transposed);
  return { W: { data, shape }, options: { kernel, stride, dilation, groups, pad } };
}

/** A layer of weights with a bias, or with none until an Add after it has one. */
function biased(
  node: LayerNode,
  outputs: number,
  W: Tensor,
  make: (bias: boolean) => LayerDefinition,
): Imported {
  const withBias = (b: Tensor): Imported => ({ layer: make(true), tensors: { W, b } });
  const b = node.optional(2);
  if (b !== undefined) return withBias(vector(node, b, outputs));
  return { layer: make(false), tensors: { W }, withBias };
}

const convImporter: Importer = (node) => {
  const { W, options } = convolution(node, false);
  const [F] = W.shape;
  return biased(node, F, W, (bias) => conv(F, { ...options, bias }));
};

const convTransposeImporter: Importer = (node) => {
  const { W, options } = convolution(node, true);
  const [y = 0, x = 0] = node.attributes.ints("output_padding") ?? [];
  const F = W.shape[1] * options.groups, outputPad = [y, x] as const;
  return biased(node, F, W, (bias) => convTranspose(F, { ...options, outputPad, bias }));
};

/** A fully-connected layer, from W (D, M). */
function connected(node: LayerNode, W: Tensor, bias: Tensor | undefined): Imported {
  const [D, M] = W.shape;
  if (D !== node.inShape[0]) {
    node.attributes.refuse(`has weights for ${D} values, and gets ${node.inShape[0]}`);
  }
  const layer = affine(M);
  if (bias !== undefined) return { layer, tensors: { W, b: bias } };
  const zero = { data: W.data.slice(0, M).fill(0), shape: [M] };
  return { layer, tensors: { W, b: zero }, withBias: (b) => ({ layer, tensors: { W, b } }) };
}

const gemm: Importer = (node) => {
  checkRank(node, 1);
  const { attributes } = node;
  const isPlain = attributes.float("alpha", 1) === 1 && attributes.float("beta", 1) === 1;
  if (!isPlain) attributes.refuse("has an alpha or beta that is not 1");
  attributes.expect("transA", 0);
  const isTransposed = attributes.int("transB", 0) !== 0;
  const W = matrix(node, isTransposed), M = W.shape[1], c = node.optional(2);
  if (c === undefined) return connected(node, W, undefined);
  // One value for all is stretched.
  const isOne = c.data.length === 1;
  const b = isOne ? { data: W.data.slice(0, M).fill(c.data[0]), shape: [M] } : vector(node, c, M);
  return connected(node, W, b);
};

const matMul: Importer = (node) => {
  checkRank(node, 1);
  return connected(node, matrix(node, false), undefined);
};

/** A constant as W (D, M). */
function matrix(node: LayerNode, isTransposed: boolean): Tensor {
  const { data, shape } = node.constant(1);
  if (shape.length !== 2) {
    node.attributes.refuse(`has weights ${show(shape)}, where 2 dimensions are read`);
  }
  if (!isTransposed) return { data, shape };
  const [M, D] = shape, out = data.slice();
  for (let m = 0; m < M; m++) {
    for (let d = 0; d < D; d++) out[d * M + m] = data[m * D + d];
  }
  return { data: out, shape: [D, M] };
}

/** What pools have in common. */
function pool(node: LayerNode, dilation: readonly [number, number]) {
  checkRank(node, 3);
  const { attributes } = node, size = pairOf(node, "kernel_shape");
  const stride = pairOf(node, "strides");
  const ceilMode = attributes.int("ceil_mode", 0) !== 0;
  if (ceilMode && node.padding !== undefined) attributes.refuse("has ceil_mode after a Pad");
  const pad = padOf(node, size, stride, dilation);
  return { size, options: { stride, pad, ceilMode } };
}

const maxPoolImporter: Importer = (node) => {
  checkPadding(node, -Infinity);
  const dilation = pairOf(node, "dilations");
  node.attributes.expect("storage_order", 0);
  const { size, options } = pool(node, dilation);
  return { layer: maxPool(size, { ...options, dilation }) };
};

const averagePoolImporter: Importer = (node) => {
  checkPadding(node, 0);
  const { attributes, padding } = node, dilation = pairOf(node, "dilations");
  if (dilation.join() !== "1,1") attributes.refuse("has dilations that are not 1");
  const counts = attributes.int("count_include_pad", 0) !== 0;
  const { size, options } = pool(node, dilation);
  if (padding === undefined || counts) {
    return { layer: averagePool(size, { ...options, countIncludePad: counts }) };
  }
  // What a Pad puts around images counts. What the node itself does can be what ceil mode leaves out.
  const { sides } = padding, { pad, stride } = options;
  const over = (pad as readonly number[]).map((side, i) => side - sides[i]);
  const isOver = over[0] === 0 && over[1] === 0 && over[2] < stride[0] && over[3] < stride[1];
  if (!isOver) attributes.refuse("has pads that do not count, after a Pad that does");
  const ceilMode = over.some((side) => side > 0);
  return { layer: averagePool(size, { pad: sides, stride, ceilMode, countIncludePad: true }) };
};

/** A pool over whole planes gives (N, C, 1, 1). */
const globalPoolImporter = (
  make: (size: readonly [number, number]) => LayerDefinition,
): Importer =>
(node) => {
  checkRank(node, 3);
  const [, H, W] = node.inShape;
  return { layer: globalPool(make([H, W])) };
};

/** Refuses axes other than rows and columns. */
function checkPlane(node: LayerNode, firstAsInput: number): void {
  checkRank(node, 3);
  const { attributes, opset } = node;
  const axes = opset < firstAsInput
    ? attributes.ints("axes") ?? []
    : [...node.optional(1, "sizes")?.data ?? []];
  const sorted = axes.map((axis) => axis < 0 ? axis + 4 : axis).sort((a, b) => a - b);
  if (sorted.join() !== "2,3") attributes.refuse(`has axes = ${show(axes)}, where [2,3] is read`);
}

/** The mean of each plane, as exporters write a global average. */
const reduceMean: Importer = (node) => {
  checkPlane(node, 18);
  const { attributes, inShape: [, H, W] } = node;
  attributes.expect("noop_with_empty_axes", 0);
  const keeps = attributes.int("keepdims", 1) !== 0;
  return { layer: keeps ? globalPool(averagePool([H, W])) : globalAverage() };
};

/** Planes of one value as vectors. */
const squeeze: Importer = (node) => {
  checkPlane(node, 13);
  const { attributes, inShape } = node, [, H, W] = inShape;
  if (H * W !== 1) {
    attributes.refuse(`squeezes ${show(inShape)}, whose planes have more than a value`);
  }
  return { layer: flatten() };
};

const batchNormalization: Importer = (node) => {
  checkRank(node, 1, 3);
  const { attributes, inShape: [C] } = node;
  attributes.expect("training_mode", 0);
  attributes.expect("spatial", 1);
  const eps = attributes.float("epsilon", 1e-5), momentum = attributes.float("momentum", 0.9);
  const [gamma, beta, runningMean, runningVar] = //
    [1, 2, 3, 4].map((i) => vector(node, node.constant(i), C));
  return {
    layer: batchnorm({ eps, momentum }),
    tensors: { gamma, beta, runningMean, runningVar },
  };
};

const instanceNormalization: Importer = (node) => {
  checkRank(node, 3);
  const [C] = node.inShape, eps = node.attributes.float("epsilon", 1e-5);
  return { layer: groupnorm(C, { eps }), tensors: scaleAndShift(node, C) };
};

const groupNormalization: Importer = (node) => {
  checkRank(node, 3);
  const { attributes, inShape } = node, [C] = inShape;
  const groups = attributes.int("num_groups", 0), eps = attributes.float("epsilon", 1e-5);
  attributes.expect("stash_type", 1);
  const restored = attributes.ints("restored");
  if (restored !== undefined && !isBatchOf(node, restored, inShape)) {
    attributes.refuse(`gives ${show(restored)} of ${show(inShape)}`);
  }
  return { layer: groupnorm(groups, { eps }), tensors: scaleAndShift(node, C) };
};

const layerNormalization: Importer = (node) => {
  checkRank(node, 1);
  const { attributes, inShape: [D] } = node;
  const axis = attributes.int("axis", -1), eps = attributes.float("epsilon", 1e-5);
  if (axis !== -1 && axis !== 1) attributes.refuse(`has axis = ${axis}, where -1 and 1 are read`);
  attributes.expect("stash_type", 1);
  return { layer: layernorm({ eps }), tensors: scaleAndShift(node, D, true) };
};

function scaleAndShift(node: LayerNode, C: number, optional = false) {
  const gamma = vector(node, node.constant(1), C),
    b = optional ? node.optional(2) : node.constant(2);
  const beta = b === undefined
    ? { data: gamma.data.slice().fill(0), shape: [C] }
    : vector(node, b, C);
  return { gamma, beta };
}

/** Whether a list of sizes, as Reshape takes them, is a batch of examples of a shape. */
function isBatchOf(
  { batch, inShape }: LayerNode,
  sizes: readonly number[],
  example: readonly number[],
): boolean {
  const [N, ...rest] = sizes;
  if (rest.length !== example.length || sizes.filter((size) => size === -1).length > 1) {
    return false;
  }
  // 0 stands for the input's own size.
  const fits = rest.every((size, i) =>
    size === -1 || size === example[i] || size === 0 && inShape[i] === example[i]
  );
  return fits && (N === 0 || N === -1 || N === batch);
}

const reshape: Importer = (node) => {
  const { attributes, inShape } = node;
  attributes.expect("allowzero", 0);
  const sizes = [...node.constant(1, "sizes").data];
  if (isBatchOf(node, sizes, inShape)) return undefined;
  if (isBatchOf(node, sizes, [sizeOf(inShape)])) return { layer: flatten() };
  return attributes.refuse(
    `makes ${show(sizes)} of a batch of ${show(inShape)}, where vectors are read`,
  );
};

const flattenImporter: Importer = (node) => {
  const { attributes, inShape } = node, axis = attributes.int("axis", 1);
  const isFirst = axis === 1 || axis === -inShape.length;
  if (!isFirst) attributes.refuse(`has axis = ${axis}, where 1 is read`);
  return inShape.length === 1 ? undefined : { layer: flatten() };
};

const softmaxImporter: Importer = (node) => {
  checkRank(node, 1);
  const axis = node.attributes.int("axis", node.opset < 13 ? 1 : -1);
  if (axis !== 1 && axis !== -1) node.attributes.refuse(`has axis = ${axis}, where 1 is read`);
  return { layer: softmax() };
};

const dropoutImporter: Importer = (node) => {
  const { attributes } = node;
  const dropped = shortest(node.optional(1, "any")?.data[0] ?? attributes.float("ratio", 0.5));
  attributes.int("seed", 0);
  if ((node.optional(2, "any")?.data[0] ?? 0) !== 0) attributes.refuse("has training_mode = true");
  return dropped === 0 ? undefined : { layer: dropout(1 - dropped) };
};

const geluImporter: Importer = (node) => {
  const form = node.attributes.string("approximate", "none");
  if (form !== "none") node.attributes.refuse(`has approximate = ${form}, where none is read`);
  return { layer: gelu() };
};

/** What a Pad puts around images. */
export function paddingOf(node: LayerNode): Padding {
  checkRank(node, 3);
  const { attributes, opset } = node, mode = attributes.string("mode", "constant");
  if (mode !== "constant") attributes.refuse(`has mode = ${mode}, where constant is read`);
  const pads = opset < 11 ? attributes.ints("pads") ?? [] : [...node.constant(1, "sizes").data];
  const value = opset < 11 ? attributes.float("value", 0) : node.optional(2)?.data[0] ?? 0;
  const [n, c, top, left, n2, c2, bottom, right] = pads;
  const isOfImages = pads.length === 8 && n === 0 && c === 0 && n2 === 0 && c2 === 0;
  if (!isOfImages || Math.min(...pads) < 0) {
    attributes.refuse(`has pads ${show(pads)}, where those of rows and columns are read`);
  }
  return { sides: [top, left, bottom, right], value };
}

/** The operators that may stand after a Pad. */
export const AFTER_PAD: readonly string[] = ["Conv", "MaxPool", "AveragePool"];

/** The functions of operators that take one value. */
export const IMPORTERS: Readonly<Record<string, Importer>> = {
  AveragePool: averagePoolImporter,
  BatchNormalization: batchNormalization,
  Conv: convImporter,
  ConvTranspose: convTransposeImporter,
  Dropout: dropoutImporter,
  Flatten: flattenImporter,
  Gelu: geluImporter,
  Gemm: gemm,
  GlobalAveragePool: globalPoolImporter((size) => averagePool(size)),
  GlobalMaxPool: globalPoolImporter((size) => maxPool(size)),
  GroupNormalization: groupNormalization,
  Identity: () => undefined,
  InstanceNormalization: instanceNormalization,
  LayerNormalization: layerNormalization,
  LeakyRelu: (node) => ({ layer: leakyRelu(node.attributes.float("alpha", 0.01)) }),
  MatMul: matMul,
  MaxPool: maxPoolImporter,
  ReduceMean: reduceMean,
  Relu: () => ({ layer: relu() }),
  Reshape: reshape,
  Sigmoid: () => ({ layer: sigmoid() }),
  Softmax: softmaxImporter,
  Squeeze: squeeze,
  Tanh: () => ({ layer: tanh() }),
};
