/**
 * The natural logarithm to the last bit of the C library's, which numpy's normal numbers go through.
 *
 * Engines compute Math.log each in its own way; the last bit of one result in a thousand differs. The
 * other functions of which this is true are in elementary.ts.
 *
 * Source: the algorithm and constants of log.c in Arm's Optimized Routines (Szabolcs Nagy, 2018, MIT
 * licence), which glibc uses since 2.28; here with a * b + c rounded once wherever glibc's build for
 * processors with fused multiply-add does so. On a processor without, numpy's own normal numbers
 * differ from these in the last bit of one in 20,000.
 *
 * @module
 */

const LN2_HIGH = 0.6931471805598903, LN2_LOW = 5.497923018708371e-14;

/** log(1 + r) - r = r^2 times this polynomial, for |r| < 2^-8. */
const [A0, A1, A2, A3, A4] = [
  -0.5000000000000001,
  0.33333333331825593,
  -0.2499999999622955,
  0.20000304511814496,
  -0.16667054827627667,
];

/** The same for |r| < 2^-4, where no table is used, and a little beyond. */
const [B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10] = [
  -0.5,
  0.3333333333333352,
  -0.24999999999998432,
  0.19999999999320328,
  -0.16666666669929706,
  0.14285715076560868,
  -0.12499997863982555,
  0.11110712032936046,
  -0.10000486757818193,
  0.09181994006195467,
  -0.08328363062289341,
];

/** Where numbers above 1 need the table. */
const NEAR_ONE = 1 + 265 / 4096;

/** Where the table starts: numbers are scaled by 2 until they are in [START, 2 * START). */
const START = 0.6875;

/** The middles of the table's intervals: of width 1/256 up to 1, of 1/128 from there on. */
const MIDDLES = Array.from(
  { length: 128 },
  (_, i) => i < 80 ? START + (i + 0.5) / 256 : 1 + (i - 79.5) / 128,
);

/** How far each 1 / c is from 1 / the middle of its interval, in units of 2^-53. */
// deno-fmt-ignore
const CORRECTIONS = [
  -46284764, -115287508, -468669678, -249329608, 38090024, -246646796, -1002326510, 684959852,
  -469186612, 114842368, 1027234976, -481782956, 170339482, 57318300, 568107598, 685126114,
  -136840918, -692289424, -180227532, -928045960, 570685416, -979097650, 752109696, 94795624,
  -847275702, -521977068, 672214042, 896483156, 308354710, 895786768, 482455110, -841273428,
  -436853460, -193753368, -411670436, -736356396, -690257420, -1020569004, 963527462, 418672224,
  858672620, 30978658, 884706354, -835668660, 146366742, 1030465360, 1015969072, 167574550,
  660819904, 303193368, 755488408, 396605714, 429596542, -691915432, 712326214, 431020044,
  -459795920, -263419452, 430427236, -929038414, -665643992, 771561040, -800689572, 512416278,
  956713054, 691440674, 256933754, 435031502, -324096686, 590255160, -471785550, -138738694,
  187333682, -545720260, 183830348, 58036118, 517786458, 772018560, -483266014, 136798762,
  386341370, 408940642, 65060217, -120872168, 189498853, -32395328, -49955913, 154042178,
  -346113480, 148348366, -396488327, -427431396, 107119491, -500798201, 212184347, 305888811,
  -330297730, -91422864, 6707636, 273897542, -512931067, -500150233, 485589437, -280752730,
  106848032, 30953893, -291342514, -408884927, 149302919, -107851081, 225432558, 460497078,
  -452391632, -490679353, 508304210, 493208081, 336502878, 526975298, -457361038, -312310462,
  -365194252, -421357131, 362015322, 310793228, -441535439, -69145545, -528727990, 433364383,
];

/** 1 / c for the c of each interval: both numbers of the sum are multiples of its last bit, so that it is exact. */
const INVERSE = MIDDLES.map((middle, i) => 1 / middle + CORRECTIONS[i] / 2 ** 53);

/** log(c), rounded to a multiple of 2^-43; the c are chosen so that this is nearly exact. */
const LOG = INVERSE.map((inverse) => -Math.round(Math.log(inverse) * 2 ** 43) / 2 ** 43);

/**
 * a * b + c, rounded once: the product's error by Dekker's splitting, the sum's by Knuth's. The values
 * must be so far from overflow and underflow that both errors are exact.
 */
export function fma(a: number, b: number, c: number): number {
  const product = a * b;
  const aScaled = 134217729 * a, aHigh = aScaled - (aScaled - a), aLow = a - aHigh;
  const bScaled = 134217729 * b, bHigh = bScaled - (bScaled - b), bLow = b - bHigh;
  const productError = aHigh * bHigh - product + aHigh * bLow + aLow * bHigh + aLow * bLow;
  const sum = product + c, part = sum - product;
  const sumError = product - (sum - part) + (c - part);
  return sum + (sumError + productError);
}

/**
 * The natural logarithm, as glibc computes it.
 *
 * @param x Any number.
 * @returns Its logarithm: -Infinity for 0, NaN below.
 */
export function log(x: number): number {
  if (x >= 0.9375 && x < NEAR_ONE) return logNearOne(x - 1);
  if (!(x > 0 && x < Infinity)) return x > 0 ? x : x === 0 ? -Infinity : NaN;
  // x = 2^k * z, z = c * (1 + r): log(x) = k * log(2) + log(c) + log(1 + r).
  let z = x, k = 0;
  for (; z < START; k--) z *= 2;
  for (; z >= 2 * START; k++) z /= 2;
  const i = z < 1 ? Math.floor((z - START) * 256) : 80 + Math.floor((z - 1) * 128);
  const r = fma(z, INVERSE[i], -1);
  const base = k * LN2_HIGH + LOG[i];
  const high = base + r;
  const square = r * r;
  const low = fma(square, A0, fma(k, LN2_LOW, base - high + r));
  return fma(r * square, fma(fma(r, A4, A3), square, fma(A2, r, A1)), low) + high;
}

/** log(1 + r) for -1/16 <= r < 0.0647. */
function logNearOne(r: number): number {
  const square = r * r, cube = r * square;
  let tail = fma(cube, B10, fma(square, B9, fma(B8, r, B7)));
  tail = fma(tail, cube, fma(square, B6, fma(B5, r, B4)));
  tail = fma(tail, cube, fma(square, B3, fma(B2, r, B1)));
  // r + B0 * r^2 in two parts: the square of r's upper half is exact.
  const scaled = r * 134217728;
  const rHigh = scaled + r - scaled, rLow = r - rHigh;
  const half = B0 * rHigh * rHigh;
  const high = r + half;
  const low = fma(B0 * rLow, rHigh + r, r - high + half);
  return high + fma(tail, cube, low);
}
