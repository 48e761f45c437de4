/**
 * Operations element by element, by their definitions.
 *
 * @module
 */

import type { MapKernel } from "../kernel.ts";
import type { MapShape } from "../map.ts";

/** The kernel of a map: its loop. */
export function naiveMap({ map }: MapShape): MapKernel {
  return {
    name: `${map.name}-naive`,
    tier: "naive",
    run: (arrays, settings = []) => map.loop(arrays, settings),
  };
}
