/**
 * Weights into the memory, in the order in which the inner loops read them; and the sums of their
 * gradients, which live in the memory as vectors, out of it.
 *
 * @module
 */

import { pieces, type Run, type WeightTiles } from "./plan.ts";
import type { DType, FloatArray } from "../shape.ts";

/**
 * Writes weights by block of outputs, input, tap, output of the block.
 *
 * @param target Where to.
 * @param at The first number's place.
 * @param w The weights.
 * @param blocks How many outputs each block has.
 * @param outputs The place in w of each output's first weight.
 * @param inputs How many inputs there are.
 * @param inputStep From one input to the next.
 * @param taps The place of each tap from there.
 * @returns Whether every weight is finite.
 */
export function packWeights(
  target: FloatArray,
  at: number,
  w: FloatArray,
  blocks: readonly Run[],
  outputs: Int32Array,
  inputs: number,
  inputStep: number,
  taps: Int32Array,
): boolean {
  let first = 0;
  let notFinite = 0;
  for (const size of pieces(blocks)) {
    for (let input = 0; input < inputs; input++) {
      for (let t = 0; t < taps.length; t++) {
        const offset = input * inputStep + taps[t];
        for (let i = first; i < first + size; i++) {
          const weight = w[outputs[i] + offset];
          notFinite += weight - weight;
          target[at++] = weight;
        }
      }
    }
    first += size;
  }
  return notFinite === 0;
}

/** The place in the weights of each sum, in the order in which the sums lie in the memory. */
export function weightPlaces(tiles: WeightTiles, F: number, C: number, taps: number): Int32Array {
  const places = new Int32Array(F * C * taps);
  const { tapRows } = tiles;
  let at = 0, filter = 0;
  for (const block of pieces(tiles.blocks)) {
    let channel = 0;
    for (const { size, times, groups } of tiles.channels) {
      for (let time = 0; time < times; time++) {
        for (let tapRow = 0; tapRow < tapRows.times; tapRow++) {
          for (const group of groups) {
            for (let i = 0; i < block; i++) {
              const first = ((filter + i) * C + channel) * taps + tapRow * tapRows.places;
              for (const { place } of group) places[at++] = first + place;
            }
          }
        }
        channel += size;
      }
    }
    filter += block;
  }
  return places;
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

/** Vectors in the memory, from a number on. */
export interface SumVectors {
  readonly start: number;
  readonly count: number;
}

/**
 * Sums over images: runs some at a time onto sums in the memory, and takes those out in good time.
 *
 * @param memory The memory.
 * @param vectors Where the sums lie.
 * @param N How many images there are.
 * @param together How many are run at a time.
 * @param most How many a sum may hold.
 * @param run Adds the images from the first to before the end.
 * @returns For each of `vectors`, the total of each vector's lanes.
 */
export function sumImages(
  memory: FloatArray,
  vectors: readonly SumVectors[],
  N: number,
  together: number,
  most: number,
  run: (first: number, end: number) => void,
): Float64Array[] {
  const lanes = 16 / memory.BYTES_PER_ELEMENT;
  const totals = vectors.map(({ count }) => new Float64Array(count));
  const clear = () => {
    for (const { start, count } of vectors) memory.fill(0, start, start + count * lanes);
  };
  const takeOut = () => {
    for (const [i, { start }] of vectors.entries()) addLanes(memory, lanes, start, totals[i]);
  };
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
  return totals;
}

/** Adds each vector's lanes to its total. */
function addLanes(memory: FloatArray, lanes: number, start: number, totals: Float64Array): void {
  let at = start;
  if (lanes === 2) {
    for (let i = 0; i < totals.length; i++, at += 2) totals[i] += memory[at] + memory[at + 1];
    return;
  }
  for (let i = 0; i < totals.length; i++, at += 4) {
    totals[i] += memory[at] + memory[at + 1] + (memory[at + 2] + memory[at + 3]);
  }
}
