/**
 * The two kinds of vectors, so that one emitter serves both dtypes.
 *
 * @module
 */

import type { Local } from "./assembler.ts";
import type { MemoryLaneOp, MemoryOp, PlainOp } from "./opcodes.ts";
import type { Func } from "./assembler.ts";
import type { DType } from "../tensor.ts";

/** A vector of 16 bytes and the names of its instructions. */
export interface Vector {
  readonly dtype: DType;
  /** Bytes of one number. */
  readonly bytes: 4 | 8;
  /** Numbers in a vector. */
  readonly lanes: 4 | 2;
  /** Whether the engine runs two neighboring vectors as one: see features.ts. */
  readonly pairs: boolean;
  /**
   * Terms that a lane adds up in a row before that sum is added to another: with more, rounding would
   * cost digits.
   */
  readonly mostTerms: number;
  readonly add: PlainOp;
  readonly sub: PlainOp;
  readonly mul: PlainOp;
  readonly div: PlainOp;
  /** a * b + c, rounded once or twice as the host likes. */
  readonly relaxedMadd: PlainOp;
  readonly max: PlainOp;
  readonly pmax: PlainOp;
  readonly sqrt: PlainOp;
  readonly gt: PlainOp;
  readonly eq: PlainOp;
  readonly ne: PlainOp;
  readonly loadSplat: MemoryOp;
  readonly loadLane: MemoryLaneOp;
  readonly storeLane: MemoryLaneOp;
  /** One number, as a scalar. */
  readonly loadScalar: MemoryOp;
  readonly storeScalar: MemoryOp;
}

/** The vectors by dtype. */
export const vectors: Readonly<Record<DType, Vector>> = {
  float32: {
    dtype: "float32",
    bytes: 4,
    lanes: 4,
    pairs: false,
    mostTerms: 4096,
    add: "f32x4.add",
    sub: "f32x4.sub",
    mul: "f32x4.mul",
    div: "f32x4.div",
    relaxedMadd: "f32x4.relaxed_madd",
    max: "f32x4.max",
    pmax: "f32x4.pmax",
    sqrt: "f32x4.sqrt",
    gt: "f32x4.gt",
    eq: "f32x4.eq",
    ne: "f32x4.ne",
    loadSplat: "v128.load32_splat",
    loadLane: "v128.load32_lane",
    storeLane: "v128.store32_lane",
    loadScalar: "f32.load",
    storeScalar: "f32.store",
  },
  float64: {
    dtype: "float64",
    bytes: 8,
    lanes: 2,
    pairs: false,
    mostTerms: Infinity,
    add: "f64x2.add",
    sub: "f64x2.sub",
    mul: "f64x2.mul",
    div: "f64x2.div",
    relaxedMadd: "f64x2.relaxed_madd",
    max: "f64x2.max",
    pmax: "f64x2.pmax",
    sqrt: "f64x2.sqrt",
    gt: "f64x2.gt",
    eq: "f64x2.eq",
    ne: "f64x2.ne",
    loadSplat: "v128.load64_splat",
    loadLane: "v128.load64_lane",
    storeLane: "v128.store64_lane",
    loadScalar: "f64.load",
    storeScalar: "f64.store",
  },
};

/** Numbers that run as one: those of a pair, unless there are fewer. */
export function lanesTogether({ lanes, pairs }: Vector, numbers: number = Infinity): number {
  return pairs && numbers >= 2 * lanes ? 2 * lanes : lanes;
}

/** The vectors of a dtype, in pairs or one by one. */
export function vectorsIn(dtype: DType, pairs: boolean): Vector {
  return pairs ? { ...vectors[dtype], pairs } : vectors[dtype];
}

/**
 * Writes sum += a * b for vectors.
 *
 * @param f The function to write into.
 * @param vector The kind of vector.
 * @param fused Whether the host's fused multiply-add may be used.
 * @param sum The local that is added to.
 * @param a Pushes the first factor.
 * @param b Pushes the second factor.
 */
export function multiplyAdd(
  f: Func,
  vector: Vector,
  fused: boolean,
  sum: Local,
  a: () => void,
  b: () => void,
): void {
  if (!fused) f.get(sum);
  a();
  b();
  if (fused) f.get(sum).op(vector.relaxedMadd);
  else f.op(vector.mul).op(vector.add);
  f.set(sum);
}

/** Pushes one number, repeated in every lane, from a vector that holds it in one lane. */
export function splatLane(f: Func, vector: Vector, from: Local, lane: number): void {
  f.get(from).get(from).shuffle(Array(vector.lanes).fill(lane));
}

/**
 * Pushes number `index` of those from an address on, repeated in every lane; `packed` holds the vector that it
 * is in, which numbers in order share.
 *
 * @param f The function to write into.
 * @param vector The kind of vector.
 * @param fused Whether the host's fused multiply-add may be used.
 * @param from Points at number 0.
 * @param index Which one: all are asked for in order.
 * @param packed A vector's local.
 * @param memory The number of the memory. Default: 0.
 */
export function pushRepeated(
  f: Func,
  vector: Vector,
  fused: boolean,
  from: Local,
  index: number,
  packed: Local,
  memory = 0,
): void {
  const { bytes, lanes, pairs, loadSplat } = vector;
  // Multiply and add apart are twice the arithmetic: there a load each is cheaper. Pairs are made of such
  // loads alone.
  if (!fused || pairs) f.get(from).at(loadSplat, index * bytes, memory);
  else {
    // One load serves as many numbers as it has lanes.
    if (index % lanes === 0) f.get(from).at("v128.load", index * bytes, memory).set(packed);
    splatLane(f, vector, packed, index % lanes);
  }
}

/** The lanes that merge two vectors: the lower half of each by turns, then the upper. */
export function lowerAndUpper(lanes: number): [number[], number[]] {
  const lower = Array.from({ length: lanes }, (_, i) => (i >> 1) + (i & 1) * lanes);
  return [lower, lower.map((lane) => lane + lanes / 2)];
}

/** Writes more += sum; then sum = 0. */
export function takeOver(f: Func, vector: Vector, sum: Local, more: Local): void {
  f.get(more).get(sum).op(vector.add).set(more);
  pushZero(f);
  f.set(sum);
}

/** Writes for each sum: vector number i from an address on += sum; then sum = 0. */
export function takeOut(f: Func, vector: Vector, sums: readonly Local[], to: Local): void {
  for (const [i, sum] of sums.entries()) {
    f.get(to).get(to).at("v128.load", i * 16).get(sum).op(vector.add).at("v128.store", i * 16);
    pushZero(f);
    f.set(sum);
  }
}

/**
 * Adds the two vectors of each pair of sums. They go through the memory, as engines make pairs of what is
 * stored side by side.
 *
 * @returns The local of each pair's sum, the first of its two.
 */
export function addPairs(
  f: Func,
  vector: Vector,
  sums: readonly Local[],
  through: number,
): Local[] {
  for (const [i, sum] of sums.entries()) f.const(through).get(sum).at("v128.store", i * 16);
  const firsts = sums.filter((_, i) => i % 2 === 0);
  for (const [i, first] of firsts.entries()) {
    f.const(through).at("v128.load", i * 32).const(through).at("v128.load", i * 32 + 16);
    f.op(vector.add).set(first);
  }
  return firsts;
}

const zeros = new Uint8Array(16);

/** Pushes a vector of zeros. */
export function pushZero(f: Func): void {
  f.vector(zeros);
}

/** Pushes a vector with every bit set in the lanes [from, to), none in the others. */
export function pushMask(f: Func, vector: Vector, from: number, to: number): void {
  const mask = new Uint8Array(16).fill(0xff, from * vector.bytes, to * vector.bytes);
  f.vector(mask);
}

/** notFinite += 0 * value: it stays zero as long as every value is finite. */
export function noteFinite(f: Func, vector: Vector, value: Local, notFinite: Local): void {
  f.get(notFinite).get(value);
  pushZero(f);
  f.op(vector.mul).op(vector.add).set(notFinite);
}

/** Pushes an address: a number, plus a local if there is one. */
export function pushSum(f: Func, start: number, local?: Local | false): Func {
  f.const(start);
  return local === undefined || local === false ? f : f.get(local).op("i32.add");
}
