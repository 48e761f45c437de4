/**
 * How a convolution's kernel is made, as plain data: geometry, passes, tiers, schedules, generated
 * TypeScript and WebAssembly.
 *
 * @module
 */

import { exactConv } from "../../codegen/kernels.ts";
import { kernelFile } from "../../codegen/print.ts";
import { MAX_NUMBERS, stagedNumbers } from "../../kernels/generated/staging.ts";
import { convKernels } from "../../kernels/operations.ts";
import { forwardPass, gradientPass, type Pass } from "../../kernels/passes.ts";
import type { Explanation } from "../../kernels/select.ts";
import { type ConvParams, type ConvShape, convShape } from "../../kernels/shape.ts";
import { type Cost, costOf, PER_NANOSECOND } from "../../kernels/simd/costs.ts";
import { dump } from "../../kernels/simd/dump.ts";
import { features } from "../../kernels/simd/features.ts";
import {
  type Algorithm,
  imageOptions,
  type Schedule,
  scheduleConv,
  weightOptions,
} from "../../kernels/simd/schedule.ts";
import { vectorsIn } from "../../kernels/simd/vector.ts";
import type { DType } from "../../kernels/tensor.ts";
import { ask } from "../../kernels/tier.ts";
import { explainConv } from "../../nn/layers/conv.ts";
import { type Direction, modulesOf } from "../../tools/modules.ts";

/** What is asked. */
export interface KernelRequest {
  /** (N, C, H, W). */
  readonly x: readonly number[];
  /** (F, C / groups, KH, KW). */
  readonly w: readonly number[];
  readonly params: ConvParams;
  readonly dtype: DType;
  readonly direction: Direction;
}

/** The answer of a tier. */
export interface TierReport {
  readonly tier: "simd" | "generated" | "naive";
  /** The kernel's name; undefined if the tier refuses. */
  readonly name?: string;
  readonly reason: string;
}

/** What a pass of all images is estimated to take by an algorithm, in microseconds. */
export interface Estimate {
  readonly algorithm: Algorithm;
  readonly microseconds: number;
}

/** How the SIMD tier runs a pass. */
export interface ScheduleReport {
  readonly direction: Direction;
  readonly schedule: Schedule;
  /** Of each algorithm that serves, but for depthwise sums, of which there is no choice. */
  readonly estimates: readonly Estimate[];
}

/** A module of WebAssembly. */
export interface ModuleReport {
  readonly bytes: number;
  readonly text: string;
}

/** What there is, or why it is not there. */
export type Either<T> = T | { readonly missing: string };

/** How a kernel is made. */
export interface KernelReport {
  readonly images: number;
  readonly shape: ConvShape;
  /** Of one image. */
  readonly multiplyAdds: number;
  /** The walks: that of forward is dw's too. */
  readonly passes: { readonly forward: Pass; readonly dx: Pass };
  readonly explanation: Explanation;
  readonly tiers: readonly TierReport[];
  readonly schedules: Either<readonly ScheduleReport[]>;
  readonly typescript: Either<{ readonly text: string }>;
  /** The modules of the asked direction, and the images of the call that they were compiled for. */
  readonly wasm: Either<
    { readonly images: number; readonly modules: readonly ModuleReport[] }
  >;
}

/**
 * Reports how a kernel is made.
 *
 * @param request What is asked.
 * @returns The report.
 * @throws {TypeError} If a type or rank is wrong.
 * @throws {RangeError} If sizes do not fit each other.
 */
export function reportOf(
  { x, w, params, dtype, direction }: KernelRequest,
): KernelReport {
  const shape = convShape(x, w, params), [images] = x;
  const tiers = (["simd", "generated", "naive"] as const).map(
    (tier): TierReport => {
      const { kernel, reason } = ask(convKernels[tier], shape, dtype);
      return kernel === undefined ? { tier, reason } : { tier, name: kernel.name, reason };
    },
  );
  const { F, C, groups, KH, KW, OH, OW } = shape;
  const multiplyAdds = F * C / groups * KH * KW * OH * OW;
  const [simd] = tiers;
  const missing = simd.name === undefined ? { missing: simd.reason } : undefined;
  return {
    images,
    shape,
    multiplyAdds,
    passes: { forward: forwardPass(shape), dx: gradientPass(shape) },
    explanation: explainConv(x, w, params, dtype),
    tiers,
    schedules: missing ?? schedulesOf(shape, images, dtype),
    typescript: typescriptOf({ x, w, params }, shape),
    wasm: missing ?? wasmOf(shape, images, multiplyAdds, dtype, direction),
  };
}

function schedulesOf(
  shape: ConvShape,
  images: number,
  dtype: DType,
): ScheduleReport[] {
  const schedules = scheduleConv(shape, vectorsIn(dtype, features().pairs), features());
  return (["forward", "dx", "dw"] as const).map((direction) => {
    const schedule = schedules[direction];
    const costs = schedule.algorithm === "depthwise"
      ? []
      : costsOf(shape, dtype, direction, schedule);
    const estimates = costs.map(([algorithm, cost]) => ({
      algorithm,
      microseconds: costOf(cost, images) / (1000 * PER_NANOSECOND),
    }));
    return { direction, schedule, estimates };
  });
}

/** What each algorithm that serves a pass costs. */
function costsOf(
  shape: ConvShape,
  dtype: DType,
  direction: Direction,
  { batched }: Schedule,
): [Algorithm, Cost][] {
  const pass = direction === "dx" ? gradientPass(shape) : forwardPass(shape);
  const options = Object.entries(direction === "dw" ? weightOptions : imageOptions);
  return options.flatMap(([name, { serves, costOf }]): [Algorithm, Cost][] => {
    const algorithm = name as Algorithm;
    // What is never scheduled says little about some images that do not fill the lanes.
    const isShown = algorithm !== "batched" || batched !== undefined;
    return isShown && serves(pass, features())
      ? [[algorithm, costOf(pass, vectorsIn(dtype, features().pairs))]]
      : [];
  });
}

/** The options of a shape, as a command line has them. */
function commandOptions(
  { x, w, params }: Pick<KernelRequest, "x" | "w" | "params">,
): string {
  const { stride = 1, pad = 0, dilation = 1, groups = 1 } = params;
  const words = [`--x ${x.slice(1)}`, `--w ${w}`];
  for (
    const [name, value] of Object.entries({ stride, pad, dilation, groups })
  ) {
    if (`${value}` !== (name === "pad" ? "0" : "1")) {
      words.push(
        `--${name} ${value}`,
      );
    }
  }
  return words.join(" ");
}

function typescriptOf(
  request: Pick<KernelRequest, "x" | "w" | "params">,
  shape: ConvShape,
): KernelReport["typescript"] {
  const numbers = stagedNumbers(shape);
  if (numbers >= MAX_NUMBERS) {
    return {
      missing: `Kernels see fewer than ${MAX_NUMBERS} values of an image; here are ${numbers}.`,
    };
  }
  const { padTop, padLeft, padBottom, padRight } = shape;
  // The command line takes numbers alone.
  const pads = [padTop, padLeft, padBottom, padRight];
  const isEven = pads.every((size) => size === padTop);
  const pad = isEven ? padTop : pads as [number, number, number, number];
  const params = { ...request.params, pad };
  const { text } = kernelFile("kernel.ts", [exactConv(shape)], {
    types: "@cnn-layers/cnn-layers",
    command: `deno task codegen ${commandOptions({ ...request, params })} --out my_kernels/`,
    test: 'compare its results with those under useKernels("naive")',
  });
  return { text };
}

/** What a page may compute to see what is compiled: multiply-adds, and numbers of x and out. */
const MOST_WORK = 2e9, MOST_NUMBERS = 2e7;

function wasmOf(
  shape: ConvShape,
  images: number,
  multiplyAdds: number,
  dtype: DType,
  direction: Direction,
): KernelReport["wasm"] {
  const { C, H, W, F, OH, OW, KH, KW, groups } = shape;
  const numbers = C * H * W + F * OH * OW, weights = F * C / groups * KH * KW;
  const most = Math.floor(
    Math.min(MOST_WORK / multiplyAdds, MOST_NUMBERS / numbers),
  );
  if (most < 1 || weights > MOST_NUMBERS) {
    return {
      missing:
        "Modules are compiled as a call needs them, and one of this size is too much for a page.",
    };
  }
  const call = {
    images: Math.max(1, Math.min(images, most)),
    dtype,
    direction,
  };
  const { modules } = modulesOf({ operation: "conv", shape }, call);
  return {
    images: call.images,
    modules: modules.map((code) => ({ bytes: code.length, text: dump(code) })),
  };
}
