/**
 * Examples to learn from or to be measured by: a tensor, or what is read batch by batch.
 *
 * @module
 */

import { checkNonEmpty, checkShape, checkType, isObject } from "../../kernels/check.ts";
import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkBatch } from "../checks.ts";

/**
 * Examples that need not be in memory all at once: a solver reads those of a batch.
 *
 * @example A million examples that are made when they are asked for
 * ```ts
 * import type { Examples } from "@cnn-layers/cnn-layers";
 *
 * const squares: Examples = {
 *   shape: [1_000_000, 1],
 *   read: (picks, to) => picks.forEach((pick, i) => to[i] = pick * pick),
 * };
 * const batch = new Float32Array(2);
 * squares.read(Int32Array.of(3, 9), batch); // 9, 81
 * ```
 */
export interface Examples {
  /** The shape of a tensor that would hold them all, (N, ...). */
  readonly shape: readonly number[];
  /**
   * Reads some of them.
   *
   * @param picks Which, from 0 to N - 1, in any order.
   * @param to Where their numbers are written, one example after another.
   */
  read(picks: Int32Array, to: FloatArray): void;
}

/** Whether examples are read batch by batch. */
export function isRead(x: unknown): x is Examples {
  return isObject(x) && "read" in x;
}

/**
 * Checks that a value holds examples, one or more.
 *
 * @param name What the message calls it.
 * @param x The value to check.
 * @throws {TypeError} If it holds none, or has less than 2 dimensions.
 * @throws {RangeError} If there is no example, or a size is not whole.
 */
export function checkSource(name: string, x: unknown): asserts x is Tensor | Examples {
  if (isRead(x)) {
    checkType(typeof x.read === "function", `${name}.read`, "be a function", x.read);
    checkShape(`The shape of ${name}`, x.shape);
    checkType(x.shape.length >= 2, `${name}.shape`, "have 2 dimensions or more", x.shape);
  } else checkBatch(name, x);
  checkNonEmpty(name, x.shape, 0);
}

/** Copies the examples that are picked into a batch; types are converted. */
export function gather(from: Tensor | Examples, picks: Int32Array, to: FloatArray): void {
  if (isRead(from)) return from.read(picks, to);
  const { data, shape: [N] } = from, size = data.length / N;
  for (const [i, pick] of picks.entries()) {
    to.set(data.subarray(pick * size, (pick + 1) * size), i * size);
  }
}
