/**
 * Weights into the memory, in the order in which the inner loops read them; and the sums of their
 * gradients, which live in the memory as vectors, out of it.
 *
 * Both lie by blocks of outputs: number k of output i of a block is number k * block + i of the block.
 * The loops over them are WebAssembly too, as engines are slow at new loops of JavaScript.
 *
 * @module
 */

import type { Assembly, Func, Local } from "./assembler.ts";
import type { Layout } from "./memory.ts";
import { pieces, type Run } from "./tiles.ts";
import { noteFinite, type Vector } from "./vector.ts";
import type { Queue } from "./queue.ts";

/**
 * Calls back for every output of some blocks.
 *
 * @param blocks How many outputs each block has.
 * @param numbers How many values an output has.
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
 * Writes a function "pack" that copies an output's weights; its parameters are where from and to, the
 * bytes from one to the next there, and the rows and columns of taps.
 *
 * @param assembly The module.
 * @param vector The kind of numbers.
 * @param inputs How many inputs there are.
 * @param steps The weights from one input, row and column to the next.
 * @param nonFiniteFlag Where a vector stays zero as long as every weight is finite, if that matters.
 * @returns The function, which does not know yet where weights are and go.
 */
export function writePacking(
  assembly: Assembly,
  vector: Vector,
  inputs: number,
  steps: { readonly input: number; readonly row: number; readonly column: number },
  nonFiniteFlag?: number,
): Func {
  const f = assembly.func("pack", ["i32", "i32", "i32", "i32", "i32"]);
  const [from, to, step, rows, columns] = [0, 1, 2, 3, 4];
  const [input, row, column, rowAt, at] = f.locals("i32", 5);
  const [weight, notFinite] = f.locals("v128", 2);
  const { bytes } = vector;
  if (nonFiniteFlag !== undefined) f.const(nonFiniteFlag).at("v128.load").set(notFinite);
  f.repeat(input, inputs, () => {
    f.get(from).set(rowAt);
    f.countDown(row, rows, () => {
      f.get(rowAt).set(at);
      f.countDown(column, columns, () => {
        f.get(at).at(vector.loadSplat).set(weight);
        f.get(to).get(weight).laneAt(vector.storeLane, 0);
        if (nonFiniteFlag !== undefined) noteFinite(f, vector, weight, notFinite);
        f.advance(at, steps.column * bytes);
        f.advanceBy(to, step);
      });
      f.advance(rowAt, steps.row * bytes);
    });
    f.advance(from, steps.input * bytes);
  });
  if (nonFiniteFlag !== undefined) {
    f.const(nonFiniteFlag).get(notFinite).at("v128.store");
    f.writes(nonFiniteFlag, 16);
  }
  return f;
}

/**
 * Writes the check that values are finite.
 *
 * @param f The function to write into.
 * @param vector The kind of values.
 * @param from Where they are.
 * @param count How many there are.
 * @param nonFiniteFlag Where a vector is written: zero if every value is finite.
 */
export function writeFiniteCheck(
  f: Func,
  vector: Vector,
  from: number,
  count: number,
  nonFiniteFlag: number,
): void {
  const { bytes, lanes, loadSplat } = vector;
  const [at, left] = f.locals("i32", 2), [value, notFinite] = f.locals("v128", 2);
  f.const(from).set(at);
  f.repeat(left, Math.floor(count / lanes), () => {
    f.get(at).at("v128.load").set(value);
    noteFinite(f, vector, value, notFinite);
    f.advance(at, 16);
  });
  for (let i = 0; i < count % lanes; i++) {
    f.get(at).at(loadSplat, i * bytes).set(value);
    noteFinite(f, vector, value, notFinite);
  }
  f.const(nonFiniteFlag).get(notFinite).at("v128.store");
  f.reads(from, count * bytes).writes(nonFiniteFlag, 16);
}

/** Images of so many terms a lane, after which sums should be taken out and continue in float64. */
export function imagesPerSum({ mostTerms }: Vector, terms: number): number {
  return Math.max(1, Math.floor(mostTerms / terms));
}

/** Where the sums of some blocks of outputs lie: vectors of parts, and their totals in float64. */
export interface Sums {
  readonly blocks: readonly Run[];
  /** Sums of an output. */
  readonly numbers: number;
  /** Sums of all outputs. */
  readonly count: number;
  readonly vectors: number;
  /** Output by output, not by blocks. */
  readonly totals: number;
}

/** Lays out the sums of some blocks of outputs, so many an output. */
export function layoutSums(
  layout: Layout,
  name: string,
  blocks: readonly Run[],
  numbers: number,
): Sums {
  const count = numbers * pieces(blocks).reduce((sum, size) => sum + size);
  const vectors = layout.region(`${name}, vectors`, count * 16);
  return { blocks, numbers, count, vectors, totals: layout.region(`${name}, totals`, count * 8) };
}

/** Adds a vector's lanes to a float64 number. */
export function writeTotal(
  f: Func,
  { lanes }: Vector,
  sum: Local,
  total: Local,
  offset = 0,
): void {
  if (lanes === 4) {
    f.get(sum).op("f64x2.promote_low_f32x4");
    f.get(sum).get(sum).shuffle([1, 0]).op("f64x2.promote_low_f32x4").op("f64x2.add").set(sum);
  }
  f.get(total).get(total).at("v128.load64_splat", offset).get(sum).op("f64x2.add");
  f.get(sum).get(sum).shuffle([1, 0]).op("f64x2.add").laneAt("v128.store64_lane", 0, offset);
}

/**
 * Writes a function "total" that adds vectors' lanes to their totals; its parameters are where the first
 * vector and total are, the bytes from one vector to the next, and how many there are.
 */
export function writeTotals(assembly: Assembly, vector: Vector, sums: readonly Sums[]): void {
  const f = assembly.func("total", ["i32", "i32", "i32", "i32"]);
  for (const { vectors, totals, count } of sums) {
    f.reads(vectors, count * 16).writes(totals, count * 8);
  }
  const [from, to, step, count] = [0, 1, 2, 3];
  const sum = f.local("v128");
  f.countDown(count, count, () => {
    f.get(from).at("v128.load").set(sum);
    writeTotal(f, vector, sum, to);
    f.advanceBy(from, step);
    f.advance(to, 8);
  });
}

/**
 * Sums over images: runs some at a time onto the vectors, and adds those to the totals in good time.
 *
 * @param queue Takes the steps, of a module with the function of `writeTotals`.
 * @param sums The sums.
 * @param first The first image.
 * @param last The image after the last one.
 * @param together How many are run at a time.
 * @param most How many a vector may hold.
 * @param run Adds the images from the first to before the end.
 */
export function sumImages(
  queue: Queue,
  sums: readonly Sums[],
  first: number,
  last: number,
  together: number,
  most: number,
  run: (first: number, end: number) => void,
): void {
  const clear = () => {
    for (const { vectors, count } of sums) queue.clear(vectors, count * 16);
  };
  const takeOut = () => {
    for (const { blocks, numbers, count, vectors, totals } of sums) {
      // Blocks of one output each lie as their totals do: one call does them all.
      if (blocks.every(({ size }) => size === 1)) {
        queue.call("total", vectors, totals, 16, count);
        continue;
      }
      eachOutput(blocks, numbers, (output, at, block) => {
        const to = totals + output * numbers * 8;
        queue.call("total", vectors + at * 16, to, block * 16, numbers);
      });
    }
  };
  for (const { totals, count } of sums) queue.clear(totals, count * 8);
  clear();
  let summed = 0;
  for (let n = first; n < last; n += together) {
    const end = Math.min(last, n + together);
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
