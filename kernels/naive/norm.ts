/**
 * What normalizations need of planes, by its definition.
 *
 * Sums are in four parts: an addition does not wait for the one before it, and less is rounded away.
 *
 * @module
 */

import type { NormKernel } from "../kernel.ts";
import type { NormShape } from "../shape.ts";
import type { FloatArray } from "../tensor.ts";

/** The sum of `length` numbers from `start`. */
function sum(x: FloatArray, start: number, length: number): number {
  let a = 0, b = 0, c = 0, d = 0, i = start;
  const end = start + length;
  for (; i + 3 < end; i += 4) {
    a += x[i];
    b += x[i + 1];
    c += x[i + 2];
    d += x[i + 3];
  }
  for (; i < end; i++) a += x[i];
  return a + b + (c + d);
}

/** The sum of the products of `length` numbers from `start`: of x, less `mean` each, and of dout. */
function sumOfProducts(
  x: FloatArray,
  dout: FloatArray,
  start: number,
  length: number,
  mean: number,
): number {
  let a = 0, b = 0, c = 0, d = 0, i = start;
  const end = start + length;
  for (; i + 3 < end; i += 4) {
    a += (x[i] - mean) * dout[i];
    b += (x[i + 1] - mean) * dout[i + 1];
    c += (x[i + 2] - mean) * dout[i + 2];
    d += (x[i + 3] - mean) * dout[i + 3];
  }
  for (; i < end; i++) a += (x[i] - mean) * dout[i];
  return a + b + (c + d);
}

/** The sum of the squares of `length` numbers from `start`, less `mean` each. */
function sumOfSquares(x: FloatArray, start: number, length: number, mean: number): number {
  let a = 0, b = 0, c = 0, d = 0, i = start;
  const end = start + length;
  for (; i + 3 < end; i += 4) {
    const p = x[i] - mean, q = x[i + 1] - mean, r = x[i + 2] - mean, s = x[i + 3] - mean;
    a += p * p;
    b += q * q;
    c += r * r;
    d += s * s;
  }
  for (; i < end; i++) a += (x[i] - mean) * (x[i] - mean);
  return a + b + (c + d);
}

/** The loops for planes of P values. */
export function naiveNorm({ P }: NormShape): NormKernel {
  return {
    name: `norm-${P}-naive`,
    tier: "naive",
    sum(x, sums) {
      for (let i = 0; i < sums.length; i++) sums[i] = sum(x, i * P, P);
    },
    squares(x, mean, sums) {
      for (let i = 0; i < sums.length; i++) sums[i] = sumOfSquares(x, i * P, P, mean[i]);
    },
    scale(x, mean, scale, shift, out, relu) {
      for (let plane = 0; plane < mean.length; plane++) {
        const m = mean[plane], by = scale[plane], plus = shift[plane];
        const end = (plane + 1) * P;
        for (let i = plane * P; i < end; i++) {
          const scaled = (x[i] - m) * by + plus;
          out[i] = relu ? Math.max(0, scaled) : scaled;
        }
      }
    },
    products(x, dout, mean, sums, products) {
      for (let i = 0; i < sums.length; i++) {
        sums[i] = sum(dout, i * P, P);
        products[i] = sumOfProducts(x, dout, i * P, P, mean[i]);
      }
    },
    gradient(x, dout, mean, scale, slope, shift, dx) {
      for (let plane = 0; plane < mean.length; plane++) {
        const m = mean[plane], by = scale[plane], less = slope[plane], plus = shift[plane];
        const end = (plane + 1) * P;
        for (let i = plane * P; i < end; i++) dx[i] = dout[i] * by - (x[i] - m) * less - plus;
      }
    },
  };
}
