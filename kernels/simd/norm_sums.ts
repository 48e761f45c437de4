/**
 * Sums over planes of float32 that are fast: a lane adds a few terms in float32, in several chains, before
 * their sum goes to a total in float64. A term is a difference from a value near the mean, so that
 * rounding costs little beside the spread of the values, whatever their mean.
 *
 * @module
 */

import type { Func, Local } from "./assembler.ts";
import { Lanes, type Place } from "./lanes.ts";
import { multiplyAdd, pushMask, pushZero, vectors } from "./vector.ts";

/** Sums that do not wait for each other, for each total. */
const CHAINS = 4;
/** Vectors that are written out, and how many times as many a chain adds to before its total. */
const UNROLL = 16, ROUNDS = 4;

const vector = vectors.float32, { bytes, lanes } = vector;

/** Two totals of a plane of P values: what terms are made of, and how they become the results. */
export interface FastSums {
  /** Sets up what the terms of a plane need. */
  readonly begin: () => void;
  /** Sets the two factors of a vector's terms. The first total is of the second of them alone. */
  readonly factors: (offset: number, first: Local, second: Local) => void;
  /** Turns the totals, in both lanes of two locals, into the results. */
  readonly end: (first: Local, second: Local) => void;
}

/** Writes the parts of two sums, of arrays and of values of the plane. */
export type WriteSums = (
  f: Func,
  P: number,
  arrays: readonly Place[],
  tables: readonly Place[],
) => FastSums;

/** Pushes a vector of an array. */
function push(f: Func, { pointer, start, memory }: Place, offset: number): Func {
  return f.get(pointer).at("v128.load", start + offset, memory);
}

/** The sums of x and of its squares. Terms are differences from the value in the middle of the plane. */
export const moments: WriteSums = (f, P, [x]) => {
  const [near, wide, sum] = f.locals("v128", 3);
  return {
    begin() {
      f.get(x.pointer).at(vector.loadSplat, x.start + (P >> 1) * bytes, x.memory).tee(near);
      f.op("f64x2.promote_low_f32x4").set(wide);
    },
    factors(offset, first, second) {
      push(f, x, offset).get(near).op(vector.sub).tee(first).set(second);
    },
    end(first, second) {
      const count = new Uint8Array(new Float64Array([P, P]).buffer);
      // The sum of d + c is s + P c, that of its squares q + c (2 s + P c).
      f.get(first).get(wide).vector(count).op("f64x2.mul").op("f64x2.add").set(sum);
      f.get(second).get(wide).get(first).get(sum).op("f64x2.add").op("f64x2.mul");
      f.op("f64x2.add").set(second).get(sum).set(first);
    },
  };
};

/** The sums of dout and of (x - mean) * dout. */
export const products: WriteSums = (f, _, [x, dout], [mean]) => {
  const all = new Lanes(f, vector, vector, lanes), [near, left] = f.locals("v128", 2);
  return {
    begin() {
      const [[rounded], [rest]] = all.rounded(all.splat(mean.pointer, mean.start));
      f.get(rounded).set(near).get(rest).set(left);
    },
    factors(offset, first, second) {
      push(f, x, offset).get(near).op(vector.sub).set(first);
      push(f, dout, offset).set(second);
    },
    end(first, second) {
      f.get(second).get(left).get(first).op("f64x2.mul").op("f64x2.sub").set(second);
    },
  };
};

/** Writes both sums of a plane, after which the arrays' pointers are; returns locals with them in both lanes. */
export function writePlaneSums(
  f: Func,
  { begin, factors, end }: FastSums,
  P: number,
  fused: boolean,
  pointers: Iterable<Local>,
): readonly [Local, Local] {
  const chains = [f.locals("v128", CHAINS), f.locals("v128", CHAINS)];
  const [sum, more, first, second, spare] = f.locals("v128", 5), totals = [sum, more];
  const [outer, inner] = f.locals("i32", 2);
  const zero = (locals: readonly Local[]) => {
    for (const local of locals) {
      pushZero(f);
      f.set(local);
    }
  };
  const advance = (bytes: number) => {
    for (const pointer of pointers) f.advance(pointer, bytes);
  };

  /** Adds a vector's terms, of which the first so many count. */
  function step(offset: number, chain: number, valid: number): void {
    factors(offset, first, second);
    for (const factor of valid < lanes ? [first, second] : []) {
      f.get(factor);
      pushMask(f, vector, 0, valid);
      f.op("v128.and").set(factor);
    }
    f.get(chains[0][chain]).get(second).op(vector.add).set(chains[0][chain]);
    multiplyAdd(f, vector, fused, chains[1][chain], () => f.get(first), () => f.get(second));
  }

  function steps(count: number): void {
    for (let i = 0; i < count; i++) step(i * 16, i % CHAINS, lanes);
    advance(count * 16);
  }

  /** Adds up the chains, and adds that to the totals. */
  function flush(): void {
    for (const [i, [a, b, c, d]] of chains.entries()) {
      f.get(a).get(b).op(vector.add).get(c).get(d).op(vector.add).op(vector.add).set(spare);
      f.get(totals[i]).get(spare).op("f64x2.promote_low_f32x4").op("f64x2.add");
      f.get(spare).get(spare).shuffle([1, 0]).op("f64x2.promote_low_f32x4").op("f64x2.add");
      f.set(totals[i]);
    }
  }

  const run = UNROLL * ROUNDS, whole = Math.floor(P / lanes), runs = Math.floor(whole / run);
  const rest = whole - runs * run;
  begin();
  zero(totals);
  f.repeat(outer, runs, () => {
    zero(chains.flat());
    f.repeat(inner, ROUNDS, () => steps(UNROLL));
    flush();
  });
  if (P > runs * run * lanes) {
    zero(chains.flat());
    f.repeat(inner, Math.floor(rest / UNROLL), () => steps(UNROLL));
    steps(rest % UNROLL);
    if (P % lanes > 0) step(0, 0, P % lanes);
    advance((P % lanes) * bytes);
    flush();
  }
  for (const total of totals) {
    f.get(total).get(total).get(total).shuffle([1, 0]).op("f64x2.add").set(total);
  }
  end(sum, more);
  return [sum, more];
}

/** Writes both sums over planes, whose number is the parameter: of arrays, with tables, to results. */
export function writeFastSums(
  f: Func,
  write: WriteSums,
  P: number,
  fused: boolean,
  [arrays, tables, results]: readonly (readonly Place[])[],
): void {
  const sums = write(f, P, arrays, tables), [{ pointer: x }] = arrays;
  const [{ pointer: entry }] = results;
  f.countDown(0, 0, () => {
    const totals = writePlaneSums(f, sums, P, fused, [x]);
    for (const [i, { start }] of results.entries()) {
      f.get(entry).get(totals[i]).laneAt("v128.store64_lane", 0, start);
    }
    f.advance(entry, 8);
  });
}
