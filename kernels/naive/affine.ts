/**
 * The fully-connected layer as the definition says it: matrix products as three loops.
 *
 * Source: affine_forward and affine_backward of the CS231n / ECE C147 course.
 *
 * @module
 */

import { type Epilogue, finish } from "../epilogue.ts";
import type { WeightedKernel } from "../kernel.ts";
import type { AffineShape } from "../shape.ts";
import type { FloatArray } from "../tensor.ts";

/** The naive fully-connected layer for one geometry. */
export function naiveAffine({ D, M }: AffineShape): WeightedKernel {
  function forward(
    N: number,
    x: FloatArray,
    w: FloatArray,
    out: FloatArray,
    epilogue: Epilogue,
  ): void {
    for (let n = 0; n < N; n++) {
      for (let m = 0; m < M; m++) {
        let sum = 0;
        for (let d = 0; d < D; d++) sum += x[n * D + d] * w[d * M + m];
        out[n * M + m] = finish(epilogue, sum, m);
      }
    }
  }

  function backwardData(N: number, dout: FloatArray, w: FloatArray, dx: FloatArray): void {
    for (let n = 0; n < N; n++) {
      for (let d = 0; d < D; d++) {
        let sum = 0;
        for (let m = 0; m < M; m++) sum += dout[n * M + m] * w[d * M + m];
        dx[n * D + d] = sum;
      }
    }
  }

  function backwardWeights(
    N: number,
    x: FloatArray,
    dout: FloatArray,
    dw: FloatArray,
    db?: FloatArray,
  ): void {
    for (let d = 0; d < D; d++) {
      for (let m = 0; m < M; m++) {
        let sum = 0;
        for (let n = 0; n < N; n++) sum += x[n * D + d] * dout[n * M + m];
        dw[d * M + m] = sum;
      }
    }
    if (db !== undefined) sumRows(N, dout, db);
  }

  return { name: "affine-naive", tier: "naive", forward, backwardData, backwardWeights };
}

/** db = the sum of dout's rows: in float64, rounded to the dtype once. */
export function sumRows(N: number, dout: FloatArray, db: FloatArray): void {
  const M = db.length;
  const sums = new Float64Array(M);
  for (let n = 0, at = 0; n < N; n++) {
    for (let m = 0; m < M; m++) sums[m] += dout[at++];
  }
  db.set(sums);
}
