/**
 * Convolution as the definition says it: loops, and nothing clever. All other tiers are held to it.
 *
 * Source: conv_forward_naive and conv_backward_naive of the CS231n / ECE C147 course.
 *
 * @module
 */

import { type Epilogue, finish, NO_EPILOGUE } from "../epilogue.ts";
import type { WeightedKernel } from "../kernel.ts";
import type { ConvShape } from "../shape.ts";
import type { FloatArray } from "../tensor.ts";

/** The naive convolution for one geometry. */
export function naiveConv(shape: ConvShape): WeightedKernel {
  const { C, H, W, F, KH, KW, strideY, strideX, padTop, padLeft, OH, OW } = shape;
  const { dilationY, dilationX, groups } = shape;
  /** Channels and filters of a group. */
  const CG = C / groups, FG = F / groups;

  const inside = (y: number, x: number) => y >= 0 && y < H && x >= 0 && x < W;

  function forward(
    N: number,
    x: FloatArray,
    w: FloatArray,
    out: FloatArray,
    epilogue: Epilogue,
  ): void {
    for (let n = 0; n < N; n++) {
      for (let f = 0; f < F; f++) {
        const first = Math.floor(f / FG) * CG;
        for (let oy = 0; oy < OH; oy++) {
          for (let ox = 0; ox < OW; ox++) {
            let sum = 0;
            for (let c = 0; c < CG; c++) {
              for (let ky = 0; ky < KH; ky++) {
                for (let kx = 0; kx < KW; kx++) {
                  const iy = oy * strideY + ky * dilationY - padTop;
                  const ix = ox * strideX + kx * dilationX - padLeft;
                  const value = inside(iy, ix) ? x[((n * C + first + c) * H + iy) * W + ix] : 0;
                  sum += value * w[((f * CG + c) * KH + ky) * KW + kx];
                }
              }
            }
            out[((n * F + f) * OH + oy) * OW + ox] = finish(epilogue, sum, f);
          }
        }
      }
    }
  }

  // The gradients are sums over many windows: summed in float64, rounded to the dtype once.
  function backwardData(
    N: number,
    dout: FloatArray,
    w: FloatArray,
    dx: FloatArray,
    epilogue: Epilogue = NO_EPILOGUE,
  ): void {
    for (let n = 0; n < N; n++) {
      const sums = new Float64Array(C * H * W);
      for (let f = 0; f < F; f++) {
        const first = Math.floor(f / FG) * CG;
        for (let oy = 0; oy < OH; oy++) {
          for (let ox = 0; ox < OW; ox++) {
            const d = dout[((n * F + f) * OH + oy) * OW + ox];
            for (let c = 0; c < CG; c++) {
              for (let ky = 0; ky < KH; ky++) {
                for (let kx = 0; kx < KW; kx++) {
                  const iy = oy * strideY + ky * dilationY - padTop;
                  const ix = ox * strideX + kx * dilationX - padLeft;
                  if (!inside(iy, ix)) continue;
                  const weight = w[((f * CG + c) * KH + ky) * KW + kx];
                  sums[((first + c) * H + iy) * W + ix] += d * weight;
                }
              }
            }
          }
        }
      }
      for (let i = 0; i < sums.length; i++) {
        dx[n * sums.length + i] = finish(epilogue, sums[i], Math.floor(i / (H * W)));
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
    const sums = new Float64Array(F * CG * KH * KW);
    const biasSums = new Float64Array(F);
    for (let n = 0; n < N; n++) {
      for (let f = 0; f < F; f++) {
        const first = Math.floor(f / FG) * CG;
        for (let oy = 0; oy < OH; oy++) {
          for (let ox = 0; ox < OW; ox++) {
            const d = dout[((n * F + f) * OH + oy) * OW + ox];
            biasSums[f] += d;
            for (let c = 0; c < CG; c++) {
              for (let ky = 0; ky < KH; ky++) {
                for (let kx = 0; kx < KW; kx++) {
                  const iy = oy * strideY + ky * dilationY - padTop;
                  const ix = ox * strideX + kx * dilationX - padLeft;
                  const value = inside(iy, ix) ? x[((n * C + first + c) * H + iy) * W + ix] : 0;
                  sums[((f * CG + c) * KH + ky) * KW + kx] += d * value;
                }
              }
            }
          }
        }
      }
    }
    dw.set(sums);
    db?.set(biasSums);
  }

  return { name: "conv-naive", tier: "naive", forward, backwardData, backwardWeights };
}
