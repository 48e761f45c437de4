/**
 * A convolution kernel for one geometry and dtype, assembled when a direction first runs.
 *
 * @module
 */

import { type Epilogue, NO_EPILOGUE } from "../epilogue.ts";
import type { WeightedKernel } from "../kernel.ts";
import { naiveConv } from "../naive/conv.ts";
import { forwardPass, gradientPass, type Pass } from "../passes.ts";
import { type ImageRun, runImages, runWeights, type WeightRun } from "../runner.ts";
import { convLabel, type ConvShape } from "../shape.ts";
import type { DType, FloatArray } from "../tensor.ts";
import type { Answer } from "../tier.ts";
import { panelImages, planBatched, weightPanelImages } from "./batched.ts";
import { planBatchedWeights } from "./batched_weights.ts";
import { planDepthwise } from "./depthwise.ts";
import { planDirect } from "./direct.ts";
import { planDirectWeights } from "./direct_weights.ts";
import type { Features } from "./features.ts";
import { planGemm } from "./gemm.ts";
import { gemmServesWeights, planGemmWeights } from "./gemm_weights.ts";
import { MEMORY_LIMIT, type Plan, reserve } from "./memory.ts";
import {
  type Algorithm,
  areBatched,
  batchedCount,
  type ConvSchedule,
  type Schedule,
  scheduleConv,
} from "./schedule.ts";
import {
  type ImageProgram,
  imageRun,
  preparedRun,
  type WeightProgram,
  weightRun,
} from "./program.ts";
import { vectorsIn } from "./vector.ts";
import { planWinograd } from "./winograd.ts";
import { forwardGrid, imageVectors } from "./winograd_tiles.ts";
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

/** An attempt that can keep weights, packed as it needs them. */
interface ImageAttempt extends Attempt<ImageRun> {
  readonly bind: (w: FloatArray, epilogue: Epilogue) => ImageRun;
}

/** A plan as an attempt, compiled when an epilogue first comes. */
function imageAttempt({ layout, make }: Plan<ImageProgram>): ImageAttempt {
  const programs: ImageProgram[] = [], runs: ImageRun[] = [];
  const variantOf = (epilogue: Epilogue, inPlace = false) => {
    const variant = (inPlace ? 4 : 0) + (epilogue.bias ? 2 : 0) + (epilogue.relu ? 1 : 0);
    programs[variant] ??= make(epilogue, inPlace);
    return variant;
  };
  return {
    size: layout.size,
    run(N, source, w, target, epilogue) {
      const variant = variantOf(epilogue);
      return (runs[variant] ??= imageRun(programs[variant]))(N, source, w, target, epilogue);
    },
    bind(w, epilogue) {
      return preparedRun((inPlace) => programs[variantOf(epilogue, inPlace)], w, epilogue);
    },
  };
}

function weightAttempt({ layout, make }: Plan<WeightProgram>): Attempt<WeightRun> {
  let run: WeightRun | undefined;
  return { size: layout.size, run: (...args) => (run ??= weightRun(make(NO_EPILOGUE)))(...args) };
}

/** An attempt that takes so many of a number of images, the first ones; perhaps others with packed weights. */
function taking(
  attempt: ImageAttempt,
  countOf: (N: number) => number,
  preparedCountOf = countOf,
): ImageAttempt {
  const some = (run: ImageRun, countOf: (N: number) => number): ImageRun => (N, ...args) => {
    const count = countOf(N);
    return count === 0 ? 0 : run(count, ...args);
  };
  return {
    size: attempt.size,
    run: some(attempt.run, countOf),
    bind: (...args) => some(attempt.bind(...args), preparedCountOf),
  };
}

/** An attempt that leaves an image that is alone to a program for one. */
function withSingle(attempt: ImageAttempt, single: ImageAttempt): ImageAttempt {
  const choose = (several: ImageRun, one: ImageRun): ImageRun => (N, ...args) =>
    (N === 1 ? one : several)(N, ...args);
  return {
    size: attempt.size,
    run: choose(attempt.run, single.run),
    bind: (...args) => choose(attempt.bind(...args), single.bind(...args)),
  };
}

/** A plan of direct sums behind another attempt: it is made only if it ever runs. */
function laterImages(plan: () => ImageAttempt): ImageAttempt {
  let made: ImageAttempt | undefined;
  const attempt = () => made ??= plan();
  return {
    size: 0,
    run: (...args) => attempt().run(...args),
    bind: (w, epilogue) => {
      let run: ImageRun | undefined;
      return (...args) => (run ??= attempt().bind(w, epilogue))(...args);
    },
  };
}

/** The same for weights. */
function laterWeights(plan: () => Attempt<WeightRun>): Attempt<WeightRun> {
  let made: Attempt<WeightRun> | undefined;
  return { size: 0, run: (...args) => (made ??= plan()).run(...args) };
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
  const vector = vectorsIn(dtype, features.pairs);
  const { fused } = features;
  const { C, H, W, F, OH, OW } = shape;
  const schedule = ownSchedule ?? scheduleConv(shape, vector, features);
  const forward = forwardPass(shape), gradient = gradientPass(shape);

  // What is planned counts for the memory. Other algorithms go before direct sums where they are scheduled
  // and fit, and leave to them what they are not for: few images, or non-finite values.
  let size = 0;
  const algorithms = new Set<string>();
  function attempts<A extends Attempt<unknown>>(
    { algorithm, batched, few }: Schedule,
    plans: Readonly<Record<Algorithm, () => A>>,
    later: (plan: () => A) => A,
  ): A[] {
    const planned: A[] = [];
    const names = new Set<Algorithm>();
    if (batched !== undefined) names.add("batched");
    if (few !== undefined) names.add("gemm");
    for (const name of names.add(algorithm)) {
      if (name === "direct") continue;
      const attempt = plans[name]();
      if (attempt.size > MEMORY_LIMIT) continue;
      size = Math.max(size, attempt.size);
      algorithms.add(name);
      planned.push(attempt);
      if (name === algorithm && name !== "winograd") return planned;
    }
    if (planned.length > 0) return [...planned, later(plans.direct)];
    const only = plans.direct();
    size = Math.max(size, only.size);
    return [only];
  }
  const imageAttempts = (pass: Pass, schedule: Schedule) => {
    const { few = Infinity, fewPrepared = few } = schedule;
    const together = panelImages(vector), upTo = (most: number) => (N: number) => N > most ? 0 : N;
    return attempts<ImageAttempt>(schedule, {
      batched: () =>
        taking(
          imageAttempt(planBatched(pass, vector, fused)),
          (N) => batchedCount(N, schedule, together),
        ),
      gemm: () => taking(imageAttempt(planGemm(pass, vector, fused)), upTo(few), upTo(fewPrepared)),
      winograd: () => {
        const attempt = imageAttempt(planWinograd(pass, vector, fused, schedule));
        if (forwardGrid(vector, pass, schedule.vectors).images === 1) return attempt;
        const vectors = imageVectors(vector, pass);
        const single = () =>
          imageAttempt(planWinograd(pass, vector, fused, { ...schedule, vectors }));
        return withSingle(attempt, laterImages(single));
      },
      depthwise: () => imageAttempt(planDepthwise(pass, vector, fused)),
      direct: () => imageAttempt(planDirect(pass, vector, fused, schedule)),
    }, laterImages);
  };
  const forwardAttempts = imageAttempts(forward, schedule.forward);
  const gradientAttempts = imageAttempts(gradient, schedule.dx);
  const directWeights = () => weightAttempt(planDirectWeights(forward, vector, fused, schedule.dw));
  const { few, fewBy, batched, ...alone } = schedule.dw;
  const isServed = gemmServesWeights(forward);
  const gemmWeights = (): Attempt<WeightRun> => {
    if (!isServed) return directWeights();
    const { layout, make } = planGemmWeights(forward, vector, fused);
    let run: WeightRun | undefined;
    return {
      size: layout.size,
      run: (N, ...args) => N <= (few ?? Infinity) && (run ??= make())(N, ...args),
    };
  };
  const weightRuns = attempts<Attempt<WeightRun>>({
    ...alone,
    batched,
    few: fewBy === "gemm" ? few : undefined,
  }, {
    batched: () => {
      const together = weightPanelImages(vector);
      const { size, run } = weightAttempt(planBatchedWeights(forward, vector, fused));
      return { size, run: (N, ...args) => areBatched(N, schedule.dw, together) && run(N, ...args) };
    },
    gemm: gemmWeights,
    winograd: () => weightAttempt(planWinogradWeights(forward, vector, fused, schedule.dw)),
    depthwise: directWeights,
    direct: directWeights,
  }, laterWeights).map(({ run }) => run);
  if (few !== undefined && fewBy !== "gemm") {
    const { run } = laterWeights(directWeights);
    weightRuns.unshift((N, ...args) => N <= few && run(N, ...args));
  }
  const missing = reserve(size);
  if (missing !== undefined) return { reason: missing };

  const naive: ImageRun = (N, dout, w, dx, epilogue) => {
    naiveConv(shape).backwardData(N, dout, w, dx, epilogue);
    return N;
  };
  const xSize = C * H * W, outSize = F * OH * OW;
  const forwardSizes = { source: xSize, target: outSize };
  const gradientSizes = { source: outSize, target: xSize };
  const forwardRuns = forwardAttempts.map(({ run }) => run);
  const gradientRuns = [...gradientAttempts.map(({ run }) => run), naive];
  const special = [...algorithms].sort().map((name) => `-${name}`).join("");
  const kernel: WeightedKernel = {
    name: `conv-${convLabel(given)}-${dtype === "float32" ? "f32" : "f64"}${special}${
      vector.pairs ? "-pairs" : ""
    }-simd`,
    tier: "simd",
    forward(N, x, w, out, epilogue) {
      runImages(forwardRuns, forwardSizes, N, x, w, out, epilogue);
    },
    backwardData(N, dout, w, dx, epilogue = NO_EPILOGUE) {
      runImages(gradientRuns, gradientSizes, N, dout, w, dx, epilogue);
    },
    prepare(w, epilogue) {
      const runs = forwardAttempts.map(({ bind }) => bind(w, epilogue));
      return (N, x, out) => runImages(runs, forwardSizes, N, x, w, out, epilogue);
    },
    backwardWeights(N, x, dout, dw, db) {
      runWeights(weightRuns, N, x, dout, dw, db);
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
