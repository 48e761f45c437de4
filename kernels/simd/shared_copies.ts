/**
 * Copies between the memory of kernels and tensors in shared memory, by WebAssembly. Engines copy shared
 * bytes word by word elsewhere, which takes up to twice as long. A tensor's buffer must be a memory of its
 * own for that, and the host must know modules with two memories.
 *
 * @module
 */

/** The functions of a copying module: of (to, from, bytes), into the kernels' memory and out of it. */
export interface Copies {
  readonly load: (to: number, from: number, bytes: number) => void;
  readonly store: (to: number, from: number, bytes: number) => void;
}

const PAGE = 65536;

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

/**
 * A shared buffer that is a memory of its own.
 *
 * @param bytes How many it has at least: whole pages.
 * @returns The buffer; undefined if the host has none.
 */
export function sharedBuffer(bytes: number): SharedArrayBuffer | undefined {
  const pages = Math.ceil(bytes / PAGE);
  try {
    if (module === undefined) {
      module = null;
      module = new WebAssembly.Module(COPYING);
    }
    if (module === null) return undefined;
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const buffer = memory.buffer as unknown as SharedArrayBuffer;
    memories.set(buffer, memory);
    return buffer;
  } catch {
    // Modules with two memories, or so much memory.
    return undefined;
  }
}

/** The memory that a buffer belongs to. */
export function sharedMemoryOf(buffer: ArrayBufferLike): WebAssembly.Memory | undefined {
  return memories.get(buffer);
}

/** What copies between a memory of kernels and a shared one. */
export function joinCopies(kernels: WebAssembly.Memory, shared: WebAssembly.Memory): Copies {
  const instance = new WebAssembly.Instance(module!, { e: { m: kernels, t: shared } });
  return instance.exports as unknown as Copies;
}
