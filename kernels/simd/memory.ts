/**
 * The one WebAssembly memory that all kernels share, and where a kernel's regions lie in it.
 *
 * A kernel owns nothing in the memory between two calls: each call sets up what it relies on. Tensors
 * stay outside, in ordinary arrays; the memory holds one image, packed weights and sums.
 *
 * @module
 */

import type { Assembly } from "./assembler.ts";
import type { DType, FloatArray } from "../tensor.ts";

const PAGE = 65536;
const INITIAL_PAGES = 32;
const MAXIMUM_PAGES = 4096;
/** The most that a kernel may ask for, in bytes. */
export const MEMORY_LIMIT: number = MAXIMUM_PAGES * PAGE;

let memory: WebAssembly.Memory | undefined;
let singles: Float32Array = new Float32Array(0);
let doubles: Float64Array = new Float64Array(0);

/**
 * Makes sure that the memory holds a number of bytes. It grows to the largest shape in use and no further.
 *
 * @param bytes The size that a kernel needs.
 * @returns Undefined, or the reason why it cannot be had.
 */
export function reserve(bytes: number): string | undefined {
  const size = `${Math.ceil(bytes / 2 ** 20)} MB of scratch memory for one image`;
  if (bytes > MEMORY_LIMIT) return `needs ${size}, more than ${MEMORY_LIMIT / 2 ** 20} MB`;
  try {
    memory ??= new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: MAXIMUM_PAGES });
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

/**
 * Compiles a module and joins it to the memory.
 *
 * @param assembly The module.
 * @returns Its functions by name.
 */
export function instantiate(assembly: Assembly): Record<string, (...args: number[]) => void> {
  if (memory === undefined) throw new Error("Nothing has been reserved yet");
  const module = new WebAssembly.Module(assembly.bytes());
  const instance = new WebAssembly.Instance(module, { e: { m: memory } });
  return instance.exports as Record<string, (...args: number[]) => void>;
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
}

/** A pass that is planned: what it needs of the memory, and how to assemble and compile it. */
export interface Plan<Run> {
  readonly layout: Layout;
  readonly make: () => Run;
}
