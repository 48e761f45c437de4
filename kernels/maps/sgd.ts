/**
 * Steps of stochastic gradient descent, decoupled weight decay included: `keep` is 1 without any.
 *
 * @module
 */

import { type MapShape, mapShape } from "../map.ts";

/** w = keep * w - rate * dw. Arrays: w, dw. Settings: keep, rate. */
export const sgdStep: MapShape = /* @__PURE__ */ mapShape({
  name: "sgd",
  arrays: ["both", "read"],
  settings: 2,
  loop([w, dw], [keep, rate]) {
    for (let i = 0; i < w.length; i++) w[i] = keep * w[i] - rate * dw[i];
  },
  lanes: (lanes, [w, dw], [keep, rate]) => [lanes.sub(lanes.mul(keep, w), lanes.mul(rate, dw))],
});

/**
 * velocity = momentum * velocity - rate * dw, and w = keep * w + velocity.
 *
 * Arrays: w, dw, velocity. Settings: keep, rate, momentum.
 */
export const momentumStep: MapShape = /* @__PURE__ */ mapShape({
  name: "sgd-momentum",
  arrays: ["both", "read", "both"],
  settings: 3,
  loop([w, dw, velocity], [keep, rate, momentum]) {
    for (let i = 0; i < w.length; i++) {
      const step = momentum * velocity[i] - rate * dw[i];
      velocity[i] = step;
      w[i] = keep * w[i] + step;
    }
  },
  lanes(lanes, [w, dw, velocity], [keep, rate, momentum]) {
    const step = lanes.sub(lanes.mul(momentum, velocity), lanes.mul(rate, dw));
    return [lanes.add(lanes.mul(keep, w), step), step];
  },
});

/**
 * Nesterov's: the velocity changes as above, from old to new, and w = keep * w + new + momentum * (new - old).
 *
 * Arrays: w, dw, velocity. Settings: keep, rate, momentum.
 */
export const nesterovStep: MapShape = /* @__PURE__ */ mapShape({
  name: "sgd-nesterov-momentum",
  arrays: ["both", "read", "both"],
  settings: 3,
  loop([w, dw, velocity], [keep, rate, momentum]) {
    for (let i = 0; i < w.length; i++) {
      const old = velocity[i];
      const step = momentum * old - rate * dw[i];
      velocity[i] = step;
      w[i] = keep * w[i] + (step + momentum * (step - old));
    }
  },
  lanes(lanes, [w, dw, old], [keep, rate, momentum]) {
    const step = lanes.sub(lanes.mul(momentum, old), lanes.mul(rate, dw));
    const ahead = lanes.add(step, lanes.mul(momentum, lanes.sub(step, old)));
    return [lanes.add(lanes.mul(keep, w), ahead), step];
  },
});
