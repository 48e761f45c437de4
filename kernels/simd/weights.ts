/**
 * Weights into the memory, in the order in which the inner loops read them; and the sums of their
 * gradients, which live in the memory as vectors, out of it.
 *
 * Both lie by blocks of outputs: number k of output i of a block is number k * block + i of the block.
 * The loops over them are WebAssembly too, as engines are slow at new loops of JavaScript.
 *
 * @module
 */

import type { Func } from "./assembler.ts";
import { type Layout, scratch } from "./memory.ts";
import { pieces, type Run } from "./plan.ts";
import { noteFinite, type Vector } from "./vector.ts";
import type { DType, FloatArray } from "../shape.ts";

/**
 * Calls back for every output of some blocks.
 *
 * @param blocks How many outputs each block has.
 * @param numbers How many numbers an output has.
 * @param visit Receives the output, the place of its first number, how far its numbers are apart, and how
 * many outputs its block has before it.
 */
export function eachOutput(
  blocks: readonly Run[],
  numbers: number,
  visit: (output: number, at: number, block: number, before: number) => void,
): void {
  let output = 0, at = 0;
  for (const size of pieces(blocks)) {
    for (let i = 0; i < size; i++) visit(output++, at + i, size, i);
    at += size * numbers;
  }
}

/**
 * Writes a function that copies an output's weights; its parameters are where from and to, the bytes
 * from one to the next there, and the rows and columns of taps.
 *
 * @param f The function to write into.
 * @param vector The kind of numbers.
 * @param inputs How many inputs there are.
 * @param steps The weights from one input, row and column to the next.
 * @param check Where a vector stays zero as long as every weight is finite, if that matters.
 */
export function writePacking(
  f: Func,
  vector: Vector,
  inputs: number,
  steps: { readonly input: number; readonly row: number; readonly column: number },
  check?: number,
): void {
  const [from, to, step, rows, columns] = [0, 1, 2, 3, 4];
  const [input, row, column, rowAt, at] = f.locals("i32", 5);
  const [weight, notFinite] = f.locals("v128", 2);
  const { bytes } = vector;
  if (check !== undefined) f.const(check).at("v128.load").set(notFinite);
  f.repeat(input, inputs, () => {
    f.get(from).set(rowAt);
    f.countDown(row, rows, () => {
      f.get(rowAt).set(at);
      f.countDown(column, columns, () => {
        f.get(at).at(vector.loadSplat).set(weight);
        f.get(to).get(weight).laneAt(vector.storeLane, 0);
        if (check !== undefined) noteFinite(f, vector, weight, notFinite);
        f.advance(at, steps.column * bytes);
        f.advanceBy(to, step);
      });
      f.advance(rowAt, steps.row * bytes);
    });
    f.advance(from, steps.input * bytes);
  });
  if (check !== undefined) f.const(check).get(notFinite).at("v128.store");
}

/**
 * Terms that a float32 lane sums before its sum goes on in float64: with more, rounding would cost
 * digits.
 */
const TERMS = 4096;

/** Images of so many terms a lane, after which sums should be taken out. */
export function imagesPerSum(dtype: DType, terms: number): number {
  return dtype === "float64" ? Infinity : Math.max(1, Math.floor(TERMS / terms));
}

/** A plane of sums: so many taps for each output and input, the outputs in blocks. */
export interface SumPlane {
  readonly blocks: readonly Run[];
  readonly taps: number;
}

/** Sums in the memory, as vectors whose lanes are still to be added, and their totals in float64. */
export interface Sums {
  /** The planes, one after the other. The totals of an output and input are neighbours. */
  readonly planes: readonly SumPlane[];
  readonly outputs: number;
  readonly inputs: number;
  readonly count: number;
  readonly vectors: number;
  readonly totals: number;
}

/** Lays out sums; `sumImages` clears them. */
export function layoutSums(
  layout: Layout,
  name: string,
  outputs: number,
  inputs: number,
  planes: readonly SumPlane[],
): Sums {
  const count = outputs * inputs * planes.reduce((sum, { taps }) => sum + taps, 0);
  return {
    planes,
    outputs,
    inputs,
    count,
    vectors: layout.region(`${name}, vectors`, count * 16),
    totals: layout.region(`${name}, totals`, count * 8),
  };
}

/** Lays out the sums of dout's planes. */
export function layoutBiasSums(layout: Layout, filters: number): Sums {
  const one = { blocks: [{ size: 1, times: 1 }], taps: 1 };
  return layoutSums(layout, "bias sums", 1, filters, [one]);
}

/**
 * Writes a function that adds vectors' lanes to their totals; its parameters are where the first vector
 * and total are, the bytes from one vector and total to the next, and how many there are.
 */
export function writeTotals(f: Func, { lanes }: Vector): void {
  const [from, to, fromStep, toStep, count] = [0, 1, 2, 3, 4];
  const sum = f.local("v128");
  f.countDown(count, count, () => {
    f.get(from).at("v128.load").set(sum);
    if (lanes === 4) {
      f.get(sum).op("f64x2.promote_low_f32x4");
      f.get(sum).get(sum).shuffle([1, 0]).op("f64x2.promote_low_f32x4");
      f.op("f64x2.add").set(sum);
    }
    f.get(to).get(to).at("v128.load64_splat");
    f.get(sum).op("f64x2.add").get(sum).get(sum).shuffle([1, 0]).op("f64x2.add");
    f.laneAt("v128.store64_lane", 0);
    f.advanceBy(from, fromStep);
    f.advanceBy(to, toStep);
  });
}

/**
 * Sums over images: runs some at a time onto the vectors, and adds those to the totals in good time.
 *
 * @param dtype The dtype of the vectors.
 * @param sums The sums.
 * @param addTotals The function of `writeTotals`.
 * @param N How many images there are.
 * @param together How many are run at a time.
 * @param most How many a vector may hold.
 * @param run Adds the images from the first to before the end.
 */
export function sumImages(
  dtype: DType,
  sums: readonly Sums[],
  addTotals: (...args: number[]) => void,
  N: number,
  together: number,
  most: number,
  run: (first: number, end: number) => void,
): void {
  const memory = scratch(dtype);
  const clear = () => {
    for (const { vectors, count } of sums) {
      const start = vectors / memory.BYTES_PER_ELEMENT;
      memory.fill(0, start, start + count * 16 / memory.BYTES_PER_ELEMENT);
    }
  };
  const takeOut = () => {
    for (const { planes, outputs, inputs, count, vectors, totals } of sums) {
      const step = count / (outputs * inputs);
      let from = vectors, to = totals;
      for (const { blocks, taps } of planes) {
        for (let tap = 0; tap < taps; tap++, to += 8) {
          eachOutput(blocks, inputs * taps, (output, at, block) => {
            const first = from + (at + tap * block) * 16;
            addTotals(first, to + output * inputs * step * 8, taps * block * 16, step * 8, inputs);
          });
        }
        from += outputs * inputs * taps * 16;
      }
    }
  };
  for (const each of sums) totalsOf(each).fill(0);
  clear();
  let summed = 0;
  for (let n = 0; n < N; n += together) {
    const end = Math.min(N, n + together);
    if (summed > 0 && summed + end - n > most) {
      takeOut();
      clear();
      summed = 0;
    }
    run(n, end);
    summed += end - n;
  }
  takeOut();
}

/** The totals of sums: by output, input, plane, tap. */
export function totalsOf({ totals, count }: Sums): FloatArray {
  return scratch("float64").subarray(totals / 8, totals / 8 + count);
}
