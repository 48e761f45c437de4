/**
 * Tensors: plain data, made by a few functions.
 *
 * @module
 */

import type { DType, FloatArray, Tensor } from "../kernels/tensor.ts";
import { checkDType, checkNumber, checkShape, checkTensor } from "../kernels/check.ts";
import { dtypeOf, sizeOf } from "../kernels/tensor.ts";

export type { DType, FloatArray, Tensor } from "../kernels/tensor.ts";

/** The typed array of a dtype. */
export type ArrayOf<D extends DType> = D extends "float32" ? Float32Array : Float64Array;

/**
 * A tensor from an array and a shape. The array is used as it is, not copied.
 *
 * @example A 2 x 3 matrix
 * ```ts
 * import { tensor } from "@cnn-layers/cnn-layers";
 *
 * const m = tensor(Float64Array.of(1, 2, 3, 4, 5, 6), [2, 3]);
 * ```
 *
 * @param data The numbers in row-major order.
 * @param shape The size of each dimension.
 * @returns The tensor.
 * @throws {TypeError} If the data is no Float32Array or Float64Array.
 * @throws {RangeError} If its length is not the product of the shape.
 */
export function tensor<A extends FloatArray>(data: A, shape: readonly number[]): Tensor<A> {
  const result = { data, shape };
  checkTensor("tensor", result);
  return { data, shape: [...shape] };
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
 * @param dtype The number type.
 * @returns The tensor.
 * @throws {TypeError} If the shape is no array of numbers, or the dtype unknown.
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
 * A tensor that holds one number everywhere.
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
 * @param dtype The number type.
 * @returns The tensor.
 * @throws {TypeError} If the shape is no array of numbers, the value no number, or the dtype unknown.
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
 * Evenly spaced numbers, both ends included: `np.linspace(start, stop, num).reshape(shape)`.
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
 * @param dtype The number type.
 * @returns The tensor.
 * @throws {TypeError} If the shape is no array of numbers, an end no number, or the dtype unknown.
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
  return checkDType(dtype) === "float64" ? new Float64Array(length) : new Float32Array(length);
}

/** A tensor of zeros with the dtype of another; its shape too unless one is given. */
export function zerosLike<A extends FloatArray>(
  like: Tensor<A>,
  shape: readonly number[] = like.shape,
): Tensor<A> {
  return { data: newArray(sizeOf(shape), dtypeOf(like.data)) as A, shape: [...shape] };
}
