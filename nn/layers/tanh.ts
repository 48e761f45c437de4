/**
 * The hyperbolic tangent.
 *
 * @module
 */

import { tanh as tangent } from "../../kernels/elementary.ts";
import { elementwise } from "./elementwise.ts";
import type { LayerDefinition } from "./layer.ts";

/**
 * The hyperbolic tangent as a layer of a net, with the same bits in every engine.
 *
 * @example
 * ```ts
 * import { affine, Net, tanh } from "@cnn-layers/cnn-layers";
 *
 * const net = new Net({ inputDim: 4, layers: [affine(8), tanh(), affine(3)] });
 * ```
 *
 * @returns The layer.
 */
export function tanh(): LayerDefinition {
  return elementwise("tanh", [], tangent, (_, y) => 1 - y * y);
}
