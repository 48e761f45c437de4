/**
 * The loops of normalizations whose planes have one value each: vectors. They go along the rows of x, and give
 * the bits that the loops over planes would.
 *
 * @module
 */

import type { FloatArray } from "../../kernels/tensor.ts";
import type { Layout } from "./norm_loops.ts";

/** How rows lie: along one, the group goes from one to the next, or stays; the channel always goes on. */
function rowsOf({ groups, planes, C, byChannel }: Layout) {
  return byChannel ? { rows: planes, length: C, step: 1, groupOf: () => 0, channelOf: () => 0 } : {
    rows: groups,
    length: planes,
    step: 0,
    groupOf: (row: number) => row,
    channelOf: (row: number) => row * planes % C,
  };
}

/** mean = the mean of each group, variance = its variance; both are 0 so far. */
export function vectorStatistics(
  layout: Layout,
  x: FloatArray,
  mean: Float64Array,
  variance: Float64Array,
): void {
  const { rows, length, step, groupOf } = rowsOf(layout);
  const divide = (totals: Float64Array) => {
    for (let group = 0; group < totals.length; group++) totals[group] /= layout.planes;
  };
  for (let row = 0, i = 0; row < rows; row++) {
    for (let k = 0, group = groupOf(row); k < length; k++, i++, group += step) mean[group] += x[i];
  }
  divide(mean);
  for (let row = 0, i = 0; row < rows; row++) {
    for (let k = 0, group = groupOf(row); k < length; k++, i++, group += step) {
      const difference = x[i] - mean[group];
      variance[group] += difference * difference;
    }
  }
  divide(variance);
}

/** out = gamma * (x - mean) * inverseStd + beta, or 0 if relu says so where that is negative. */
export function scaleVectors(
  layout: Layout,
  x: FloatArray,
  mean: Float64Array,
  inverseStd: Float64Array,
  gamma: FloatArray,
  beta: FloatArray,
  out: FloatArray,
  relu: boolean,
): void {
  const { rows, length, step, groupOf, channelOf } = rowsOf(layout);
  for (let row = 0, i = 0; row < rows; row++) {
    let group = groupOf(row), channel = channelOf(row);
    for (let k = 0; k < length; k++, i++, group += step, channel++) {
      const scale = gamma[channel] * inverseStd[group];
      const scaled = (x[i] - mean[group]) * scale + beta[channel];
      out[i] = relu ? Math.max(0, scaled) : scaled;
    }
  }
}

/** Sums that the gradients are made of, by channel and by group; all are 0 so far. */
export interface Sums {
  /** Of dout. */
  readonly beta: Float64Array;
  /** Of xhat * dout. */
  readonly gamma: Float64Array;
  /** Of dxhat = gamma * dout. */
  readonly dxhat: Float64Array;
  /** Of xhat * dxhat. */
  readonly product: Float64Array;
}

/** Adds up what the gradients are made of. */
export function vectorSums(
  layout: Layout,
  x: FloatArray,
  dout: FloatArray,
  mean: Float64Array,
  inverseStd: Float64Array,
  scale: FloatArray,
  { beta, gamma, dxhat, product }: Sums,
): void {
  const { rows, length, step, groupOf, channelOf } = rowsOf(layout);
  for (let row = 0, i = 0; row < rows; row++) {
    let group = groupOf(row), channel = channelOf(row);
    for (let k = 0; k < length; k++, i++, group += step, channel++) {
      const d = dout[i], scaled = (x[i] - mean[group]) * d * inverseStd[group];
      beta[channel] += d;
      gamma[channel] += scaled;
      dxhat[group] += scale[channel] * d;
      product[group] += scale[channel] * scaled;
    }
  }
}

/** dx = inverseStd * (dxhat - mean of dxhat - xhat * mean of (dxhat * xhat)), from the sums. */
export function vectorGradient(
  layout: Layout,
  x: FloatArray,
  dout: FloatArray,
  mean: Float64Array,
  inverseStd: Float64Array,
  scale: FloatArray,
  { dxhat, product }: Sums,
  count: number,
  dx: FloatArray,
): void {
  const { rows, length, step, groupOf, channelOf } = rowsOf(layout);
  const slopes = inverseStd.map((r, group) => r * r * product[group] / count);
  const shifts = inverseStd.map((r, group) => r * dxhat[group] / count);
  for (let row = 0, i = 0; row < rows; row++) {
    let group = groupOf(row), channel = channelOf(row);
    for (let k = 0; k < length; k++, i++, group += step, channel++) {
      const by = scale[channel] * inverseStd[group];
      dx[i] = dout[i] * by - (x[i] - mean[group]) * slopes[group] - shifts[group];
    }
  }
}
