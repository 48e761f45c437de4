/**
 * Random geometries of layers with every field they can have, small enough for the definition; and
 * tensors of whole numbers, on which every kernel is exact.
 *
 * @module
 */

import fc from "fast-check";
import {
  type AveragePoolParams,
  type ConvParams,
  type ConvTransposeParams,
  type DType,
  type FloatArray,
  type PoolParams,
  type Tensor,
  tensor,
} from "../../mod.ts";
import { made } from "./kernels.ts";

/** The shapes and parameters of a layer with weights. */
export interface WeightedCase<P> {
  readonly xShape: readonly [N: number, C: number, H: number, W: number];
  readonly wShape: readonly [number, number, KH: number, KW: number];
  /** How many biases there are. */
  readonly biases: number;
  readonly params: P;
}

/** The shape and parameters of a pool. */
export interface PoolCase<P> {
  readonly xShape: readonly [N: number, C: number, H: number, W: number];
  readonly params: P;
}

/** How many values a shape holds. */
export const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Whole numbers from -4 to 4. */
export function wholes(shape: readonly number[], dtype: DType = "float64"): Tensor {
  return tensor<FloatArray>(made(sizeOf(shape), dtype, "integers"), shape);
}

const upTo = (max: number) => fc.integer({ min: 1, max });
const two = (max: number) => fc.tuple(upTo(max), upTo(max));
const sides = (max: number) => fc.tuple(fc.nat(max), fc.nat(max), fc.nat(max), fc.nat(max));

/** Rows or columns from the first tap to the last. */
const extent = (taps: number, dilation: number) => dilation * (taps - 1) + 1;

/** Groups with the channels that each reads and writes: plain, grouped or depthwise. */
const anyGroups = fc.oneof(
  fc.record({ groups: fc.constant(1), read: upTo(5), written: upTo(6) }),
  fc.record({ groups: fc.integer({ min: 2, max: 4 }), read: upTo(3), written: upTo(3) }),
  fc.record({ groups: fc.integer({ min: 2, max: 9 }), read: fc.constant(1), written: upTo(2) }),
);

/** What a window's walk is made of, before padding. */
const anyWalk = fc.record({
  N: upTo(2),
  sizes: fc.tuple(upTo(12), upTo(14)),
  kernel: fc.oneof(two(4), fc.constantFrom<[number, number]>([3, 3], [5, 5], [1, 1])),
  stride: two(3),
  dilation: fc.oneof(fc.constant<[number, number]>([1, 1]), two(3)),
});

/** Any convolution, with padding in numbers, "same" or "valid". */
export const anyConv: fc.Arbitrary<WeightedCase<ConvParams>> = fc.record({
  walk: anyWalk,
  channels: anyGroups,
  pad: fc.oneof(sides(3), fc.constantFrom("same" as const, "valid" as const)),
}).map(({ walk: { N, sizes, kernel, stride, dilation }, channels, pad }) => {
  const { groups, read, written } = channels;
  const [top, left, bottom, right] = typeof pad === "string" ? [0, 0, 0, 0] : pad;
  // "same" takes any size; else the kernel must fit.
  const least = pad === "same" ? [1, 1] : [
    extent(kernel[0], dilation[0]) - top - bottom,
    extent(kernel[1], dilation[1]) - left - right,
  ];
  return {
    xShape: [N, groups * read, Math.max(sizes[0], least[0]), Math.max(sizes[1], least[1])],
    wShape: [groups * written, read, ...kernel],
    biases: groups * written,
    params: { stride, pad, dilation, groups },
  };
});

/** Any transposed convolution. */
export const anyConvTranspose: fc.Arbitrary<WeightedCase<ConvTransposeParams>> = fc.record({
  walk: anyWalk,
  channels: anyGroups,
  pad: fc.oneof(sides(3), fc.constantFrom("same" as const, "valid" as const)),
  extra: fc.tuple(fc.nat(2), fc.nat(2)),
}).map(({ walk: { N, sizes, kernel, stride, dilation }, channels, pad, extra }) => {
  const { groups, read, written } = channels;
  const outputPad = extra.map((more, axis) =>
    pad === "same" ? 0 : Math.min(more, stride[axis] - 1)
  );
  const fits = typeof pad === "string" ||
    [0, 1].every((axis) =>
      (sizes[axis] - 1) * stride[axis] + extent(kernel[axis], dilation[axis]) + outputPad[axis] >
        pad[axis] + pad[axis + 2]
    );
  return {
    xShape: [N, groups * read, ...sizes],
    wShape: [groups * read, written, ...kernel],
    biases: groups * written,
    params: {
      stride,
      pad: fits ? pad : "valid",
      outputPad: [outputPad[0], outputPad[1]],
      dilation,
      groups,
    },
  };
});

/** Padding before and after that makes the output ceil(size / stride) large, the odd one behind. */
export function samePads(size: number, extent: number, stride: number): [number, number] {
  const total = Math.max(0, (Math.ceil(size / stride) - 1) * stride + extent - size);
  return [Math.floor(total / 2), total - Math.floor(total / 2)];
}

/** Whether each window holds a number of the input, by looking at each. */
function windowsMeet(size: number, [before, after]: readonly number[], K: number, d: number) {
  for (let start = -before; start < size + after; start++) {
    const taps = Array.from({ length: K }, (_, k) => start + k * d);
    if (start < size && !taps.some((at) => at >= 0 && at < size)) return false;
  }
  return true;
}

/** Any window, dilated at most so much, and its walk over an image that it fits into. */
const anyPool = (dilations: number) =>
  fc.record({
    N: upTo(2),
    C: upTo(3),
    sizes: fc.tuple(upTo(11), upTo(13)),
    window: fc.oneof(two(4), fc.constantFrom<[number, number]>([2, 2], [3, 3])),
    stride: two(4),
    dilation: two(dilations),
    pad: fc.oneof(sides(3), fc.constantFrom("same" as const, "valid" as const)),
    ceilMode: fc.boolean(),
  }).map(({ N, C, sizes, window, stride, dilation, pad, ceilMode }) => {
    const extents = window.map((K, axis) => extent(K, dilation[axis]));
    const [H, W] = sizes.map((size, axis) => pad === "same" ? size : Math.max(size, extents[axis]));
    const [rows, columns] = [H, W].map((size, axis) => {
      if (pad === "valid") return [0, 0];
      if (pad === "same") return samePads(size, extents[axis], stride[axis]);
      return [pad[axis], pad[axis + 2]].map((side) => Math.min(side, extents[axis] - 1));
    });
    const pads: [number, number, number, number] = [rows[0], columns[0], rows[1], columns[1]];
    const xShape: [number, number, number, number] = [N, C, H, W];
    return {
      xShape,
      params: {
        poolHeight: window[0],
        poolWidth: window[1],
        stride,
        dilation,
        pad: typeof pad === "string" ? pad : pads,
        ceilMode,
      },
      meets: windowsMeet(H, rows, window[0], dilation[0]) &&
        windowsMeet(W, columns, window[1], dilation[1]),
    };
  }).filter(({ meets }) => meets);

/** Any max-pool that its parameters allow. */
export const anyMaxPool: fc.Arbitrary<PoolCase<PoolParams>> = anyPool(3)
  .map(({ xShape, params }) => ({ xShape, params }));

/** Any average pool that its parameters allow. */
export const anyAveragePool: fc.Arbitrary<PoolCase<AveragePoolParams>> = fc.record({
  pool: anyPool(1),
  countIncludePad: fc.boolean(),
}).map(({ pool: { xShape, params: { dilation: _, ...params } }, countIncludePad }) => ({
  xShape,
  params: { ...params, countIncludePad },
}));
