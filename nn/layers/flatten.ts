/**
 * Images as vectors.
 *
 * @module
 */

import { sizeOf } from "../../kernels/tensor.ts";
import { type LayerDefinition, layerOf } from "./layer.ts";

/**
 * A layer of a net that makes one dimension of all but the first: from (C, H, W) to (C * H * W). No
 * number is copied. A fully-connected layer does not need it.
 *
 * @example
 * ```ts
 * import { affine, flatten, layernorm, Net } from "@cnn-layers/cnn-layers";
 *
 * const net = new Net({ inputDim: [1, 4, 4], layers: [flatten(), layernorm(), affine(10)] });
 * ```
 *
 * @returns The layer.
 */
export function flatten(): LayerDefinition {
  return layerOf("flatten", [], (inShape) => {
    const size = sizeOf(inShape);
    return {
      outShape: [size],
      flattens: true,
      forward: ({ data, shape }) => ({
        out: { data, shape: [shape[0], size] },
        backward: (dout) => ({ dx: { data: dout.data, shape } }),
      }),
    };
  });
}
