/**
 * The leaky rectified linear unit.
 *
 * @module
 */

import { checkNumber } from "../../kernels/check.ts";
import { ArgumentRangeError } from "../../kernels/errors.ts";
import { elementwise } from "./elementwise.ts";
import type { LayerDefinition } from "./layer.ts";

/**
 * The leaky relu as a layer of a net: x where it is above 0, a * x elsewhere.
 *
 * Source: Maas, Hannun and Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models" (2013).
 *
 * @example
 * ```ts
 * import { affine, leakyRelu, Net } from "@cnn-layers/cnn-layers";
 *
 * const net = new Net({ inputDim: 4, layers: [affine(8), leakyRelu(0.1), affine(3)] });
 * ```
 *
 * @param a The slope below 0, which is that at 0 too. Default: 0.01.
 * @returns The layer.
 * @throws {TypeError} If a is not a number.
 * @throws {RangeError} If it is not finite.
 */
export function leakyRelu(a = 0.01): LayerDefinition {
  checkNumber("leakyRelu.a", a);
  if (!Number.isFinite(a)) {
    throw new ArgumentRangeError(`leakyRelu.a must be finite: received ${a}`, "OUT_OF_RANGE");
  }
  return elementwise("leakyRelu", [a], (x) => x > 0 ? x : a * x, (x) => x > 0 ? 1 : a);
}
