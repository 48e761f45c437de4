/**
 * Convolution as the definition says it: loops, and nothing clever. All other tiers are held to it.
 *
 * Source: conv_forward_naive and conv_backward_naive of the CS231n / ECE C147 course.
 *
 * @module
 */

import type { ConvKernel } from "../kernel.ts";
import type { ConvShape, FloatArray } from "../shape.ts";

/** The naive convolution for one geometry. */
export function naiveConv(shape: ConvShape): ConvKernel {
  const { C, H, W, F, KH, KW, strideY, strideX, padTop, padLeft, OH, OW } = shape;

  const inside = (y: number, x: number) => y >= 0 && y < H && x >= 0 && x < W;

  function forward(
    N: number,
    x: FloatArray,
    w: FloatArray,
    b: FloatArray,
    out: FloatArray,
    relu = false,
  ): void {
    for (let n = 0; n < N; n++) {
      for (let f = 0; f < F; f++) {
        for (let oy = 0; oy < OH; oy++) {
          for (let ox = 0; ox < OW; ox++) {
            let sum = 0;
            for (let c = 0; c < C; c++) {
              for (let ky = 0; ky < KH; ky++) {
                for (let kx = 0; kx < KW; kx++) {
                  const iy = oy * strideY + ky - padTop;
                  const ix = ox * strideX + kx - padLeft;
                  const value = inside(iy, ix) ? x[((n * C + c) * H + iy) * W + ix] : 0;
                  sum += value * w[((f * C + c) * KH + ky) * KW + kx];
                }
              }
            }
            sum += b[f];
            out[((n * F + f) * OH + oy) * OW + ox] = relu ? Math.max(0, sum) : sum;
          }
        }
      }
    }
  }

  // The gradients are sums over many windows: summed in float64, rounded to the dtype once.
  function backwardData(N: number, dout: FloatArray, w: FloatArray, dx: FloatArray): void {
    for (let n = 0; n < N; n++) {
      const sums = new Float64Array(C * H * W);
      for (let f = 0; f < F; f++) {
        for (let oy = 0; oy < OH; oy++) {
          for (let ox = 0; ox < OW; ox++) {
            const d = dout[((n * F + f) * OH + oy) * OW + ox];
            for (let c = 0; c < C; c++) {
              for (let ky = 0; ky < KH; ky++) {
                for (let kx = 0; kx < KW; kx++) {
                  const iy = oy * strideY + ky - padTop;
                  const ix = ox * strideX + kx - padLeft;
                  if (!inside(iy, ix)) continue;
                  sums[(c * H + iy) * W + ix] += d * w[((f * C + c) * KH + ky) * KW + kx];
                }
              }
            }
          }
        }
      }
      dx.set(sums, n * sums.length);
    }
  }

  function backwardWeights(
    N: number,
    x: FloatArray,
    dout: FloatArray,
    dw: FloatArray,
    db: FloatArray,
  ): void {
    const sums = new Float64Array(F * C * KH * KW);
    const biasSums = new Float64Array(F);
    for (let n = 0; n < N; n++) {
      for (let f = 0; f < F; f++) {
        for (let oy = 0; oy < OH; oy++) {
          for (let ox = 0; ox < OW; ox++) {
            const d = dout[((n * F + f) * OH + oy) * OW + ox];
            biasSums[f] += d;
            for (let c = 0; c < C; c++) {
              for (let ky = 0; ky < KH; ky++) {
                for (let kx = 0; kx < KW; kx++) {
                  const iy = oy * strideY + ky - padTop;
                  const ix = ox * strideX + kx - padLeft;
                  const value = inside(iy, ix) ? x[((n * C + c) * H + iy) * W + ix] : 0;
                  sums[((f * C + c) * KH + ky) * KW + kx] += d * value;
                }
              }
            }
          }
        }
      }
    }
    dw.set(sums);
    db.set(biasSums);
  }

  return { name: "conv-naive", tier: "naive", forward, backwardData, backwardWeights };
}
