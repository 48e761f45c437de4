/**
 * The Gaussian error linear unit: x times the probability that a normal value is below x.
 *
 * In float32 the probability beyond |x| is exp(-x^2 / 2) times a rational function of |x|, fitted by least
 * squares with weights that even out the relative error. That of the product is below 2e-10, a hundredth of half a
 * unit in the last place of a float32.
 *
 * @module
 */

import { erfc, exp } from "../elementary.ts";
import { type MapShape, mapShape } from "../map.ts";
import type { Lanes, Value } from "../simd/lanes.ts";

/** The probability that a normal value is below x. */
const below = (x: number) => 0.5 * erfc(-x * Math.SQRT1_2);

/** 1 / sqrt(2 pi): how dense normal values are at 0. */
const DENSITY = 0.3989422804014327;

/** Beyond it, in float64, both the probability and the density are 0: infinities have these limits too. */
const FARTHEST = 40;

/** The same in float32, times the value. */
const FAR = -15;

/** Numerator and denominator of exp(x^2 / 2) times the probability beyond |x|, from the constant one. */
const ABOVE = [
  222.3578389288149,
  226.08441717028086,
  111.76752211869182,
  31.853953837739937,
  5.210016565219763,
  0.39894182053081445,
];
const BELOW = [
  444.71567789701015,
  807.0006039049904,
  645.0705857300087,
  293.1763764113371,
  80.84840193532413,
  13.059496232868872,
  1,
];

/** 2^r for |r| <= 1 / 2, interpolated at Chebyshev's points. */
const POWER = [
  0.9999999999595618,
  0.6931471805568324,
  0.24022651213498092,
  0.055504109063258665,
  0.009618025613318034,
  0.0013333478473685416,
  0.00015469729214118296,
  1.5303700711365693e-5,
];

/** 1.5 * 2^52: what is added to it is rounded to a whole number, which its lowest bits then hold. */
const WHOLE = 6755399441055744;

/** Writes a polynomial, its coefficients from the constant one. */
function polynomial(lanes: Lanes, coefficients: readonly number[], x: Value): Value {
  return coefficients.map((c) => lanes.constant(c))
    .reduceRight((sum, c) => lanes.add(lanes.mul(sum, x), c));
}

/** Writes the steps to -|x|, near 0, and for that value to the probability below it and to exp(-x^2 / 2). */
function writeTail(lanes: Lanes, x: Value): Record<"near" | "beyond" | "bell", Value> {
  const near = lanes.pmax(lanes.negativeAbs(x), lanes.constant(FAR));
  const exponent = lanes.mul(lanes.mul(near, near), lanes.constant(-0.5 * Math.LOG2E));
  const whole = lanes.constant(WHOLE), shifted = lanes.add(exponent, whole);
  const rest = lanes.sub(exponent, lanes.sub(shifted, whole));
  const bell = lanes.scale(polynomial(lanes, POWER, rest), shifted);
  const [above, below] = [ABOVE, BELOW].map((coefficients) =>
    polynomial(lanes, coefficients.map((c, i) => i % 2 === 0 ? c : -c), near)
  );
  return { near, beyond: lanes.mul(bell, lanes.div(above, below)), bell };
}

/** Writes x times the probability: that of -|x| away from the larger of x and 0. */
function writeGelu(lanes: Lanes, x: Value, near: Value, beyond: Value): Value {
  return lanes.add(lanes.pmax(x, lanes.constant(0)), lanes.mul(near, beyond));
}

/** At inference: out = x * below(x). Arrays: x, out. */
export const geluForward: MapShape = /* @__PURE__ */ mapShape({
  name: "gelu",
  arrays: ["read", "write"],
  loop([x, out]) {
    for (let i = 0; i < x.length; i++) {
      const value = Math.max(x[i], -FARTHEST);
      out[i] = value * below(value);
    }
  },
  only: "float32",
  lanes(lanes, [x]) {
    const { near, beyond } = writeTail(lanes, x);
    return [writeGelu(lanes, x, near, beyond)];
  },
});

/** In training: the derivative too, below(x) + x * density(x), which costs little here. Arrays: x, out, slope. */
export const geluWithSlope: MapShape = /* @__PURE__ */ mapShape({
  name: "gelu-with-slope",
  arrays: ["read", "write", "write"],
  loop([x, out, slope]) {
    for (let i = 0; i < x.length; i++) {
      const value = Math.max(x[i], -FARTHEST), probability = below(value);
      const close = Math.min(value, FARTHEST);
      out[i] = value * probability;
      slope[i] = probability + close * (exp(-0.5 * close * close) * DENSITY);
    }
  },
  only: "float32",
  lanes(lanes, [x]) {
    const { near, beyond, bell } = writeTail(lanes, x);
    const density = lanes.mul(bell, lanes.constant(DENSITY));
    // The slopes at -|x| and |x| make 1.
    const slope = lanes.add(beyond, lanes.mul(near, density));
    const isPositive = lanes.equal(x, lanes.abs(x));
    const other = lanes.flip(slope, lanes.where(isPositive, lanes.constant(-0)));
    const one = lanes.where(isPositive, lanes.constant(1));
    return [writeGelu(lanes, x, near, beyond), lanes.add(one, other)];
  },
});
