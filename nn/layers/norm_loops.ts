/**
 * The loops of every normalization. The layers differ only in which values share their
 * statistics and which share their scale, so that one loop forward and one backward serves all.
 *
 * @module
 */

import type { NormKernel } from "../../kernels/kernel.ts";
import { normKernels } from "../../kernels/operations.ts";
import { select } from "../../kernels/select.ts";
import { dtypeOf, type FloatArray, type Tensor } from "../../kernels/tensor.ts";
import { emptyLike } from "../tensor.ts";
import {
  scaleVectors,
  type Sums,
  vectorGradient,
  vectorStatistics,
  vectorSums,
} from "./norm_vectors.ts";

/** What the loops know of a forward pass. */
export interface Normalized<A extends FloatArray = FloatArray> {
  /** Input. */
  readonly x: Tensor<A>;
  /** Scales. */
  readonly gamma: Tensor<A>;
  /** Mean of each group of values that share statistics. */
  readonly mean: Float64Array;
  /** 1 / sqrt(variance + eps) of each group. */
  readonly inverseStd: Float64Array;
  /** Values in a group; Infinity if the statistics do not depend on x, as in test mode. */
  readonly count: number;
}

/** The gradients of a normalization. */
export interface NormGradients<A extends FloatArray = FloatArray> {
  /** Gradient of the input. */
  readonly dx: Tensor<A>;
  /** Gradient of the scales. */
  readonly dgamma: Tensor<A>;
  /** Gradient of the shifts. */
  readonly dbeta: Tensor<A>;
}

/**
 * How the loops see x: as planes of P values, one after the other in memory, channel by channel and
 * example by example. Some planes are a group and share their statistics.
 */
export interface Layout {
  /** How many groups there are. */
  readonly groups: number;
  /** How many planes make a group. */
  readonly planes: number;
  /** Values in a plane. */
  readonly P: number;
  /** How many channels there are, each with a scale and a shift. */
  readonly C: number;
  /** Whether a group is a channel of all examples; else it is some neighbors in one example. */
  readonly byChannel: boolean;
}

/**
 * The layout of batch normalization: all planes of a channel are a group.
 *
 * @param N Examples.
 * @param C Channels.
 * @param P Values in a plane.
 * @returns The layout.
 */
export function groupByChannel(N: number, C: number, P: number): Layout {
  return { groups: C, planes: N, P, C, byChannel: true };
}

/**
 * The layout of layer and group normalization: some channels of one example are a group.
 *
 * @param N Examples.
 * @param C Channels.
 * @param P Values in a plane.
 * @param planes How many channels make a group; a divisor of C.
 * @returns The layout.
 */
export function groupByExample(N: number, C: number, P: number, planes: number): Layout {
  return { groups: N * C / planes, planes, P, C, byChannel: false };
}

/** Planes that a kernel does at once: enough for several threads, few enough for tables that stay near. */
const MOST_PLANES = 1 << 14;

/** Tables of one value per plane, as large as a call has needed and used by every call. */
let made: Pick<Chunk, "tables" | "groups" | "channels"> | undefined;

/** Some planes of x that a kernel does at once. */
interface Chunk {
  /** As many values as there are planes, several times over: what is in them does not matter. */
  readonly tables: readonly Float64Array[];
  /** The group of each plane, and its channel. */
  readonly groups: Int32Array;
  readonly channels: Int32Array;
  /** How many planes. */
  readonly count: number;
  /** Those of an array's values that lie in the planes. */
  part(array: FloatArray): FloatArray;
}

/** Calls something for some planes after the others. */
function inChunks({ groups, planes, P, C, byChannel }: Layout, call: (chunk: Chunk) => void): void {
  const total = groups * planes, most = Math.min(total, MOST_PLANES);
  if (made === undefined || made.groups.length < most) {
    made = {
      tables: Array.from({ length: 4 }, () => new Float64Array(most)),
      groups: new Int32Array(most),
      channels: new Int32Array(most),
    };
  }
  let channel = 0, group = 0, place = 0;
  for (let first = 0; first < total; first += MOST_PLANES) {
    const count = Math.min(total - first, MOST_PLANES);
    for (let i = 0; i < count; i++) {
      made.channels[i] = channel;
      made.groups[i] = byChannel ? channel : group;
      if (++channel === C) channel = 0;
      if (++place === planes) {
        place = 0;
        group++;
      }
    }
    const tables = made.tables.map((table) => table.subarray(0, count));
    const part = (array: FloatArray) => array.subarray(first * P, (first + count) * P);
    call({ ...made, tables, count, part });
  }
}

/** totals[group] += values, one per plane. */
function addByGroup({ groups, count }: Chunk, values: Float64Array, totals: Float64Array): void {
  for (let i = 0; i < count; i++) totals[groups[i]] += values[i];
}

/** table = values[group], one per plane. */
function spread({ groups, count }: Chunk, values: Float64Array, table: Float64Array): void {
  for (let i = 0; i < count; i++) table[i] = values[groups[i]];
}

/** What does planes; a plane of one value needs no kernel. */
function kernelFor({ P }: Layout, x: Tensor): NormKernel | undefined {
  return P === 1 ? undefined : select(normKernels, { P }, dtypeOf(x.data));
}

/** The mean and the variance of each group. */
export function statisticsOf(layout: Layout, x: Tensor) {
  const mean = new Float64Array(layout.groups), variance = new Float64Array(layout.groups);
  const kernel = kernelFor(layout, x);
  if (kernel === undefined) vectorStatistics(layout, x.data, mean, variance);
  else computeStatistics(kernel, layout, x, mean, variance);
  return { mean, variance };
}

/** Computes the mean and the variance of each group, which are 0 so far. */
function computeStatistics(
  kernel: NormKernel,
  layout: Layout,
  { data }: Tensor,
  mean: Float64Array,
  variance: Float64Array,
): void {
  const { groups, planes, P } = layout;
  const divide = (totals: Float64Array) => {
    for (let group = 0; group < groups; group++) totals[group] /= planes * P;
  };
  if (kernel.moments !== undefined) {
    inChunks(layout, (chunk) => {
      const [sums, squares] = chunk.tables;
      kernel.moments!(chunk.part(data), sums, squares);
      addByGroup(chunk, sums, mean);
      addByGroup(chunk, squares, variance);
    });
    divide(mean);
    divide(variance);
    // The mean of squares less the square of the mean, where rounding may leave less than 0.
    for (let group = 0; group < groups; group++) {
      const square = variance[group] - mean[group] * mean[group];
      variance[group] = square < 0 ? 0 : square;
    }
    return;
  }
  // The mean first: to sum values and their squares in one pass would lose digits.
  inChunks(layout, (chunk) => {
    const [sums] = chunk.tables;
    kernel.sum(chunk.part(data), sums);
    addByGroup(chunk, sums, mean);
  });
  divide(mean);
  inChunks(layout, (chunk) => {
    const [means, sums] = chunk.tables;
    spread(chunk, mean, means);
    kernel.squares(chunk.part(data), means, sums);
    addByGroup(chunk, sums, variance);
  });
  divide(variance);
}

/**
 * out = gamma * (x - mean) / sqrt(variance + eps) + beta.
 *
 * @param layout How x is grouped.
 * @param x Input.
 * @param gamma Scales, one per channel.
 * @param beta Shifts, one per channel.
 * @param eps Added to the variance.
 * @param fixed Mean and variance of each group. Default: computed from x.
 * @param relu Whether negative results become 0. Default: false.
 * @returns `out`, the variances, and what the backward pass needs.
 */
export function normalize<A extends FloatArray>(
  layout: Layout,
  x: Tensor<A>,
  gamma: Tensor<A>,
  beta: Tensor<A>,
  eps: number,
  fixed?: { readonly mean: FloatArray; readonly variance: FloatArray },
  relu = false,
): { out: Tensor<A>; variance: Float64Array; normalized: Normalized<A> } {
  const { groups, planes, P } = layout;
  const kernel = kernelFor(layout, x);
  const out = emptyLike(x), count = fixed === undefined ? planes * P : Infinity;
  if (fixed === undefined && layout.byChannel && kernel?.channels?.serves([x.data, out.data])) {
    const [mean, variance, inverseStd] = [0, 1, 2].map(() => new Float64Array(groups));
    const [by, plus] = [gamma, beta].map(({ data }) => Float64Array.from(data));
    const statistics = [mean, variance, inverseStd] as const;
    if (kernel.channels.forward(x.data, by, plus, eps, relu, out.data, statistics)) {
      return { out, variance, normalized: { x, gamma, mean, inverseStd, count } };
    }
  }
  const { mean, variance } = fixed === undefined ? statisticsOf(layout, x) : {
    mean: Float64Array.from(fixed.mean),
    variance: Float64Array.from(fixed.variance),
  };
  const inverseStd = new Float64Array(groups);
  for (let group = 0; group < groups; group++) {
    inverseStd[group] = 1 / Math.sqrt(variance[group] + eps);
  }
  const scale = gamma.data, shift = beta.data;
  if (kernel === undefined) {
    scaleVectors(layout, x.data, mean, inverseStd, scale, shift, out.data, relu);
  } else {
    inChunks(layout, (chunk) => {
      const { count, part, groups, channels, tables: [means, scales, shifts] } = chunk;
      spread(chunk, mean, means);
      for (let i = 0; i < count; i++) {
        scales[i] = scale[channels[i]] * inverseStd[groups[i]];
        shifts[i] = shift[channels[i]];
      }
      kernel.scale(part(x.data), means, scales, shifts, part(out.data), relu);
    });
  }
  return { out, variance, normalized: { x, gamma, mean, inverseStd, count } };
}

/**
 * The simplified gradients: with xhat = (x - mean) * inverseStd and dxhat = dout * gamma,
 * dx = inverseStd * (dxhat - mean of dxhat - xhat * mean of (dxhat * xhat)), means over the group.
 *
 * @param layout How x is grouped.
 * @param dout Gradient of the output.
 * @param normalized From the forward pass.
 * @param dx Where dx goes, which may be dout. Default: a new tensor.
 * @returns The gradients.
 */
export function normalizeBackward<A extends FloatArray>(
  layout: Layout,
  dout: Tensor<A>,
  normalized: Normalized<A>,
  dx: Tensor<A> = emptyLike(normalized.x),
): NormGradients<A> {
  const { x, gamma, mean, inverseStd, count } = normalized;
  const channels = layout.byChannel ? kernelFor(layout, x)?.channels : undefined;
  if (channels?.serves([x.data, dout.data, dx.data])) {
    const [dgamma, dbeta] = [0, 1].map(() => new Float64Array(layout.C));
    const scale = Float64Array.from(gamma.data), gradients = [dgamma, dbeta] as const;
    channels.backward(x.data, dout.data, mean, inverseStd, scale, count, dx.data, gradients);
    return { dx, ...parameterGradients(normalized, { gamma: dgamma, beta: dbeta }) };
  }
  const sums = gradientSums(layout, dout, normalized);
  computeDx(layout, dout, normalized, sums, dx);
  return { dx, ...parameterGradients(normalized, sums) };
}

/** The gradients of scales and shifts. */
export function parameterGradients<A extends FloatArray>(
  { gamma }: Normalized<A>,
  sums: Pick<Sums, "gamma" | "beta">,
): Omit<NormGradients<A>, "dx"> {
  const dgamma = emptyLike(gamma), dbeta = emptyLike(gamma);
  dgamma.data.set(sums.gamma);
  dbeta.data.set(sums.beta);
  return { dgamma, dbeta };
}

/** What gradients are made of: sums by channel and by group. */
export function gradientSums(
  layout: Layout,
  dout: Tensor,
  { x, gamma, mean, inverseStd }: Normalized,
): Sums {
  const { groups, C } = layout, scale = gamma.data, kernel = kernelFor(layout, x);
  const zeros = (length: number) => new Float64Array(length);
  const sums = { gamma: zeros(C), beta: zeros(C), dxhat: zeros(groups), product: zeros(groups) };
  if (kernel === undefined) {
    vectorSums(layout, x.data, dout.data, mean, inverseStd, scale, sums);
    return sums;
  }
  const { dxhat, product } = sums;
  inChunks(layout, (chunk) => {
    const { count, part, groups, channels, tables: [means, douts, products] } = chunk;
    spread(chunk, mean, means);
    kernel.products(part(x.data), part(dout.data), means, douts, products);
    for (let i = 0; i < count; i++) {
      const group = groups[i], channel = channels[i];
      const scaled = products[i] * inverseStd[group];
      sums.beta[channel] += douts[i];
      sums.gamma[channel] += scaled;
      dxhat[group] += scale[channel] * douts[i];
      product[group] += scale[channel] * scaled;
    }
  });
  return sums;
}

/** The gradient of the input, from the sums of its groups. */
export function computeDx(
  layout: Layout,
  dout: Tensor,
  { x, gamma, mean, inverseStd, count }: Normalized,
  sums: Sums,
  dx: Tensor,
): void {
  const scale = gamma.data, kernel = kernelFor(layout, x);
  if (kernel === undefined) {
    vectorGradient(layout, x.data, dout.data, mean, inverseStd, scale, sums, count, dx.data);
    return;
  }
  const { dxhat, product } = sums;
  inChunks(layout, (chunk) => {
    const { part, groups, channels, tables: [means, scales, slopes, shifts] } = chunk;
    spread(chunk, mean, means);
    for (let i = 0; i < chunk.count; i++) {
      const group = groups[i], r = inverseStd[group];
      scales[i] = scale[channels[i]] * r;
      slopes[i] = r * r * product[group] / count;
      shifts[i] = r * dxhat[group] / count;
    }
    const [from, by, to] = [x.data, dout.data, dx.data].map(part);
    kernel.gradient(from, by, means, scales, slopes, shifts, to);
  });
}
