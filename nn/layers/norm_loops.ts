/**
 * The loops of every normalisation. The layers differ in nothing but which numbers share their
 * statistics and which share their scale, so that one loop forward and one backward serves all.
 *
 * @module
 */

import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { zerosLike } from "../tensor.ts";

/** What the loops know of a forward pass. */
export interface Normalized<A extends FloatArray = FloatArray> {
  /** Input. */
  readonly x: Tensor<A>;
  /** Scales. */
  readonly gamma: Tensor<A>;
  /** Mean of each group of numbers that share statistics. */
  readonly mean: Float64Array;
  /** 1 / sqrt(variance + eps) of each group. */
  readonly inverseStd: Float64Array;
  /** Numbers in a group; Infinity if the statistics do not depend on x, as in test mode. */
  readonly count: number;
}

/** The gradients of a normalisation. */
export interface NormGradients<A extends FloatArray = FloatArray> {
  /** Gradient of the input. */
  readonly dx: Tensor<A>;
  /** Gradient of the scales. */
  readonly dgamma: Tensor<A>;
  /** Gradient of the shifts. */
  readonly dbeta: Tensor<A>;
}

/**
 * How the loops see x: as groups of numbers that share their mean and variance. A group is some
 * planes of P numbers in one channel, which share their scale and shift.
 */
export interface Layout {
  /** How many groups there are. */
  readonly groups: number;
  /** How many planes make a group. */
  readonly planes: number;
  /** Numbers in a plane, one after the other in memory. */
  readonly P: number;
  /** From the first plane of a group to that of the next. */
  readonly groupStep: number;
  /** From a plane of a group to the next. */
  readonly planeStep: number;
  /** From the channel of a plane to that of the next: 0 if a group is a channel, 1 if it is within an example. */
  readonly channelStep: number;
  /** How many channels there are. */
  readonly C: number;
}

/**
 * The layout of batch normalisation: all planes of a channel are a group.
 *
 * @param N Examples.
 * @param C Channels.
 * @param P Numbers in a plane.
 * @returns The layout.
 */
export function groupByChannel(N: number, C: number, P: number): Layout {
  return { groups: C, planes: N, P, groupStep: 1, planeStep: C, channelStep: 0, C };
}

/**
 * The layout of layer and group normalisation: some channels of one example are a group.
 *
 * @param N Examples.
 * @param C Channels.
 * @param P Numbers in a plane.
 * @param planes How many channels make a group; a divisor of C.
 * @returns The layout.
 */
export function groupByExample(N: number, C: number, P: number, planes: number): Layout {
  const groups = N * C / planes;
  return { groups, planes, P, groupStep: planes, planeStep: 1, channelStep: 1, C };
}

// Sums in four parts: an addition does not wait for the one before it, and less is rounded away.

/** The sum of `length` numbers from `start`. */
function sum(x: FloatArray, start: number, length: number): number {
  let a = 0, b = 0, c = 0, d = 0, i = start;
  const end = start + length;
  for (; i + 3 < end; i += 4) {
    a += x[i];
    b += x[i + 1];
    c += x[i + 2];
    d += x[i + 3];
  }
  for (; i < end; i++) a += x[i];
  return a + b + (c + d);
}

/** The sum of the squares of `length` numbers from `start`, less `mean` each. */
function sumOfSquares(x: FloatArray, start: number, length: number, mean: number): number {
  let a = 0, b = 0, c = 0, d = 0, i = start;
  const end = start + length;
  for (; i + 3 < end; i += 4) {
    const p = x[i] - mean, q = x[i + 1] - mean, r = x[i + 2] - mean, s = x[i + 3] - mean;
    a += p * p;
    b += q * q;
    c += r * r;
    d += s * s;
  }
  for (; i < end; i++) a += (x[i] - mean) * (x[i] - mean);
  return a + b + (c + d);
}

/** The sum of the products of `length` numbers from `start`: of x, less `mean` each, and of dout. */
function sumOfProducts(
  x: FloatArray,
  dout: FloatArray,
  start: number,
  length: number,
  mean: number,
): number {
  let a = 0, b = 0, c = 0, d = 0, i = start;
  const end = start + length;
  for (; i + 3 < end; i += 4) {
    a += (x[i] - mean) * dout[i];
    b += (x[i + 1] - mean) * dout[i + 1];
    c += (x[i + 2] - mean) * dout[i + 2];
    d += (x[i + 3] - mean) * dout[i + 3];
  }
  for (; i < end; i++) a += (x[i] - mean) * dout[i];
  return a + b + (c + d);
}

/**
 * out = gamma * (x - mean) / sqrt(variance + eps) + beta.
 *
 * @param layout How x is grouped.
 * @param x Input.
 * @param gamma Scales, one a channel.
 * @param beta Shifts, one a channel.
 * @param eps Added to the variance.
 * @param fixed Mean and variance of each group; computed from x if left out.
 * @returns `out`, the variances, and what the backward pass needs.
 */
export function normalize<A extends FloatArray>(
  layout: Layout,
  x: Tensor<A>,
  gamma: Tensor<A>,
  beta: Tensor<A>,
  eps: number,
  fixed?: { readonly mean: FloatArray; readonly variance: FloatArray },
): { out: Tensor<A>; variance: Float64Array; normalized: Normalized<A> } {
  const { groups, planes, P, groupStep, planeStep, channelStep, C } = layout;
  const out = zerosLike(x);
  const from = x.data, to = out.data, scales = gamma.data, shifts = beta.data;
  const mean = new Float64Array(groups);
  const variance = new Float64Array(groups);
  const inverseStd = new Float64Array(groups);
  const step = planeStep * P;
  for (let g = 0; g < groups; g++) {
    const start = g * groupStep * P, end = start + planes * step;
    if (fixed === undefined) {
      // The mean first: to sum numbers and their squares in one pass would lose digits.
      let total = 0;
      for (let i = start; i < end; i += step) total += sum(from, i, P);
      mean[g] = total / (planes * P);
      let squares = 0;
      for (let i = start; i < end; i += step) squares += sumOfSquares(from, i, P, mean[g]);
      variance[g] = squares / (planes * P);
    } else {
      mean[g] = fixed.mean[g];
      variance[g] = fixed.variance[g];
    }
    inverseStd[g] = 1 / Math.sqrt(variance[g] + eps);
    const m = mean[g], r = inverseStd[g];
    let c = g * groupStep % C;
    for (let first = start; first < end; first += step, c += channelStep) {
      const scale = scales[c] * r, shift = shifts[c];
      for (let i = first; i < first + P; i++) to[i] = (from[i] - m) * scale + shift;
    }
  }
  const count = fixed === undefined ? planes * P : Infinity;
  return { out, variance, normalized: { x, gamma, mean, inverseStd, count } };
}

/**
 * The simplified gradients: with xhat = (x - mean) * inverseStd and dxhat = dout * gamma,
 * dx = inverseStd * (dxhat - mean of dxhat - xhat * mean of (dxhat * xhat)), means over the group.
 *
 * @param layout How x is grouped.
 * @param dout Gradient of the output.
 * @param normalized From the forward pass.
 * @returns The gradients.
 */
export function normalizeBackward<A extends FloatArray>(
  layout: Layout,
  dout: Tensor<A>,
  { x, gamma, mean, inverseStd, count }: Normalized<A>,
): NormGradients<A> {
  const { groups, planes, P, groupStep, planeStep, channelStep, C } = layout;
  const dx = zerosLike(x), dgamma = zerosLike(gamma), dbeta = zerosLike(gamma);
  const from = x.data, by = dout.data, to = dx.data, scales = gamma.data;
  const gammaSums = new Float64Array(C), betaSums = new Float64Array(C);
  const step = planeStep * P;
  for (let g = 0; g < groups; g++) {
    const start = g * groupStep * P, end = start + planes * step;
    const m = mean[g], r = inverseStd[g];
    let dxhat = 0, product = 0, c = g * groupStep % C;
    for (let i = start; i < end; i += step, c += channelStep) {
      const douts = sum(by, i, P);
      const products = sumOfProducts(from, by, i, P, m) * r;
      betaSums[c] += douts;
      gammaSums[c] += products;
      dxhat += scales[c] * douts;
      product += scales[c] * products;
    }
    const slope = r * r * product / count, shift = r * dxhat / count;
    c = g * groupStep % C;
    for (let first = start; first < end; first += step, c += channelStep) {
      const scale = scales[c] * r;
      for (let i = first; i < first + P; i++) {
        to[i] = by[i] * scale - (from[i] - m) * slope - shift;
      }
    }
  }
  dgamma.data.set(gammaSums);
  dbeta.data.set(betaSums);
  return { dx, dgamma, dbeta };
}
