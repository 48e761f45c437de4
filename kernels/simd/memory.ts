/**
 * The one memory that all kernels share, and where a kernel's regions lie in it. It is WebAssembly's, or
 * the interpreter's on a host without.
 *
 * A kernel owns nothing in the memory between two calls: each call sets up what it relies on. Tensors
 * stay outside, in ordinary arrays; the memory holds one image, packed weights and sums.
 *
 * @module
 */

import type { Epilogue } from "../epilogue.ts";
import { type Assembly, type Func, WEIGHTS } from "./assembler.ts";
import { hasSimd } from "./features.ts";
import { Scratch } from "../scratch.ts";
import { areShared, type DType, type FloatArray } from "../tensor.ts";
import { type Copies, isShared, joinCopies, memoryOf, weightsArray } from "./shared_copies.ts";

const PAGE = 65536;
const INITIAL_PAGES = 32;
const MAXIMUM_PAGES = 4096;
/** The most that a kernel may ask for, in bytes. */
export const MEMORY_LIMIT: number = MAXIMUM_PAGES * PAGE;

/** A memory of WebAssembly's, or one like it. */
export type Memory = Pick<WebAssembly.Memory, "buffer" | "grow">;
/** A module's functions by name. */
export type Functions = Record<string, (...args: number[]) => void>;
/** Gives the functions of a module on a memory, and on those of arrays that it uses in place. */
type Link = (memory: Memory, others: readonly WebAssembly.Memory[]) => Functions;

/** What runs assembled modules. */
export interface Machine {
  /** A new memory, of so many pages. */
  memory(initial: number, maximum: number): Memory;
  /** Makes a module ready. */
  load(bytes: Uint8Array<ArrayBuffer>): Link;
}

const webAssembly: Machine = {
  memory: (initial, maximum) => new WebAssembly.Memory({ initial, maximum }),
  load(bytes) {
    const module = new WebAssembly.Module(bytes);
    return (memory, others) => {
      const e: Record<string, WebAssembly.Memory> = { m: memory as WebAssembly.Memory };
      for (const [i, other] of others.entries()) e[i + 1] = other;
      return new WebAssembly.Instance(module, { e }).exports as Functions;
    };
  },
};

let interpreter: Machine | undefined;

/** Sets what runs modules where WebAssembly cannot: a page that does without has less to load. */
export function setInterpreter(machine: Machine): void {
  interpreter = machine;
}

/** What runs modules on this host. */
function currentMachine(): Machine {
  const machine = hasSimd() ? webAssembly : interpreter;
  if (machine === undefined) throw new Error("Nothing can run assembled kernels here");
  return machine;
}

/** The memory, and what made it. */
let memory: Memory | undefined, owner: Machine | undefined;
let singles: Float32Array = new Float32Array(0);
let doubles: Float64Array = new Float64Array(0);

/** A module's functions on some memories, and on one more: a memory that nothing else uses is let go. */
interface Joined {
  functions?: Functions;
  readonly more: WeakMap<WebAssembly.Memory, Joined>;
}

/** The functions of modules that have joined the memory: they keep it alive, and nothing else does. */
let joined = new WeakMap<Link, Joined>();
/** What copies between it and shared buffers. */
let copies = new WeakMap<ArrayBufferLike, Copies>();

/** A memory cannot shrink: a new one takes its place, which every module joins when it next runs. */
const held = new Scratch(() => {
  const bytes = memory?.buffer.byteLength ?? 0;
  return bytes > INITIAL_PAGES * PAGE ? bytes : 0;
}, release);

function release(): void {
  memory = undefined;
  joined = new WeakMap();
  copies = new WeakMap();
  singles = new Float32Array(0);
  doubles = new Float64Array(0);
}

/**
 * Makes sure that the memory holds a number of bytes. It grows to the largest shape in use and no further,
 * and shrinks when that has not been used for long.
 *
 * @param bytes The size that a kernel needs.
 * @returns Undefined, or the reason why it cannot be had.
 */
export function reserve(bytes: number): string | undefined {
  held.need(bytes);
  const machine = currentMachine();
  // A page or a test may have replaced WebAssembly.
  if (machine !== owner) release();
  owner = machine;
  if (bytes <= singles.byteLength) return undefined;
  const size = `${Math.ceil(bytes / 2 ** 20)} MB of scratch memory for one image`;
  if (bytes > MEMORY_LIMIT) return `needs ${size}, more than ${MEMORY_LIMIT / 2 ** 20} MB`;
  try {
    memory ??= machine.memory(INITIAL_PAGES, MAXIMUM_PAGES);
    const missing = bytes - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
  } catch {
    return `needs ${size}, which the host does not give`;
  }
  return undefined;
}

/** The whole memory as numbers of a dtype. Growing replaces it: ask again for every call. */
export function scratch(dtype: DType): FloatArray {
  if (memory === undefined) throw new Error("Nothing has been reserved yet");
  // A memory that has grown has another buffer.
  if (singles.buffer !== memory.buffer) {
    singles = new Float32Array(memory.buffer);
    doubles = new Float64Array(memory.buffer);
  }
  return dtype === "float32" ? singles : doubles;
}

/** What copies between the memory and a shared buffer; undefined if arrays do so themselves. */
export function copiesOf(buffer: ArrayBufferLike): Copies | undefined {
  let found = copies.get(buffer);
  if (found !== undefined) return found;
  const shared = isShared(buffer) ? memoryOf(buffer) : undefined;
  if (shared === undefined || owner !== webAssembly) return undefined;
  copies.set(buffer, found = joinCopies(memory as WebAssembly.Memory, shared));
  return found;
}

/** A module that functions are called of. */
export interface Module {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The bytes of memory that it needs. */
  readonly size: number;
  /**
   * Joins the memory: the functions by name, for one call, as another may need others.
   *
   * @param arrays What it uses in place, in memories of their own. Default: nothing.
   */
  join(arrays?: readonly FloatArray[]): Functions;
}

/**
 * Compiles a module, or makes it ready for the interpreter.
 *
 * @param assembly The module.
 * @param layout What its functions need of the memory.
 * @param weights What they need of that of weights, if they read any in place; null if their callers see to
 * the arrays that they use in place. Default: nothing.
 * @returns The module.
 * @throws {Error} If a function touches bytes outside the layouts' regions, or does not say which it touches.
 */
export function compile(
  assembly: Assembly,
  layout: Layout,
  weights: Layout | null = new Layout(),
): Module {
  layout.check(assembly.funcs);
  weights?.check(assembly.funcs, WEIGHTS);
  const { size } = layout;
  const bytes = assembly.bytes();
  const link = currentMachine().load(bytes);
  return {
    bytes,
    size,
    join(arrays = []) {
      const missing = reserve(size);
      if (missing !== undefined) throw new Error(`This kernel ${missing}`);
      let found = joined.get(link);
      if (found === undefined) joined.set(link, found = { more: new WeakMap() });
      for (const { buffer } of arrays) {
        const own = memoryOf(buffer)!;
        let next = found.more.get(own);
        if (next === undefined) found.more.set(own, next = { more: new WeakMap() });
        found = next;
      }
      return found.functions ??= link(memory!, arrays.map(({ buffer }) => memoryOf(buffer)!));
    },
  };
}

/** A part of the memory: bytes from start up to end belong to it alone. */
export interface Region {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** Bytes between two regions: reads may run over a region's end by less, writes never. */
const GAP = 128;
const ALIGNMENT = 64;

/** Lays out a kernel's regions one after the other. */
export class Layout {
  readonly regions: Region[] = [];
  /** The bytes needed in all. */
  size: number = GAP;

  /** A new region, and the address of its first byte. */
  region(name: string, bytes: number): number {
    const start = Math.ceil(this.size / ALIGNMENT) * ALIGNMENT;
    this.regions.push({ name, start, end: start + bytes });
    this.size = start + bytes + GAP;
    return start;
  }

  /**
   * Refuses functions that may touch bytes of a memory outside the regions, and such as do not say what they
   * touch.
   *
   * @param funcs The functions.
   * @param memory The number of the memory. Default: 0.
   */
  check(funcs: readonly Func[], memory = 0): void {
    for (const f of funcs) {
      const { name } = f;
      if (f.isSilent(memory)) throw new Error(`${name} does not say which bytes it touches`);
      for (const { memory: touched, writes, start, bytes } of f.extents) {
        if (touched !== memory) continue;
        const end = start + bytes, over = writes ? 0 : GAP - 1;
        const region = this.regions.findLast((region) => region.start <= start);
        if (region && start <= region.end && end <= region.end + over) continue;
        const where = region ? `${region.name}, which ends at ${region.end}` : "no region";
        throw new Error(
          `${name} ${writes ? "writes" : "reads"} bytes ${start} to ${end} of ${where}`,
        );
      }
    }
  }
}

/** Where weights lie in a memory of their own. */
export const WEIGHTS_START: number = GAP;

/** An array for weights in a memory of their own; undefined if they are few, or the host has none. */
export function lastingWeights(dtype: DType, length: number): FloatArray | undefined {
  return currentMachine() === webAssembly
    ? weightsArray(dtype, length, WEIGHTS_START, GAP)
    : undefined;
}

/**
 * How kernels may use arrays in place, on all threads that are in force.
 *
 * @param arrays The arrays.
 * @returns Whether all are shared memories, or memories of this thread alone; undefined if they must be copied.
 */
export function inMemories(arrays: readonly FloatArray[]): "shared" | "own" | undefined {
  const [{ buffer }] = arrays;
  if (memoryOf(buffer) === undefined || currentMachine() !== webAssembly) return undefined;
  const shared = isShared(buffer);
  const suits = ({ buffer }: FloatArray) =>
    memoryOf(buffer) !== undefined && isShared(buffer) === shared;
  if (!arrays.every(suits) || !shared && areShared()) return undefined;
  return shared ? "shared" : "own";
}

/** A pass that is planned: what it needs of the memory, and how to assemble and compile it. */
export interface Plan<Program> {
  readonly layout: Layout;
  /**
   * The pass with an epilogue; that of weight gradients has none. It may read packed weights in a memory of
   * their own, in place. Default: it does not.
   */
  readonly make: (epilogue: Epilogue, inPlace?: boolean) => Program;
}
