/**
 * The logistic function.
 *
 * @module
 */

import { exp } from "../../kernels/elementary.ts";
import { elementwise } from "./elementwise.ts";
import type { LayerDefinition } from "./layer.ts";

/**
 * The sigmoid as a layer of a net: 1 / (1 + exp(-x)), with the same bits in every engine.
 *
 * @example
 * ```ts
 * import { affine, Net, sigmoid } from "@cnn-layers/cnn-layers";
 *
 * const net = new Net({ inputDim: 4, layers: [affine(8), sigmoid(), affine(3)] });
 * ```
 *
 * @returns The layer.
 */
export function sigmoid(): LayerDefinition {
  return elementwise("sigmoid", [], (x) => 1 / (1 + exp(-x)), (_, y) => y * (1 - y));
}
