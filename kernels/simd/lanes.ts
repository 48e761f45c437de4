/**
 * Arithmetic on several numbers at once, written as expressions: the values are locals, and every step
 * makes a new one. They are float64, whatever is stored, so that the steps round as a loop in JavaScript does.
 *
 * @module
 */

import type { Func, Local } from "./assembler.ts";
import type { PlainOp } from "./opcodes.ts";
import type { Vector } from "./vector.ts";

/** Some numbers: vectors of two float64 each. */
export type Value = readonly Local[];

/** Every bit but the sign's is 0, in two lanes. */
const SIGN = new Uint8Array(new Float64Array([-0, -0]).buffer);
/** The lower lane's bits are 1, the upper one's 0. */
const LOWER = new Uint8Array(16).fill(0xff, 0, 8);

/** Writes steps on a number of float64 vectors, from and to arrays of a dtype. */
export class Lanes {
  readonly #f: Func;
  readonly #stored: Vector;
  readonly #count: number;
  readonly #constants: Map<number, Local>;
  /** How many numbers: twice the vectors, or one. */
  readonly numbers: number;

  /**
   * @param f The function to write into.
   * @param stored What arrays hold.
   * @param numbers How many numbers: 4, 2, or 1, which leaves a lane empty.
   * @param constants Locals that hold constants already: before a loop is the place to set them.
   */
  constructor(f: Func, stored: Vector, numbers: 4 | 2 | 1, constants = new Map<number, Local>()) {
    this.#f = f;
    this.#stored = stored;
    this.#constants = constants;
    this.#count = Math.ceil(numbers / 2);
    this.numbers = numbers;
  }

  /** Sets new locals, one a vector, to what is written for each. */
  #each(write: (i: number) => void): Value {
    return Array.from({ length: this.#count }, (_, i) => {
      write(i);
      const local = this.#f.local("v128");
      this.#f.set(local);
      return local;
    });
  }

  #binary(op: PlainOp, a: Value, b: Value): Value {
    return this.#each((i) => this.#f.get(a[i]).get(b[i]).op(op));
  }

  /** One local for every vector. */
  #same(local: Local): Value {
    return Array<Local>(this.#count).fill(local);
  }

  /** One number in every lane. */
  constant(value: number): Value {
    let local = this.#constants.get(value);
    if (local === undefined) {
      local = this.#f.local("v128");
      this.#f.vector(new Uint8Array(new Float64Array([value, value]).buffer)).set(local);
      this.#constants.set(value, local);
    }
    return this.#same(local);
  }

  /** The float64 at an offset from an address in a local, in every lane. */
  splat(address: Local, offset: number): Value {
    const local = this.#f.local("v128");
    this.#f.get(address).at("v128.load64_splat", offset).set(local);
    return this.#same(local);
  }

  /** What is the same in every lane, for these vectors. */
  same([local]: Value): Value {
    return this.#same(local);
  }

  /** Neighbours from an address in a local, plus an offset. Empty lanes are 0. */
  load(address: Local, offset = 0): Value {
    const { bytes, loadLane } = this.#stored, f = this.#f;
    return this.#each((i) => {
      f.get(address);
      const at = offset + 2 * i * bytes;
      if (this.numbers === 1) f.vector(new Uint8Array(16)).laneAt(loadLane, 0, at);
      else f.at(bytes === 4 ? "v128.load64_splat" : "v128.load", at);
      if (bytes === 4) f.op("f64x2.promote_low_f32x4");
    });
  }

  /** Stores neighbours from an address in a local, plus an offset. */
  store(address: Local, value: Value, offset = 0): void {
    const { bytes, storeLane } = this.#stored, f = this.#f;
    for (const [i, local] of value.entries()) {
      f.get(address).get(local);
      if (bytes === 4) f.op("f32x4.demote_f64x2_zero");
      const at = offset + 2 * i * bytes;
      if (this.numbers === 1) f.laneAt(storeLane, 0, at);
      else if (bytes === 4) f.laneAt("v128.store64_lane", 0, at);
      else f.at("v128.store", at);
    }
  }

  add(a: Value, b: Value): Value {
    return this.#binary("f64x2.add", a, b);
  }

  sub(a: Value, b: Value): Value {
    return this.#binary("f64x2.sub", a, b);
  }

  mul(a: Value, b: Value): Value {
    return this.#binary("f64x2.mul", a, b);
  }

  div(a: Value, b: Value): Value {
    return this.#binary("f64x2.div", a, b);
  }

  /** b where a is below it, else a: NaN stays NaN in a. */
  pmax(a: Value, b: Value): Value {
    return this.#binary("f64x2.pmax", a, b);
  }

  /** The absolute values. */
  abs(a: Value): Value {
    return this.#each((i) => this.#f.get(a[i]).vector(SIGN).op("v128.andnot"));
  }

  /** The absolute values, negated. */
  negativeAbs(a: Value): Value {
    return this.#each((i) => this.#f.get(a[i]).vector(SIGN).op("v128.or"));
  }

  /** A mask: every bit where two numbers are equal. */
  equal(a: Value, b: Value): Value {
    return this.#binary("f64x2.eq", a, b);
  }

  /** The numbers where a mask says so, else 0. */
  where(mask: Value, a: Value): Value {
    return this.#binary("v128.and", mask, a);
  }

  /** The numbers of a where a mask says so, else those of b. */
  select(mask: Value, a: Value, b: Value): Value {
    const f = this.#f;
    return this.#each((i) => {
      f.get(a[i]).get(mask[i]).op("v128.and");
      f.get(b[i]).get(mask[i]).op("v128.andnot").op("v128.or");
    });
  }

  /** The numbers that there are, and 0 in an empty lane. */
  filled(a: Value): Value {
    if (this.numbers > 1) return a;
    return this.#each((i) => this.#f.get(a[i]).vector(LOWER).op("v128.and"));
  }

  /** a times 2 to a power, which the lowest bits of another number hold. The result must be normal. */
  scale(a: Value, powers: Value): Value {
    const f = this.#f;
    return this.#each((i) => {
      f.get(a[i]).get(powers[i]).const(52).op("i64x2.shl").op("i64x2.add");
    });
  }

  /** A polynomial, its coefficients from the constant one: even and odd powers apart, which is faster. */
  polynomial(coefficients: readonly Value[], x: Value): Value {
    const square = this.mul(x, x);
    const [even, odd] = [0, 1].map((first) => {
      const part = coefficients.filter((_, i) => i % 2 === first);
      return part.slice(0, -1).reduceRight(
        (sum, c) => this.add(this.mul(sum, square), c),
        part.at(-1)!,
      );
    });
    return this.add(even, this.mul(odd, x));
  }
}
