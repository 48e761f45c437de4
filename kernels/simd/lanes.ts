/**
 * Arithmetic on several numbers at once, written as expressions: the values are locals, and every step
 * makes a new one. In float64, whatever is stored, the steps round as a loop in JavaScript does.
 *
 * @module
 */

import type { Func, Local } from "./assembler.ts";
import type { PlainOp } from "./opcodes.ts";
import { type DType, zerosOf } from "../tensor.ts";
import { pushMask, type Vector } from "./vector.ts";

/** Some numbers: vectors, in locals. */
export type Value = readonly Local[];

/** Locals that hold constants. */
export type Constants = Map<number | "-0", Local>;

/** Where an array lies: from a pointer on, so many bytes further, in a memory. Default: the kernels'. */
export interface Place {
  readonly pointer: Local;
  readonly start: number;
  readonly memory?: number;
}

/** Writes steps on some numbers at once, from and to arrays of a dtype. */
export class Lanes {
  readonly #f: Func;
  /** What arrays hold, and what the steps compute with. */
  readonly #stored: Vector;
  readonly #vector: Vector;
  readonly #count: number;
  readonly #constants: Constants;
  readonly #fused: boolean;
  /** What the steps compute with. */
  readonly dtype: DType;
  /** How many values: as many as some vectors have lanes, or one. */
  readonly numbers: number;

  /**
   * @param f The function to write into.
   * @param stored What arrays hold.
   * @param vector What the steps compute with: the same, or float64.
   * @param numbers How many values. One leaves the other lanes empty.
   * @param constants Locals that hold constants already: before a loop is the place to set them.
   * @param fused Whether the host's fused multiply-add may be used. Default: no.
   */
  constructor(
    f: Func,
    stored: Vector,
    vector: Vector,
    numbers: number,
    constants: Constants = new Map(),
    fused = false,
  ) {
    this.#f = f;
    this.#stored = stored;
    this.#vector = vector;
    this.#count = Math.ceil(numbers / vector.lanes);
    this.#constants = constants;
    this.#fused = fused;
    this.dtype = vector.dtype;
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

  #unary(op: PlainOp, a: Value): Value {
    return this.#each((i) => this.#f.get(a[i]).op(op));
  }

  #binary(op: PlainOp, a: Value, b: Value): Value {
    return this.#each((i) => this.#f.get(a[i]).get(b[i]).op(op));
  }

  /** One number in every lane. */
  constant(value: number): Value {
    // A map takes 0 for -0.
    const key = Object.is(value, -0) ? "-0" : value;
    let local = this.#constants.get(key);
    if (local === undefined) {
      local = this.#f.local("v128");
      const { dtype, lanes } = this.#vector;
      this.#f.vector(new Uint8Array(zerosOf(dtype, lanes).fill(value).buffer)).set(local);
      this.#constants.set(key, local);
    }
    return this.same([local]);
  }

  /** The float64 at an offset from an address in a local, in every lane of one vector. */
  splat(address: Local, offset: number): Value {
    const local = this.#f.local("v128");
    this.#f.get(address).at("v128.load64_splat", offset).set(local);
    return [local];
  }

  /** A float64 in both lanes of a vector as float32 in all four, and what that leaves of it, in float64. */
  rounded([local]: Value): readonly [rounded: Value, left: Value] {
    const f = this.#f, [rounded, left] = f.locals("v128", 2);
    f.get(local).op("f32x4.demote_f64x2_zero").tee(rounded);
    f.get(rounded).shuffle([0, 0, 0, 0]).set(rounded);
    f.get(local).get(rounded).op("f64x2.promote_low_f32x4").op("f64x2.sub").set(left);
    return [this.same([rounded]), [left]];
  }

  /** What is the same in every lane, for these vectors. */
  same([local]: Value): Value {
    return Array<Local>(this.#count).fill(local);
  }

  /** Neighbors from an address in a local, plus an offset, in a memory. Empty lanes are 0. */
  load(address: Local, offset = 0, from = 0): Value {
    const { bytes, loadLane } = this.#stored, { lanes } = this.#vector, f = this.#f;
    const isWider = this.#vector.bytes > bytes;
    return this.#each((i) => {
      f.get(address);
      const at = offset + i * lanes * bytes;
      if (this.numbers === 1) f.vector(new Uint8Array(16)).laneAt(loadLane, 0, at, from);
      else f.at(isWider ? "v128.load64_splat" : "v128.load", at, from);
      if (isWider) f.op("f64x2.promote_low_f32x4");
    });
  }

  /** Stores neighbors from an address in a local, plus an offset, in a memory. */
  store(address: Local, value: Value, offset = 0, to = 0): void {
    const { bytes, storeLane } = this.#stored, { lanes } = this.#vector, f = this.#f;
    const isWider = this.#vector.bytes > bytes;
    for (const [i, local] of value.entries()) {
      f.get(address).get(local);
      if (isWider) f.op("f32x4.demote_f64x2_zero");
      const at = offset + i * lanes * bytes;
      if (this.numbers === 1) f.laneAt(storeLane, 0, at, to);
      else if (isWider) f.laneAt("v128.store64_lane", 0, at, to);
      else f.at("v128.store", at, to);
    }
  }

  add(a: Value, b: Value): Value {
    return this.#binary(this.#vector.add, a, b);
  }

  sub(a: Value, b: Value): Value {
    return this.#binary(this.#vector.sub, a, b);
  }

  mul(a: Value, b: Value): Value {
    return this.#binary(this.#vector.mul, a, b);
  }

  /** a * b + c, rounded once or twice. */
  madd(a: Value, b: Value, c: Value): Value {
    const f = this.#f, { relaxedMadd, mul, add } = this.#vector;
    return this.#each((i) => {
      f.get(a[i]).get(b[i]);
      if (this.#fused) f.get(c[i]).op(relaxedMadd);
      else f.op(mul).get(c[i]).op(add);
    });
  }

  div(a: Value, b: Value): Value {
    return this.#binary(this.#vector.div, a, b);
  }

  sqrt(a: Value): Value {
    return this.#unary(this.#vector.sqrt, a);
  }

  /** b where a is below it, else a: NaN stays NaN in a. */
  pmax(a: Value, b: Value): Value {
    return this.#binary(this.#vector.pmax, a, b);
  }

  /** The absolute values. */
  abs(a: Value): Value {
    return this.#binary("v128.andnot", a, this.constant(-0));
  }

  /** The absolute values, negated. */
  negativeAbs(a: Value): Value {
    return this.#binary("v128.or", a, this.constant(-0));
  }

  /** A mask: every bit where two numbers are equal. */
  equal(a: Value, b: Value): Value {
    return this.#binary(this.#vector.eq, a, b);
  }

  /** A mask: every bit where a is above b. */
  above(a: Value, b: Value): Value {
    return this.#binary(this.#vector.gt, a, b);
  }

  /** The values where a mask says so, else 0. */
  where(mask: Value, a: Value): Value {
    return this.#binary("v128.and", mask, a);
  }

  /** The bits of a, those that b has turned over. */
  flip(a: Value, b: Value): Value {
    return this.#binary("v128.xor", a, b);
  }

  /** The values that there are, and 0 in an empty lane. */
  filled(a: Value): Value {
    if (this.numbers > 1) return a;
    return this.#each((i) => {
      this.#f.get(a[i]);
      pushMask(this.#f, this.#vector, 0, 1);
      this.#f.op("v128.and");
    });
  }

  /** Adds values to those of a vector, one vector after the other. */
  addTo(sum: Local, a: Value): void {
    for (const local of a) this.#f.get(sum).get(local).op(this.#vector.add).set(sum);
  }

  /** Stores the sum of a vector of float64 at an address. */
  storeTotal(address: number, sum: Local): void {
    const f = this.#f, total = f.local("v128");
    f.get(sum).get(sum).get(sum).shuffle([1, 0]).op("f64x2.add").set(total);
    f.const(address).get(total).laneAt("v128.store64_lane", 0, 0);
  }

  /** float64 times 2 to a power, which the lowest bits of another hold. The result must be normal. */
  scale(a: Value, powers: Value): Value {
    const f = this.#f;
    return this.#each((i) => {
      f.get(a[i]).get(powers[i]).const(52).op("i64x2.shl").op("i64x2.add");
    });
  }
}
