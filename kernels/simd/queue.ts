/**
 * What a driver does with the memory, step by step: copies in, calls and copies out. A queue runs the
 * steps at once, or writes them down for a thread with a memory of its own.
 *
 * @module
 */

import type { FloatArray } from "../tensor.ts";
import { copiesOf, type Functions, type Module, scratch } from "./memory.ts";

/** Takes a driver's steps. Places in the memory are in bytes, parts of arrays in numbers. */
export interface Queue {
  /** Joins a module, and the memories of arrays that it uses in place: calls are of its functions from now on. */
  use(module: Module, arrays?: readonly FloatArray[]): void;
  /** Copies values of an array, from the first to before the end, into the memory. */
  load(at: number, array: FloatArray, first: number, end: number): void;
  /** Copies numbers of the array's dtype out of the memory, to where they are the first of so many. */
  store(array: FloatArray, first: number, count: number, at: number): void;
  /** Copies a part of some rows, a pitch apart from the first value on, into the memory without gaps. */
  loadRows(
    at: number,
    array: FloatArray,
    first: number,
    pitch: number,
    width: number,
    rows: number,
  ): void;
  /** Copies rows without gaps out of the memory, to rows a pitch apart from the first value on. */
  storeRows(
    array: FloatArray,
    first: number,
    pitch: number,
    width: number,
    rows: number,
    at: number,
  ): void;
  /** Sets bytes to zero. */
  clear(at: number, bytes: number): void;
  /** Calls a function of the module in use. */
  call(name: string, ...args: number[]): void;
  /**
   * Whether a flag of 16 bytes is not zero. A driver then stops, and says that it did so many images; a
   * thread does so by itself.
   */
  isSet(flag: number, done: number): boolean;
}

let functions: Functions = {};

/** Runs every step at once, in the memory of this thread. */
export const immediate: Queue = {
  use(module, arrays) {
    functions = module.join(arrays);
  },
  load(at, array, first, end) {
    const copies = copiesOf(array.buffer);
    if (copies !== undefined) {
      const bytes = (Math.min(end, array.length) - first) * array.BYTES_PER_ELEMENT;
      copies.load(at, array.byteOffset + first * array.BYTES_PER_ELEMENT, bytes);
      return;
    }
    const memory = scratchLike(array);
    const isWhole = first === 0 && end === array.length;
    memory.set(isWhole ? array : array.subarray(first, end), at / array.BYTES_PER_ELEMENT);
  },
  store(array, first, count, at) {
    const copies = copiesOf(array.buffer);
    if (copies !== undefined) {
      const size = array.BYTES_PER_ELEMENT;
      copies.store(array.byteOffset + first * size, at, count * size);
      return;
    }
    const start = at / array.BYTES_PER_ELEMENT;
    array.set(scratchLike(array).subarray(start, start + count), first);
  },
  loadRows(at, array, first, pitch, width, rows) {
    if (width === pitch) return this.load(at, array, first, first + rows * width);
    const copies = copiesOf(array.buffer), size = array.BYTES_PER_ELEMENT;
    if (copies !== undefined) {
      let from = array.byteOffset + first * size, to = at;
      for (let i = 0; i < rows; i++, from += pitch * size, to += width * size) {
        copies.load(to, from, width * size);
      }
      return;
    }
    const memory = scratchLike(array);
    let to = at / array.BYTES_PER_ELEMENT;
    for (let i = 0, from = first; i < rows; i++, from += pitch, to += width) {
      memory.set(array.subarray(from, from + width), to);
    }
  },
  storeRows(array, first, pitch, width, rows, at) {
    if (width === pitch) return this.store(array, first, rows * width, at);
    const copies = copiesOf(array.buffer), size = array.BYTES_PER_ELEMENT;
    if (copies !== undefined) {
      let from = at, to = array.byteOffset + first * size;
      for (let i = 0; i < rows; i++, from += width * size, to += pitch * size) {
        copies.store(to, from, width * size);
      }
      return;
    }
    const memory = scratchLike(array);
    let from = at / array.BYTES_PER_ELEMENT;
    for (let i = 0, to = first; i < rows; i++, to += pitch, from += width) {
      array.set(memory.subarray(from, from + width), to);
    }
  },
  clear(at, bytes) {
    // Zeros of either dtype are the same bits.
    scratch("float32").fill(0, at / 4, (at + bytes) / 4);
  },
  call(name, ...args) {
    functions[name](...args);
  },
  isSet(flag) {
    const memory = scratch("float32"), at = flag / 4;
    for (let lane = at; lane < at + 4; lane++) if (memory[lane] !== 0) return true;
    return false;
  },
};

/** Where a value of an array is, in the memory that the array is. */
export function addressOf({ byteOffset, BYTES_PER_ELEMENT }: FloatArray, index: number): number {
  return byteOffset + index * BYTES_PER_ELEMENT;
}

/** The memory as values of an array's dtype. */
export function scratchLike(array: FloatArray): FloatArray {
  return scratch(array.BYTES_PER_ELEMENT === 4 ? "float32" : "float64");
}
