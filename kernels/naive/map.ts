/**
 * Operations element by element, by their definitions.
 *
 * @module
 */

import type { MapKernel } from "../kernel.ts";
import { type MapShape, SUM_BLOCK } from "../map.ts";

/** The kernel of a map: its loop. */
export function naiveMap({ map }: MapShape): MapKernel {
  return {
    name: `${map.name}-naive`,
    tier: "naive",
    run(arrays, settings = []) {
      const sums = Array<number>(map.sums ?? 0).fill(0), [{ length }] = arrays;
      if (sums.length === 0) map.loop(arrays, settings, sums);
      for (let first = 0; sums.length > 0 && first < length; first += SUM_BLOCK) {
        const block = arrays.map((array) => array.subarray(first, first + SUM_BLOCK));
        map.loop(block, settings, sums);
      }
      return sums;
    },
  };
}
