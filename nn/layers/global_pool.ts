/**
 * Global pooling: one value per channel of each image.
 *
 * @module
 */

import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import {
  checkNonEmpty,
  checkSameDType,
  checkTensor,
  checkTensorShape,
} from "../../kernels/check.ts";
import { checkCache } from "../checks.ts";
import { emptyLike, zerosLike } from "../tensor.ts";
import { imageShape, type LayerDefinition, layerOf } from "./layer.ts";

/** Values of a small plane. */
const SMALL = 32;

/** What a global average's backward pass needs of its forward pass. */
export interface GlobalAverageCache {
  /** Shape of the input, (N, C, H, W). */
  readonly shape: readonly number[];
}

/**
 * The mean of each channel of each image: from (N, C, H, W) to (N, C), in place of a
 * fully-connected layer over all positions.
 *
 * Source: Lin, Chen and Yan, "Network in Network" (2013).
 *
 * @example
 * ```ts
 * import { full, globalAverageForward } from "@cnn-layers/cnn-layers";
 *
 * const { out } = globalAverageForward(full([2, 3, 4, 4], 7));
 * if (out.data.join() !== "7,7,7,7,7,7") throw new Error("not the mean");
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @returns `out` (N, C) and the cache.
 * @throws {TypeError} If x has a wrong type or rank.
 * @throws {RangeError} If x has an empty dimension but the first.
 */
export function globalAverageForward<A extends FloatArray>(
  x: Tensor<A>,
): { out: Tensor<A>; cache: GlobalAverageCache } {
  checkTensor("x", x, 4);
  const { shape } = x, [N, C, H, W] = shape;
  checkNonEmpty("x", shape, 1);
  const out = emptyLike(x, [N, C]);
  const P = H * W, from = x.data, to = out.data;
  for (let plane = 0; plane < to.length; plane++) {
    let sum = 0;
    for (let i = plane * P; i < (plane + 1) * P; i++) sum += from[i];
    to[plane] = sum / P;
  }
  return { out, cache: { shape: [...shape] } };
}

/**
 * Gradient of a global average: each value of dout, shared out over its plane.
 *
 * @example
 * ```ts
 * import { full, globalAverageBackward, globalAverageForward } from "@cnn-layers/cnn-layers";
 *
 * const { out, cache } = globalAverageForward(full([1, 1, 2, 2], 8));
 * const dx = globalAverageBackward(out, cache);
 * if (dx.data.join() !== "2,2,2,2") throw new Error("not a quarter each");
 * ```
 *
 * @param dout Gradient of the output, (N, C).
 * @param cache From the forward pass.
 * @returns dx, (N, C, H, W).
 * @throws {TypeError} If dout or the cache has a wrong type or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function globalAverageBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: GlobalAverageCache,
): Tensor<A> {
  checkCache(cache, ["shape"]);
  const { shape } = cache, [N, C, H, W] = shape;
  checkTensorShape("dout", dout, [N, C], "the average's output");
  const dx = emptyLike(dout, shape);
  const P = H * W, from = dout.data, to = dx.data;
  for (let plane = 0; plane < from.length; plane++) {
    const value = from[plane] / P, start = plane * P, end = start + P;
    // A call of fill takes longer than a small plane.
    if (P > SMALL) to.fill(value, start, end);
    else for (let i = start; i < end; i++) to[i] = value;
  }
  return dx;
}

/** What a global maximum's backward pass needs of its forward pass. */
export interface GlobalMaxCache<A extends FloatArray = FloatArray> {
  /** Input, (N, C, H, W). */
  readonly x: Tensor<A>;
}

/** The first largest of x's numbers from `start` to `end`; a NaN is larger than any. */
function argMax(x: FloatArray, start: number, end: number): number {
  let best = start;
  for (let i = start + 1; i < end; i++) {
    if (x[i] > x[best] || Number.isNaN(x[i]) && !Number.isNaN(x[best])) best = i;
  }
  return best;
}

/**
 * The largest value of each channel of each image: from (N, C, H, W) to (N, C). NaN wins over any
 * value.
 *
 * Source: Oquab et al., "Is object localization for free?" (2015).
 *
 * @example
 * ```ts
 * import { globalMaxForward, linspace } from "@cnn-layers/cnn-layers";
 *
 * const { out } = globalMaxForward(linspace(0, 7, [1, 2, 2, 2]));
 * if (out.data.join() !== "3,7") throw new Error("not the largest");
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @returns `out` (N, C) and the cache.
 * @throws {TypeError} If x has a wrong type or rank.
 * @throws {RangeError} If x has an empty dimension but the first.
 */
export function globalMaxForward<A extends FloatArray>(
  x: Tensor<A>,
): { out: Tensor<A>; cache: GlobalMaxCache<A> } {
  checkTensor("x", x, 4);
  const { data, shape: [N, C, H, W] } = x;
  checkNonEmpty("x", x.shape, 1);
  const out = emptyLike(x, [N, C]);
  const P = H * W, to = out.data;
  for (let plane = 0; plane < to.length; plane++) {
    to[plane] = data[argMax(data, plane * P, (plane + 1) * P)];
  }
  return { out, cache: { x } };
}

/**
 * Gradient of a global maximum: each value of dout goes to the first of its plane that is largest.
 *
 * @example
 * ```ts
 * import { full, globalMaxBackward, globalMaxForward } from "@cnn-layers/cnn-layers";
 *
 * const { out, cache } = globalMaxForward(full([1, 1, 2, 2], 8));
 * const dx = globalMaxBackward(out, cache);
 * if (dx.data.join() !== "8,0,0,0") throw new Error("not to the first");
 * ```
 *
 * @param dout Gradient of the output, (N, C).
 * @param cache From the forward pass.
 * @returns dx, (N, C, H, W).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function globalMaxBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: GlobalMaxCache<A>,
): Tensor<A> {
  checkCache(cache, ["x"]);
  const { x } = cache;
  checkTensor("cache.x", x, 4);
  const { data, shape: [N, C, H, W] } = x;
  checkNonEmpty("cache.x", x.shape, 1);
  checkTensorShape("dout", dout, [N, C], "the maximum's output");
  checkSameDType({ dout, x });
  const dx = zerosLike(x);
  const P = H * W, from = dout.data;
  for (let plane = 0; plane < from.length; plane++) {
    dx.data[argMax(data, plane * P, (plane + 1) * P)] = from[plane];
  }
  return dx;
}

/**
 * The mean of each channel as a layer of a net, from (C, H, W) to (C).
 *
 * @example
 * ```ts
 * import { affine, conv, globalAverage, Net, relu } from "@cnn-layers/cnn-layers";
 *
 * const layers = [conv(16), relu(), globalAverage(), affine(10)];
 * const net = new Net({ inputDim: [3, 8, 8], layers });
 * ```
 *
 * @returns The layer.
 */
export function globalAverage(): LayerDefinition {
  return layerOf("globalAverage", [], (inShape, planner) => {
    const [C] = imageShape(inShape, planner);
    return {
      outShape: [C],
      ownsOut: true,
      forward(x) {
        const { out, cache } = globalAverageForward(x);
        return { out, backward: (dout) => ({ dx: globalAverageBackward(dout, cache) }) };
      },
    };
  });
}

/**
 * The largest value of each channel as a layer of a net, from (C, H, W) to (C).
 *
 * @example
 * ```ts
 * import { affine, conv, globalMax, Net, relu } from "@cnn-layers/cnn-layers";
 *
 * const layers = [conv(16), relu(), globalMax(), affine(10)];
 * const net = new Net({ inputDim: [3, 8, 8], layers });
 * ```
 *
 * @returns The layer.
 */
export function globalMax(): LayerDefinition {
  return layerOf("globalMax", [], (inShape, planner) => {
    const [C] = imageShape(inShape, planner);
    return {
      outShape: [C],
      ownsOut: true,
      selects: true,
      forward(x) {
        const { out, cache } = globalMaxForward(x);
        return { out, backward: (dout) => ({ dx: globalMaxBackward(dout, cache) }) };
      },
    };
  });
}
