/**
 * What each operator of ONNX is here; those that walk over images are in windows.ts.
 *
 * Source: https://onnx.ai/onnx/operators, in the versions of operator sets 7 to 25.
 *
 * @module
 */

import { show, sizeOf, type Tensor } from "../../kernels/tensor.ts";
import { affine } from "../../nn/layers/affine.ts";
import { averagePool } from "../../nn/layers/average_pool.ts";
import { batchnorm } from "../../nn/layers/batchnorm.ts";
import { dropout } from "../../nn/layers/dropout.ts";
import { flatten } from "../../nn/layers/flatten.ts";
import { gelu } from "../../nn/layers/gelu.ts";
import { groupnorm } from "../../nn/layers/groupnorm.ts";
import { layernorm } from "../../nn/layers/layernorm.ts";
import { leakyRelu } from "../../nn/layers/leaky_relu.ts";
import { maxPool } from "../../nn/layers/max_pool.ts";
import { relu } from "../../nn/layers/relu.ts";
import { sigmoid } from "../../nn/layers/sigmoid.ts";
import { tanh } from "../../nn/layers/tanh.ts";
import { checkRank, type Imported, type Importer, type LayerNode, vector } from "./layer_node.ts";
import { shortest } from "./messages.ts";
import { softmax } from "./softmax.ts";
import {
  averagePoolImporter,
  convImporter,
  convTransposeImporter,
  globalPoolImporter,
  maxPoolImporter,
  reduceMean,
  squeeze,
} from "./windows.ts";

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
