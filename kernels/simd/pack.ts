/**
 * Weights in the order in which the inner loops read them.
 *
 * @module
 */

import { pieces, type Run } from "./plan.ts";
import type { FloatArray } from "../shape.ts";

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
