/**
 * Sums of two arrays.
 *
 * @module
 */

import { type MapShape, mapShape } from "../map.ts";
import { rectified } from "./relu.ts";

/** out = a + b. Arrays: a, b, out. */
export const sum: MapShape = /* @__PURE__ */ mapShape({
  name: "sum",
  arrays: ["read", "read", "write"],
  loop([a, b, out]) {
    for (let i = 0; i < out.length; i++) out[i] = a[i] + b[i];
  },
  narrow: true,
  lanes: (lanes, [a, b]) => [lanes.add(a, b)],
});

/** out = max(0, a + b). Arrays: a, b, out. */
export const rectifiedSum: MapShape = /* @__PURE__ */ mapShape({
  name: "sum-relu",
  arrays: ["read", "read", "write"],
  loop([a, b, out]) {
    for (let i = 0; i < out.length; i++) out[i] = Math.max(0, a[i] + b[i]);
  },
  narrow: true,
  lanes: (lanes, [a, b]) => [rectified(lanes, lanes.add(a, b))],
});
