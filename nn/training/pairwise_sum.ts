/**
 * Sums over micro-batches in an order that does not depend on who adds what.
 *
 * Neighbors are added in pairs, pairs in pairs of pairs and so on, as far as there are whole ones: the
 * sum of 6 is ((0 + 1) + (2 + 3)) + (4 + 5). Whoever has all of a pair may add it alone.
 *
 * @module
 */

import type { FloatArray } from "../../kernels/tensor.ts";

/** The sum of some micro-batches: a power of two of them, the first of which is a multiple of it. */
export interface PartialSum {
  /** The first micro-batch. */
  readonly first: number;
  /** How many. */
  readonly size: number;
  /** The sum. */
  readonly data: FloatArray;
}

/**
 * How some micro-batches are summed, if they are all that somebody has.
 *
 * @param first The first of them.
 * @param end The one after the last.
 * @returns The sums that come of them.
 */
export function partialSums(first: number, end: number): Omit<PartialSum, "data">[] {
  const parts = [];
  for (let size; first < end; first += size) {
    size = 1;
    while (first % (2 * size) === 0 && first + 2 * size <= end) size *= 2;
    parts.push({ first, size });
  }
  return parts;
}

/** The sum of an array over micro-batches, which are added in order. */
export class PairwiseSum {
  /** What could not be added to its neighbor yet. */
  readonly parts: PartialSum[] = [];

  /**
   * Adds a micro-batch, or several in one, beside those that were added before.
   *
   * @param part The part.
   * @param copy Whether its array may change later, so that a copy is kept. It is not written to.
   */
  add(part: PartialSum, copy: boolean): void {
    let owned = !copy;
    for (;;) {
      const { size, data } = part, last = this.parts.at(-1);
      if (last?.size !== size || last.first % (2 * size) !== 0) break;
      this.parts.pop();
      addTo(last.data, data);
      part = { first: last.first, size: 2 * size, data: last.data };
      owned = true;
    }
    this.parts.push(owned ? part : { ...part, data: part.data.slice() });
  }
}

/**
 * The sum of all parts.
 *
 * @param parts The parts of all micro-batches, in order; all but the last are written to.
 * @returns The sum, which is one of their arrays.
 */
export function totalOf(parts: readonly PartialSum[]): FloatArray {
  return parts.map(({ data }) => data).reduceRight((sum, data) => addTo(data, sum));
}

function addTo(sum: FloatArray, more: FloatArray): FloatArray {
  for (let i = 0; i < sum.length; i++) sum[i] += more[i];
  return sum;
}
