/**
 * The elementary functions that results depend on, with the same bits in every engine: engines compute
 * Math.exp, Math.sin and ** each in its own way. The logarithm is in log.ts.
 *
 * Each is wrong by less than one unit in the last place.
 *
 * Source: the algorithms and constants of e_exp.c and k_sin.c in fdlibm 5.3 (Copyright 1993 by Sun
 * Microsystems, Inc.; permission to use, copy, modify and distribute is freely granted, provided that
 * this notice is preserved). Powers are products in two parts, after Dekker (1971).
 *
 * @module
 */

import { fma } from "./log.ts";

/** log(2) in two parts: products of the first with whole numbers up to 2^20 are exact. */
const LN2_HIGH = 0.6931471803691238, LN2_LOW = 1.9082149292705877e-10;

/** exp(r) = 1 + 2 r / (2 - c), with c = r - r^2 times this polynomial of r^2, for |r| < log(2) / 2. */
const [P1, P2, P3, P4, P5] = [
  0.16666666666666602,
  -0.0027777777777015593,
  6.613756321437934e-5,
  -1.6533902205465252e-6,
  4.1381367970572385e-8,
];

/** Above the first the result is infinite, below the second 0. */
const EXP_MOST = 709.782712893384, EXP_LEAST = -745.1332191019411;

/** 2^k for k from -1022 to 1023. */
const POWERS = new Float64Array(2046);
for (let k = 0, power = Number.MIN_VALUE * 2 ** 52; k < POWERS.length; k++, power *= 2) {
  POWERS[k] = power;
}

/** y * 2^k for k from -2000 to 1024, rounded once. */
function scale(y: number, k: number): number {
  if (k > 1023) return y * 2 * POWERS[k + 1021];
  return k < -1021 ? y * POWERS[k + 2022] * POWERS[22] : y * POWERS[k + 1022];
}

/**
 * e to a power.
 *
 * @param x Any number.
 * @returns The power.
 */
export function exp(x: number): number {
  // NaN stays NaN.
  if (!(x <= EXP_MOST)) return x * Infinity;
  if (x < EXP_LEAST) return 0;
  // x = k log(2) + r
  const k = (Math.LOG2E * x + (x < 0 ? -0.5 : 0.5)) | 0;
  const high = x - k * LN2_HIGH, low = k * LN2_LOW;
  const r = high - low;
  const t = r * r;
  const c = r - t * (P1 + t * (P2 + t * (P3 + t * (P4 + t * P5))));
  return scale(1 - (low - r * c / (2 - c) - high), k);
}

/** sin(x) = x + x^3 times this polynomial of x^2, for |x| <= pi / 4. */
const [S1, S2, S3, S4, S5, S6] = [
  -0.16666666666666632,
  0.00833333333332249,
  -0.0001984126982985795,
  2.7557313707070068e-6,
  -2.5050760253406863e-8,
  1.58969099521155e-10,
];

/**
 * The sine of an angle of up to 45 degrees.
 *
 * @param x The angle, from -pi / 4 to pi / 4.
 * @returns Its sine.
 */
export function sin(x: number): number {
  const z = x * x;
  return x + z * x * (S1 + z * (S2 + z * (S3 + z * (S4 + z * (S5 + z * S6)))));
}

/**
 * A whole power, by squaring.
 *
 * @param base A number from -1 to 1.
 * @param exponent A whole number of 0 or more.
 * @returns The power; below 1e-270 its last bits may be wrong.
 */
export function power(base: number, exponent: number): number {
  // Both the result and the base's squares in two parts, of which the second is the error of the first.
  let high = 1, low = 0, square = base, squareLow = 0;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) {
      const product = high * square;
      const error = fma(high, square, -product) + (high * squareLow + low * square);
      high = product + error;
      low = error - (high - product);
    }
    const product = square * square;
    const error = fma(square, square, -product) + 2 * square * squareLow;
    square = product + error;
    squareLow = error - (square - product);
  }
  return high;
}
