/**
 * Global pooling: one number a channel of each picture.
 *
 * @module
 */

import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkNonEmpty, checkTensor, checkTensorShape } from "../../kernels/check.ts";
import { checkCache } from "../checks.ts";
import { zerosLike } from "../tensor.ts";

/** What a global average's backward pass needs of its forward pass. */
export interface GlobalAverageCache {
  /** Shape of the input, (N, C, H, W). */
  readonly shape: readonly number[];
}

/**
 * The mean of each channel of each picture: from (N, C, H, W) to (N, C), in place of a
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
  const out = zerosLike(x, [N, C]);
  const P = H * W, from = x.data, to = out.data;
  for (let plane = 0; plane < to.length; plane++) {
    let sum = 0;
    for (let i = plane * P; i < (plane + 1) * P; i++) sum += from[i];
    to[plane] = sum / P;
  }
  return { out, cache: { shape: [...shape] } };
}

/**
 * Gradient of a global average: each number of dout, shared out over its plane.
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
  const dx = zerosLike(dout, shape);
  const P = H * W, from = dout.data, to = dx.data;
  for (let plane = 0; plane < from.length; plane++) {
    to.fill(from[plane] / P, plane * P, (plane + 1) * P);
  }
  return dx;
}
