/**
 * Gradient clipping.
 *
 * @module
 */

import { checkWithin } from "../../kernels/check.ts";
import type { Tensor } from "../tensor.ts";
import type { TransformGradients } from "./solver_options.ts";

/**
 * Limits the norm of all gradients together, the square root of the sum of their squares: gradients
 * above it are all scaled down by one factor, so that their direction stays.
 *
 * Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks" (2013).
 *
 * @example
 * ```ts
 * import { clipGlobalNorm, full } from "@cnn-layers/cnn-layers";
 *
 * const W = full([4], 3);
 * clipGlobalNorm(1)({ W }); // as the solver does: { transformGradients: clipGlobalNorm(1) }
 * if (W.data[0] !== 0.5) throw new Error("the norm was 6");
 * ```
 *
 * @param maxNorm The largest norm that is left as it is.
 * @returns A function that changes gradients in place.
 * @throws {TypeError} If maxNorm is not a number.
 * @throws {RangeError} If it is negative or not finite.
 */
export function clipGlobalNorm(maxNorm: number): TransformGradients {
  checkWithin("maxNorm", maxNorm, 0);
  return (grads) => {
    const norm = globalNorm(grads);
    if (!(norm > maxNorm)) return;
    const factor = maxNorm / norm;
    for (const { data } of Object.values(grads)) {
      for (let i = 0; i < data.length; i++) data[i] *= factor;
    }
  };
}

/**
 * The norm of all gradients together: the square root of the sum of their squares.
 *
 * @param grads The gradients.
 * @returns The norm.
 */
export function globalNorm(grads: Readonly<Record<string, Tensor>>): number {
  let squares = 0;
  for (const { data } of Object.values(grads)) {
    // Four sums, as one would wait for each addition: twice as fast.
    const whole = data.length & ~3;
    let a = 0, b = 0, c = 0, d = 0;
    for (let i = 0; i < whole; i += 4) {
      a += data[i] * data[i];
      b += data[i + 1] * data[i + 1];
      c += data[i + 2] * data[i + 2];
      d += data[i + 3] * data[i + 3];
    }
    for (let i = whole; i < data.length; i++) a += data[i] * data[i];
    squares += (a + b) + (c + d);
  }
  return Math.sqrt(squares);
}
