/**
 * What the schedules' costs say that a call takes: the numbers by which algorithms are chosen, so that a bench
 * can show them beside the times.
 *
 * @module
 */

import { forwardPass, gradientPass, type Pass } from "../kernels/passes.ts";
import { type ConvShape, convShape } from "../kernels/shape.ts";
import {
  batchedCost,
  type Cost,
  costOf,
  directCost,
  directWeightsCost,
  gemmCost,
  gemmWeightsCost,
  winogradCosts,
  winogradWeightsCost,
} from "../kernels/simd/costs.ts";
import { features } from "../kernels/simd/features.ts";
import { type Schedule, scheduleConv } from "../kernels/simd/schedule.ts";
import { vectors } from "../kernels/simd/vector.ts";
import type { DType } from "../kernels/tensor.ts";
import type { Direction, Workload } from "./peers/peer.ts";

/** The cost of images that are computed one by one, or a few together. */
function imagesCost(pass: Pass, dtype: DType, schedule: Schedule, N: number): number {
  const { algorithm, batched, few = 0 } = schedule, vector = vectors[dtype];
  const together = 2 * vector.lanes;
  if (batched !== undefined) {
    const rest = N % together, count = 2 * rest < together ? N - rest : N;
    if (count >= batched) {
      const panels = Math.ceil(count / together) * together;
      const left = count < N
        ? imagesCost(pass, dtype, { ...schedule, batched: undefined }, rest)
        : 0;
      return costOf(batchedCost(pass, vector), panels) + left;
    }
  }
  const costs: Partial<Record<Schedule["algorithm"], () => Cost>> = {
    direct: () => directCost(pass, vector),
    gemm: () => gemmCost(pass, vector),
    winograd: () => winogradCosts(pass, vector),
  };
  const cost = costs[N <= few ? "gemm" : algorithm]?.();
  return cost === undefined ? NaN : costOf(cost, N);
}

function weightsCost(pass: Pass, dtype: DType, schedule: Schedule, N: number): number {
  const { algorithm, batched, few = 0, fewBy = "direct" } = schedule, vector = vectors[dtype];
  if (algorithm === "depthwise") return NaN;
  const costs: Partial<Record<Schedule["algorithm"], typeof directWeightsCost>> = {
    gemm: gemmWeightsCost,
    winograd: winogradWeightsCost,
  };
  const cost = costs[N <= few ? fewBy : algorithm] ?? directWeightsCost;
  if (N <= few) return costOf(cost(pass, vector), N);
  if (batched !== undefined && N >= batched) {
    const together = 2 * vector.lanes;
    return costOf(batchedCost(pass, vector), Math.ceil(N / together) * together);
  }
  return costOf(cost(pass, vector), N);
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
  const schedule = scheduleConv(flat, vectors[dtype], features());
  const forward = forwardPass(flat), gradient = gradientPass(flat);
  const cost = direction === "fwd"
    ? imagesCost(forward, dtype, schedule.forward, N)
    : imagesCost(gradient, dtype, schedule.dx, N) + weightsCost(forward, dtype, schedule.dw, N);
  return Number.isNaN(cost) ? undefined : cost;
}
