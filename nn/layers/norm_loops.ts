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

/** Planes that a kernel does at once: as many values as the tables beside them have. */
const MOST_PLANES = 1024;

/** Tables of one value per plane, made when they are first needed and used by every call. */
let tables: readonly Float64Array[] | undefined;

/** Some planes of x that a kernel does at once. */
interface Chunk {
  /** As many numbers as there are planes, several times over: what is in them does not matter. */
  readonly tables: readonly Float64Array[];
  /** Those of an array's numbers that lie in the planes. */
  part(array: FloatArray): FloatArray;
  /** Calls something for every plane, with the values of its group and of its channel. */
  forEach(call: (plane: number, group: number, channel: number) => void): void;
}

/** Calls something for some planes after the others. */
function inChunks({ groups, planes, P, C, byChannel }: Layout, call: (chunk: Chunk) => void): void {
  tables ??= Array.from({ length: 4 }, () => new Float64Array(MOST_PLANES));
  const total = groups * planes;
  for (let first = 0; first < total; first += MOST_PLANES) {
    const end = Math.min(total, first + MOST_PLANES);
    call({
      tables: tables.map((table) => table.subarray(0, end - first)),
      part: (array) => array.subarray(first * P, end * P),
      forEach(call) {
        let channel = first % C, group = Math.floor(first / planes), place = first % planes;
        for (let plane = 0; plane < end - first; plane++) {
          call(plane, byChannel ? channel : group, channel);
          if (++channel === C) channel = 0;
          if (++place === planes) {
            place = 0;
            group++;
          }
        }
      },
    });
  }
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
    inChunks(layout, ({ tables: [sums, squares], part, forEach }) => {
      kernel.moments!(part(data), sums, squares);
      forEach((i, group) => {
        mean[group] += sums[i];
        variance[group] += squares[i];
      });
    });
    divide(mean);
    divide(variance);
    // The mean of squares less the square of the mean, where rounding may leave less than 0.
    for (let group = 0; group < groups; group++) {
      const square = variance[group] - mean[group] ** 2;
      variance[group] = square < 0 ? 0 : square;
    }
    return;
  }
  // The mean first: to sum values and their squares in one pass would lose digits.
  inChunks(layout, ({ tables: [sums], part, forEach }) => {
    kernel.sum(part(data), sums);
    forEach((i, group) => {
      mean[group] += sums[i];
    });
  });
  divide(mean);
  inChunks(layout, ({ tables: [means, sums], part, forEach }) => {
    forEach((i, group) => {
      means[i] = mean[group];
    });
    kernel.squares(part(data), means, sums);
    forEach((i, group) => {
      variance[group] += sums[i];
    });
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
  const kernel = select(normKernels, { P }, dtypeOf(x.data));
  const out = emptyLike(x);
  const mean = new Float64Array(groups);
  const variance = new Float64Array(groups);
  const inverseStd = new Float64Array(groups);
  if (fixed === undefined) {
    computeStatistics(kernel, layout, x, mean, variance);
  } else {
    mean.set(fixed.mean);
    variance.set(fixed.variance);
  }
  for (let group = 0; group < groups; group++) {
    inverseStd[group] = 1 / Math.sqrt(variance[group] + eps);
  }
  inChunks(layout, ({ tables: [means, scales, shifts], part, forEach }) => {
    forEach((i, group, channel) => {
      means[i] = mean[group];
      scales[i] = gamma.data[channel] * inverseStd[group];
      shifts[i] = beta.data[channel];
    });
    kernel.scale(part(x.data), means, scales, shifts, part(out.data), relu);
  });
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
 * @param dx Where dx goes, which may be dout. Default: a new tensor.
 * @returns The gradients.
 */
export function normalizeBackward<A extends FloatArray>(
  layout: Layout,
  dout: Tensor<A>,
  { x, gamma, mean, inverseStd, count }: Normalized<A>,
  dx: Tensor<A> = emptyLike(x),
): NormGradients<A> {
  const { groups, P, C } = layout;
  const kernel = select(normKernels, { P }, dtypeOf(x.data));
  const dgamma = emptyLike(gamma), dbeta = emptyLike(gamma);
  const scale = gamma.data;
  const gammaSums = new Float64Array(C), betaSums = new Float64Array(C);
  const dxhat = new Float64Array(groups), product = new Float64Array(groups);
  inChunks(layout, ({ tables: [means, douts, products], part, forEach }) => {
    forEach((i, group) => {
      means[i] = mean[group];
    });
    kernel.products(part(x.data), part(dout.data), means, douts, products);
    forEach((i, group, channel) => {
      const scaled = products[i] * inverseStd[group];
      betaSums[channel] += douts[i];
      gammaSums[channel] += scaled;
      dxhat[group] += scale[channel] * douts[i];
      product[group] += scale[channel] * scaled;
    });
  });
  inChunks(layout, ({ tables: [means, scales, slopes, shifts], part, forEach }) => {
    forEach((i, group, channel) => {
      const r = inverseStd[group];
      means[i] = mean[group];
      scales[i] = scale[channel] * r;
      slopes[i] = r * r * product[group] / count;
      shifts[i] = r * dxhat[group] / count;
    });
    const [from, by, to] = [x.data, dout.data, dx.data].map(part);
    kernel.gradient(from, by, means, scales, slopes, shifts, to);
  });
  dgamma.data.set(gammaSums);
  dbeta.data.set(betaSums);
  return { dx, dgamma, dbeta };
}
