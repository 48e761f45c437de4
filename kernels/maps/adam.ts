/**
 * A step of adam, decoupled weight decay included.
 *
 * Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015).
 *
 * @module
 */

import { type MapShape, mapShape } from "../map.ts";

/**
 * mean = beta1 * mean + newMean * dw, square = beta2 * square + newSquare * dw^2, and
 * w = keep * w - rate * mean / (sqrt(square * correction) + epsilon).
 *
 * Arrays: w, dw, mean, square. Settings: keep, rate, beta1, newMean, beta2, newSquare, correction, epsilon.
 */
export const adamStep: MapShape = /* @__PURE__ */ mapShape({
  name: "adam",
  arrays: ["both", "read", "both", "both"],
  settings: 8,
  loop(
    [w, dw, means, squares],
    [keep, rate, beta1, newMean, beta2, newSquare, correction, epsilon],
  ) {
    for (let i = 0; i < w.length; i++) {
      const d = dw[i];
      const mean = beta1 * means[i] + newMean * d;
      const square = beta2 * squares[i] + newSquare * (d * d);
      means[i] = mean;
      squares[i] = square;
      w[i] = keep * w[i] - rate * mean / (Math.sqrt(square * correction) + epsilon);
    }
  },
  narrow: true,
  lanes(
    lanes,
    [w, dw, means, squares],
    [keep, rate, beta1, newMean, beta2, newSquare, correction, epsilon],
  ) {
    const mean = lanes.add(lanes.mul(beta1, means), lanes.mul(newMean, dw));
    // In float32 the square of a large gradient would be infinite.
    const newest = lanes.dtype === "float32"
      ? lanes.mul(lanes.mul(newSquare, dw), dw)
      : lanes.mul(newSquare, lanes.mul(dw, dw));
    const square = lanes.add(lanes.mul(beta2, squares), newest);
    const deviation = lanes.sqrt(lanes.mul(square, correction));
    const step = lanes.div(lanes.mul(rate, mean), lanes.add(deviation, epsilon));
    return [lanes.sub(lanes.mul(keep, w), step), mean, square];
  },
});
