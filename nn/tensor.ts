/**
 * Tensors: plain data, made by a few functions.
 *
 * @module
 */

import type { DType, FloatArray, Tensor } from "../kernels/tensor.ts";
import { checkDType, checkNumber, checkShape, checkTensor, checkType } from "../kernels/check.ts";
import { ArgumentRangeError } from "../kernels/errors.ts";
import { allocate, dtypeOf, sizeOf } from "../kernels/tensor.ts";
import { takeArray, takeGradient } from "./workspace.ts";

export type { DType, FloatArray, Tensor } from "../kernels/tensor.ts";

/** The typed array of a dtype. */
export type ArrayOf<D extends DType> = D extends "float32" ? Float32Array : Float64Array;

/** Numbers in arrays, in arrays of these, and so on: `[[1, 2], [3, 4]]`. */
export type NestedNumbers = readonly number[] | readonly NestedNumbers[];

/** The most dimensions that nested arrays can have, as in numpy. */
const MOST_DIMENSIONS = 64;

/**
 * A tensor from an array and a shape. A Float32Array or a Float64Array is used as it is, not copied.
 *
 * @example A 2 x 3 matrix
 * ```ts
 * import { tensor } from "@cnn-layers/cnn-layers";
 *
 * const m = tensor(Float64Array.of(1, 2, 3, 4, 5, 6), [2, 3]);
 * ```
 *
 * @param data The values in row-major order.
 * @param shape The size of each dimension.
 * @returns The tensor.
 * @throws {TypeError} If the data has another type.
 * @throws {RangeError} If its length is not the product of the shape.
 */
export function tensor<A extends FloatArray>(data: A, shape: readonly number[]): Tensor<A>;
/**
 * A tensor from an array of plain numbers and a shape.
 *
 * @example A 2 x 3 matrix of float32
 * ```ts
 * import { tensor } from "@cnn-layers/cnn-layers";
 *
 * const m = tensor([1, 2, 3, 4, 5, 6], [2, 3], "float32");
 * ```
 *
 * @param numbers The values in row-major order.
 * @param shape The size of each dimension.
 * @param dtype The data type. Default: "float64".
 * @returns The tensor, with a copy of the numbers.
 * @throws {TypeError} If one of them is not a number, or the dtype is unknown.
 * @throws {RangeError} If there are not as many as the product of the shape.
 */
export function tensor<D extends DType = "float64">(
  numbers: readonly number[],
  shape: readonly number[],
  dtype?: D,
): Tensor<ArrayOf<D>>;
/**
 * A tensor from nested arrays, whose lengths are its shape.
 *
 * @example
 * ```ts
 * import { tensor } from "@cnn-layers/cnn-layers";
 *
 * const m = tensor([[1, 2], [3, 4]]);
 * console.log(m.shape); // [2, 2]
 * ```
 *
 * @param nested The values.
 * @param dtype The data type. Default: "float64".
 * @returns The tensor, with a copy of the numbers.
 * @throws {TypeError} If a number is where others have an array, or something else than a number.
 * @throws {RangeError} If arrays of one depth have different lengths. The message says where.
 */
export function tensor<D extends DType = "float64">(
  nested: NestedNumbers,
  dtype?: D,
): Tensor<ArrayOf<D>>;
export function tensor(data: unknown, shapeOrDType?: unknown, dtype?: unknown): Tensor {
  if (Array.isArray(data) && !Array.isArray(shapeOrDType)) {
    if (dtype !== undefined) checkShape("shape", shapeOrDType);
    const shape = shapeOf(data);
    return { data: fromNumbers(data, shape, shapeOrDType), shape };
  }
  const isPlain = Array.isArray(data);
  const numbers = isPlain ? fromNumbers(data, [data.length], dtype) : data;
  const result: unknown = { data: numbers, shape: shapeOrDType };
  checkTensor("tensor", result);
  const own = dtypeOf(result.data);
  const isOwn = dtype === undefined || checkDType(dtype) === own;
  checkType(isOwn, "dtype", `be that of the data, ${own}`, dtype, "INVALID_DTYPE");
  return { data: result.data, shape: [...result.shape] };
}

/** The shape of nested arrays, as far as the first of each depth tell it. */
function shapeOf(nested: unknown): number[] {
  const shape: number[] = [];
  for (let part = nested; Array.isArray(part); part = part[0]) {
    if (shape.length === MOST_DIMENSIONS) {
      throw new ArgumentRangeError(`data must have at most ${MOST_DIMENSIONS} dimensions`);
    }
    shape.push(part.length);
  }
  return shape;
}

/** The values of nested arrays of a shape. */
function fromNumbers(
  nested: unknown,
  shape: readonly number[],
  dtype: unknown = "float64",
): FloatArray {
  const numbers = newArray(sizeOf(shape), checkDType(dtype));
  let next = 0;
  const add = (part: unknown, depth: number, path: string) => {
    if (depth === shape.length) {
      checkNumber(path, part);
      numbers[next++] = part;
      return;
    }
    checkType(Array.isArray(part), path, "be an array, like those beside it", part);
    if (part.length !== shape[depth]) {
      throw new ArgumentRangeError(
        `${path} must have length ${shape[depth]}, like those beside it: it has ${part.length}`,
      );
    }
    for (let i = 0; i < part.length; i++) add(part[i], depth + 1, `${path}[${i}]`);
  };
  add(nested, 0, "data");
  return numbers;
}

/**
 * A tensor of zeros.
 *
 * @example
 * ```ts
 * import { zeros } from "@cnn-layers/cnn-layers";
 *
 * const b = zeros([32]);
 * ```
 *
 * @param shape The size of each dimension.
 * @param dtype The data type.
 * @returns The tensor.
 * @throws {TypeError} If the shape is not an array of numbers, or the dtype unknown.
 * @throws {RangeError} If a size is negative or not whole.
 */
export function zeros<D extends DType = "float64">(
  shape: readonly number[],
  dtype?: D,
): Tensor<ArrayOf<D>> {
  checkShape("shape", shape);
  return { data: newArray(sizeOf(shape), dtype ?? "float64") as ArrayOf<D>, shape: [...shape] };
}

/**
 * A tensor that holds one value everywhere.
 *
 * @example
 * ```ts
 * import { full } from "@cnn-layers/cnn-layers";
 *
 * const gamma = full([32], 1);
 * ```
 *
 * @param shape The size of each dimension.
 * @param value The number.
 * @param dtype The data type.
 * @returns The tensor.
 * @throws {TypeError} If the shape is not an array of numbers, the value not a number, or the dtype unknown.
 * @throws {RangeError} If a size is negative or not whole.
 */
export function full<D extends DType = "float64">(
  shape: readonly number[],
  value: number,
  dtype?: D,
): Tensor<ArrayOf<D>> {
  checkNumber("value", value);
  const result = zeros(shape, dtype);
  result.data.fill(value);
  return result;
}

/**
 * Evenly spaced values, both ends included: `np.linspace(start, stop, num).reshape(shape)`.
 *
 * @example
 * ```ts
 * import { linspace } from "@cnn-layers/cnn-layers";
 *
 * const x = linspace(-0.1, 0.5, [2, 3, 4, 4]);
 * ```
 *
 * @param start The first number.
 * @param stop The last number.
 * @param shape The size of each dimension.
 * @param dtype The data type.
 * @returns The tensor.
 * @throws {TypeError} If the shape is not an array of numbers, an end not a number, or the dtype unknown.
 * @throws {RangeError} If a size is negative or not whole.
 */
export function linspace<D extends DType = "float64">(
  start: number,
  stop: number,
  shape: readonly number[],
  dtype?: D,
): Tensor<ArrayOf<D>> {
  checkNumber("start", start);
  checkNumber("stop", stop);
  const result = zeros(shape, dtype);
  const { data } = result;
  // numpy's own order of operations: start + i * step, then the last number set to stop.
  const step = (stop - start) / (data.length - 1);
  for (let i = 0; i < data.length; i++) data[i] = i * step + start;
  if (data.length > 1) data[data.length - 1] = stop;
  else if (data.length === 1) data[0] = start;
  return result;
}

/** An array of zeros of a dtype. */
export function newArray(length: number, dtype: DType): FloatArray {
  return allocate(checkDType(dtype), length, true);
}

/** A tensor of zeros with the dtype of another; its shape too unless one is given. */
export function zerosLike<A extends FloatArray>(
  like: Tensor<A>,
  shape: readonly number[] = like.shape,
): Tensor<A> {
  return { data: takeArray(dtypeOf(like.data), sizeOf(shape), true) as A, shape: [...shape] };
}

/** A tensor for the gradient of a parameter, every value of which is written. */
export function gradientLike<A extends FloatArray>(like: Tensor<A>): Tensor<A> {
  return { data: takeGradient(dtypeOf(like.data), like.data.length) as A, shape: [...like.shape] };
}

/** The same with anything in it: for results whose every value is written. */
export function emptyLike<A extends FloatArray>(
  like: Tensor<A>,
  shape: readonly number[] = like.shape,
): Tensor<A> {
  return { data: takeArray(dtypeOf(like.data), sizeOf(shape), false) as A, shape: [...shape] };
}
