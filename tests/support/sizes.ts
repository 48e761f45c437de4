/**
 * Sizes as real nets and hostile users have them: a few large beside many small.
 *
 * @module
 */

import fc from "fast-check";

/** The largest size of a dimension. */
export const LARGEST = 200_000;

/**
 * Sizes far apart, in some order: each log-uniform from 1 up to its own limit, and to what those drawn
 * before it leave of the product of all.
 *
 * @param limits The largest value of each size.
 * @param product The most that all sizes multiplied give.
 */
export function lopsided(limits: readonly number[], product: number): fc.Arbitrary<number[]> {
  const count = { minLength: limits.length, maxLength: limits.length };
  const order = fc.shuffledSubarray(limits.map((_, i) => i), count);
  const draws = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), count);
  return fc.tuple(order, draws).map(([order, draws]) => {
    const sizes: number[] = [];
    let left = product;
    for (const i of order) {
      const most = Math.min(limits[i], left);
      sizes[i] = Math.min(most, Math.floor((most + 1) ** draws[i]));
      left = Math.floor(left / sizes[i]);
    }
    return sizes;
  });
}
