/**
 * Group normalization of images.
 *
 * Source: nndl/layers.py of the CS231n / ECE C147 course; Wu and He, "Group Normalization" (2018).
 *
 * @module
 */

import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkWhole } from "../../kernels/check.ts";
import { ArgumentRangeError } from "../../kernels/errors.ts";
import { show } from "../../kernels/tensor.ts";
import { readOptions } from "../checks.ts";
import { imageShape, type LayerDefinition, layerOf } from "./layer.ts";
import type { LayernormOptions } from "./layernorm.ts";
import { normalizeBackward, type NormGradients } from "./norm_loops.ts";
import {
  checkBackward,
  checkInputs,
  EPS,
  LAYERNORM_PARAMS,
  type LayernormParams,
  type NormCache,
  normParams,
  normPass,
  runLayernorm,
} from "./normalization.ts";

/**
 * Group normalization of images: in each image, each of the G groups of C / G channels gets mean
 * 0 and variance 1. Training and inference are the same.
 *
 * Source: spatial_groupnorm_forward in nndl/layers.py; Wu and He (2018).
 *
 * @example
 * ```ts
 * import { full, RandomState, spatialGroupnormForward } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(231).randn([2, 6, 4, 5]);
 * const { out } = spatialGroupnormForward(x, full([6], 1), full([6], 0), 2);
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @param gamma Scales, (C), or (1, C, 1, 1) as in the course.
 * @param beta Shifts, of gamma's shape.
 * @param G Number of groups; it must divide C.
 * @param gnParam eps.
 * @returns `out` (N, C, H, W) and the cache.
 * @throws {TypeError} If a tensor has a wrong type, dtype or rank, or an option is unknown.
 * @throws {RangeError} If sizes do not fit, G does not divide C, or eps is negative.
 */
export function spatialGroupnormForward<A extends FloatArray>(
  x: Tensor<A>,
  gamma: Tensor<A>,
  beta: Tensor<A>,
  G: number,
  gnParam: LayernormParams = {},
): { out: Tensor<A>; cache: NormCache<A, "spatialGroupnorm"> } {
  const C = x?.shape?.[1];
  checkInputs(4, x, gamma, beta, gamma?.shape?.length === 4 ? [1, C, 1, 1] : [C]);
  checkWhole("G", G, 1);
  if (C % G !== 0) {
    throw new ArgumentRangeError(
      `G must divide the channels of x: G is ${G}, x has shape ${show(x.shape)}`,
    );
  }
  const { eps } = readOptions("gnParam", gnParam, LAYERNORM_PARAMS);
  return runLayernorm("spatialGroupnorm", x, gamma, beta, C / G, eps);
}

/**
 * Gradients of group normalization. Source: spatial_groupnorm_backward in nndl/layers.py.
 *
 * @example
 * ```ts
 * import {
 *   full,
 *   RandomState,
 *   spatialGroupnormBackward,
 *   spatialGroupnormForward,
 * } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(231).randn([2, 6, 4, 5]);
 * const { out, cache } = spatialGroupnormForward(x, full([6], 1), full([6], 0), 2);
 * const { dx, dgamma, dbeta } = spatialGroupnormBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, C, H, W).
 * @param cache From the forward pass.
 * @returns `dx` (N, C, H, W), and `dgamma` and `dbeta` of gamma's shape.
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank, or comes from another layer.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function spatialGroupnormBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: NormCache<A, "spatialGroupnorm">,
): NormGradients<A> {
  return normalizeBackward(checkBackward(dout, cache, "spatialGroupnorm"), dout, cache);
}

/**
 * Group normalization as a layer of a net, of images (C, H, W). Parameters: gamma and beta (C). With
 * one group it is layer normalization of images, with C groups instance normalization.
 *
 * @example
 * ```ts
 * import { affine, conv, groupnorm, Net, relu } from "@cnn-layers/cnn-layers";
 *
 * const layers = [conv(8, { bias: false }), groupnorm(4), relu(), affine(10)];
 * const net = new Net({ inputDim: [3, 8, 8], layers });
 * ```
 *
 * @param groups How many groups; they must divide C.
 * @param options eps (1e-5).
 * @returns The layer.
 * @throws {TypeError} If an option is unknown or has a wrong type.
 * @throws {RangeError} If groups is not a whole number from 1, or eps is negative.
 */
export function groupnorm(groups: number, options: LayernormOptions = {}): LayerDefinition {
  checkWhole("groupnorm.groups", groups, 1);
  const { eps } = readOptions("groupnorm", options, { eps: EPS });
  return layerOf("groupnorm", [groups, options], (inShape, planner) => {
    const [C] = imageShape(inShape, planner);
    if (C % groups !== 0) {
      throw new ArgumentRangeError(`groups must divide the channels: received ${groups} of ${C}`);
    }
    return {
      outShape: inShape,
      params: normParams(C),
      ownsOut: true,
      ownsDx: true,
      forward: (x, { gamma, beta }) =>
        normPass(runLayernorm("spatialGroupnorm", x, gamma, beta, C / groups, eps)),
    };
  });
}
