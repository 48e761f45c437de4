/**
 * Batch normalization of several batches with the statistics of all of them together: synchronized batch
 * normalization. The batches may be in several processes; sums go from batch to batch in their order, so
 * that their bits do not depend on who has which.
 *
 * Source: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
 * Variances" (1979), for the variance of all from those of each.
 *
 * @module
 */

import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { split } from "../nets/joint.ts";
import { emptyLike } from "../tensor.ts";
import type { Pass, Run } from "./layer.ts";
import { planesOf } from "./normalization.ts";
import {
  computeDx,
  gradientSums,
  groupByChannel,
  normalize,
  parameterGradients,
  statisticsOf,
} from "./norm_loops.ts";
/** How a pass runs, beside its tensors. */
export interface JointNormOptions {
  readonly eps: number;
  /** Batches that x is made of. */
  readonly count: number;
  readonly gather: NonNullable<Run["gather"]>;
  readonly relu: boolean;
}

/** The pass, and the statistics of all batches. */
export interface JointNorm {
  readonly pass: Pass;
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

/**
 * Normalizes batches.
 *
 * @param x The batches of this process, one after another, (N, D) or (N, C, H, W).
 * @param gamma Scales, one per channel.
 * @param beta Shifts, one per channel.
 * @param options How.
 * @returns The pass and the statistics.
 */
export function jointBatchnorm(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  { eps, count, gather, relu }: JointNormOptions,
): JointNorm {
  const layoutOf = (x: Tensor) => groupByChannel(...planesOf(x));
  const [C] = gamma.shape, batches = split(x, count), layout = layoutOf(batches[0]);
  const each = gathered(
    gather,
    batches.map((batch) => {
      const { mean, variance } = statisticsOf(layout, batch);
      return [mean, variance];
    }),
  );
  const mean = meanOf(each.map(([mean]) => mean));
  const variance = meanOf(
    each.map(([own, variance]) => variance.map((value, c) => value + (own[c] - mean[c]) ** 2)),
  );
  const { out, normalized: fixed } = normalize(
    layoutOf(x),
    ...[x, gamma, beta, eps, { mean, variance }, relu] as const,
  );
  const normalized = { ...fixed, count: each.length * layout.planes * layout.P };
  return {
    mean,
    variance,
    pass: {
      out,
      backward(dout, _, ownsDout) {
        const sums = split(dout, count).map((batch, i) =>
          gradientSums(layout, batch, { ...normalized, x: batches[i] })
        );
        const each = gathered(gather, sums.map(({ dxhat, product }) => [dxhat, product]));
        const [dxhat, product] = [0, 1].map((k) => sumOf(each.map((parts) => parts[k]), C));
        const dx = ownsDout ? dout : emptyLike(x);
        computeDx(layoutOf(x), dout, normalized, { ...sums[0], dxhat, product }, dx);
        const jointGrads = sums.map((sums) => {
          const { dgamma, dbeta } = parameterGradients(normalized, sums);
          return { gamma: dgamma, beta: dbeta };
        });
        return { dx, jointGrads };
      },
    },
  };
}

/** Two arrays of each batch, of all processes. */
function gathered(
  gather: JointNormOptions["gather"],
  own: readonly (readonly Float64Array[])[],
): Float64Array[][] {
  const C = own[0][0].length, joined = new Float64Array(own.length * 2 * C);
  for (const [i, array] of own.flat().entries()) joined.set(array, i * C);
  const all = gather(joined);
  return Array.from(
    { length: all.length / (2 * C) },
    (_, i) => [0, 1].map((k) => all.subarray((2 * i + k) * C, (2 * i + k + 1) * C)),
  );
}

/** The sum of arrays, in their order. */
function sumOf(arrays: readonly FloatArray[], length: number): Float64Array {
  const sum = new Float64Array(length);
  for (const array of arrays) for (let i = 0; i < length; i++) sum[i] += array[i];
  return sum;
}

function meanOf(arrays: readonly FloatArray[]): Float64Array {
  return sumOf(arrays, arrays[0].length).map((value) => value / arrays.length);
}
