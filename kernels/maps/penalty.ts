/**
 * The L2 penalty on weights.
 *
 * @module
 */

import { type MapShape, mapShape } from "../map.ts";

/**
 * dw = dw + reg * w, and the sum of the squares of w. Arrays: w, dw. Settings: reg.
 *
 * Steps are in float64 on all hosts: gradients and losses have the same bits everywhere.
 */
export const addPenalty: MapShape = /* @__PURE__ */ mapShape({
  name: "penalty",
  arrays: ["read", "both"],
  settings: 1,
  sums: 1,
  loop([w, dw], [reg], sums) {
    // An addition need not wait for the one before it.
    let even = 0, odd = 0;
    for (let i = 0; i < w.length; i++) {
      if (i % 2 === 0) even += w[i] * w[i];
      else odd += w[i] * w[i];
      dw[i] += reg * w[i];
    }
    sums[0] += even + odd;
  },
  lanes: (lanes, [w, dw], [reg]) => [lanes.add(dw, lanes.mul(reg, w)), lanes.mul(w, w)],
});
