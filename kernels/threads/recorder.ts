/**
 * A queue that writes a driver's steps down, for threads that have memories of their own.
 *
 * @module
 */

import type { Module } from "../simd/memory.ts";
import type { Queue } from "../simd/queue.ts";
import type { FloatArray } from "../tensor.ts";
import type { Arena, Range } from "./arena.ts";
import { COMMAND } from "./worker.ts";

/** Why a job cannot be written down: it takes too many steps, or the arena is full. */
export class NoRoom extends Error {}

/** A module as threads know it. */
interface Known {
  readonly id: number;
  /** Where its bytes are in the arena. */
  readonly range: Range;
  readonly names: readonly string[];
}

let nextId = 0;

/** Arrays that are kept for good. */
const abandoned: FloatArray[] = [];

/** Writes steps into a stream of numbers. */
export class Recorder implements Queue {
  readonly #stream: Float64Array;
  readonly #arena: Arena;
  readonly #known = new WeakMap<Module, Known>();
  readonly #forgotten: FinalizationRegistry<Range>;
  /** Copies of arrays that do not lie in the arena. */
  readonly #staged = new Map<FloatArray, Range>();
  /** What a job writes to. */
  readonly #targets = new Set<FloatArray>();
  /** Results of each chunk that do not lie in the arena. */
  #results: { array: FloatArray; first: number; count: number; at: number }[][] = [];
  #at = 0;
  #module: Known | undefined;

  constructor(stream: Float64Array, arena: Arena) {
    this.#stream = stream;
    this.#arena = arena;
    this.#forgotten = new FinalizationRegistry((range) => arena.free(range));
  }

  /** Begins a job of so many chunks. */
  begin(chunks: number): void {
    this.#at = chunks + 1;
  }

  /** Begins a chunk, or ends the last one if it is as many as there are. */
  mark(chunk: number): void {
    this.#stream[chunk] = this.#at;
    this.#results[chunk] = [];
  }

  /** Copies the results of a chunk that a worker did to arrays that do not lie in the arena. */
  collect(chunk: number): void {
    for (const { array, first, count, at } of this.#results[chunk]) {
      array.set(this.#view(array, at, count), first);
    }
  }

  /** Forgets the job. */
  forget(): void {
    for (const range of this.#staged.values()) this.#arena.free(range);
    this.#clear();
  }

  /**
   * Forgets a job whose workers have been given up. They may still write for a while, so the bytes are
   * not used again.
   */
  abandon(): void {
    abandoned.push(...this.#targets);
    this.#clear();
  }

  #clear(): void {
    this.#staged.clear();
    this.#targets.clear();
    this.#results = [];
  }

  use(module: Module): void {
    let known = this.#known.get(module);
    if (known === undefined) {
      const { bytes } = module;
      const range = this.#take(bytes.length);
      new Uint8Array(this.#arena.buffer).set(bytes, range.start);
      known = { id: nextId++, range, names: Object.keys(module.join()) };
      this.#known.set(module, known);
      this.#forgotten.register(module, range);
    }
    this.#module = known;
    this.#write(COMMAND.use, known.id, known.range.start, module.bytes.length, module.size);
  }

  load(at: number, array: FloatArray, first: number, end: number): void {
    const start = this.#placeOf(array, first);
    if (!this.#lies(array)) {
      this.#view(array, start, end - first).set(array.subarray(first, end));
    }
    this.#write(COMMAND.load, at, start, (end - first) * array.BYTES_PER_ELEMENT);
  }

  store(array: FloatArray, first: number, count: number, at: number): void {
    const start = this.#placeOf(array, first);
    if (this.#lies(array)) this.#targets.add(array);
    else this.#results.at(-1)!.push({ array, first, count, at: start });
    this.#write(COMMAND.store, start, at, count * array.BYTES_PER_ELEMENT);
  }

  clear(at: number, bytes: number): void {
    this.#write(COMMAND.clear, at, bytes);
  }

  call(name: string, ...args: number[]): void {
    const index = this.#module!.names.indexOf(name);
    this.#write(COMMAND.call, this.#module!.id, index, args.length);
    this.#write(...args);
  }

  isSet(flag: number, done: number): boolean {
    this.#write(COMMAND.endIf, flag, done);
    return false;
  }

  #lies({ buffer }: FloatArray): boolean {
    return buffer === this.#arena.buffer;
  }

  /** Where a number of an array is in the arena. */
  #placeOf(array: FloatArray, index: number): number {
    const offset = index * array.BYTES_PER_ELEMENT;
    if (this.#lies(array)) return array.byteOffset + offset;
    let range = this.#staged.get(array);
    if (range === undefined) this.#staged.set(array, range = this.#take(array.byteLength));
    return range.start + offset;
  }

  /** Numbers of the arena, of another array's dtype. */
  #view(like: FloatArray, at: number, count: number): FloatArray {
    const { buffer } = this.#arena;
    return like.BYTES_PER_ELEMENT === 4
      ? new Float32Array(buffer, at, count)
      : new Float64Array(buffer, at, count);
  }

  #take(bytes: number): Range {
    const range = this.#arena.take(bytes);
    if (range === undefined) throw new NoRoom("The shared memory of the threads is full");
    return range;
  }

  #write(...numbers: number[]): void {
    if (this.#at + numbers.length > this.#stream.length) {
      throw new NoRoom(`A job takes more than ${this.#stream.length} numbers`);
    }
    for (const number of numbers) this.#stream[this.#at++] = number;
  }
}
