/**
 * Products of few rows, for which packing B would take longer than the sums: its rows go by, a few at a time,
 * and are added to C's; or, where it is transposed, a tile is of dot products of A's rows and B's columns.
 *
 * @module
 */

import { dotSteps, ROWS, STREAM_BYTES } from "./emit_affine.ts";
import {
  BLOCK,
  evenly,
  MOST_STEPS,
  type Plan,
  type Product,
  type Range,
  regions,
  roundDown,
  roundUp,
  stage,
} from "./affine_blocks.ts";
import { tileBytes } from "./emit_product.ts";
import type { Queue } from "./queue.ts";
import type { Vector } from "./vector.ts";

/** The copy of B is what takes long: if so many whole rows of it fit, they are copied at once. */
const FEWEST_STEPS = 8;
/** The most rows of C that B is not packed for. */
const FEW_ROWS = 32;
/** The fewest columns of B that go by, or that make dots: narrower ones take longer than to be packed. */
const FEWEST_COLUMNS = 64;
/** Sums that two multipliers with a latency of four cycles need. */
const FEWEST_SUMS = 8;
/** The most rows of C that B's rows are added to as they go by: their factors stay in registers. */
const STREAM_ROWS = 4;

/** How a product of few rows is computed, all of them together; undefined if B is better packed. */
export function planFew({ sizes, a, b }: Product, { bytes }: Vector): Plan | undefined {
  const [I, J, K] = sizes;
  const isFew = I <= FEW_ROWS && (b.transposed ? K : J) >= FEWEST_COLUMNS && !a.transposed;
  if (!isFew) return undefined;
  const rows = Math.ceil(I / Math.ceil(I / (b.transposed ? ROWS : STREAM_ROWS)));
  const tile = { rows, width: Math.ceil(FEWEST_SUMS / rows) };
  const allRows = roundUp(I, rows);
  /** The most columns of B that fit beside so many steps. */
  const most = (steps: number, unit: number) =>
    roundDown(Math.floor(BLOCK / (Math.max(steps, allRows) * bytes)), unit);
  if (b.transposed) {
    // Whole rows of A, and of some columns of B, lie in the memory together.
    if (Math.max(allRows, tile.width) * K * bytes > BLOCK) return undefined;
    const columns = roundUp(evenly(J, most(K, tile.width)), tile.width);
    return { way: "dots", tile, blocks: { rows: I, columns, steps: K } };
  }
  const unit = STREAM_BYTES / bytes;
  const columns = roundUp(evenly(J, most(Math.min(K, FEWEST_STEPS), unit)), unit);
  const steps = evenly(K, Math.min(MOST_STEPS, Math.floor(BLOCK / (columns * bytes))));
  return { way: "streams", tile, blocks: { rows: I, columns: Math.min(J, columns), steps } };
}

/** Columns of few rows of C, from the first to before the end, as dot products. */
export function runDots(
  queue: Queue,
  vector: Vector,
  { sizes: [I, J, K], a, b, out }: Product,
  { tile: { rows, width }, blocks }: Plan,
  [first, end]: Range,
): void {
  const { a: aAt, b: bAt, out: outAt } = regions, pitch = K * vector.bytes;
  stage(queue, aAt, a, 0, I, 0, K);
  for (let j = first; j < end; j += blocks.columns) {
    const columns = Math.min(blocks.columns, end - j);
    const tiles = Math.ceil(columns / width), pitchC = tiles * width * vector.bytes;
    stage(queue, bAt, b, j, columns, 0, K);
    const strips = Math.ceil(I / rows);
    queue.call("dots", aAt, bAt, outAt, strips, tiles, pitch, pitchC, ...dotSteps(K, vector));
    for (let i = 0; i < I; i++) queue.store(out, i * J + j, columns, outAt + i * pitchC);
  }
}

/** Columns of few rows of C, as rows of B go by. */
export function runStreams(
  queue: Queue,
  vector: Vector,
  { sizes: [I, J, K], a, b, bias, out, relu }: Product,
  { tile: { rows, width }, blocks }: Plan,
  [first, end]: Range,
): void {
  const { bytes, mostTerms } = vector, tileRow = tileBytes(vector);
  const { a: aAt, packedA, b: bAt, c, out: outAt } = regions;
  const strips = Math.ceil(I / rows);
  for (let j = first; j < end; j += blocks.columns) {
    const columns = Math.min(blocks.columns, end - j);
    const pitchC = roundUp(columns * bytes, STREAM_BYTES);
    for (let i = 0; i < I; i++) {
      if (bias === undefined) queue.clear(outAt + i * pitchC, pitchC);
      else queue.load(outAt + i * pitchC, bias, j, j + columns);
    }
    for (let k = 0, terms = 0; k < K; k += blocks.steps) {
      const steps = Math.min(blocks.steps, K - k);
      if (terms === 0) queue.clear(c, strips * rows * pitchC);
      stage(queue, aAt, a, 0, I, k, steps);
      queue.call("transposeA", aAt, steps * bytes, packedA, strips, steps);
      stage(queue, bAt, b, k, steps, j, columns);
      const sizes = [strips, rows * steps * bytes, pitchC / STREAM_BYTES, columns * bytes, pitchC];
      queue.call("streams", packedA, bAt, c, ...sizes, Math.floor(steps / width), steps % width);
      terms += steps;
      const isLast = k + steps >= K;
      if (!isLast && terms + blocks.steps <= mostTerms) continue;
      // The sums of so many terms go to the result, where the bias is already.
      terms = 0;
      const unpack = isLast && relu ? "unpackRelu" : "unpack";
      for (let i = 0, at = 0; i < I; i++, at += pitchC) {
        const to = outAt + at;
        queue.call(unpack, c + at, to, pitchC, 1, pitchC / tileRow, tileRow, to);
      }
    }
    for (let i = 0; i < I; i++) queue.store(out, i * J + j, columns, outAt + i * pitchC);
  }
}
