/**
 * Moving averages.
 *
 * @module
 */

import { type MapShape, mapShape } from "../map.ts";

/**
 * average = average + part * (current - average), which keeps what is the same as it is.
 *
 * Arrays: average, current. Settings: part.
 */
export const approachStep: MapShape = /* @__PURE__ */ mapShape({
  name: "approach",
  arrays: ["both", "read"],
  settings: 1,
  loop([average, current], [part]) {
    for (let i = 0; i < average.length; i++) average[i] += part * (current[i] - average[i]);
  },
  lanes: (lanes, [average, current], [part]) => [
    lanes.add(average, lanes.mul(part, lanes.sub(current, average))),
  ],
});
