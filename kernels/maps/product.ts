/**
 * Products of two arrays.
 *
 * @module
 */

import { type MapShape, mapShape } from "../map.ts";

/** out = a * b. Arrays: a, b, out. */
export const product: MapShape = /* @__PURE__ */ mapShape({
  name: "product",
  arrays: ["read", "read", "write"],
  loop([a, b, out]) {
    for (let i = 0; i < out.length; i++) out[i] = a[i] * b[i];
  },
  narrow: true,
  lanes: (lanes, [a, b]) => [lanes.mul(a, b)],
});
