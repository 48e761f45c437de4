/**
 * The data types of files, and what they become here: the smaller of float32 and float64 that holds
 * every value exactly.
 *
 * @module
 */

import { ArgumentRangeError } from "../kernels/errors.ts";
import type { DType, FloatArray } from "../kernels/tensor.ts";
import { newArray } from "../nn/tensor.ts";

/** A data type of a file. */
export interface Element {
  /** How many bytes a value has. */
  readonly bytes: number;
  /** What a tensor of it becomes. */
  readonly dtype: DType;
  /** Reads the value at an offset. */
  readonly read: (view: DataView, offset: number, littleEndian: boolean) => number;
}

/** The data types, by the names that safetensors has for them. */
export const ELEMENTS = {
  F64: { bytes: 8, dtype: "float64", read: (view, at, little) => view.getFloat64(at, little) },
  F32: { bytes: 4, dtype: "float32", read: (view, at, little) => view.getFloat32(at, little) },
  F16: { bytes: 2, dtype: "float32", read: (view, at, little) => half(view.getUint16(at, little)) },
  BF16: {
    bytes: 2,
    dtype: "float32",
    read: (view, at, little) => brain(view.getUint16(at, little)),
  },
  I64: {
    bytes: 8,
    dtype: "float64",
    read: (view, at, little) => exact(view.getBigInt64(at, little)),
  },
  U64: {
    bytes: 8,
    dtype: "float64",
    read: (view, at, little) => exact(view.getBigUint64(at, little)),
  },
  I32: { bytes: 4, dtype: "float64", read: (view, at, little) => view.getInt32(at, little) },
  U32: { bytes: 4, dtype: "float64", read: (view, at, little) => view.getUint32(at, little) },
  I16: { bytes: 2, dtype: "float32", read: (view, at, little) => view.getInt16(at, little) },
  U16: { bytes: 2, dtype: "float32", read: (view, at, little) => view.getUint16(at, little) },
  I8: { bytes: 1, dtype: "float32", read: (view, at) => view.getInt8(at) },
  U8: { bytes: 1, dtype: "float32", read: (view, at) => view.getUint8(at) },
  BOOL: { bytes: 1, dtype: "float32", read: (view, at) => bit(view.getUint8(at)) },
} as const satisfies Readonly<Record<string, Element>>;

/** The name of a data type. */
export type ElementName = keyof typeof ELEMENTS;

/**
 * Reads values.
 *
 * @param what What messages call them.
 * @param type Their type.
 * @param bytes Their bytes, as many as they need.
 * @param littleEndian Whether the lowest byte of a value comes first.
 * @returns The values, in an array of their own.
 * @throws {RangeError} If a whole number is too large to be exact, or a boolean neither 0 nor 1.
 */
export function readElements(
  what: string,
  type: ElementName,
  bytes: Uint8Array,
  littleEndian: boolean,
): FloatArray {
  const { bytes: size, dtype, read }: Element = ELEMENTS[type];
  const data = newArray(bytes.length / size, dtype);
  if (littleEndian && (type === "F32" || type === "F64")) {
    // Copied, as these bytes need not start at a multiple of a value's size.
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength).set(bytes);
    return data;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i < data.length; i++) {
    const value = read(view, i * size, littleEndian);
    if (Number.isNaN(value) && !FLOATS.has(type)) {
      const kind = type === "BOOL" ? "0 or 1" : "exact in float64";
      throw new ArgumentRangeError(
        `The values of ${what} must be ${kind}: its value ${i} is not`,
        "OUT_OF_RANGE",
      );
    }
    data[i] = value;
  }
  return data;
}

const FLOATS: ReadonlySet<ElementName> = new Set(["F64", "F32", "F16", "BF16"]);

/** The product of a shape's sizes; undefined where it, or a part of it, is too large to be exact. */
export function exactSize(shape: readonly number[]): number | undefined {
  let size = 1;
  for (const length of shape) {
    size *= length;
    if (!Number.isSafeInteger(size)) return undefined;
  }
  return size;
}

/** The value of an IEEE 754 half. */
function half(bits: number): number {
  const exponent = bits >> 10 & 31, fraction = bits & 1023, sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const word = new Uint32Array(1), float = new Float32Array(word.buffer);

/** The value of a bfloat16: the upper half of a float32. */
function brain(bits: number): number {
  word[0] = bits << 16;
  return float[0];
}

/** The number of a whole one; NaN where there is none. */
function exact(value: bigint): number {
  const number = Number(value);
  return BigInt(number) === value ? number : NaN;
}

/** 0 or 1; NaN for anything else. */
function bit(value: number): number {
  return value > 1 ? NaN : value;
}
