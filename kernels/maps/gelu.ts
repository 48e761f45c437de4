/**
 * The Gaussian error linear unit: x times the probability that a normal number is below x.
 *
 * In float32 the probability beyond |x| is exp(-x^2 / 2) / (|x| + K) times a polynomial of
 * (|x| - K) / (|x| + K): see Shepherd and Laframboise, "Chebyshev approximation of (1+2x)exp(x^2)erfc x"
 * (1981). Both the polynomial and that of the exponential are Chebyshev interpolations. The relative error is
 * below 1e-9, a sixtieth of half a unit in the last place of a float32.
 *
 * @module
 */

import { erfc, exp } from "../elementary.ts";
import { type MapShape, mapShape } from "../map.ts";
import type { Lanes, Value } from "../simd/lanes.ts";

/** The probability that a normal number is below x. */
const below = (x: number) => 0.5 * erfc(-x * Math.SQRT1_2);

/** 1 / sqrt(2 pi): how dense normal numbers are at 0. */
const DENSITY = 0.3989422804014327;

/** Beyond this the probability, times x, is less than half of the least float32. */
const FAR = -15;

/** Where the polynomial's argument is 0. */
const K = 3.75;

const TAIL = [
  0.7502940720850636,
  -0.5881884107964488,
  0.35293986712534287,
  -0.15151711498398987,
  0.03748923120811078,
  0.001170869091341114,
  -0.004162170206769191,
  0.0005991200855018693,
  0.00046564845388085633,
  -9.577899098966842e-5,
  -5.796528892324733e-5,
];

/** exp(r) for |r| < log(2) / 2. */
const EXP = [
  0.9999999999595294,
  0.9999999999955055,
  0.5000000107793876,
  0.1666666678638044,
  0.041666218139710595,
  0.008333283518768105,
  0.0013948590286863383,
  0.00019907582591325134,
];

/** 1.5 * 2^52: what is added to it is rounded to a whole number, which its lowest bits then hold. */
const WHOLE = 6755399441055744;

/** Writes a polynomial, its coefficients from the constant one: even and odd powers apart, which is faster. */
function polynomial(lanes: Lanes, coefficients: readonly Value[], x: Value): Value {
  const square = lanes.mul(x, x);
  const [even, odd] = [0, 1].map((first) =>
    coefficients.filter((_, i) => i % 2 === first)
      .reduceRight((sum, c) => lanes.add(lanes.mul(sum, square), c))
  );
  return lanes.add(even, lanes.mul(odd, x));
}

/** Writes the steps to the probability below x, and to exp(-x^2 / 2). */
function writeNormal(lanes: Lanes, x: Value): { readonly below: Value; readonly bell: Value } {
  const constants = (numbers: readonly number[]) => numbers.map((c) => lanes.constant(c));
  const [far, k, one, minusTwoK, minusHalf, log2e, whole, ln2] = constants(
    [FAR, K, 1, -2 * K, -0.5, Math.LOG2E, WHOLE, Math.LN2],
  );
  const minusSize = lanes.negativeAbs(x);
  const near = lanes.pmax(minusSize, far);
  const y = lanes.mul(lanes.mul(near, near), minusHalf);
  // y = power log(2) + r
  const shifted = lanes.add(lanes.mul(y, log2e), whole);
  const power = lanes.sub(shifted, whole);
  const r = lanes.sub(y, lanes.mul(power, ln2));
  const exponential = lanes.scale(polynomial(lanes, constants(EXP), r), shifted);
  // 0 beyond, and for NaN.
  const bell = lanes.where(lanes.equal(near, minusSize), exponential);
  const u = lanes.div(one, lanes.sub(k, near));
  const t = lanes.add(lanes.mul(u, minusTwoK), one);
  const beyond = lanes.mul(lanes.mul(bell, u), polynomial(lanes, constants(TAIL), t));
  const isAbove = lanes.equal(x, lanes.abs(x));
  return { below: lanes.select(isAbove, lanes.sub(one, beyond), beyond), bell };
}

/** At inference: out = x * below(x). Arrays: x, out. */
export const geluForward: MapShape = /* @__PURE__ */ mapShape({
  name: "gelu",
  arrays: ["read", "write"],
  loop([x, out]) {
    for (let i = 0; i < x.length; i++) out[i] = x[i] * below(x[i]);
  },
  only: "float32",
  lanes: (lanes, [x]) => [lanes.mul(x, writeNormal(lanes, x).below)],
});

/** In training: the derivative too, below(x) + x * density(x), which costs little here. Arrays: x, out, slope. */
export const geluWithSlope: MapShape = /* @__PURE__ */ mapShape({
  name: "gelu-with-slope",
  arrays: ["read", "write", "write"],
  loop([x, out, slope]) {
    for (let i = 0; i < x.length; i++) {
      const value = x[i], probability = below(value);
      out[i] = value * probability;
      slope[i] = probability + value * (exp(-0.5 * value * value) * DENSITY);
    }
  },
  only: "float32",
  lanes(lanes, [x]) {
    const { below, bell } = writeNormal(lanes, x);
    const density = lanes.mul(bell, lanes.constant(DENSITY));
    return [lanes.mul(x, below), lanes.add(below, lanes.mul(x, density))];
  },
});
