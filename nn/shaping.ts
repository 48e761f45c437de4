/**
 * Other views of a tensor: its numbers in another shape, a part of them, where the largest are, as text.
 *
 * @module
 */

import { checkNonEmpty, checkShape, checkTensor, checkType, checkWhole } from "../kernels/check.ts";
import { ArgumentRangeError } from "../kernels/errors.ts";
import { dtypeOf, type FloatArray, show, sizeOf, type Tensor } from "../kernels/tensor.ts";
import { zerosLike } from "./tensor.ts";

/**
 * The values of a tensor in another shape: `np.reshape`. The result is a view: it shares the array, so
 * that what is written to one is seen in the other.
 *
 * @example Rows of pixels
 * ```ts
 * import { RandomState, reshape } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(0).randn([10, 3, 8, 8]);
 * console.log(reshape(x, [10, -1]).shape); // [10, 192]
 * ```
 *
 * @param x The tensor.
 * @param shape The new shape; one of its sizes may be -1: as much as is left.
 * @returns The view.
 * @throws {TypeError} If x is not a tensor, or the shape not an array of numbers.
 * @throws {RangeError} If the shape has not as many values as x, or more than one size is -1.
 */
export function reshape<A extends FloatArray>(x: Tensor<A>, shape: readonly number[]): Tensor<A> {
  checkTensor("x", x);
  checkType(Array.isArray(shape), "shape", "be an array of sizes", shape);
  const open = shape.indexOf(-1);
  const known = open < 0 ? shape : shape.filter((_, i) => i !== open);
  checkShape("shape, but for one size of -1,", known);
  const count = sizeOf(known), size = x.data.length / count;
  const fits = open < 0 ? size === 1 || count === x.data.length : Number.isInteger(size);
  if (!fits) {
    throw new ArgumentRangeError(
      `shape must have the ${x.data.length} values of x ${show(x.shape)}: received ${show(shape)}`,
    );
  }
  return { data: x.data, shape: shape.map((given) => given === -1 ? size : given) };
}

/**
 * A part of a tensor along one axis: `x[:, start:end]` of numpy for axis 1. As `Array.slice` does, it
 * copies, counts from the end where a number is negative, and stops at the end.
 *
 * @example A batch, and a channel
 * ```ts
 * import { RandomState, slice } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(0).randn([10, 3, 8, 8]);
 * console.log(slice(x, 0, 4).shape); // [4, 3, 8, 8]
 * console.log(slice(x, -1, undefined, 1).shape); // [10, 1, 8, 8]
 * ```
 *
 * @param x The tensor.
 * @param start Where the part begins.
 * @param end Where it ends, itself left out. Default: the size of the axis.
 * @param axis Along which dimension; a negative one counts from the last. Default: 0.
 * @returns A copy of the part.
 * @throws {TypeError} If x is not a tensor, or one of the others not a number.
 * @throws {RangeError} If a number is not whole, or there is no such axis.
 */
export function slice<A extends FloatArray>(
  x: Tensor<A>,
  start: number,
  end?: number,
  axis = 0,
): Tensor<A> {
  checkTensor("x", x);
  const { before, size, after, place } = around(x.shape, axis);
  const from = bound("start", start, size), to = bound("end", end ?? size, size);
  const count = Math.max(0, to - from);
  const part = zerosLike(x, x.shape.map((given, i) => i === place ? count : given));
  for (let i = 0; i < before; i++) {
    const first = (i * size + from) * after;
    part.data.set(x.data.subarray(first, first + count * after), i * count * after);
  }
  return part;
}

/**
 * Where the largest value of a tensor is: `np.argmax(x)`. Of several the first counts, and a NaN before
 * all others.
 *
 * @example
 * ```ts
 * import { argmax, tensor } from "@cnn-layers/cnn-layers";
 *
 * console.log(argmax(tensor([[1, 5], [9, 2]]))); // 2
 * ```
 *
 * @param x The tensor.
 * @returns Its place, counted in row-major order.
 * @throws {TypeError} If x is not a tensor.
 * @throws {RangeError} If x is empty.
 */
export function argmax(x: Tensor): number;
/**
 * Where the largest values of a tensor are along one axis: `np.argmax(x, axis)`. Of several that are
 * largest the first counts, and a NaN before all others. Of scores (N, C) it gives along axis 1 the
 * classes of the examples.
 *
 * @example The classes that a net predicts
 * ```ts
 * import { argmax, RandomState, TwoLayerNet } from "@cnn-layers/cnn-layers";
 *
 * const net = new TwoLayerNet({ inputDim: 4, numClasses: 3 });
 * const classes = argmax(net.predict(new RandomState(0).randn([5, 4])), 1);
 * console.log(classes.length); // 5
 * ```
 *
 * @param x The tensor.
 * @param axis Along which dimension; a negative one counts from the last.
 * @returns The places along the axis, those of all other dimensions in row-major order.
 * @throws {TypeError} If x is not a tensor, or the axis not a number.
 * @throws {RangeError} If the axis is empty, or there is no such axis.
 */
export function argmax(x: Tensor, axis: number): Int32Array<ArrayBuffer>;
export function argmax(x: Tensor, axis?: number): number | Int32Array<ArrayBuffer> {
  checkTensor("x", x);
  if (axis === undefined) return argmax({ data: x.data, shape: [x.data.length] }, 0)[0];
  const { before, size, after } = around(x.shape, axis);
  checkNonEmpty("x", [size], 0);
  const { data } = x, places = new Int32Array(before * after);
  for (let i = 0; i < places.length; i++) {
    const first = Math.floor(i / after) * size * after + i % after;
    for (let k = 1; k < size; k++) {
      if (isHigher(data[first + k * after], data[first + places[i] * after])) places[i] = k;
    }
  }
  return places;
}

/** Whether a number comes before the highest so far: a NaN does, as in numpy. */
export function isHigher(value: number, highest: number): boolean {
  return value > highest || (value !== value && highest === highest);
}

/** How many values an axis has, and how many there are before and after it. */
function around(shape: readonly number[], axis: number) {
  const rank = shape.length;
  checkWhole("axis", axis, -rank, rank - 1);
  const place = axis < 0 ? axis + rank : axis;
  const size = shape[place];
  return {
    place,
    size,
    before: sizeOf(shape.slice(0, place)),
    after: sizeOf(shape.slice(place + 1)),
  };
}

/** A place along an axis, as Array.slice counts. */
function bound(name: string, value: number, size: number): number {
  checkWhole(name, value, Number.MIN_SAFE_INTEGER);
  return value < 0 ? Math.max(0, value + size) : Math.min(value, size);
}

/** Above this many values only the ends of each dimension are shown. */
const SHOWN = 1000;

/** How many of each end. */
const EDGE = 3;

/**
 * A tensor as text: its dtype and shape, and its numbers, of which a large one shows the ends of each
 * dimension. Tensors are plain data, compared and cloned by their fields, and made by every call: so
 * they have no method for consoles to print them by.
 *
 * @example
 * ```ts
 * import { formatTensor, tensor } from "@cnn-layers/cnn-layers";
 *
 * console.log(formatTensor(tensor([[1, 2], [3, 4.5]])));
 * // float64 [2,2]
 * // [[1, 2],
 * //  [3, 4.5]]
 * ```
 *
 * @param x The tensor.
 * @returns The text.
 * @throws {TypeError} If x is not a tensor.
 * @throws {RangeError} If its data length is not its shape's product.
 */
export function formatTensor(x: Tensor): string {
  checkTensor("x", x);
  const { data, shape } = x, isLarge = data.length > SHOWN;
  const text = (value: number) => String(Object.is(value, -0) ? "-0" : +value.toPrecision(6));
  const part = (axis: number, first: number): string => {
    if (axis === shape.length) return text(data[first]);
    const size = shape[axis], step = sizeOf(shape.slice(axis + 1));
    const cut = isLarge && size > 2 * EDGE;
    const places = cut ? [0, 1, 2, -1, size - 3, size - 2, size - 1] : [...Array(size).keys()];
    const parts = places.map((i) => i < 0 ? "..." : part(axis + 1, first + i * step));
    const isLast = axis === shape.length - 1;
    return `[${parts.join(isLast ? ", " : `,\n${" ".repeat(axis + 1)}`)}]`;
  };
  return `${dtypeOf(data)} ${show(shape)}\n${part(0, 0)}`;
}
