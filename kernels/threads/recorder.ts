/**
 * A queue that writes a driver's steps down, for threads that have memories of their own.
 *
 * Threads know shared buffers and modules by numbers, which they are sent before the first job that uses
 * them. Arrays that are not shared are copied to buffers that are, for one job.
 *
 * @module
 */

import type { Module } from "../simd/memory.ts";
import type { Queue } from "../simd/queue.ts";
import { memoryOf } from "../simd/shared_copies.ts";
import type { FloatArray } from "../tensor.ts";
import type { Team } from "./team.ts";
import { COMMAND, type Mail } from "./worker.ts";

/** Why a job cannot be written down: it takes too many steps. */
export class NoRoom extends Error {}

/** A module as threads know it, and the numbers of its functions. */
interface Known {
  readonly id: number;
  readonly functions: ReadonlyMap<string, number>;
  /** What it is on the memories of some buffers, by their numbers. */
  readonly joined: Map<string, number>;
}

/** Where an array, or a copy of it, begins in a shared buffer, which threads know by a number. */
interface Place {
  readonly buffer: SharedArrayBuffer;
  readonly id: number;
  readonly offset: number;
  readonly isCopy: boolean;
}

/** A shared buffer for copies, and the bytes of it that the job takes. */
interface Staging {
  readonly buffer: SharedArrayBuffer;
  used: number;
}

/** Bytes of the smallest buffer for copies, and what copies start at multiples of. */
const STAGING = 1 << 22, ALIGNMENT = 64;

/** Bytes that workers keep from being collected, after which they forget everything. */
const MOST_KNOWN = 2 ** 30;
/** What a compiled module takes of them, about. */
const MODULE_BYTES = 2 ** 20;
/** What one takes of them for each of the sets of memories that it has joined, about. */
const JOINED_BYTES = 2 ** 14;

/** The most buffers for copies: more become a single one. */
const MOST_STAGING = 4;

let nextId = 0;

/** Writes steps into a team's stream of numbers. Threads wait meanwhile: it must be quick. */
export class Recorder implements Queue {
  readonly #team: Team;
  /** What workers know. */
  #modules = new WeakMap<Module, Known>();
  #buffers = new WeakMap<SharedArrayBuffer, number>();
  #knownBytes = 0;
  #reset = false;
  /** What the job uses that workers have not been sent. */
  #newBuffers: [number, SharedArrayBuffer | WebAssembly.Memory][] = [];
  #newModules: [number, Uint8Array][] = [];
  #staging: Staging[] = [];
  /** Where the job's arrays lie. */
  readonly #places = new Map<FloatArray, Place>();
  /** Results of each chunk that belong to such arrays. */
  #results: { array: FloatArray; first: number; count: number }[][] = [];
  #at = 0;
  /** The module in use, and what it is on the memories that it joined. */
  #module: Known | undefined;
  #joined = 0;

  constructor(team: Team) {
    this.#team = team;
  }

  /** Begins a job of so many chunks. */
  begin(chunks: number): void {
    this.#at = chunks + 1;
    // A program that never waits is not told what has been collected: workers forget all together.
    if (this.#knownBytes > MOST_KNOWN) {
      this.#modules = new WeakMap();
      this.#buffers = new WeakMap();
      this.#knownBytes = 0;
      this.#reset = true;
    }
    this.#places.clear();
    this.#results = [];
    if (this.#staging.length > MOST_STAGING) {
      const bytes = this.#staging.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
      this.#staging = [{ buffer: new SharedArrayBuffer(bytes), used: 0 }];
    }
    for (const staging of this.#staging) staging.used = 0;
  }

  /** Begins a chunk, or ends the last one if it is as many as there are. */
  mark(chunk: number): void {
    this.#team.stream[chunk] = this.#at;
    this.#results[chunk] = [];
  }

  /** Whether there is something that workers do not know yet. */
  get hasMail(): boolean {
    return this.#newBuffers.length + this.#newModules.length > 0;
  }

  /** Sends workers what they do not know of the job yet. */
  send(): void {
    if (!this.hasMail) return;
    const mail: Mail = {
      reset: this.#reset,
      buffers: this.#newBuffers,
      modules: this.#newModules,
    };
    this.#newBuffers = [];
    this.#newModules = [];
    this.#reset = false;
    this.#team.send(mail);
  }

  /** Copies the results of a chunk that a worker did to arrays that are not shared. */
  collect(chunk: number): void {
    for (const { array, first, count } of this.#results[chunk]) {
      array.set(viewOf(array, this.#placeOf(array), first, count), first);
    }
  }

  use(module: Module, arrays: readonly FloatArray[] = []): void {
    let known = this.#modules.get(module);
    if (known === undefined) {
      const names = Object.keys(module.join(arrays));
      const functions = new Map(names.map((name, i) => [name, i]));
      this.#modules.set(module, known = { id: nextId++, functions, joined: new Map() });
      this.#newModules.push([known.id, module.bytes]);
      this.#knownBytes += MODULE_BYTES;
    }
    // Arrays that kernels use in place are shared, where there are threads.
    const buffers = arrays.map(({ buffer }) => this.#idOf(buffer as SharedArrayBuffer));
    const key = buffers.join();
    let joined = known.joined.get(key);
    if (joined === undefined) {
      known.joined.set(key, joined = nextId++);
      this.#knownBytes += JOINED_BYTES;
    }
    this.#module = known;
    this.#joined = joined;
    this.#write(COMMAND.use, joined, module.size, known.id, buffers.length);
    this.#writeAll(buffers);
  }

  load(at: number, array: FloatArray, first: number, end: number): void {
    const place = this.#placeOf(array), size = array.BYTES_PER_ELEMENT;
    if (place.isCopy) viewOf(array, place, first, end - first).set(array.subarray(first, end));
    this.#write(COMMAND.load, at, place.id, place.offset + first * size, (end - first) * size);
  }

  store(array: FloatArray, first: number, count: number, at: number): void {
    const place = this.#placeOf(array), size = array.BYTES_PER_ELEMENT;
    if (place.isCopy) this.#results.at(-1)!.push({ array, first, count });
    this.#write(COMMAND.store, place.id, place.offset + first * size, at, count * size);
  }

  loadRows(
    at: number,
    array: FloatArray,
    first: number,
    pitch: number,
    width: number,
    rows: number,
  ): void {
    if (width === pitch) return this.load(at, array, first, first + rows * width);
    const place = this.#placeOf(array), size = array.BYTES_PER_ELEMENT;
    if (place.isCopy) {
      const count = (rows - 1) * pitch + width, copy = viewOf(array, place, first, count);
      for (let i = 0; i < count; i += pitch) {
        copy.set(array.subarray(first + i, first + i + width), i);
      }
    }
    this.#write(
      COMMAND.loadRows,
      at,
      place.id,
      place.offset + first * size,
      pitch * size,
      width * size,
      rows,
    );
  }

  storeRows(
    array: FloatArray,
    first: number,
    pitch: number,
    width: number,
    rows: number,
    at: number,
  ): void {
    if (width === pitch) return this.store(array, first, rows * width, at);
    const place = this.#placeOf(array), size = array.BYTES_PER_ELEMENT;
    if (place.isCopy) {
      for (let i = 0; i < rows; i++) {
        this.#results.at(-1)!.push({ array, first: first + i * pitch, count: width });
      }
    }
    this.#write(
      COMMAND.storeRows,
      place.id,
      place.offset + first * size,
      at,
      pitch * size,
      width * size,
      rows,
    );
  }

  clear(at: number, bytes: number): void {
    this.#write(COMMAND.clear, at, bytes);
  }

  call(name: string, ...args: number[]): void {
    const { functions } = this.#module!;
    this.#write(COMMAND.call, this.#joined, functions.get(name)!, args.length);
    this.#writeAll(args);
  }

  isSet(flag: number, done: number): boolean {
    this.#write(COMMAND.endIf, flag, done);
    return false;
  }

  /** Where an array begins in a shared buffer. */
  #placeOf(array: FloatArray): Place {
    let place = this.#places.get(array);
    if (place === undefined) {
      const { buffer, byteOffset } = array;
      place = buffer instanceof SharedArrayBuffer
        ? { buffer, id: this.#idOf(buffer), offset: byteOffset, isCopy: false }
        : this.#stage(array.byteLength);
      this.#places.set(array, place);
    }
    return place;
  }

  /** Bytes for a copy. */
  #stage(bytes: number): Place {
    const size = Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    let staging = this.#staging.find(({ buffer, used }) => buffer.byteLength - used >= size);
    if (staging === undefined) {
      staging = { buffer: new SharedArrayBuffer(Math.max(size, STAGING)), used: 0 };
      this.#staging.push(staging);
    }
    const { buffer, used: offset } = staging;
    staging.used += size;
    return { buffer, id: this.#idOf(buffer), offset, isCopy: true };
  }

  #idOf(buffer: SharedArrayBuffer): number {
    let id = this.#buffers.get(buffer);
    if (id === undefined) {
      id = nextId++;
      this.#buffers.set(buffer, id);
      this.#newBuffers.push([id, memoryOf(buffer) ?? buffer]);
      this.#knownBytes += buffer.byteLength;
    }
    return id;
  }

  /** Writes a command, which has two arguments or more. */
  #write(command: number, a: number, b: number, c?: number, d?: number, e?: number, f?: number) {
    const { stream } = this.#team;
    const count = c === undefined ? 3 : d === undefined ? 4 : e === undefined ? 5 : 7;
    const to = this.#room(count);
    stream[to] = command;
    stream[to + 1] = a;
    stream[to + 2] = b;
    if (c === undefined) return;
    stream[to + 3] = c;
    if (d === undefined) return;
    stream[to + 4] = d;
    if (e === undefined || f === undefined) return;
    stream[to + 5] = e;
    stream[to + 6] = f;
  }

  #writeAll(numbers: readonly number[]): void {
    const { length } = numbers, to = this.#room(length), { stream } = this.#team;
    for (let i = 0; i < length; i++) stream[to + i] = numbers[i];
  }

  /** Where so many numbers go. */
  #room(count: number): number {
    const to = this.#at, { length } = this.#team.stream;
    if (to + count > length) throw new NoRoom(`A job takes more than ${length} numbers`);
    this.#at = to + count;
    return to;
  }
}

/** Numbers of a shared buffer, of an array's dtype. */
function viewOf(
  { BYTES_PER_ELEMENT: size }: FloatArray,
  { buffer, offset }: Place,
  first: number,
  count: number,
): FloatArray {
  const start = offset + first * size;
  return size === 4
    ? new Float32Array(buffer, start, count)
    : new Float64Array(buffer, start, count);
}
