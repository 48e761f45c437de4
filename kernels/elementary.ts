/**
 * The elementary functions that results depend on, with the same bits in every engine: engines compute
 * Math.exp, Math.sin and ** each in its own way. The logarithm is in log.ts.
 *
 * Each is wrong by less than one unit in the last place, tanh by less than two.
 *
 * Source: the algorithms and constants of e_exp.c, k_sin.c, s_expm1.c, s_tanh.c and s_erf.c in fdlibm 5.3 (Copyright 1993 by Sun
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

/** r (e^r + 1) / (e^r - 1) = 2 + r^2 / 6 times this polynomial of r^2 / 2, for |r| < log(2) / 2. */
const [Q1, Q2, Q3, Q4, Q5] = [
  -0.03333333333333313,
  0.0015873015872548146,
  -7.93650757867488e-5,
  4.008217827329362e-6,
  -2.0109921818362437e-7,
];

/**
 * e to a power, minus 1.
 *
 * @param x A number from -50 to 50.
 * @returns The difference, precise near 0 too.
 */
function expm1(x: number): number {
  // x = k log(2) + r, and c is the error of r.
  const k = (Math.LOG2E * x + (x < 0 ? -0.5 : 0.5)) | 0;
  const high = x - k * LN2_HIGH, low = k * LN2_LOW;
  const r = high - low, c = high - r - low;
  const half = 0.5 * r, hxs = r * half;
  const r1 = 1 + hxs * (Q1 + hxs * (Q2 + hxs * (Q3 + hxs * (Q4 + hxs * Q5))));
  const t = 3 - r1 * half;
  const e = hxs * ((r1 - t) / (6 - r * t));
  if (k === 0) return r - (r * e - hxs);
  const error = r * (e - c) - c - hxs;
  // e^r = 1 - (error - r)
  if (k === -1) return 0.5 * (r - error) - 0.5;
  if (k === 1) return r < -0.25 ? -2 * (error - (r + 0.5)) : 1 + 2 * (r - error);
  if (k < 0 || k > 56) return scale(1 - (error - r), k) - 1;
  const rest = scale(1, -k);
  return scale(k < 20 ? 1 - rest - (error - r) : r - (error + rest) + 1, k);
}

/**
 * The hyperbolic tangent.
 *
 * @param x Any number.
 * @returns Its tangent, from -1 to 1.
 */
export function tanh(x: number): number {
  const size = Math.abs(x);
  if (!(size < 22)) return Number.isNaN(x) ? x : Math.sign(x);
  const t = expm1(size < 1 ? -2 * size : 2 * size);
  const result = size < 1 ? -t / (t + 2) : 1 - 2 / (t + 2);
  return x < 0 || Object.is(x, -0) ? -result : result;
}

/** A polynomial, its coefficients from the constant one. */
function polynomial(coefficients: readonly number[], x: number): number {
  let sum = 0;
  for (let i = coefficients.length - 1; i >= 0; i--) sum = sum * x + coefficients[i];
  return sum;
}

/** Numerators and denominators of the error function's four rational approximations. */
const ERF_SMALL = [
  [
    0.12837916709551256,
    -0.3250421072470015,
    -0.02848174957559851,
    -0.005770270296489442,
    -2.3763016656650163e-5,
  ],
  [
    1,
    0.39791722395915535,
    0.0650222499887673,
    0.005081306281875766,
    1.3249473800432164e-4,
    -3.960228278775368e-6,
  ],
];
const ERF_NEAR_1 = [
  [
    -0.0023621185607526594,
    0.41485611868374833,
    -0.3722078760357013,
    0.31834661990116175,
    -0.11089469428239668,
    0.035478304325618236,
    -0.002166375594868791,
  ],
  [
    1,
    0.10642088040084423,
    0.540397917702171,
    0.07182865441419627,
    0.12617121980876164,
    0.01363708391202905,
    0.011984499846799107,
  ],
];
const ERF_MIDDLE = [
  [
    -0.009864944034847148,
    -0.6938585727071818,
    -10.558626225323291,
    -62.375332450326006,
    -162.39666946257347,
    -184.60509290671104,
    -81.2874355063066,
    -9.814329344169145,
  ],
  [
    1,
    19.651271667439257,
    137.65775414351904,
    434.56587747522923,
    645.3872717332679,
    429.00814002756783,
    108.63500554177944,
    6.570249770319282,
    -0.0604244152148581,
  ],
];
const ERF_LARGE = [
  [
    -0.0098649429247001,
    -0.799283237680523,
    -17.757954917754752,
    -160.63638485582192,
    -637.5664433683896,
    -1025.0951316110772,
    -483.5191916086514,
  ],
  [
    1,
    30.33806074348246,
    325.7925129965739,
    1536.729586084437,
    3199.8582195085955,
    2553.0504064331644,
    474.52854120695537,
    -22.44095244658582,
  ],
];

/** erf(1), to the bits of a float32. */
const ERF_1 = 0.8450629115104675;

function ratio([above, below]: readonly (readonly number[])[], z: number): number {
  return polynomial(above, z) / polynomial(below, z);
}

/** 1 - erf(size), for 1.25 and more. */
function erfTail(size: number): number {
  const s = 1 / (size * size);
  const tail = ratio(size < 1 / 0.35 ? ERF_MIDDLE : ERF_LARGE, s);
  // exp(-x^2) in two factors, the first of a number whose square is exact.
  const z = Math.fround(size);
  return exp(-z * z - 0.5625) * exp((z - size) * (z + size) + tail) / size;
}

/**
 * The error function: 2 / sqrt(pi) times the integral of exp(-t^2) from 0.
 *
 * @param x Any number.
 * @returns The integral, from -1 to 1.
 */
export function erf(x: number): number {
  const size = Math.abs(x);
  if (size < 0.84375) return x + x * ratio(ERF_SMALL, x * x);
  const sign = x < 0 ? -1 : 1;
  if (size < 1.25) return sign * (ERF_1 + ratio(ERF_NEAR_1, size - 1));
  if (!(size < 6)) return Number.isNaN(x) ? x : sign;
  return sign * (1 - erfTail(size));
}

/**
 * The complement of the error function, 1 - erf(x), precise where that is small too.
 *
 * @param x Any number.
 * @returns The complement, from 0 to 2.
 */
export function erfc(x: number): number {
  if (!(x >= 1.25)) return 1 - erf(x);
  return x < 28 ? erfTail(x) : 0;
}
