/**
 * Steps of the rules that divide by the root of what squared gradients have been.
 *
 * @module
 */

import { type MapShape, mapShape } from "../map.ts";
import type { Lanes, Value } from "../simd/lanes.ts";

/** Writes w - rate * d / (sqrt(square) + epsilon). */
function stepped(
  lanes: Lanes,
  w: Value,
  d: Value,
  square: Value,
  rate: Value,
  epsilon: Value,
): Value {
  const divisor = lanes.add(lanes.sqrt(square), epsilon);
  return lanes.sub(w, lanes.div(lanes.mul(rate, d), divisor));
}

/**
 * square = square + dw^2, and w = w - rate * dw / (sqrt(square) + epsilon).
 *
 * Arrays: w, dw, square. Settings: rate, epsilon.
 */
export const adagradStep: MapShape = /* @__PURE__ */ mapShape({
  name: "adagrad",
  arrays: ["both", "read", "both"],
  settings: 2,
  loop([w, dw, squares], [rate, epsilon]) {
    for (let i = 0; i < w.length; i++) {
      const d = dw[i], square = squares[i] + d * d;
      squares[i] = square;
      w[i] -= rate * d / (Math.sqrt(square) + epsilon);
    }
  },
  lanes(lanes, [w, dw, squares], [rate, epsilon]) {
    const square = lanes.add(squares, lanes.mul(dw, dw));
    return [stepped(lanes, w, dw, square, rate, epsilon), square];
  },
});

/**
 * square = decay * square + newest * dw^2, and w as above.
 *
 * Arrays: w, dw, square. Settings: rate, epsilon, decay, newest.
 */
export const rmspropStep: MapShape = /* @__PURE__ */ mapShape({
  name: "rmsprop",
  arrays: ["both", "read", "both"],
  settings: 4,
  loop([w, dw, squares], [rate, epsilon, decay, newest]) {
    for (let i = 0; i < w.length; i++) {
      const d = dw[i], square = decay * squares[i] + newest * (d * d);
      squares[i] = square;
      w[i] -= rate * d / (Math.sqrt(square) + epsilon);
    }
  },
  lanes(lanes, [w, dw, squares], [rate, epsilon, decay, newest]) {
    const square = lanes.add(lanes.mul(decay, squares), lanes.mul(newest, lanes.mul(dw, dw)));
    return [stepped(lanes, w, dw, square, rate, epsilon), square];
  },
});
