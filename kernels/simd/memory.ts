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
import type { Assembly, Func } from "./assembler.ts";
import { hasSimd } from "./features.ts";
import { Scratch } from "../scratch.ts";
import type { DType, FloatArray } from "../tensor.ts";
import { type Copies, joinCopies, sharedMemoryOf } from "./shared_copies.ts";

const PAGE = 65536;
const INITIAL_PAGES = 32;
const MAXIMUM_PAGES = 4096;
/** The most that a kernel may ask for, in bytes. */
export const MEMORY_LIMIT: number = MAXIMUM_PAGES * PAGE;

/** A memory of WebAssembly's, or one like it. */
export type Memory = Pick<WebAssembly.Memory, "buffer" | "grow">;
/** A module's functions by name. */
export type Functions = Record<string, (...args: number[]) => void>;
/** Gives the functions of a module on a memory. */
type Link = (memory: Memory) => Functions;

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
    return (memory) => {
      const m = memory as WebAssembly.Memory;
      return new WebAssembly.Instance(module, { e: { m } }).exports as Functions;
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

/** The functions of modules that have joined the memory: they keep it alive, and nothing else does. */
let joined = new WeakMap<Link, Functions>();
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
  const shared = sharedMemoryOf(buffer);
  if (shared === undefined || owner !== webAssembly) return undefined;
  copies.set(buffer, found = joinCopies(memory as WebAssembly.Memory, shared));
  return found;
}

/** A module that functions are called of. */
export interface Module {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The bytes of memory that it needs. */
  readonly size: number;
  /** Joins the memory: the functions by name, for one call, as another may need others. */
  join(): Functions;
}

/**
 * Compiles a module, or makes it ready for the interpreter.
 *
 * @param assembly The module.
 * @param layout What its functions need of the memory.
 * @returns The module.
 * @throws {Error} If a function touches bytes outside the layout's regions, or does not say which it touches.
 */
export function compile(assembly: Assembly, layout: Layout): Module {
  layout.check(assembly.funcs);
  const { size } = layout;
  const bytes = assembly.bytes();
  const link = currentMachine().load(bytes);
  return {
    bytes,
    size,
    join() {
      const missing = reserve(size);
      if (missing !== undefined) throw new Error(`This kernel ${missing}`);
      let functions = joined.get(link);
      if (functions === undefined) joined.set(link, functions = link(memory!));
      return functions;
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

  /** Refuses functions that may touch bytes outside the regions, and such as do not say what they touch. */
  check(funcs: readonly Pick<Func, "name" | "silent" | "extents">[]): void {
    for (const { name, silent, extents } of funcs) {
      if (silent) throw new Error(`${name} does not say which bytes it touches`);
      for (const { writes, start, bytes } of extents) {
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

/** A pass that is planned: what it needs of the memory, and how to assemble and compile it. */
export interface Plan<Program> {
  readonly layout: Layout;
  /** The pass with an epilogue; that of weight gradients has none. */
  readonly make: (epilogue: Epilogue) => Program;
}
