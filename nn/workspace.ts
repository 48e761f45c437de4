/**
 * Arrays that the training iterations of a net use again. Fresh ones can take longer than most layers: the host
 * maps and clears each page of memory when it is first written to.
 *
 * @module
 */

import { arrayInMemory, memoryOf } from "../kernels/simd/shared_copies.ts";
import { allocate, areShared, type DType, dtypeOf, type FloatArray } from "../kernels/tensor.ts";

/** The length of the smallest array that is kept, and of the smallest that may be a memory of its own. */
const LEAST = 1 << 14, MEMORY = 1 << 16;

/** Arrays of one type and length have one key. */
const keyOf = (dtype: DType, length: number) => dtype === "float32" ? length : -length;

let current: Workspace | undefined;

/** The arrays of one net. Those that an iteration does not use are left to the collector when it ends. */
export class Workspace {
  /** Arrays of this iteration that are not needed any more, and those of the last one, by their sizes. */
  readonly #free = new Map<number, FloatArray[]>();
  readonly #last = new Map<number, FloatArray[]>();
  /** Arrays that are in use. */
  readonly #used = new Set<FloatArray>();
  /** Arrays that were kept, and may come back. */
  readonly #kept = new WeakSet<FloatArray>();
  /** The sizes of such arrays, which stay such as can be sent to another thread. */
  readonly #left = new Set<number>();
  /** Whether gradients are such arrays too. */
  #lendsGradients = false;

  /** Runs a part of an iteration, which takes its large arrays from here. */
  run<T>(part: () => T): T {
    const outer = current;
    current = this;
    try {
      return part();
    } catch (error) {
      this.clear();
      throw error;
    } finally {
      current = outer;
    }
  }

  /** An array: of zeros, or with anything in it. */
  take(dtype: DType, length: number, zeros: boolean): FloatArray {
    const key = keyOf(dtype, length);
    const again = this.#free.get(key)?.pop() ?? this.#lasting(key, this.#last.get(key)?.pop());
    if (zeros) again?.fill(0);
    const array = again ?? allocate(dtype, length, true);
    this.#used.add(array);
    return array;
  }

  /** An array of the last iteration, or in its place one that kernels can use without copies. */
  #lasting(key: number, array?: FloatArray): FloatArray | undefined {
    if (array === undefined || array.length < MEMORY || areShared()) return array;
    if (this.#left.has(key) || memoryOf(array.buffer) !== undefined) return array;
    return arrayInMemory(dtypeOf(array), array.length) ?? array;
  }

  /** An array for a gradient: with anything in it, or a new one of zeros. */
  takeGradient(dtype: DType, length: number): FloatArray {
    const isLent = this.#lendsGradients && length >= LEAST;
    return isLent ? this.take(dtype, length, false) : allocate(dtype, length);
  }

  /** Lets an array be taken again. Those that do not come from here stay as they are. */
  release(array: FloatArray): void {
    if (!this.#used.delete(array)) return;
    const key = keyOf(dtypeOf(array), array.length), free = this.#free.get(key);
    if (free === undefined) this.#free.set(key, [array]);
    else free.push(array);
  }

  /**
   * Begins an iteration.
   *
   * @param spent Gradients that were kept and come back. Default: none ever do.
   */
  begin(spent?: readonly FloatArray[]): void {
    this.#lendsGradients = spent !== undefined;
    for (const array of spent ?? []) {
      if (!this.#kept.delete(array)) continue;
      this.#used.add(array);
      this.release(array);
    }
  }

  /** Ends an iteration: all arrays may be taken again but those that are kept. */
  end(kept: readonly FloatArray[]): void {
    for (const array of kept) {
      if (!this.#used.delete(array)) continue;
      this.#kept.add(array);
      this.#left.add(keyOf(dtypeOf(array), array.length));
    }
    for (const array of this.#used) this.release(array);
    this.#last.clear();
    for (const [key, arrays] of this.#free) this.#last.set(key, arrays);
    this.#free.clear();
  }

  /** Forgets all arrays. */
  clear(): void {
    for (const arrays of [this.#free, this.#last, this.#used]) arrays.clear();
  }
}

/**
 * An array from the workspace that is in force.
 *
 * @param dtype Its type.
 * @param length Its length.
 * @param zeros Whether it must hold zeros, and not anything.
 * @returns The array; a fresh one, of zeros, if it is small or no workspace is in force.
 */
export function takeArray(dtype: DType, length: number, zeros: boolean): FloatArray {
  if (current === undefined || length < LEAST) return allocate(dtype, length);
  return current.take(dtype, length, zeros);
}

/**
 * An array for a gradient, which is the caller's to keep.
 *
 * @param dtype Its type.
 * @param length Its length.
 * @returns The array, with anything in it if it may come back to the workspace that is in force; else a fresh
 * one, of zeros.
 */
export function takeGradient(dtype: DType, length: number): FloatArray {
  return current?.takeGradient(dtype, length) ?? allocate(dtype, length);
}
