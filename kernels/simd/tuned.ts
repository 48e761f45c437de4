/**
 * Tiles that were measured to be faster than the rule's. `deno task tune` writes this file.
 *
 * @module
 */

import type { Tile } from "./plan.ts";

/** A tile by the convolution's label, dtype and pass. */
export const tuned: Map<string, Tile> = new Map([]);
