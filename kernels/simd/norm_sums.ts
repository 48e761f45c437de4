/**
 * Sums over planes of float32 that are fast: a lane adds a few terms in float32, in several chains, before
 * their sum goes to a total in float64. A term is a difference from a value near the mean, so that
 * rounding costs little beside the spread of the values, whatever their mean.
 *
 * @module
 */

import type { Func, Local } from "./assembler.ts";
import { Lanes } from "./lanes.ts";
import { multiplyAdd, pushMask, pushZero, vectors } from "./vector.ts";

/** Sums that do not wait for each other, for each total. */
const CHAINS = 4;
/** Vectors that are written out, and how many times as many a chain adds to before its total. */
const UNROLL = 16, ROUNDS = 4;

const vector = vectors.float32, { bytes, lanes } = vector;

/** Where the planes lie, and the tables of one float64 per plane. */
export interface SumPlaces {
  readonly arrays: readonly number[];
  readonly tables: readonly number[];
  readonly sums: readonly number[];
}

/** Two totals of a plane of P values: what terms are made of, and how they become the results. */
export interface FastSums {
  /** Sets up what the terms of a plane need, from pointers to its first value and to the tables. */
  readonly begin: (x: Local, entry: Local) => void;
  /** Pushes the two factors of a vector's terms: the first total is of the second of them alone. */
  readonly factors: (x: Local, offset: number, first: Local, second: Local) => void;
  /** Turns the totals, in both lanes of two locals, into the results. */
  readonly end: (first: Local, second: Local) => void;
}

/** The sums of x and of its squares. Terms are differences from the value in the middle of the plane. */
export function moments(f: Func, P: number, { arrays: [x] }: SumPlaces): FastSums {
  const [near, wide, sum] = f.locals("v128", 3);
  return {
    begin(at) {
      f.get(at).at(vector.loadSplat, x + (P >> 1) * bytes).tee(near);
      f.op("f64x2.promote_low_f32x4").set(wide);
    },
    factors(at, offset, first, second) {
      f.get(at).at("v128.load", x + offset).get(near).op(vector.sub).tee(first).set(second);
    },
    end(first, second) {
      const count = new Uint8Array(new Float64Array([P, P]).buffer);
      // The sum of d + c is s + P c, that of its squares q + c (2 s + P c).
      f.get(first).get(wide).vector(count).op("f64x2.mul").op("f64x2.add").set(sum);
      f.get(second).get(wide).get(first).get(sum).op("f64x2.add").op("f64x2.mul");
      f.op("f64x2.add").set(second).get(sum).set(first);
    },
  };
}

/** The sums of dout and of (x - mean) * dout. */
export function products(
  f: Func,
  _: number,
  { arrays: [x, dout], tables: [mean] }: SumPlaces,
): FastSums {
  const all = new Lanes(f, vector, vector, lanes), [near, left] = f.locals("v128", 2);
  return {
    begin(_, entry) {
      const [[rounded], [rest]] = all.rounded(all.splat(entry, mean));
      f.get(rounded).set(near).get(rest).set(left);
    },
    factors(at, offset, first, second) {
      f.get(at).at("v128.load", x + offset).get(near).op(vector.sub).set(first);
      f.get(at).at("v128.load", dout + offset).set(second);
    },
    end(first, second) {
      f.get(second).get(left).get(first).op("f64x2.mul").op("f64x2.sub").set(second);
    },
  };
}

/** Writes both sums over planes, whose number is the parameter. */
export function writeFastSums(
  f: Func,
  sums: (f: Func, P: number, places: SumPlaces) => FastSums,
  P: number,
  fused: boolean,
  places: SumPlaces,
): void {
  const [x, entry, outer, inner] = f.locals("i32", 4);
  const chains = [f.locals("v128", CHAINS), f.locals("v128", CHAINS)];
  const totals = f.locals("v128", 2), [first, second, spare] = f.locals("v128", 3);
  const { begin, factors, end } = sums(f, P, places);

  function zero(): void {
    for (const local of chains.flat()) {
      pushZero(f);
      f.set(local);
    }
  }

  /** Adds a vector's terms, of which the first so many count. */
  function step(offset: number, chain: number, valid: number): void {
    factors(x, offset, first, second);
    if (valid < lanes) {
      for (const factor of [first, second]) {
        f.get(factor);
        pushMask(f, vector, 0, valid);
        f.op("v128.and").set(factor);
      }
    }
    f.get(chains[0][chain]).get(second).op(vector.add).set(chains[0][chain]);
    multiplyAdd(f, vector, fused, chains[1][chain], () => f.get(first), () => f.get(second));
  }

  function steps(count: number): void {
    for (let i = 0; i < count; i++) step(i * 16, i % CHAINS, lanes);
    f.advance(x, count * 16);
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
  const rest = whole - runs * run, rounds = Math.floor(rest / UNROLL);
  f.const(0).set(x).const(0).set(entry);
  f.countDown(0, 0, () => {
    begin(x, entry);
    for (const total of totals) {
      pushZero(f);
      f.set(total);
    }
    f.repeat(outer, runs, () => {
      zero();
      f.repeat(inner, ROUNDS, () => steps(UNROLL));
      flush();
    });
    if (P > runs * run * lanes) {
      zero();
      f.repeat(inner, rounds, () => steps(UNROLL));
      steps(rest % UNROLL);
      if (P % lanes > 0) step(0, 0, P % lanes);
      f.advance(x, (P % lanes) * bytes);
      flush();
    }
    for (const total of totals) {
      f.get(total).get(total).get(total).shuffle([1, 0]).op("f64x2.add").set(total);
    }
    end(totals[0], totals[1]);
    for (const [i, total] of totals.entries()) {
      f.get(entry).get(total).laneAt("v128.store64_lane", 0, places.sums[i]);
    }
    f.advance(entry, 8);
  });
}
