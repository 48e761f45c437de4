/**
 * The buffers of the generated tier's drivers, shared by all kernels and reused: one image, and the weights
 * in float64.
 *
 * @module
 */

import { Scratch } from "../scratch.ts";
import type { FloatArray } from "../tensor.ts";

/** What scratch is for; each use has one buffer, as large as the largest request of late. */
export type Use = "x" | "y" | "w" | "dw" | "dx";

interface Buffer {
  numbers: Float64Array;
  readonly scratch: Scratch;
}

function emptyBuffer(): Buffer {
  const buffer: Buffer = {
    numbers: new Float64Array(0),
    scratch: new Scratch(
      () => buffer.numbers.length,
      () => buffer.numbers = new Float64Array(0),
    ),
  };
  return buffer;
}

const buffers: Readonly<Record<Use, Buffer>> = {
  x: emptyBuffer(),
  y: emptyBuffer(),
  w: emptyBuffer(),
  dw: emptyBuffer(),
  dx: emptyBuffer(),
};

/** Scratch of a length, with whatever the last kernel left in it. */
export function scratch(use: Use, length: number): Float64Array {
  const buffer = buffers[use];
  buffer.scratch.need(length);
  if (buffer.numbers.length < length) buffer.numbers = new Float64Array(length);
  return buffer.numbers.subarray(0, length);
}

/** The array itself if it is float64, else a float64 copy in scratch. */
export function asFloat64(use: Use, array: FloatArray): Float64Array {
  if (array instanceof Float64Array) return array;
  const copy = scratch(use, array.length);
  copy.set(array);
  return copy;
}

/** Part of an array as float64: a view if it is float64 itself, else a copy in scratch. */
export function partAsFloat64(use: Use, array: FloatArray, from: number, to: number): Float64Array {
  return asFloat64(use, array.subarray(from, to));
}

/** Bytes of scratch held now: what the largest image and weights of late have needed. */
export function scratchBytes(): number {
  return Object.values(buffers).reduce((bytes, { numbers }) => bytes + numbers.byteLength, 0);
}
