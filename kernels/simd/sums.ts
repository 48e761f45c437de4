/**
 * Sums that live in the memory as vectors: where each belongs, and how they are taken out.
 *
 * @module
 */

import { pieces, type WeightTiles } from "./plan.ts";
import type { FloatArray } from "../shape.ts";

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

/** Adds vectors' lanes to sums, and sets the vectors to zero. */
export function drain(memory: FloatArray, start: number, lanes: number, sums: Float64Array): void {
  let at = start;
  for (let i = 0; i < sums.length; i++) {
    let sum = 0;
    for (let lane = 0; lane < lanes; lane++) sum += memory[at++];
    sums[i] += sum;
  }
  memory.fill(0, start, at);
}
