/**
 * Average pooling as the definition says it.
 *
 * Padding counts as zeros that are averaged too, or not at all. What hangs over the padded input, as
 * windows may in ceil mode, never counts.
 *
 * @module
 */

import type { AveragePoolKernel } from "../kernel.ts";
import type { AveragePoolShape } from "../shape.ts";
import type { FloatArray } from "../tensor.ts";

/** The naive average pool for one geometry. */
export function naiveAveragePool(shape: AveragePoolShape): AveragePoolKernel {
  const { C, H, W, KH, KW, strideY, strideX, padTop, padLeft, padBottom, padRight, OH, OW } = shape;

  /** Which rows or columns of x a window holds, and how many count. */
  function span(
    start: number,
    K: number,
    size: number,
    padAfter: number,
  ): { from: number; to: number; count: number } {
    const from = Math.max(0, start), to = Math.min(start + K, size);
    const whole = Math.min(start + K, size + padAfter) - start;
    return { from, to, count: shape.countIncludePad ? whole : to - from };
  }

  /** Calls back for every window of a plane. */
  function eachWindow(
    visit: (
      oy: number,
      ox: number,
      rows: { from: number; to: number },
      columns: { from: number; to: number },
      count: number,
    ) => void,
  ): void {
    for (let oy = 0; oy < OH; oy++) {
      const rows = span(oy * strideY - padTop, KH, H, padBottom);
      for (let ox = 0; ox < OW; ox++) {
        const columns = span(ox * strideX - padLeft, KW, W, padRight);
        visit(oy, ox, rows, columns, rows.count * columns.count);
      }
    }
  }

  function forward(N: number, x: FloatArray, out: FloatArray): void {
    for (let plane = 0; plane < N * C; plane++) {
      eachWindow((oy, ox, rows, columns, count) => {
        let sum = 0;
        for (let y = rows.from; y < rows.to; y++) {
          for (let xx = columns.from; xx < columns.to; xx++) sum += x[(plane * H + y) * W + xx];
        }
        out[(plane * OH + oy) * OW + ox] = sum / count;
      });
    }
  }

  function backward(N: number, dout: FloatArray, dx: FloatArray): void {
    // Windows may overlap: each plane is summed in float64 and rounded to the dtype once.
    const sums = new Float64Array(H * W);
    for (let plane = 0; plane < N * C; plane++) {
      sums.fill(0);
      eachWindow((oy, ox, rows, columns, count) => {
        const share = dout[(plane * OH + oy) * OW + ox] / count;
        for (let y = rows.from; y < rows.to; y++) {
          for (let xx = columns.from; xx < columns.to; xx++) sums[y * W + xx] += share;
        }
      });
      dx.set(sums, plane * H * W);
    }
  }

  return { name: "averagepool-naive", tier: "naive", forward, backward };
}
