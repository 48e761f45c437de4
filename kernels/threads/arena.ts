/**
 * Memory that all threads share, and the arrays in it.
 *
 * It is reserved whole, as threads do not see each other's growth in every host; the operating system
 * gives pages when they are first written. An array's bytes are free again when the engine has collected
 * it, which a program that never waits for anything keeps the engine from telling: arrays then come from
 * elsewhere, and threads copy them.
 *
 * @module
 */

import type { DType, FloatArray } from "../tensor.ts";

/** Bytes: enough for the activations of most nets. What has no room is copied for each call. */
const LARGEST = 2 ** 30, SMALLEST = 2 ** 26;

/** Arrays start at multiples of so many bytes. */
const ALIGNMENT = 64;

/**
 * The engine collects when arrays of its own have grown; it does not know of bytes in here. Each array
 * therefore holds an unused one of the engine's of a fraction of its size.
 */
const PRESSURE = 1 / 8;

/** Some bytes of an arena. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

type Mutable = { -readonly [K in keyof Range]: Range[K] };

/** Shared bytes that arrays are made from. */
export class Arena {
  readonly buffer: SharedArrayBuffer;
  /** Free ranges in order, no two of which touch. */
  readonly #free: Mutable[];
  readonly #collected: FinalizationRegistry<Range>;
  readonly #pressure = new WeakMap<FloatArray, ArrayBuffer>();

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#free = [{ start: ALIGNMENT, end: buffer.byteLength }];
    this.#collected = new FinalizationRegistry((range) => this.free(range));
  }

  /** Takes a range of bytes that is never collected; undefined if there is none. */
  take(bytes: number): Range | undefined {
    const size = Math.ceil(Math.max(bytes, 1) / ALIGNMENT) * ALIGNMENT;
    const i = this.#free.findIndex(({ start, end }) => end - start >= size);
    if (i < 0) return undefined;
    const range = this.#free[i], taken = { start: range.start, end: range.start + size };
    range.start = taken.end;
    if (range.start === range.end) this.#free.splice(i, 1);
    return taken;
  }

  /** Gives a range of bytes back. */
  free({ start, end }: Range): void {
    const free = this.#free;
    let i = free.findIndex((range) => range.start >= end);
    if (i < 0) i = free.length;
    const before = free[i - 1], after = free[i];
    const joinsBefore = before !== undefined && before.end === start;
    const joinsAfter = after !== undefined && after.start === end;
    if (joinsBefore && joinsAfter) {
      before.end = after.end;
      free.splice(i, 1);
    } else if (joinsBefore) before.end = end;
    else if (joinsAfter) after.start = start;
    else free.splice(i, 0, { start, end });
  }

  /** An array of zeros, whose bytes are free when it has been collected; undefined if there is no room. */
  array(dtype: DType, length: number): FloatArray | undefined {
    const bytes = length * (dtype === "float32" ? 4 : 8);
    const range = this.take(bytes);
    if (range === undefined) return undefined;
    const array = dtype === "float32"
      ? new Float32Array(this.buffer, range.start, length)
      : new Float64Array(this.buffer, range.start, length);
    array.fill(0);
    this.#collected.register(array, range);
    this.#pressure.set(array, new ArrayBuffer(Math.ceil(bytes * PRESSURE)));
    return array;
  }

  /** The bytes that are free. */
  get freeBytes(): number {
    return this.#free.reduce((sum, { start, end }) => sum + end - start, 0);
  }
}

let shared: Arena | undefined;

/** The arena of all threads, one for the whole process: as large as asked for, or as the host gives. */
export function sharedArena(): Arena {
  for (let bytes = LARGEST; shared === undefined; bytes /= 2) {
    try {
      shared = new Arena(new SharedArrayBuffer(bytes));
    } catch (error) {
      if (bytes <= SMALLEST) throw error;
    }
  }
  return shared;
}
