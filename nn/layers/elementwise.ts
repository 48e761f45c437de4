/**
 * Layers that put every value through one function.
 *
 * @module
 */

import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { zerosLike } from "../tensor.ts";
import { type LayerDefinition, layerOf } from "./layer.ts";

/**
 * A layer of a net that puts every value through one function.
 *
 * @param type The layer's name.
 * @param args What it was called with.
 * @param f The function.
 * @param slope Its derivative, from its argument x and its value y.
 * @returns The layer.
 */
export function elementwise(
  type: string,
  args: readonly unknown[],
  f: (x: number) => number,
  slope: (x: number, y: number) => number,
): LayerDefinition {
  return layerOf(type, args, (inShape) => ({
    outShape: inShape,
    forward(x) {
      const out = zerosLike(x), from = x.data, y: FloatArray = out.data;
      for (let i = 0; i < y.length; i++) y[i] = f(from[i]);
      return {
        out,
        backward(dout: Tensor) {
          const dx = zerosLike(x), to: FloatArray = dx.data, dy = dout.data;
          for (let i = 0; i < to.length; i++) to[i] = dy[i] * slope(from[i], y[i]);
          return { dx };
        },
      };
    },
  }));
}
