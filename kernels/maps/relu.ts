/**
 * The rectified linear unit.
 *
 * @module
 */

import { type MapShape, mapShape } from "../map.ts";
import type { Lanes, Value } from "../simd/lanes.ts";

/** Writes the larger of each value and 0; NaN stays NaN. */
export function rectified(lanes: Lanes, x: Value): Value {
  const zero = lanes.constant(0);
  // The sum makes 0 of -0.
  return lanes.add(lanes.pmax(x, zero), zero);
}

/** out = max(0, x). Arrays: x, out. */
export const relu: MapShape = /* @__PURE__ */ mapShape({
  name: "relu",
  arrays: ["read", "write"],
  loop([x, out]) {
    for (let i = 0; i < x.length; i++) out[i] = Math.max(0, x[i]);
  },
  narrow: true,
  lanes: (lanes, [x]) => [rectified(lanes, x)],
});

/**
 * dx = dout where out is above 0, and 0 elsewhere. Arrays: out, the output of relu or of a max-pool of it;
 * dout; dx.
 */
export const reluMask: MapShape = /* @__PURE__ */ mapShape({
  name: "relu-mask",
  arrays: ["read", "read", "write"],
  loop([out, dout, dx]) {
    for (let i = 0; i < out.length; i++) dx[i] = out[i] > 0 ? dout[i] : 0;
  },
  narrow: true,
  lanes: (lanes, [out, dout]) => [lanes.where(lanes.above(out, lanes.constant(0)), dout)],
});
