/**
 * Buffers that are memories of their own, where the host knows modules with several memories.
 *
 * Tensors in shared memory are copied to the memory of kernels, and back, by WebAssembly: engines copy shared
 * bytes word by word elsewhere, which takes up to twice as long. Packed weights that last are not copied at
 * all, nor are arrays where kernels run in place.
 *
 * @module
 */

import type { DType, FloatArray } from "../tensor.ts";

/** The functions of a copying module: of (to, from, bytes), into the kernels' memory and out of it. */
export interface Copies {
  readonly load: (to: number, from: number, bytes: number) => void;
  readonly store: (to: number, from: number, bytes: number) => void;
}

const PAGE = 65536;
/** Bytes beyond an array that kernels may read. */
const SLACK = 256;

/**
 * (module
 *   (import "e" "m" (memory 0)) (import "e" "t" (memory 0 65536 shared))
 *   (func (export "load") (param i32 i32 i32) (memory.copy 0 1 (local.get 0) (local.get 1) (local.get 2)))
 *   (func (export "store") (param i32 i32 i32) (memory.copy 1 0 (local.get 0) (local.get 1) (local.get 2))))
 */
export const COPYING: Uint8Array<ArrayBuffer> = /* @__PURE__ */ Uint8Array.of(
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 7, 1, 0x60, 3, 0x7f, 0x7f, 0x7f, 0],
  ...[2, 18, 2, 1, 0x65, 1, 0x6d, 2, 0, 0, 1, 0x65, 1, 0x74, 2, 3, 0, 0x80, 0x80, 4],
  ...[3, 3, 2, 0, 0, 7, 16, 2, 4, 0x6c, 0x6f, 0x61, 0x64, 0, 0],
  ...[5, 0x73, 0x74, 0x6f, 0x72, 0x65, 0, 1, 10, 27, 2],
  ...[12, 0, 0x20, 0, 0x20, 1, 0x20, 2, 0xfc, 10, 0, 1, 0x0b],
  ...[12, 0, 0x20, 0, 0x20, 1, 0x20, 2, 0xfc, 10, 1, 0, 0x0b],
);

/** The memories whose buffers tensors have. */
const memories = new WeakMap<ArrayBufferLike, WebAssembly.Memory>();

/** The module; undefined before it is needed, null if the host does not know such modules. */
let module: WebAssembly.Module | null | undefined;

/** Whether memory can be shared here: a page must be isolated by its headers for that. */
export function sharesMemory(): boolean {
  return typeof SharedArrayBuffer !== "undefined";
}

/** A buffer that is a memory of its own, of whole pages; undefined if the host has none. */
function ownBuffer(bytes: number, shared: boolean): ArrayBufferLike | undefined {
  const pages = Math.ceil(bytes / PAGE);
  try {
    if (module === undefined) {
      module = null;
      module = new WebAssembly.Module(COPYING);
    }
    if (module === null) return undefined;
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
    memories.set(memory.buffer, memory);
    return memory.buffer;
  } catch {
    // Modules with two memories, or so much memory.
    return undefined;
  }
}

/**
 * A shared buffer that is a memory of its own.
 *
 * @param bytes How many it has at least: whole pages.
 * @returns The buffer; undefined if the host has none.
 */
export function sharedBuffer(bytes: number): SharedArrayBuffer | undefined {
  const buffer = ownBuffer(bytes + SLACK, true) as SharedArrayBuffer | undefined;
  if (buffer !== undefined) countShared(buffer);
  return buffer;
}

/**
 * Engines do not count shared bytes when they decide whether to collect: an unused array of a fraction of
 * the size, which they do count, goes with each.
 */
const pressure = new WeakMap<SharedArrayBuffer, ArrayBuffer>();
const PRESSURE = 1 / 8;

/** Has the engine count a shared buffer. */
export function countShared(buffer: SharedArrayBuffer): void {
  pressure.set(buffer, new ArrayBuffer(buffer.byteLength * PRESSURE));
}

/**
 * An array of zeros that is a memory of its own, which this thread alone uses.
 *
 * @param dtype Its type.
 * @param length Its length.
 * @returns The array; undefined if the host has none.
 */
export function arrayInMemory(dtype: DType, length: number): FloatArray | undefined {
  const isSingle = dtype === "float32";
  const buffer = ownBuffer(length * (isSingle ? 4 : 8) + SLACK, false);
  if (buffer === undefined) return undefined;
  return isSingle ? new Float32Array(buffer, 0, length) : new Float64Array(buffer, 0, length);
}

/** Whether a buffer is shared. */
export function isShared(buffer: ArrayBufferLike): buffer is SharedArrayBuffer {
  return buffer[Symbol.toStringTag] === "SharedArrayBuffer";
}

/** The memory that a buffer belongs to. */
export function memoryOf(buffer: ArrayBufferLike): WebAssembly.Memory | undefined {
  return memories.get(buffer);
}

/** The least bytes of weights that are worth a memory of their own: fewer are copied in a moment. */
const LEAST = 1 << 17;

/**
 * An array of zeros for weights that last, which kernels can load from: where every thread finds it, if the
 * host shares memory.
 *
 * @param dtype Its type.
 * @param length Its length.
 * @param start The bytes before it.
 * @param gap The bytes after it.
 * @returns The array; undefined if it is small, or the host has none.
 */
export function weightsArray(
  dtype: DType,
  length: number,
  start: number,
  gap: number,
): FloatArray | undefined {
  const isSingle = dtype === "float32", bytes = length * (isSingle ? 4 : 8);
  if (bytes < LEAST) return undefined;
  const all = start + bytes + gap;
  const buffer = sharesMemory() ? sharedBuffer(all) : ownBuffer(all, false);
  if (buffer === undefined) return undefined;
  return isSingle
    ? new Float32Array(buffer, start, length)
    : new Float64Array(buffer, start, length);
}

/** What copies between a memory of kernels and a shared one. */
export function joinCopies(kernels: WebAssembly.Memory, shared: WebAssembly.Memory): Copies {
  const instance = new WebAssembly.Instance(module!, { e: { m: kernels, t: shared } });
  return instance.exports as unknown as Copies;
}
