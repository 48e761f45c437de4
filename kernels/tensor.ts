/**
 * Tensors: values in row-major order with the sizes of their dimensions, and their dtypes.
 *
 * @module
 */

/** The typed arrays that hold a tensor's numbers. */
export type FloatArray = Float32Array | Float64Array;

/** The name of a tensor's data type. */
export type DType = "float32" | "float64";

/** Numbers in row-major order, and the sizes of their dimensions. */
export interface Tensor<A extends FloatArray = FloatArray> {
  /** The values, the last dimension varying fastest. */
  readonly data: A;
  /** The size of each dimension, for example (N, C, H, W). */
  readonly shape: readonly number[];
}

/** The product of a shape's sizes: how many values it holds. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The dtype of an array of numbers. */
export function dtypeOf(data: FloatArray): DType {
  return data[Symbol.toStringTag] === "Float32Array" ? "float32" : "float64";
}

/** Makes an array of zeros, that will be used many times or not; undefined if it has no room. */
export type Allocator = (dtype: DType, length: number, lasts: boolean) => FloatArray | undefined;

let allocator: Allocator | undefined;

/** Sets where tensors' arrays come from now on. Default: the engine. */
export function setAllocator(next?: Allocator): void {
  allocator = next;
}

/** Whether arrays come from somewhere else. */
export function areShared(): boolean {
  return allocator !== undefined;
}

/** An array of zeros. */
export function zerosOf(dtype: DType, length: number): FloatArray {
  return dtype === "float32" ? new Float32Array(length) : new Float64Array(length);
}

/**
 * An array of zeros for a tensor, where every thread finds it if there are several.
 *
 * @param dtype Its type.
 * @param length Its length.
 * @param lasts Whether it will be used many times. Default: false.
 * @returns The array.
 */
export function allocate(dtype: DType, length: number, lasts = false): FloatArray {
  return allocator?.(dtype, length, lasts) ?? zerosOf(dtype, length);
}

/** `[2,3,8,8]`: a shape as messages show it. */
export function show(shape: readonly number[]): string {
  return `[${shape.join(",")}]`;
}
