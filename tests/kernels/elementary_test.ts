import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import { erf, erfc, exp, power, sin, tanh } from "../../kernels/elementary.ts";
import { log } from "../../kernels/log.ts";
import { RandomState } from "../../mod.ts";

/** Exact arithmetic: whole multiples of 2^-1200. */
const BITS = 1200n, ONE = 1n << BITS;

/** A number as a whole multiple, exact if its last bit is not below 2^-1200. */
function fixed(x: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, x);
  const word = view.getBigUint64(0);
  const exponent = (word >> 52n) & 2047n, fraction = word & ((1n << 52n) - 1n);
  const whole = exponent === 0n ? fraction : fraction | (1n << 52n);
  const shift = BITS - 1074n + (exponent === 0n ? 0n : exponent - 1n);
  return (x < 0 ? -1n : 1n) * (whole << shift);
}

/** By how many units of its last place a number differs from a whole multiple. */
function units(actual: number, exact: bigint): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, Math.abs(actual));
  view.setBigUint64(0, view.getBigUint64(0) + 1n);
  const unit = fixed(view.getFloat64(0)) - fixed(Math.abs(actual));
  return Math.abs(Number(((fixed(actual) - exact) << 20n) / unit)) / 2 ** 20;
}

function exactExp(x: number): bigint {
  // exp(x) = exp(x / 2^16) ^ (2^16)
  const part = fixed(x) >> 16n;
  let sum = ONE, term = ONE;
  for (let i = 1n; term !== 0n && term !== -1n; i++) {
    term = ((term * part) >> BITS) / i;
    sum += term;
  }
  for (let i = 0; i < 16; i++) sum = (sum * sum) >> BITS;
  return sum;
}

function exactSin(x: number): bigint {
  const square = (fixed(x) * fixed(x)) >> BITS;
  let sum = fixed(x), term = sum;
  for (let i = 2n; term !== 0n && term !== -1n; i += 2n) {
    term = -((term * square) >> BITS) / (i * (i + 1n));
    sum += term;
  }
  return sum;
}

function exactPower(base: number, exponent: number): bigint {
  let result = ONE;
  for (let i = 0; i < exponent; i++) result = (result * fixed(base)) >> BITS;
  return result;
}

function exactTanh(x: number): bigint {
  const square = exactExp(2 * x);
  return ((square - ONE) << BITS) / (square + ONE);
}

/** The square root of a whole multiple, by Newton. */
function root(square: bigint): bigint {
  let result = ONE << 1n;
  for (let i = 0; i < 20; i++) result = (result + (square << BITS) / result) >> 1n;
  return result;
}

/** arctan(1 / n) */
function arctan(n: bigint): bigint {
  let term = ONE / n, sum = term;
  for (let i = 3n; term !== 0n && term !== -1n; i += 2n) {
    term = -term / (n * n);
    sum += term / i;
  }
  return sum;
}

const PI = 4n * (4n * arctan(5n) - arctan(239n));

function exactErf(x: number): bigint {
  const square = (fixed(x) * fixed(x)) >> BITS;
  let sum = fixed(x), term = sum;
  for (let i = 1n; term !== 0n && term !== -1n; i++) {
    term = -((term * square) >> BITS) / i;
    sum += term / (2n * i + 1n);
  }
  return (2n * sum << BITS) / root(PI);
}

/** Numbers between two bounds, the bounds themselves included. */
function between(low: number, high: number, count: number): number[] {
  const random = new RandomState(231);
  return [low, high, ...random.rand([count]).data.map((part) => low + part * (high - low))];
}

describe("exp()", () => {
  it("is wrong by less than a unit of the last place", () => {
    for (const [low, high] of [[-1e-9, 1e-9], [-0.4, 0.4], [-2, 2], [-50, 0], [-745, 709.7]]) {
      for (const x of between(low, high, 200)) {
        const off = units(exp(x), exactExp(x));
        assert(off < 1, `exp(${x}) is ${exp(x)}, ${off} units off`);
      }
    }
  });

  it("ends in 0 and infinity, and keeps NaN", () => {
    assertEquals([exp(0), exp(-0)], [1, 1]);
    assertEquals([exp(-745.2), exp(-1e300), exp(-Infinity)], [0, 0, 0]);
    assertEquals([exp(709.79), exp(Infinity)], [Infinity, Infinity]);
    assertEquals(exp(NaN), NaN);
  });
});

describe("log()", () => {
  it("is wrong by less than a unit of the last place", () => {
    const ranges = [[1e-300, 1e-290], [0.01, 0.9], [0.9375, 1.0647], [1.01, 1.375], [1, 1e6]];
    for (const [low, high] of [...ranges, [1e300, 1.7e308]]) {
      for (const x of between(low, high, 200)) {
        const result = log(x);
        if (x === 1) {
          assertEquals(result, 0);
          continue;
        }
        // log(x) = result + log(x / exp(result)), of which the last is x / exp(result) - 1 almost exactly.
        const close = exactExp(result);
        const off = units(result, fixed(result) + ((fixed(x) - close) << BITS) / close);
        assert(off < 1, `log(${x}) is ${result}, ${off} units off`);
      }
    }
  });

  it("is -infinity at 0 and infinity at infinity, serves the least number, and is NaN below 0", () => {
    assertEquals([log(0), log(Infinity)], [-Infinity, Infinity]);
    assertEquals([log(-1), log(NaN), log(-Infinity)], [NaN, NaN, NaN]);
    assert(units(log(5e-324), fixed(-744.4400719213812)) <= 1);
  });
});

describe("sin()", () => {
  it("is wrong by less than a unit of the last place up to 45 degrees", () => {
    for (const [low, high] of [[-1e-9, 1e-9], [-Math.PI / 4, Math.PI / 4]]) {
      for (const x of between(low, high, 200)) {
        const off = units(sin(x), exactSin(x));
        assert(off < 1, `sin(${x}) is ${sin(x)}, ${off} units off`);
      }
    }
  });
});

describe("power()", () => {
  it("is the exact power, rounded", () => {
    for (const exponent of [0, 1, 2, 3, 10, 100, 999, 1000]) {
      for (const base of between(0.9, 1, 30)) {
        const off = units(power(base, exponent), exactPower(base, exponent));
        assert(off <= 0.5 + 1e-5, `${base}^${exponent} is ${power(base, exponent)}, ${off} off`);
      }
    }
    assertEquals([power(0, 0), power(0, 7), power(-0.5, 3), power(0.5, 1074)], [
      1,
      0,
      -0.125,
      5e-324,
    ]);
    assertEquals(power(0.9, 1e12), 0);
  });
});

describe("erf()", () => {
  it("is wrong by less than a unit of the last place, everywhere", () => {
    for (const [low, high] of [[-1e-9, 1e-9], [-0.85, 0.85], [0.8, 1.3], [-3, -1.2], [2.8, 6.1]]) {
      for (const x of between(low, high, 100)) {
        const off = units(erf(x), exactErf(x));
        assert(off < 1, `erf(${x}) is ${erf(x)}, ${off} units off`);
      }
    }
  });

  it("knows its ends, and that nothing comes of nothing", () => {
    const values = [0, -0, 30, -30, Infinity, -Infinity, NaN].map(erf);
    assertEquals(values, [0, -0, 1, -1, 1, -1, NaN]);
  });
});

describe("erfc()", () => {
  it("is wrong by less than two units of the last place where it is small", () => {
    for (const x of [...between(1.25, 6, 100), ...between(-3, 0.2, 50)]) {
      const off = units(erfc(x), ONE - exactErf(x));
      assert(off < 2, `erfc(${x}) is ${erfc(x)}, ${off} units off`);
    }
  });

  it("knows its ends", () => {
    assertEquals([0, 30, -30, Infinity, -Infinity, NaN].map(erfc), [1, 0, 2, 0, 2, NaN]);
    assert(erfc(26) > 0 && erfc(26) < 1e-295);
  });
});

describe("tanh()", () => {
  it("is wrong by less than two units of the last place, everywhere", () => {
    for (const [low, high] of [[-1e-9, 1e-9], [-0.6, 0.6], [0.3, 1.2], [-4, -0.9], [3, 23]]) {
      for (const x of between(low, high, 100)) {
        const off = units(tanh(x), exactTanh(x));
        assert(off < 2, `tanh(${x}) is ${tanh(x)}, ${off} units off`);
      }
    }
  });

  it("knows its ends, and that nothing comes of nothing", () => {
    const values = [0, -0, 30, -30, Infinity, -Infinity, NaN].map(tanh);
    assertEquals(values, [0, -0, 1, -1, 1, -1, NaN]);
  });
});
