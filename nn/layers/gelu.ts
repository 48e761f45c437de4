/**
 * The Gaussian error linear unit.
 *
 * @module
 */

import { geluForward, geluWithSlope } from "../../kernels/maps/gelu.ts";
import { product } from "../../kernels/maps/product.ts";
import type { Tensor } from "../../kernels/tensor.ts";
import { emptyLike } from "../tensor.ts";
import { type LayerDefinition, layerOf } from "./layer.ts";
import { runMap } from "./run_map.ts";

/**
 * The gelu as a layer of a net: x times the probability that a normal number is below x, by the error
 * function and not by its usual approximation with a tangent. In float32 it is wrong by less than 0.51 units
 * in the last place.
 *
 * Source: Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016).
 *
 * @example
 * ```ts
 * import { affine, gelu, Net } from "@cnn-layers/cnn-layers";
 *
 * const net = new Net({ inputDim: 4, layers: [affine(8), gelu(), affine(3)] });
 * ```
 *
 * @returns The layer.
 */
export function gelu(): LayerDefinition {
  return layerOf("gelu", [], (inShape) => ({
    outShape: inShape,
    ownsOut: true,
    ownsDx: true,
    forward(x, _, { mode, ownsInput }) {
      const out = ownsInput ? x : emptyLike(x);
      // With a slope the backward pass needs neither input nor output.
      const slope = mode === "train" ? emptyLike(x) : undefined;
      if (slope === undefined) runMap(geluForward, [x, out]);
      else runMap(geluWithSlope, [x, out, slope]);
      return {
        out,
        backward(dout: Tensor) {
          runMap(product, [dout, slope!, slope!]);
          return { dx: slope };
        },
      };
    },
  }));
}
