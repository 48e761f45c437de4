/**
 * What the schedules' costs say that a call takes: the numbers by which algorithms are chosen, so that a bench
 * can show them beside the times.
 *
 * @module
 */

import { forwardPass, gradientPass, type Pass } from "../kernels/passes.ts";
import { type ConvShape, convShape } from "../kernels/shape.ts";
import { panelImages, weightPanelImages } from "../kernels/simd/batched.ts";
import { type Cost, costOf } from "../kernels/simd/costs.ts";
import { features } from "../kernels/simd/features.ts";
import {
  type Algorithm,
  areBatched,
  batchedCount,
  imageOptions,
  type Options,
  type Schedule,
  scheduleConv,
  weightOptions,
} from "../kernels/simd/schedule.ts";
import { vectorsIn } from "../kernels/simd/vector.ts";
import type { DType } from "../kernels/tensor.ts";
import type { Direction, Workload } from "./peers/peer.ts";

/** What a pass costs by an algorithm. */
type CostBy = (algorithm: Algorithm) => Cost;

/** Images in the lanes: panels are computed whole. */
function panelsCost(costBy: CostBy, together: number, N: number): number {
  return costOf(costBy("batched"), Math.ceil(N / together) * together);
}

/** The cost of images that are computed one by one, or a few together. */
function imagesCost(costBy: CostBy, together: number, schedule: Schedule, N: number): number {
  const { algorithm, few = 0 } = schedule, count = batchedCount(N, schedule, together);
  if (count > 0) {
    const others = { ...schedule, batched: undefined };
    const left = count < N ? imagesCost(costBy, together, others, N - count) : 0;
    return panelsCost(costBy, together, count) + left;
  }
  return costOf(costBy(N <= few ? "gemm" : algorithm), N);
}

function weightsCost(costBy: CostBy, together: number, schedule: Schedule, N: number): number {
  const { algorithm, few = 0, fewBy = "direct" } = schedule;
  if (areBatched(N, schedule, together)) return panelsCost(costBy, together, N);
  return costOf(costBy(N <= few ? fewBy : algorithm), N);
}

/**
 * The estimate of a convolution's pass over N images, in multiply-adds of vectors; undefined for what has no
 * cost: pools and depthwise convolutions.
 */
export function estimateConv(
  { kind, x, w, stride, pad, dilation, groups }: Workload,
  direction: Direction,
  N: number,
  dtype: DType,
): number | undefined {
  if (kind !== "conv" || w === undefined) return undefined;
  const shape: ConvShape = convShape(x, w, { stride, pad, dilation, groups });
  const { KH, KW, strideY, strideX, H, W } = shape;
  // As the kernels do: a 1x1 kernel that takes every position.
  const isFlat = KH * KW * strideY * strideX === 1 && pad === 0;
  const flat = isFlat ? { ...shape, H: 1, W: H * W, OH: 1, OW: H * W } : shape;
  const vector = vectorsIn(dtype, features().pairs);
  const schedule = scheduleConv(flat, vector, features());
  if (schedule.forward.algorithm === "depthwise") return undefined;
  const forward = forwardPass(flat), gradient = gradientPass(flat);
  const by = (options: Options, pass: Pass): CostBy => (algorithm) =>
    options[algorithm].costOf(pass, vector);
  if (direction === "fwd") {
    return imagesCost(by(imageOptions, forward), panelImages(vector), schedule.forward, N);
  }
  return imagesCost(by(imageOptions, gradient), panelImages(vector), schedule.dx, N) +
    weightsCost(by(weightOptions, forward), weightPanelImages(vector), schedule.dw, N);
}
