/**
 * Cascades of fully-connected layers: the layers that usually follow each other, as one.
 *
 * Source: nndl/layer_utils.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import { relu } from "../kernels/maps/relu.ts";
import type { FloatArray, Tensor } from "../kernels/tensor.ts";
import { checkCache } from "./checks.ts";
import {
  affineBackward,
  type AffineCache,
  affineForward,
  affineForwardFusedRelu,
} from "./layers/affine.ts";
import {
  batchnormBackwardAlt,
  batchnormForward,
  type BatchnormParams,
} from "./layers/batchnorm.ts";
import type { BackwardOptions, Gradients, OptionalDx } from "./layers/gradients.ts";
import { layernormBackward, layernormForward } from "./layers/layernorm.ts";
import type { NormGradients } from "./layers/norm_loops.ts";
import type { LayernormParams, NormCache } from "./layers/normalization.ts";
import { reluBackward, type ReluCache } from "./layers/relu.ts";
import { runMap } from "./layers/run_map.ts";

/** What the backward pass of affine - relu needs of its forward pass. */
export interface AffineReluCache<A extends FloatArray = FloatArray> {
  /** Of the fully-connected layer. */
  readonly affine: AffineCache<A>;
  /** Of relu. */
  readonly relu: ReluCache<A>;
}

/** What the backward pass of affine - normalization - relu needs of its forward pass. */
export interface AffineNormReluCache<
  A extends FloatArray = FloatArray,
  L extends "batchnorm" | "layernorm" = "batchnorm" | "layernorm",
> extends AffineReluCache<A> {
  /** Of the normalization. */
  readonly norm: NormCache<A, L>;
}

/** The gradients of a layer with weights, biases and normalization. */
export type NormedGradients<A extends FloatArray = FloatArray> = Gradients<A> & NormGradients<A>;

/**
 * A fully-connected layer, then relu. Source: affine_relu_forward in nndl/layer_utils.py.
 *
 * @example
 * ```ts
 * import { affineReluForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([2, 3, 4]), w = random.randn([12, 10]), b = random.randn([10]);
 * const { out, cache } = affineReluForward(x, w, b);
 * ```
 *
 * @param x Input, (N, ...).
 * @param w Weights, (D, M).
 * @param b Biases, (M).
 * @returns `out` (N, M) and the cache.
 * @throws {TypeError} If a tensor has a wrong type, dtype or rank.
 * @throws {RangeError} If sizes do not fit each other.
 */
export function affineReluForward<A extends FloatArray>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: Tensor<A>,
): { out: Tensor<A>; cache: AffineReluCache<A> } {
  const { out, cache } = affineForwardFusedRelu(x, w, b);
  return { out, cache: { affine: cache, relu: { out } } };
}

/**
 * Gradients of affine - relu. Source: affine_relu_backward in nndl/layer_utils.py.
 *
 * @example
 * ```ts
 * import { affineReluBackward, affineReluForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([2, 3, 4]), w = random.randn([12, 10]), b = random.randn([10]);
 * const { out, cache } = affineReluForward(x, w, b);
 * const { dx, dw, db } = affineReluBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, M).
 * @param cache From the forward pass.
 * @param options `dx: false` leaves out dx.
 * @returns `dx` of x's shape, `dw` (D, M) and `db` (M).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function affineReluBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AffineReluCache<A>,
  options?: { readonly dx?: true },
): Gradients<A>;
/** The same, without dx if `options.dx` is false. */
export function affineReluBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AffineReluCache<A>,
  options: BackwardOptions,
): OptionalDx<Gradients<A>>;
export function affineReluBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AffineReluCache<A>,
  options: BackwardOptions = {},
): OptionalDx<Gradients<A>> {
  checkCache(cache, ["affine", "relu"]);
  return affineBackward(reluBackward(dout, cache.relu), cache.affine, options);
}

/**
 * A fully-connected layer, then batch normalization, then relu.
 *
 * @example
 * ```ts
 * import { affineBatchnormReluForward, full, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([4, 12]), w = random.randn([12, 10]), b = random.randn([10]);
 * const gamma = full([10], 1), beta = full([10], 0);
 * const { out } = affineBatchnormReluForward(x, w, b, gamma, beta, { mode: "train" });
 * ```
 *
 * @param x Input, (N, ...).
 * @param w Weights, (D, M).
 * @param b Biases, (M).
 * @param gamma Scales, (M).
 * @param beta Shifts, (M).
 * @param bnParam As for batchnormForward, which writes the running statistics back into it.
 * @returns `out` (N, M) and the cache.
 * @throws {TypeError} If a type, dtype, rank or mode is wrong, or an option unknown.
 * @throws {RangeError} If sizes do not fit each other, or a parameter is out of range.
 */
export function affineBatchnormReluForward<A extends FloatArray>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: Tensor<A>,
  gamma: Tensor<A>,
  beta: Tensor<A>,
  bnParam: BatchnormParams<A>,
): { out: Tensor<A>; cache: AffineNormReluCache<A, "batchnorm"> } {
  const { out: scores, cache: affine } = affineForward(x, w, b);
  const { out, cache: norm } = batchnormForward(scores, gamma, beta, bnParam);
  runMap(relu, [out, out]);
  return { out, cache: { affine, norm, relu: { out } } };
}

/**
 * Gradients of affine - batch normalization - relu.
 *
 * @example
 * ```ts
 * import {
 *   affineBatchnormReluBackward,
 *   affineBatchnormReluForward,
 *   full,
 *   RandomState,
 * } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([4, 12]), w = random.randn([12, 10]), b = random.randn([10]);
 * const gamma = full([10], 1), beta = full([10], 0);
 * const { out, cache } = affineBatchnormReluForward(x, w, b, gamma, beta, { mode: "train" });
 * const { dx, dw, db, dgamma, dbeta } = affineBatchnormReluBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, M).
 * @param cache From the forward pass.
 * @param options `dx: false` leaves out dx.
 * @returns `dx` of x's shape, `dw` (D, M), `db`, `dgamma` and `dbeta` (M).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function affineBatchnormReluBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AffineNormReluCache<A, "batchnorm">,
  options?: { readonly dx?: true },
): NormedGradients<A>;
/** The same, without dx if `options.dx` is false. */
export function affineBatchnormReluBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AffineNormReluCache<A, "batchnorm">,
  options: BackwardOptions,
): OptionalDx<NormedGradients<A>>;
export function affineBatchnormReluBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AffineNormReluCache<A, "batchnorm">,
  options: BackwardOptions = {},
): OptionalDx<NormedGradients<A>> {
  checkCache(cache, ["affine", "norm", "relu"]);
  const { dx: dscores, dgamma, dbeta } = batchnormBackwardAlt(
    reluBackward(dout, cache.relu),
    cache.norm,
  );
  return { ...affineBackward(dscores, cache.affine, options), dgamma, dbeta };
}

/**
 * A fully-connected layer, then layer normalization, then relu.
 *
 * @example
 * ```ts
 * import { affineLayernormReluForward, full, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([4, 12]), w = random.randn([12, 10]), b = random.randn([10]);
 * const { out } = affineLayernormReluForward(x, w, b, full([10], 1), full([10], 0));
 * ```
 *
 * @param x Input, (N, ...).
 * @param w Weights, (D, M).
 * @param b Biases, (M).
 * @param gamma Scales, (M).
 * @param beta Shifts, (M).
 * @param lnParam As for layernormForward.
 * @returns `out` (N, M) and the cache.
 * @throws {TypeError} If a type, dtype or rank is wrong, or an option unknown.
 * @throws {RangeError} If sizes do not fit each other, or a parameter is out of range.
 */
export function affineLayernormReluForward<A extends FloatArray>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: Tensor<A>,
  gamma: Tensor<A>,
  beta: Tensor<A>,
  lnParam: LayernormParams = {},
): { out: Tensor<A>; cache: AffineNormReluCache<A, "layernorm"> } {
  const { out: scores, cache: affine } = affineForward(x, w, b);
  const { out, cache: norm } = layernormForward(scores, gamma, beta, lnParam);
  runMap(relu, [out, out]);
  return { out, cache: { affine, norm, relu: { out } } };
}

/**
 * Gradients of affine - layer normalization - relu.
 *
 * @example
 * ```ts
 * import {
 *   affineLayernormReluBackward,
 *   affineLayernormReluForward,
 *   full,
 *   RandomState,
 * } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([4, 12]), w = random.randn([12, 10]), b = random.randn([10]);
 * const { out, cache } = affineLayernormReluForward(x, w, b, full([10], 1), full([10], 0));
 * const { dx, dw, db, dgamma, dbeta } = affineLayernormReluBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, M).
 * @param cache From the forward pass.
 * @param options `dx: false` leaves out dx.
 * @returns `dx` of x's shape, `dw` (D, M), `db`, `dgamma` and `dbeta` (M).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function affineLayernormReluBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AffineNormReluCache<A, "layernorm">,
  options?: { readonly dx?: true },
): NormedGradients<A>;
/** The same, without dx if `options.dx` is false. */
export function affineLayernormReluBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AffineNormReluCache<A, "layernorm">,
  options: BackwardOptions,
): OptionalDx<NormedGradients<A>>;
export function affineLayernormReluBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AffineNormReluCache<A, "layernorm">,
  options: BackwardOptions = {},
): OptionalDx<NormedGradients<A>> {
  checkCache(cache, ["affine", "norm", "relu"]);
  const { dx: dscores, dgamma, dbeta } = layernormBackward(
    reluBackward(dout, cache.relu),
    cache.norm,
  );
  return { ...affineBackward(dscores, cache.affine, options), dgamma, dbeta };
}
