/**
 * The option of benches by which ours runs on pairs of vectors.
 *
 * @module
 */

import { features } from "../kernels/simd/features.ts";
import { useVectorPairs } from "../mod.ts";
import { flag } from "../tools/options.ts";

/** V8's flags without which Deno runs a pair as two vectors. Node needs the first alone. */
export const V8_FLAGS = "--experimental-wasm-revectorize,--no-wasm-bounds-checks";

/** The option. Others in the same process get the same flags. */
export const pairs = flag(`run ours on pairs of vectors (deno run --v8-flags=${V8_FLAGS} ...)`);

/**
 * Uses pairs of vectors from now on, if that is wanted and they are faster here, and prints which it is.
 *
 * @param isWanted The option's value.
 * @returns Whether kernels are for pairs.
 */
export function choosePairs(isWanted: boolean): boolean {
  if (!isWanted) return features().pairs;
  useVectorPairs();
  const isUsed = features().pairs;
  console.log(
    isUsed
      ? "Ours runs on pairs of vectors.\n"
      : "Ours runs on single vectors, as pairs are not faster here: they need a processor with AVX2, " +
        `and Deno --v8-flags=${V8_FLAGS}.\n`,
  );
  return isUsed;
}
