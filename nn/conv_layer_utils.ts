/**
 * Cascades of convolutional layers: the layers that usually follow each other, as one. Relu costs
 * next to nothing in them: forward, the convolution's kernel does it; backward, after a max-pool,
 * it masks the pool's small dout, as the winner of a window is above 0 exactly where the pool's
 * output is.
 *
 * Source: nndl/conv_layer_utils.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import { relu } from "../kernels/maps/relu.ts";
import { type ConvParams, type PoolParams, poolShape } from "../kernels/shape.ts";
import type { FloatArray, Tensor } from "../kernels/tensor.ts";
import { checkCache } from "./checks.ts";
import type { NormedGradients } from "./layer_utils.ts";
import {
  type BatchnormParams,
  spatialBatchnormBackward,
  spatialBatchnormForward,
} from "./layers/batchnorm.ts";
import { convBackward, type ConvCache, convForward, convForwardFusedRelu } from "./layers/conv.ts";
import type { BackwardOptions, Gradients, OptionalDx } from "./layers/gradients.ts";
import { maxPoolBackward, maxPoolForward, type PoolCache } from "./layers/max_pool.ts";
import type { NormCache } from "./layers/normalization.ts";
import { reluBackward, type ReluCache } from "./layers/relu.ts";
import { runMap } from "./layers/run_map.ts";

/** What the backward pass of conv - relu needs of its forward pass. */
export interface ConvReluCache<A extends FloatArray = FloatArray> {
  /** Of the convolution. */
  readonly conv: ConvCache<A>;
  /** Of relu; after a pool, of a relu of the pool's output. */
  readonly relu: ReluCache<A>;
}

/** What the backward pass of conv - relu - pool needs of its forward pass. */
export interface ConvReluPoolCache<A extends FloatArray = FloatArray> extends ConvReluCache<A> {
  /** Of the pool. */
  readonly pool: PoolCache<A>;
}

/** What the backward pass of conv - batch normalization - relu needs of its forward pass. */
export interface ConvBatchnormReluCache<A extends FloatArray = FloatArray>
  extends ConvReluCache<A> {
  /** Of the batch normalization. */
  readonly norm: NormCache<A, "spatialBatchnorm">;
}

/** What the backward pass of conv - batch normalization - relu - pool needs of its forward pass. */
export interface ConvBatchnormReluPoolCache<A extends FloatArray = FloatArray>
  extends ConvBatchnormReluCache<A> {
  /** Of the pool. */
  readonly pool: PoolCache<A>;
}

/**
 * A convolution, then relu. Source: conv_relu_forward in nndl/conv_layer_utils.py.
 *
 * @example
 * ```ts
 * import { convReluForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([2, 3, 8, 8]), w = random.randn([3, 3, 3, 3]), b = random.randn([3]);
 * const { out, cache } = convReluForward(x, w, b, { stride: 1, pad: 1 });
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @param w Filters, (F, C, KH, KW).
 * @param b Biases, (F).
 * @param convParam Stride (1) and padding (0), or nothing for these.
 * @returns `out` (N, F, H', W') and the cache.
 * @throws {TypeError} If a tensor has a wrong type, dtype or rank, or an option is unknown.
 * @throws {RangeError} If sizes do not fit each other, or the kernel is larger than the padded input.
 */
export function convReluForward<A extends FloatArray>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: Tensor<A>,
  convParam: ConvParams = {},
): { out: Tensor<A>; cache: ConvReluCache<A> } {
  const { out, cache: conv } = convForwardFusedRelu(x, w, b, convParam);
  return { out, cache: { conv, relu: { out } } };
}

/**
 * Gradients of conv - relu. Source: conv_relu_backward in nndl/conv_layer_utils.py.
 *
 * @example
 * ```ts
 * import { convReluBackward, convReluForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([2, 3, 8, 8]), w = random.randn([3, 3, 3, 3]), b = random.randn([3]);
 * const { out, cache } = convReluForward(x, w, b, { stride: 1, pad: 1 });
 * const { dx, dw, db } = convReluBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, F, H', W').
 * @param cache From the forward pass.
 * @param options `dx: false` leaves out dx.
 * @returns `dx` (N, C, H, W), `dw` (F, C, KH, KW) and `db` (F).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function convReluBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: ConvReluCache<A>,
  options?: { readonly dx?: true },
): Gradients<A>;
/** The same, without dx if `options.dx` is false. */
export function convReluBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: ConvReluCache<A>,
  options: BackwardOptions,
): OptionalDx<Gradients<A>>;
export function convReluBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: ConvReluCache<A>,
  options: BackwardOptions = {},
): OptionalDx<Gradients<A>> {
  checkCache(cache, ["conv", "relu"]);
  return convBackward(reluBackward(dout, cache.relu), cache.conv, options);
}

/**
 * A convolution, then relu, then a max-pool. Source: conv_relu_pool_forward in
 * nndl/conv_layer_utils.py.
 *
 * @example
 * ```ts
 * import { convReluPoolForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([2, 3, 16, 16]), w = random.randn([3, 3, 3, 3]), b = random.randn([3]);
 * const convParam = { stride: 1, pad: 1 };
 * const poolParam = { poolHeight: 2, poolWidth: 2, stride: 2 };
 * const { out } = convReluPoolForward(x, w, b, convParam, poolParam);
 * console.log(out.shape); // [2, 3, 8, 8]
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @param w Filters, (F, C, KH, KW).
 * @param b Biases, (F).
 * @param convParam Stride (1) and padding (0).
 * @param poolParam Window, stride and padding (0) of the pool.
 * @returns `out` (N, F, H', W') and the cache.
 * @throws {TypeError} If a tensor has a wrong type, dtype or rank, or an option is unknown.
 * @throws {RangeError} If sizes do not fit each other, or a window is larger than its padded input.
 */
export function convReluPoolForward<A extends FloatArray>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: Tensor<A>,
  convParam: ConvParams,
  poolParam: PoolParams,
): { out: Tensor<A>; cache: ConvReluPoolCache<A> } {
  const { out: rectified, cache: conv } = convForwardFusedRelu(x, w, b, convParam);
  const { out, cache: pool } = maxPoolForward(rectified, poolParam);
  return { out, cache: { conv, relu: { out }, pool } };
}

/**
 * Gradients of conv - relu - pool. Source: conv_relu_pool_backward in nndl/conv_layer_utils.py.
 *
 * @example
 * ```ts
 * import { convReluPoolBackward, convReluPoolForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([2, 3, 16, 16]), w = random.randn([3, 3, 3, 3]), b = random.randn([3]);
 * const convParam = { stride: 1, pad: 1 };
 * const poolParam = { poolHeight: 2, poolWidth: 2, stride: 2 };
 * const { out, cache } = convReluPoolForward(x, w, b, convParam, poolParam);
 * const { dx, dw, db } = convReluPoolBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, F, H', W').
 * @param cache From the forward pass.
 * @param options `dx: false` leaves out dx.
 * @returns `dx` (N, C, H, W), `dw` (F, C, KH, KW) and `db` (F).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function convReluPoolBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: ConvReluPoolCache<A>,
  options?: { readonly dx?: true },
): Gradients<A>;
/** The same, without dx if `options.dx` is false. */
export function convReluPoolBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: ConvReluPoolCache<A>,
  options: BackwardOptions,
): OptionalDx<Gradients<A>>;
export function convReluPoolBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: ConvReluPoolCache<A>,
  options: BackwardOptions = {},
): OptionalDx<Gradients<A>> {
  checkCache(cache, ["conv", "relu", "pool"]);
  const dconv = maxPoolBackward(reluBackward(dout, cache.relu), cache.pool);
  return convBackward(dconv, cache.conv, options);
}

/**
 * A convolution, then spatial batch normalization, then relu. Source: conv_bn_relu_forward in the
 * course's layer_utils.py.
 *
 * @example
 * ```ts
 * import { convBatchnormReluForward, full, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([2, 3, 8, 8]), w = random.randn([4, 3, 3, 3]), b = random.randn([4]);
 * const gamma = full([4], 1), beta = full([4], 0), convParam = { stride: 1, pad: 1 };
 * const { out } = convBatchnormReluForward(x, w, b, gamma, beta, convParam, { mode: "train" });
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @param w Filters, (F, C, KH, KW).
 * @param b Biases, (F).
 * @param gamma Scales, (F).
 * @param beta Shifts, (F).
 * @param convParam Stride (1) and padding (0).
 * @param bnParam As for spatialBatchnormForward, which writes the running statistics back into it.
 * @returns `out` (N, F, H', W') and the cache.
 * @throws {TypeError} If a type, dtype, rank or mode is wrong, or an option unknown.
 * @throws {RangeError} If sizes do not fit each other, or a parameter is out of range.
 */
export function convBatchnormReluForward<A extends FloatArray>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: Tensor<A>,
  gamma: Tensor<A>,
  beta: Tensor<A>,
  convParam: ConvParams,
  bnParam: BatchnormParams<A>,
): { out: Tensor<A>; cache: ConvBatchnormReluCache<A> } {
  const { out: linear, cache: conv } = convForward(x, w, b, convParam);
  const { out, cache: norm } = spatialBatchnormForward(linear, gamma, beta, bnParam);
  runMap(relu, [out, out]);
  return { out, cache: { conv, norm, relu: { out } } };
}

/**
 * Gradients of conv - batch normalization - relu. Source: conv_bn_relu_backward in the course's
 * layer_utils.py.
 *
 * @example
 * ```ts
 * import {
 *   convBatchnormReluBackward,
 *   convBatchnormReluForward,
 *   full,
 *   RandomState,
 * } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([2, 3, 8, 8]), w = random.randn([4, 3, 3, 3]), b = random.randn([4]);
 * const gamma = full([4], 1), beta = full([4], 0), convParam = { stride: 1, pad: 1 };
 * const { out, cache } = convBatchnormReluForward(x, w, b, gamma, beta, convParam, { mode: "train" });
 * const { dx, dw, db, dgamma, dbeta } = convBatchnormReluBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, F, H', W').
 * @param cache From the forward pass.
 * @param options `dx: false` leaves out dx.
 * @returns `dx` (N, C, H, W), `dw` (F, C, KH, KW), `db`, `dgamma` and `dbeta` (F).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function convBatchnormReluBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: ConvBatchnormReluCache<A>,
  options?: { readonly dx?: true },
): NormedGradients<A>;
/** The same, without dx if `options.dx` is false. */
export function convBatchnormReluBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: ConvBatchnormReluCache<A>,
  options: BackwardOptions,
): OptionalDx<NormedGradients<A>>;
export function convBatchnormReluBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: ConvBatchnormReluCache<A>,
  options: BackwardOptions = {},
): OptionalDx<NormedGradients<A>> {
  checkCache(cache, ["conv", "norm", "relu"]);
  const dnorm = reluBackward(dout, cache.relu);
  const { dx: dconv, dgamma, dbeta } = spatialBatchnormBackward(dnorm, cache.norm);
  return { ...convBackward(dconv, cache.conv, options), dgamma, dbeta };
}

/**
 * A convolution, then spatial batch normalization, then relu, then a max-pool.
 *
 * @example
 * ```ts
 * import { convBatchnormReluPoolForward, full, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([2, 3, 8, 8]), w = random.randn([4, 3, 3, 3]), b = random.randn([4]);
 * const gamma = full([4], 1), beta = full([4], 0);
 * const convParam = { stride: 1, pad: 1 };
 * const poolParam = { poolHeight: 2, poolWidth: 2, stride: 2 };
 * const bnParam = { mode: "train" } as const;
 * const { out } = convBatchnormReluPoolForward(x, w, b, gamma, beta, convParam, bnParam, poolParam);
 * console.log(out.shape); // [2, 4, 4, 4]
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @param w Filters, (F, C, KH, KW).
 * @param b Biases, (F).
 * @param gamma Scales, (F).
 * @param beta Shifts, (F).
 * @param convParam Stride (1) and padding (0).
 * @param bnParam As for spatialBatchnormForward, which writes the running statistics back into it.
 * @param poolParam Window, stride and padding (0) of the pool.
 * @returns `out` (N, F, H', W') and the cache.
 * @throws {TypeError} If a type, dtype, rank or mode is wrong, or an option unknown.
 * @throws {RangeError} If sizes do not fit each other, or a parameter is out of range.
 */
export function convBatchnormReluPoolForward<A extends FloatArray>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: Tensor<A>,
  gamma: Tensor<A>,
  beta: Tensor<A>,
  convParam: ConvParams,
  bnParam: BatchnormParams<A>,
  poolParam: PoolParams,
): { out: Tensor<A>; cache: ConvBatchnormReluPoolCache<A> } {
  const { out: linear, cache: conv } = convForward(x, w, b, convParam);
  // Checked before batch normalization writes its running statistics.
  poolShape(linear.shape, poolParam);
  const { out: normal, cache: norm } = spatialBatchnormForward(linear, gamma, beta, bnParam);
  const { out, cache: pool } = maxPoolForward(normal, poolParam);
  // Relu after the pool is relu before it, and has less to do.
  runMap(relu, [out, out]);
  return { out, cache: { conv, norm, relu: { out }, pool } };
}

/**
 * Gradients of conv - batch normalization - relu - pool.
 *
 * @example
 * ```ts
 * import {
 *   convBatchnormReluPoolBackward,
 *   convBatchnormReluPoolForward,
 *   full,
 *   RandomState,
 * } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([2, 3, 8, 8]), w = random.randn([4, 3, 3, 3]), b = random.randn([4]);
 * const gamma = full([4], 1), beta = full([4], 0);
 * const convParam = { stride: 1, pad: 1 };
 * const poolParam = { poolHeight: 2, poolWidth: 2, stride: 2 };
 * const bnParam = { mode: "train" } as const;
 * const { out, cache } = //
 *   convBatchnormReluPoolForward(x, w, b, gamma, beta, convParam, bnParam, poolParam);
 * const { dx, dw, db, dgamma, dbeta } = convBatchnormReluPoolBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, F, H', W').
 * @param cache From the forward pass.
 * @param options `dx: false` leaves out dx.
 * @returns `dx` (N, C, H, W), `dw` (F, C, KH, KW), `db`, `dgamma` and `dbeta` (F).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function convBatchnormReluPoolBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: ConvBatchnormReluPoolCache<A>,
  options?: { readonly dx?: true },
): NormedGradients<A>;
/** The same, without dx if `options.dx` is false. */
export function convBatchnormReluPoolBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: ConvBatchnormReluPoolCache<A>,
  options: BackwardOptions,
): OptionalDx<NormedGradients<A>>;
export function convBatchnormReluPoolBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: ConvBatchnormReluPoolCache<A>,
  options: BackwardOptions = {},
): OptionalDx<NormedGradients<A>> {
  checkCache(cache, ["conv", "norm", "relu", "pool"]);
  const dnorm = maxPoolBackward(reluBackward(dout, cache.relu), cache.pool);
  const { dx: dconv, dgamma, dbeta } = spatialBatchnormBackward(dnorm, cache.norm);
  return { ...convBackward(dconv, cache.conv, options), dgamma, dbeta };
}
