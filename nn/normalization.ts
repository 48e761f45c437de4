/**
 * Batch, layer and group normalisation: subtract a mean, divide by a standard deviation, scale and
 * shift.
 *
 * Source: nndl/layers.py of the CS231n / ECE C147 course; Ioffe and Szegedy, "Batch Normalization"
 * (2015); Ba, Kiros and Hinton, "Layer Normalization" (2016); Wu and He, "Group Normalization" (2018).
 *
 * @module
 */

import type { FloatArray, Tensor } from "../kernels/tensor.ts";
import {
  checkNonEmpty,
  checkSameDType,
  checkTensor,
  checkTensorShape,
  checkWhole,
} from "../kernels/check.ts";
import { show, sizeOf } from "../kernels/tensor.ts";
import {
  checkCache,
  checkMode,
  type Mode,
  option,
  readOptions,
  required,
  tensorLike,
  unchecked,
  within,
} from "./checks.ts";
import {
  groupByChannel,
  groupByExample,
  type Layout,
  normalize,
  normalizeBackward,
  type Normalized,
  type NormGradients,
} from "./norm_loops.ts";
import { zerosLike } from "./tensor.ts";

export type { Normalized, NormGradients } from "./norm_loops.ts";

/**
 * How batch normalisation goes about it: the course's `bn_param`. The running statistics are
 * written back into it, as new tensors, by each forward pass in training.
 */
export interface BatchnormParams<A extends FloatArray = FloatArray> {
  /** Statistics of the batch ("train") or the running ones ("test"). */
  mode: Mode;
  /** Added to the variance, so that it is never 0. 1e-5 if left out. */
  eps?: number;
  /** The part of the running statistics that a training step keeps. 0.9 if left out. */
  momentum?: number;
  /** Running mean of each channel. 0 if left out. */
  runningMean?: Tensor<A>;
  /** Running variance of each channel, biased. 0 if left out. */
  runningVar?: Tensor<A>;
}

/** How layer and group normalisation go about it: the course's `ln_param` and `gn_param`. */
export interface LayernormParams {
  /** Added to the variance, so that it is never 0. 1e-5 if left out. */
  readonly eps?: number;
  /** Taken, as the course's calls have it, and without effect: each example has its own statistics. */
  readonly mode?: Mode;
}

/** The layers of this file, as their caches name them. */
export type NormLayer = "batchnorm" | "layernorm" | "spatialBatchnorm" | "spatialGroupnorm";

/** What a normalisation's backward pass needs of its forward pass. */
export interface NormCache<A extends FloatArray = FloatArray, L extends NormLayer = NormLayer>
  extends Normalized<A> {
  /** Which layer made it. */
  readonly layer: L;
}

/** x (N, D) or (N, C, H, W) as N times C planes of P numbers. */
function planesOf({ shape: [N, C, ...plane] }: Tensor): [N: number, C: number, P: number] {
  return [N, C, sizeOf(plane)];
}

/** Checks x, which may be a batch of nothing, and gamma and beta: one number a channel. */
function checkInputs(
  rank: number,
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  shape: readonly number[] = [x?.shape?.[1]],
): void {
  checkTensor("x", x, rank);
  checkNonEmpty("x", x.shape, 1);
  const why = `one number a channel of x ${show(x.shape)}`;
  checkTensorShape("gamma", gamma, shape, why);
  checkTensorShape("beta", beta, shape, why);
  checkSameDType({ x, gamma, beta });
}

/** The options of the normalisations; the running statistics are checked beside x. */
const EPS = option(within(0), 1e-5);
const LAYERNORM_PARAMS = { eps: EPS, mode: option(checkMode) };
const BATCHNORM_PARAMS = {
  mode: required(checkMode),
  eps: EPS,
  momentum: option(within(0, 1), 0.9),
  runningMean: unchecked,
  runningVar: unchecked,
};

/** Batch normalisation of x (N, D) or (N, C, H, W). */
function runBatchnorm<A extends FloatArray, L extends NormLayer>(
  layer: L,
  rank: number,
  x: Tensor<A>,
  gamma: Tensor<A>,
  beta: Tensor<A>,
  bnParam: BatchnormParams<A>,
): { out: Tensor<A>; cache: NormCache<A, L> } {
  checkInputs(rank, x, gamma, beta);
  const { mode, eps, momentum, ...running } = readOptions("bnParam", bnParam, BATCHNORM_PARAMS);
  const runningMean = tensorLike("bnParam.runningMean", running.runningMean, gamma, "gamma");
  const runningVar = tensorLike("bnParam.runningVar", running.runningVar, gamma, "gamma");
  const layout = groupByChannel(...planesOf(x));
  if (mode === "test") {
    const fixed = { mean: runningMean.data, variance: runningVar.data };
    const { out, normalized } = normalize(layout, x, gamma, beta, eps, fixed);
    return { out, cache: { layer, ...normalized } };
  }
  const { out, variance, normalized } = normalize(layout, x, gamma, beta, eps);
  // A batch of nothing has no statistics.
  if (x.shape[0] > 0) {
    bnParam.runningMean = mix(runningMean, normalized.mean, momentum);
    bnParam.runningVar = mix(runningVar, variance, momentum);
  }
  return { out, cache: { layer, ...normalized } };
}

/** kept * running + (1 - kept) * sample, a new tensor. */
function mix<A extends FloatArray>(
  running: Tensor<A>,
  sample: FloatArray,
  kept: number,
): Tensor<A> {
  const result = zerosLike(running);
  for (let i = 0; i < sample.length; i++) {
    result.data[i] = kept * running.data[i] + (1 - kept) * sample[i];
  }
  return result;
}

/** Normalisation of `planes` channels of an example together, of x (N, D) or (N, C, H, W). */
function runLayernorm<A extends FloatArray, L extends NormLayer>(
  layer: L,
  x: Tensor<A>,
  gamma: Tensor<A>,
  beta: Tensor<A>,
  planes: number,
  eps: number,
): { out: Tensor<A>; cache: NormCache<A, L> } {
  const layout = groupByExample(...planesOf(x), planes);
  const { out, normalized } = normalize(layout, x, gamma, beta, eps);
  return { out, cache: { layer, ...normalized } };
}

/** Checks the arguments of a backward pass; returns how its loops see x. */
function checkBackward(dout: Tensor, cache: NormCache, layer: NormLayer): Layout {
  checkCache(cache, ["layer", "x", "gamma", "mean", "inverseStd", "count"]);
  if (cache.layer !== layer) {
    throw new TypeError(
      `cache must come from ${layer}Forward: it comes from ${cache.layer}Forward`,
    );
  }
  const { x, gamma, count } = cache;
  checkTensor("cache.x", x);
  checkTensorShape("dout", dout, x.shape, "the layer's output");
  checkSameDType({ dout, x, gamma });
  const [N, C, P] = planesOf(x);
  const byChannel = layer === "batchnorm" || layer === "spatialBatchnorm";
  return byChannel ? groupByChannel(N, C, P) : groupByExample(N, C, P, count / P);
}

/**
 * Batch normalisation: each of the D columns gets mean 0 and variance 1 over the batch (in
 * training) or by the running statistics (in use), then is scaled by gamma and shifted by beta.
 *
 * Source: batchnorm_forward in nndl/layers.py; Ioffe and Szegedy (2015). The variance is biased,
 * and the running one too.
 *
 * @example
 * ```ts
 * import { batchnormForward, type BatchnormParams, full, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(231).randn([200, 3]);
 * const bnParam: BatchnormParams<Float64Array> = { mode: "train" };
 * const { out } = batchnormForward(x, full([3], 1), full([3], 0), bnParam);
 * console.log(bnParam.runningMean?.data);
 * ```
 *
 * @param x Input, (N, D).
 * @param gamma Scales, (D).
 * @param beta Shifts, (D).
 * @param bnParam Mode, eps, momentum, and the running statistics, which training writes back into it.
 * @returns `out` (N, D) and the cache.
 * @throws {TypeError} If a tensor has a wrong type, dtype or rank, the mode is none, or an option unknown.
 * @throws {RangeError} If sizes do not fit, eps is negative, or momentum is not from 0 to 1.
 */
export function batchnormForward<A extends FloatArray>(
  x: Tensor<A>,
  gamma: Tensor<A>,
  beta: Tensor<A>,
  bnParam: BatchnormParams<A>,
): { out: Tensor<A>; cache: NormCache<A, "batchnorm"> } {
  return runBatchnorm("batchnorm", 2, x, gamma, beta, bnParam);
}

/**
 * Gradients of batch normalisation, back through the graph of the forward pass node by node.
 * {@linkcode batchnormBackwardAlt} gives the same from the simplified formula, faster.
 *
 * Source: batchnorm_backward in nndl/layers.py.
 *
 * @example
 * ```ts
 * import { batchnormBackward, batchnormForward, full, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(231).randn([4, 5]);
 * const { out, cache } = batchnormForward(x, full([5], 1), full([5], 0), { mode: "train" });
 * const { dx, dgamma, dbeta } = batchnormBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, D).
 * @param cache From the forward pass.
 * @returns `dx` (N, D), `dgamma` (D) and `dbeta` (D).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank, or comes from another layer.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function batchnormBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: NormCache<A, "batchnorm">,
): NormGradients<A> {
  const { groups: D, planes: N } = checkBackward(dout, cache, "batchnorm");
  const { x, gamma, mean, inverseStd, count } = cache;
  const dx = zerosLike(x), dgamma = zerosLike(gamma), dbeta = zerosLike(gamma);
  for (let d = 0; d < D; d++) {
    const r = inverseStd[d];
    // out = gamma * xhat + beta; xhat = centred * r
    let dbetaSum = 0, dgammaSum = 0, dr = 0;
    for (let n = 0, i = d; n < N; n++, i += D) {
      const centred = x.data[i] - mean[d];
      dbetaSum += dout.data[i];
      dgammaSum += dout.data[i] * centred * r;
      dr += dout.data[i] * gamma.data[d] * centred;
    }
    // r = (variance + eps) ^ -1/2; variance = sum of centred^2 / count
    const dvariance = -0.5 * (r * r * r) * dr;
    const dcentred = (i: number) =>
      dout.data[i] * gamma.data[d] * r + dvariance * 2 * (x.data[i] - mean[d]) / count;
    // centred = x - mean; mean = sum of x / count
    let dmean = 0;
    for (let n = 0, i = d; n < N; n++, i += D) dmean -= dcentred(i);
    for (let n = 0, i = d; n < N; n++, i += D) dx.data[i] = dcentred(i) + dmean / count;
    dgamma.data[d] = dgammaSum;
    dbeta.data[d] = dbetaSum;
  }
  return { dx, dgamma, dbeta };
}

/**
 * Gradients of batch normalisation by the simplified formula, in two passes over the numbers.
 *
 * Source: batchnorm_backward_alt in nndl/layers.py.
 *
 * @example
 * ```ts
 * import { batchnormBackwardAlt, batchnormForward, full, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(231).randn([4, 5]);
 * const { out, cache } = batchnormForward(x, full([5], 1), full([5], 0), { mode: "train" });
 * const { dx, dgamma, dbeta } = batchnormBackwardAlt(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, D).
 * @param cache From the forward pass.
 * @returns `dx` (N, D), `dgamma` (D) and `dbeta` (D).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank, or comes from another layer.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function batchnormBackwardAlt<A extends FloatArray>(
  dout: Tensor<A>,
  cache: NormCache<A, "batchnorm">,
): NormGradients<A> {
  return normalizeBackward(checkBackward(dout, cache, "batchnorm"), dout, cache);
}

/**
 * Layer normalisation: each of the N rows gets mean 0 and variance 1, then each column is scaled by
 * gamma and shifted by beta. Training and use are the same.
 *
 * Source: layernorm_forward in nndl/layers.py; Ba, Kiros and Hinton (2016).
 *
 * @example
 * ```ts
 * import { full, layernormForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(231).randn([4, 50]);
 * const { out } = layernormForward(x, full([50], 1), full([50], 0));
 * ```
 *
 * @param x Input, (N, D).
 * @param gamma Scales, (D).
 * @param beta Shifts, (D).
 * @param lnParam eps.
 * @returns `out` (N, D) and the cache.
 * @throws {TypeError} If a tensor has a wrong type, dtype or rank, or an option is unknown.
 * @throws {RangeError} If sizes do not fit, or eps is negative.
 */
export function layernormForward<A extends FloatArray>(
  x: Tensor<A>,
  gamma: Tensor<A>,
  beta: Tensor<A>,
  lnParam: LayernormParams = {},
): { out: Tensor<A>; cache: NormCache<A, "layernorm"> } {
  checkInputs(2, x, gamma, beta);
  const { eps } = readOptions("lnParam", lnParam, LAYERNORM_PARAMS);
  return runLayernorm("layernorm", x, gamma, beta, x.shape[1], eps);
}

/**
 * Gradients of layer normalisation. Source: layernorm_backward in nndl/layers.py.
 *
 * @example
 * ```ts
 * import { full, layernormBackward, layernormForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(231).randn([4, 5]);
 * const { out, cache } = layernormForward(x, full([5], 1), full([5], 0));
 * const { dx, dgamma, dbeta } = layernormBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, D).
 * @param cache From the forward pass.
 * @returns `dx` (N, D), `dgamma` (D) and `dbeta` (D).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank, or comes from another layer.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function layernormBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: NormCache<A, "layernorm">,
): NormGradients<A> {
  return normalizeBackward(checkBackward(dout, cache, "layernorm"), dout, cache);
}

/**
 * Batch normalisation of pictures: each of the C channels gets mean 0 and variance 1 over the batch
 * and all its positions.
 *
 * Source: spatial_batchnorm_forward in nndl/layers.py.
 *
 * @example
 * ```ts
 * import { full, RandomState, spatialBatchnormForward } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(231).randn([2, 3, 4, 5]);
 * const { out } = spatialBatchnormForward(x, full([3], 1), full([3], 0), { mode: "train" });
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @param gamma Scales, (C).
 * @param beta Shifts, (C).
 * @param bnParam Mode, eps, momentum, and the running statistics, which training writes back into it.
 * @returns `out` (N, C, H, W) and the cache.
 * @throws {TypeError} If a tensor has a wrong type, dtype or rank, the mode is none, or an option unknown.
 * @throws {RangeError} If sizes do not fit, eps is negative, or momentum is not from 0 to 1.
 */
export function spatialBatchnormForward<A extends FloatArray>(
  x: Tensor<A>,
  gamma: Tensor<A>,
  beta: Tensor<A>,
  bnParam: BatchnormParams<A>,
): { out: Tensor<A>; cache: NormCache<A, "spatialBatchnorm"> } {
  return runBatchnorm("spatialBatchnorm", 4, x, gamma, beta, bnParam);
}

/**
 * Gradients of spatial batch normalisation. Source: spatial_batchnorm_backward in nndl/layers.py.
 *
 * @example
 * ```ts
 * import {
 *   full,
 *   RandomState,
 *   spatialBatchnormBackward,
 *   spatialBatchnormForward,
 * } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(231).randn([2, 3, 4, 5]);
 * const { out, cache } = spatialBatchnormForward(x, full([3], 1), full([3], 0), { mode: "train" });
 * const { dx, dgamma, dbeta } = spatialBatchnormBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, C, H, W).
 * @param cache From the forward pass.
 * @returns `dx` (N, C, H, W), `dgamma` (C) and `dbeta` (C).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank, or comes from another layer.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function spatialBatchnormBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: NormCache<A, "spatialBatchnorm">,
): NormGradients<A> {
  return normalizeBackward(checkBackward(dout, cache, "spatialBatchnorm"), dout, cache);
}

/**
 * Group normalisation of pictures: in each picture, each of the G groups of C / G channels gets mean
 * 0 and variance 1. Training and use are the same.
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
    throw new RangeError(
      `G must divide the channels of x: G is ${G}, x has shape ${show(x.shape)}`,
    );
  }
  const { eps } = readOptions("gnParam", gnParam, LAYERNORM_PARAMS);
  return runLayernorm("spatialGroupnorm", x, gamma, beta, C / G, eps);
}

/**
 * Gradients of group normalisation. Source: spatial_groupnorm_backward in nndl/layers.py.
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
