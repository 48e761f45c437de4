/**
 * Batch normalization, of vectors and of images.
 *
 * Source: nndl/layers.py of the CS231n / ECE C147 course; Ioffe and Szegedy, "Batch Normalization"
 * (2015).
 *
 * @module
 */

import { ArgumentTypeError } from "../../kernels/errors.ts";
import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { show } from "../../kernels/tensor.ts";
import {
  checkMode,
  type Mode,
  option,
  readOptions,
  required,
  tensorLike,
  unchecked,
  within,
} from "../checks.ts";
import { zerosLike } from "../tensor.ts";
import { jointBatchnorm } from "./joint_batchnorm.ts";
import { type JointRun, type LayerDefinition, layerOf, type LayerPlan } from "./layer.ts";
import { groupByChannel, normalize, normalizeBackward, type NormGradients } from "./norm_loops.ts";
import {
  checkBackward,
  checkInputs,
  EPS,
  type NormCache,
  type NormLayer,
  normParams,
  normPass,
  planesOf,
} from "./normalization.ts";

/**
 * Options of batch normalization: the course's `bn_param`. The running statistics are
 * written back into it, as new tensors, by each forward pass in training.
 */
export interface BatchnormParams<A extends FloatArray = FloatArray> {
  /** Statistics of the batch ("train") or the running ones ("test"). */
  mode: Mode;
  /** Added to the variance, so that it is never 0. Default: 1e-5. */
  eps?: number;
  /** The part of the running statistics that a training step keeps. Default: 0.9. */
  momentum?: number;
  /** Running mean of each channel. Default: 0. */
  runningMean?: Tensor<A>;
  /** Running variance of each channel, biased. Default: 0. */
  runningVar?: Tensor<A>;
}

/** The options; the running statistics are checked beside x. */
const BATCHNORM_PARAMS = {
  mode: required(checkMode),
  eps: EPS,
  momentum: option(within(0, 1), 0.9),
  runningMean: unchecked,
  runningVar: unchecked,
};

/** Batch normalization of x (N, D) or (N, C, H, W). */
function runBatchnorm<A extends FloatArray, L extends NormLayer>(
  layer: L,
  rank: number,
  x: Tensor<A>,
  gamma: Tensor<A>,
  beta: Tensor<A>,
  bnParam: BatchnormParams<A>,
  relu = false,
): { out: Tensor<A>; cache: NormCache<A, L> } {
  checkInputs(rank, x, gamma, beta);
  const { mode, eps, momentum, ...running } = readOptions("bnParam", bnParam, BATCHNORM_PARAMS);
  const runningMean = tensorLike("bnParam.runningMean", running.runningMean, gamma, "gamma");
  const runningVar = tensorLike("bnParam.runningVar", running.runningVar, gamma, "gamma");
  const layout = groupByChannel(...planesOf(x));
  if (mode === "test") {
    const fixed = { mean: runningMean.data, variance: runningVar.data };
    const { out, normalized } = normalize(layout, x, gamma, beta, eps, fixed, relu);
    return { out, cache: { layer, ...normalized } };
  }
  const { out, variance, normalized } = normalize(layout, x, gamma, beta, eps, undefined, relu);
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

/**
 * Batch normalization: each of the D columns gets mean 0 and variance 1 over the batch (in
 * training) or by the running statistics (at inference), then is scaled by gamma and shifted by beta.
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
 * Gradients of batch normalization, back through the graph of the forward pass node by node.
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
    // out = gamma * xhat + beta; xhat = centered * r
    let dbetaSum = 0, dgammaSum = 0, dr = 0;
    for (let n = 0, i = d; n < N; n++, i += D) {
      const centred = x.data[i] - mean[d];
      dbetaSum += dout.data[i];
      dgammaSum += dout.data[i] * centred * r;
      dr += dout.data[i] * gamma.data[d] * centred;
    }
    // r = (variance + eps) ^ -1/2; variance = sum of centered^2 / count
    const dvariance = -0.5 * (r * r * r) * dr;
    const dcentred = (i: number) =>
      dout.data[i] * gamma.data[d] * r + dvariance * 2 * (x.data[i] - mean[d]) / count;
    // centered = x - mean; mean = sum of x / count
    let dmean = 0;
    for (let n = 0, i = d; n < N; n++, i += D) dmean -= dcentred(i);
    for (let n = 0, i = d; n < N; n++, i += D) dx.data[i] = dcentred(i) + dmean / count;
    dgamma.data[d] = dgammaSum;
    dbeta.data[d] = dbetaSum;
  }
  return { dx, dgamma, dbeta };
}

/**
 * Gradients of batch normalization by the simplified formula, in two passes over the values.
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
 * Batch normalization of images: each of the C channels gets mean 0 and variance 1 over the batch
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
 * Gradients of spatial batch normalization. Source: spatial_batchnorm_backward in nndl/layers.py.
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

/** How many batches go together; a layer around this one may have taken them apart. */
function checkJoint(path: string, joint: readonly JointRun[] | undefined): number {
  if (joint !== undefined) return joint.length;
  throw new ArgumentTypeError(
    `${path} can be synchronized only if the plans of the layers around it name their parts`,
  );
}

/** Options of batch normalization as a layer of a net. */
export interface BatchnormOptions {
  /** Added to the variance, so that it is never 0. Default: 1e-5. */
  readonly eps?: number;
  /** The part of the running statistics that a training step keeps. Default: 0.9. */
  readonly momentum?: number;
}

/**
 * Batch normalization as a layer of a net: of vectors (D), or of images (C, H, W) by channel.
 * Parameters: gamma and beta (D) or (C); their running mean and variance are part of the net's state.
 *
 * @example
 * ```ts
 * import { affine, batchnorm, conv, Net, relu } from "@cnn-layers/cnn-layers";
 *
 * const layers = [conv(8, { bias: false }), batchnorm(), relu(), affine(10)];
 * const net = new Net({ inputDim: [3, 8, 8], layers });
 * console.log(Object.keys(net.params)); // W1, gamma1, beta1, W2, b2
 * ```
 *
 * @param options eps (1e-5) and momentum (0.9).
 * @returns The layer.
 * @throws {TypeError} If an option is unknown or has a wrong type.
 * @throws {RangeError} If eps is negative, or momentum is not from 0 to 1.
 */
export function batchnorm(options: BatchnormOptions = {}): LayerDefinition {
  const { eps, momentum } = BATCHNORM_PARAMS;
  const read = readOptions("batchnorm", options, { eps, momentum });
  return layerOf("batchnorm", [options], (inShape, { path }) => {
    const [C] = inShape, rank = inShape.length;
    if (rank !== 1 && rank !== 3) {
      throw new ArgumentTypeError(
        `${path} needs an input of (D) or (C, H, W): it gets ${show(inShape)}`,
        "INVALID_RANK",
      );
    }
    const zeros = { shape: [C], init: 0 };
    const layer = rank === 1 ? "batchnorm" : "spatialBatchnorm";
    const forward =
      (relu: boolean): LayerPlan["forward"] =>
      (x, { gamma, beta }, { mode, state: { runningMean, runningVar }, joint, gather }) => {
        if (gather !== undefined && mode === "train") {
          const count = checkJoint(path, joint);
          const all = jointBatchnorm(x, gamma, beta, { eps: read.eps, count, gather, relu });
          runningMean.data.set(mix(runningMean, all.mean, read.momentum).data);
          runningVar.data.set(mix(runningVar, all.variance, read.momentum).data);
          return all.pass;
        }
        const bnParam: BatchnormParams = { ...read, mode, runningMean, runningVar };
        const pass = normPass(runBatchnorm(layer, rank + 1, x, gamma, beta, bnParam, relu));
        if (mode === "train") {
          runningMean.data.set(bnParam.runningMean!.data);
          runningVar.data.set(bnParam.runningVar!.data);
        }
        return pass;
      };
    return {
      outShape: inShape,
      joint: true,
      params: normParams(C),
      state: { runningMean: zeros, runningVar: zeros },
      ownsOut: true,
      ownsDx: true,
      withEpilogue: ({ relu = false }) => forward(relu),
      scales({ gamma, beta }, { runningMean, runningVar }) {
        const scale = Float64Array.from(
          gamma.data,
          (value, c) => value / Math.sqrt(runningVar.data[c] + read.eps),
        );
        const shift = scale.map((value, c) => beta.data[c] - runningMean.data[c] * value);
        return { scale, shift };
      },
      forward: forward(false),
    };
  });
}
