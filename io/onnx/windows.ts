/**
 * What the operators of ONNX that walk over images are here: convolutions, pools, and paddings in front
 * of them.
 *
 * @module
 */

import { extentOf, type Pad } from "../../kernels/shape.ts";
import { show } from "../../kernels/tensor.ts";
import { averagePool } from "../../nn/layers/average_pool.ts";
import { conv } from "../../nn/layers/conv.ts";
import { convTranspose } from "../../nn/layers/conv_transpose.ts";
import { flatten } from "../../nn/layers/flatten.ts";
import { globalAverage } from "../../nn/layers/global_pool.ts";
import type { LayerDefinition } from "../../nn/layers/layer.ts";
import { maxPool } from "../../nn/layers/max_pool.ts";
import { globalPool } from "./compose.ts";
import {
  biased,
  checkRank,
  type Importer,
  type LayerNode,
  type Padding,
  pairOf,
} from "./layer_node.ts";

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

/** Conv. */
export const convImporter: Importer = (node) => {
  const { W, options } = convolution(node, false);
  const [F] = W.shape;
  return biased(node, F, W, (bias) => conv(F, { ...options, bias }));
};

/** ConvTranspose. */
export const convTransposeImporter: Importer = (node) => {
  const { W, options } = convolution(node, true);
  const [y = 0, x = 0] = node.attributes.ints("output_padding") ?? [];
  const F = W.shape[1] * options.groups, outputPad = [y, x] as const;
  return biased(node, F, W, (bias) => convTranspose(F, { ...options, outputPad, bias }));
};

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

/** MaxPool. */
export const maxPoolImporter: Importer = (node) => {
  checkPadding(node, -Infinity);
  const dilation = pairOf(node, "dilations");
  node.attributes.expect("storage_order", 0);
  const { size, options } = pool(node, dilation);
  return { layer: maxPool(size, { ...options, dilation }) };
};

/** AveragePool. */
export const averagePoolImporter: Importer = (node) => {
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
export const globalPoolImporter = (
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
export const reduceMean: Importer = (node) => {
  checkPlane(node, 18);
  const { attributes, inShape: [, H, W] } = node;
  attributes.expect("noop_with_empty_axes", 0);
  const keeps = attributes.int("keepdims", 1) !== 0;
  return { layer: keeps ? globalPool(averagePool([H, W])) : globalAverage() };
};

/** Planes of one value as vectors. */
export const squeeze: Importer = (node) => {
  checkPlane(node, 13);
  const { attributes, inShape } = node, [, H, W] = inShape;
  if (H * W !== 1) {
    attributes.refuse(`squeezes ${show(inShape)}, whose planes have more than a value`);
  }
  return { layer: flatten() };
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
