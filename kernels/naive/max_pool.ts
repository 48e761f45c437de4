/**
 * Max-pooling as the definition says it.
 *
 * A window's maximum is its first largest value in row-major order, and a NaN is larger than any value.
 * Padding counts as minus infinity and never gets a gradient.
 *
 * Source: max_pool_forward_naive and max_pool_backward_naive of the CS231n / ECE C147 course.
 *
 * @module
 */

import type { PoolKernel } from "../kernel.ts";
import type { PoolShape } from "../shape.ts";
import type { FloatArray } from "../tensor.ts";

/** The naive max-pool for one geometry. */
export function naiveMaxPool(shape: PoolShape): PoolKernel {
  const { C, H, W, KH, KW, strideY, strideX, padTop, padLeft, dilationY, dilationX, OH, OW } =
    shape;

  /** The index in x of the maximum of the window at (oy, ox) of one plane. */
  function argMax(x: FloatArray, plane: number, oy: number, ox: number): number {
    let best = -1;
    for (let ky = 0; ky < KH; ky++) {
      const y = oy * strideY + ky * dilationY - padTop;
      if (y < 0 || y >= H) continue;
      for (let kx = 0; kx < KW; kx++) {
        const xx = ox * strideX + kx * dilationX - padLeft;
        if (xx < 0 || xx >= W) continue;
        const at = (plane * H + y) * W + xx;
        const largerOrNaN = best < 0 || x[at] > x[best] ||
          (Number.isNaN(x[at]) && !Number.isNaN(x[best]));
        if (largerOrNaN) best = at;
      }
    }
    return best;
  }

  function forward(N: number, x: FloatArray, out: FloatArray): void {
    for (let plane = 0; plane < N * C; plane++) {
      for (let oy = 0; oy < OH; oy++) {
        for (let ox = 0; ox < OW; ox++) {
          out[(plane * OH + oy) * OW + ox] = x[argMax(x, plane, oy, ox)];
        }
      }
    }
  }

  function backward(N: number, x: FloatArray, dout: FloatArray, dx: FloatArray): void {
    // Windows may overlap: each plane is summed in float64 and rounded to the dtype once.
    const sums = new Float64Array(H * W);
    for (let plane = 0; plane < N * C; plane++) {
      sums.fill(0);
      for (let oy = 0; oy < OH; oy++) {
        for (let ox = 0; ox < OW; ox++) {
          sums[argMax(x, plane, oy, ox) - plane * H * W] += dout[(plane * OH + oy) * OW + ox];
        }
      }
      dx.set(sums, plane * H * W);
    }
  }

  return { name: "maxpool-naive", tier: "naive", forward, backward };
}
