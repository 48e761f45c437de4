/**
 * A convolution kernel for one geometry and dtype, assembled when a direction first runs.
 *
 * @module
 */

import { NO_EPILOGUE } from "../epilogue.ts";
import type { WeightedKernel } from "../kernel.ts";
import { naiveConv } from "../naive/conv.ts";
import { forwardPass, gradientPass, type Pass } from "../passes.ts";
import { type ImageRun, runImages, runWeights, type WeightRun } from "../runner.ts";
import { convLabel, type ConvShape } from "../shape.ts";
import type { DType } from "../tensor.ts";
import type { Answer } from "../tier.ts";
import { panelImages, planBatched } from "./batched.ts";
import { planBatchedWeights } from "./batched_weights.ts";
import { planDepthwise } from "./depthwise.ts";
import { planDirect } from "./direct.ts";
import { planDirectWeights } from "./direct_weights.ts";
import type { Features } from "./features.ts";
import { planGemm } from "./gemm.ts";
import { MEMORY_LIMIT, type Plan, reserve } from "./memory.ts";
import { type Algorithm, type ConvSchedule, type Schedule, scheduleConv } from "./schedule.ts";
import { type ImageProgram, imageRun, type WeightProgram, weightRun } from "./program.ts";
import { type Vector, vectors } from "./vector.ts";
import { planWinograd } from "./winograd.ts";
import { planWinogradWeights } from "./winograd_weights.ts";

/** Taps of a row, or of a kernel that is one column, that are written out. */
const WIDEST_KERNEL = 64;

/** Phases of a row, or of rows, that are written out: as many as the stride. */
const LARGEST_STRIDE = 64;

/** Why there is no kernel for a geometry; undefined if there may be one. */
function refusal({ KH, KW, strideY, strideX }: ConvShape): string | undefined {
  if (KW > WIDEST_KERNEL) return `kernels wider than ${WIDEST_KERNEL} would be too much code`;
  if (KW === 1 && KH > WIDEST_KERNEL) {
    return `columns taller than ${WIDEST_KERNEL} would be too much code`;
  }
  if (Math.max(strideY, strideX) > LARGEST_STRIDE) {
    return `strides above ${LARGEST_STRIDE} would be too much code`;
  }
  return undefined;
}

/** An attempt of a call, and what it needs of the memory. */
interface Attempt<Run> {
  readonly size: number;
  readonly run: Run;
}

/** A plan as an attempt, compiled when an epilogue first comes. */
function imageAttempt({ layout, make }: Plan<ImageProgram>): Attempt<ImageRun> {
  const runs: ImageRun[] = [];
  const run: ImageRun = (N, source, w, target, epilogue) => {
    const variant = (epilogue.bias ? 2 : 0) + (epilogue.relu ? 1 : 0);
    return (runs[variant] ??= imageRun(make(epilogue)))(N, source, w, target, epilogue);
  };
  return { size: layout.size, run };
}

function weightAttempt({ layout, make }: Plan<WeightProgram>): Attempt<WeightRun> {
  let run: WeightRun | undefined;
  return { size: layout.size, run: (...args) => (run ??= weightRun(make(NO_EPILOGUE)))(...args) };
}

/** Attempts with images in the lanes: too few, or a rest of few, are left to the next attempt. */
function batchedAttempts(vector: Vector, fewest: number) {
  const together = panelImages(vector);
  return {
    images({ size, run }: Attempt<ImageRun>): Attempt<ImageRun> {
      const most: ImageRun = (N, ...args) => {
        const rest = N % together, count = 2 * rest < together ? N - rest : N;
        return count < fewest || count === 0 ? 0 : run(count, ...args);
      };
      return { size, run: most };
    },
    weights({ size, run }: Attempt<WeightRun>): Attempt<WeightRun> {
      return { size, run: (N, ...args) => N >= fewest && run(N, ...args) };
    },
  };
}

/** A plan of direct sums behind another attempt: it is made only if it ever runs. */
function later<Args extends unknown[], R>(
  plan: () => Attempt<(...args: Args) => R>,
): (...args: Args) => R {
  let run: ((...args: Args) => R) | undefined;
  return (...args) => (run ??= plan().run)(...args);
}

/** The kernel for a geometry, or why there is none; by a schedule of one's own, if one is given. */
export function simdConv(
  given: ConvShape,
  dtype: DType,
  features: Features,
  ownSchedule?: ConvSchedule,
): Answer<WeightedKernel> {
  const reason = refusal(given);
  if (reason !== undefined) return { reason };
  const shape = flattened(given);
  const vector = vectors[dtype];
  const { fused } = features;
  const { C, H, W, F, OH, OW } = shape;
  const schedule = ownSchedule ?? scheduleConv(shape, vector, features);
  const forward = forwardPass(shape), gradient = gradientPass(shape);

  // What is planned counts for the memory. Other algorithms go before direct sums where they are scheduled
  // and fit, and leave to them what they are not for: few images, or non-finite values.
  let size = 0;
  const algorithms = new Set<string>();
  function attempts<Run extends ImageRun | WeightRun>(
    { algorithm, batched, few }: Schedule,
    plans: Readonly<Record<Algorithm, () => Attempt<Run>>>,
  ): Run[] {
    const runs: Run[] = [];
    const names = new Set<Algorithm>();
    if (batched !== undefined) names.add("batched");
    if (few !== undefined) names.add("gemm");
    for (const name of names.add(algorithm)) {
      if (name === "direct") continue;
      const attempt = plans[name]();
      if (attempt.size > MEMORY_LIMIT) continue;
      size = Math.max(size, attempt.size);
      algorithms.add(name);
      runs.push(attempt.run);
      if (name === algorithm && name !== "winograd") return runs;
    }
    if (runs.length > 0) return [...runs, later(plans.direct as () => Attempt<never>) as Run];
    const only = plans.direct();
    size = Math.max(size, only.size);
    return [only.run];
  }
  const imageAttempts = (pass: Pass, schedule: Schedule) =>
    attempts(schedule, {
      batched: () =>
        batchedAttempts(vector, schedule.batched!).images(
          imageAttempt(planBatched(pass, vector, fused)),
        ),
      gemm: () => {
        const { size, run } = imageAttempt(planGemm(pass, vector, fused));
        const { few = Infinity } = schedule;
        return { size, run: (N, ...args) => N > few ? 0 : run(N, ...args) };
      },
      winograd: () => imageAttempt(planWinograd(pass, vector, fused, schedule)),
      depthwise: () => imageAttempt(planDepthwise(pass, vector, fused)),
      direct: () => imageAttempt(planDirect(pass, vector, fused, schedule)),
    });
  const forwardAttempts = imageAttempts(forward, schedule.forward);
  const gradientAttempts = imageAttempts(gradient, schedule.dx);
  const directWeights = () => weightAttempt(planDirectWeights(forward, vector, fused, schedule.dw));
  const weightAttempts = attempts(schedule.dw, {
    batched: () =>
      batchedAttempts(vector, schedule.dw.batched!).weights(
        weightAttempt(planBatchedWeights(forward, vector, fused)),
      ),
    winograd: () => weightAttempt(planWinogradWeights(forward, vector, fused, schedule.dw)),
    gemm: directWeights,
    depthwise: directWeights,
    direct: directWeights,
  });
  const missing = reserve(size);
  if (missing !== undefined) return { reason: missing };

  const naive: ImageRun = (N, dout, w, dx, epilogue) => {
    naiveConv(shape).backwardData(N, dout, w, dx, epilogue);
    return N;
  };
  const xSize = C * H * W, outSize = F * OH * OW;
  const forwardSizes = { source: xSize, target: outSize };
  const gradientSizes = { source: outSize, target: xSize };
  gradientAttempts.push(naive);
  const special = [...algorithms].sort().map((name) => `-${name}`).join("");
  const kernel: WeightedKernel = {
    name: `conv-${convLabel(given)}-${dtype === "float32" ? "f32" : "f64"}${special}-simd`,
    tier: "simd",
    forward(N, x, w, out, epilogue) {
      runImages(forwardAttempts, forwardSizes, N, x, w, out, epilogue);
    },
    backwardData(N, dout, w, dx, epilogue = NO_EPILOGUE) {
      runImages(gradientAttempts, gradientSizes, N, dout, w, dx, epilogue);
    },
    backwardWeights(N, x, dout, dw, db) {
      runWeights(weightAttempts, N, x, dout, dw, db);
    },
  };
  const how = algorithms.has("winograd") ? ", Winograd's algorithm" : "";
  return { kernel, reason: features.reason + how };
}

/** A 1x1 kernel that takes every position: the rows are as good as one long row. */
function flattened(shape: ConvShape): ConvShape {
  const { H, W, KH, KW, strideY, strideX, padTop, padLeft, padBottom, padRight } = shape;
  const everyPosition = KH * KW * strideY * strideX === 1 &&
    padTop + padLeft + padBottom + padRight === 0;
  return everyPosition ? { ...shape, H: 1, W: H * W, OH: 1, OW: H * W } : shape;
}
