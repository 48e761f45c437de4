/**
 * Which kernel runs for a shape, and why: the tiers in order, most special first; how they may round;
 * and making a kernel ready before it is needed.
 *
 * @module
 */

import { simdSource } from "./simd/source.ts";
import type {
  AffineKernel,
  Answer,
  ConvKernel,
  GeneratedConv,
  GeneratedPool,
  KernelInfo,
  KernelSource,
  PoolKernel,
  Tier,
} from "./kernel.ts";
import { naiveAffine } from "./naive/affine.ts";
import { naiveConv } from "./naive/conv.ts";
import { naiveMaxPool } from "./naive/pool.ts";
import { addKernels, generatedSource } from "./registry.ts";
import type { AffineShape, ConvParams, ConvShape, DType, PoolShape } from "./shape.ts";
import { checkDType, convShape, describe } from "./shape.ts";
import { type Arithmetic, currentArithmetic, setArithmetic } from "./simd/features.ts";

export type { Arithmetic } from "./simd/features.ts";

const always = "the generic loops serve every shape";

/** The tier of the definitions: the reference and the last resort. */
const naiveSource: KernelSource = {
  tier: "naive",
  conv: (shape) => ({ kernel: naiveConv(shape), reason: always }),
  maxPool: (shape) => ({ kernel: naiveMaxPool(shape), reason: always }),
  affine: (shape) => ({ kernel: naiveAffine(shape), reason: always }),
};

/** Every tier, most special first. naive always answers, so the list is total. */
const sources: readonly KernelSource[] = [simdSource, generatedSource, naiveSource];

/** What {@linkcode useKernels} takes: "auto" is the best there is. */
export type KernelChoice = "auto" | Tier;

const choices: readonly KernelChoice[] = ["auto", "simd", "generated", "naive"];
const arithmetics: readonly Arithmetic[] = ["fast", "reproducible"];

/** The kernel that runs for a shape, and why. */
export interface Explanation extends KernelInfo {
  /** Why this tier, and why none before it. */
  readonly reason: string;
}

/** A kernel with the reason why it was chosen. */
interface Selected<K extends KernelInfo> {
  readonly kernel: K;
  readonly reason: string;
}

/** Enough for the layers of any net, few enough to forget shapes that are no longer used. */
const CACHE_LIMIT = 256;

let choice: KernelChoice = "auto";
const cache = new Map<string, Selected<KernelInfo>>();

/**
 * Sets which kernels run from now on: "auto" and "simd" take the best tier that serves a shape,
 * "generated" leaves out SIMD, "naive" runs the generic loops alone.
 *
 * @example Compare a layer with its definition
 * ```ts
 * import { convForward, full, useKernels } from "@cnn-layers/cnn-layers";
 *
 * const x = full([1, 1, 4, 4], 1), w = full([1, 1, 3, 3], 1), b = full([1], 0);
 * const fast = convForward(x, w, b, { stride: 1, pad: 1 });
 * {
 *   using _ = useKernels("naive");
 *   const naive = convForward(x, w, b, { stride: 1, pad: 1 });
 *   if (naive.out.data.join() !== fast.out.data.join()) throw new Error("they differ");
 * }
 * ```
 *
 * @param kernels The choice.
 * @returns A Disposable that restores the choice that was in force.
 * @throws {TypeError} If the choice is none of the four.
 */
export function useKernels(kernels: KernelChoice): Disposable {
  if (!choices.includes(kernels)) {
    throw new TypeError(
      `kernels must be one of ${choices.join(", ")}: received ${describe(kernels)}`,
    );
  }
  const previous = choice;
  choice = kernels;
  return {
    [Symbol.dispose]: () => {
      choice = previous;
    },
  };
}

/**
 * Sets how kernels compute from now on: "fast" (the default) uses fused multiply-add and Winograd's
 * algorithm where the host and the shape allow, "reproducible" neither, so that every host gives the
 * same bits.
 *
 * @example
 * ```ts
 * import { convForward, full, useArithmetic } from "@cnn-layers/cnn-layers";
 *
 * using _ = useArithmetic("reproducible");
 * const x = full([1, 1, 4, 4], 0.1), w = full([1, 1, 3, 3], 0.1), b = full([1], 0);
 * console.log(convForward(x, w, b, { pad: 1 }).out.data[0]);
 * ```
 *
 * @param arithmetic The choice.
 * @returns A Disposable that restores the choice that was in force.
 * @throws {TypeError} If the choice is neither "fast" nor "reproducible".
 */
export function useArithmetic(arithmetic: Arithmetic): Disposable {
  if (!arithmetics.includes(arithmetic)) {
    throw new TypeError(
      `arithmetic must be one of ${arithmetics.join(", ")}: received ${describe(arithmetic)}`,
    );
  }
  const previous = setArithmetic(arithmetic);
  return { [Symbol.dispose]: () => void setArithmetic(previous) };
}

/** Forgets every choice made: needed when the tiers' answers may have changed. */
export function forgetChoices(): void {
  cache.clear();
}

/**
 * Adds generated kernels of your own. Files written by the generator call it when they are imported.
 *
 * @param convs Convolutions; one of the same name takes the place of the library's.
 * @param pools Max-pools, likewise.
 * @throws {TypeError} If one lacks a function, or its name is no shape's or family's; then none is added.
 */
export function registerKernels(
  convs: readonly GeneratedConv[],
  pools: readonly GeneratedPool[] = [],
): void {
  addKernels(convs, pools);
  forgetChoices();
}

/** The tiers that take part in the present choice. */
function allowed(): readonly KernelSource[] {
  const first = choice === "auto" ? 0 : sources.findIndex((source) => source.tier === choice);
  return sources.slice(Math.max(0, first));
}

/** The first kernel that a tier offers, remembered under a key. */
function choose<K extends KernelInfo>(
  key: string,
  ask: (source: KernelSource) => Answer<K>,
): Selected<K> {
  const known = cache.get(key) as Selected<K> | undefined;
  if (known !== undefined) {
    // Last in the map is most recently used.
    cache.delete(key);
    cache.set(key, known);
    return known;
  }
  const refusals: string[] = [];
  for (const source of allowed()) {
    const { kernel, reason } = ask(source);
    if (kernel === undefined) {
      refusals.push(`${source.tier}: ${reason}`);
      continue;
    }
    const selected = { kernel, reason: [`${source.tier}: ${reason}`, ...refusals].join("; ") };
    cache.set(key, selected);
    if (cache.size > CACHE_LIMIT) cache.delete(cache.keys().next().value!);
    return selected;
  }
  throw new Error("No tier serves this shape, though naive serves every one");
}

/**
 * What a choice depends on as a key. Every shape of one kind lists its numbers in the same order; the
 * settings are part of it, so that a block with others finds its kernels again.
 */
function keyOf(kind: string, shape: object, dtype: DType): string {
  return `${choice} ${currentArithmetic()} ${kind} ${dtype} ${Object.values(shape).join()}`;
}

/** The convolution kernel for a geometry and dtype. */
export function selectConv(shape: ConvShape, dtype: DType): Selected<ConvKernel> {
  return choose(keyOf("conv", shape, dtype), (source) => source.conv(shape, dtype));
}

/** The max-pool kernel for a geometry and dtype. */
export function selectMaxPool(shape: PoolShape, dtype: DType): Selected<PoolKernel> {
  return choose(keyOf("maxpool", shape, dtype), (source) => source.maxPool(shape, dtype));
}

/** The fully-connected kernel for a geometry and dtype. */
export function selectAffine(shape: AffineShape, dtype: DType): Selected<AffineKernel> {
  return choose(keyOf("affine", shape, dtype), (source) => source.affine(shape, dtype));
}

/** Calls after which engines have replaced quickly compiled code by optimised code. */
const CALLS = 100;
/** Milliseconds after which a direction is left, if it has run at least twice. */
const PATIENCE = 50;

/**
 * Makes and warms up the kernel of a convolution, forward and backward, for a benchmark or a server
 * whose first call should be as fast as the others. It takes up to 0.2 s, more for very large images.
 *
 * @example
 * ```ts
 * import { warmConv } from "@cnn-layers/cnn-layers";
 *
 * warmConv([1, 3, 8, 8], [4, 3, 3, 3], { stride: 1, pad: 1 }, "float32");
 * ```
 *
 * @param xShape Shape of the input, (N, C, H, W); N does not matter.
 * @param wShape Shape of the filters, (F, C, KH, KW).
 * @param convParam Stride (1) and padding (0).
 * @param dtype Number type of the tensors.
 * @throws {TypeError} If a rank or a type is wrong, or an option unknown.
 * @throws {RangeError} If sizes do not fit each other, or the kernel is larger than the padded input.
 */
export function warmConv(
  xShape: readonly number[],
  wShape: readonly number[],
  convParam: ConvParams,
  dtype: DType = "float64",
): void {
  const shape = convShape(xShape, wShape, convParam);
  const { C, H, W, F, KH, KW, OH, OW } = shape;
  const { kernel } = selectConv(shape, checkDType(dtype));
  const zeros = (length: number) =>
    dtype === "float32" ? new Float32Array(length) : new Float64Array(length);
  const x = zeros(C * H * W), w = zeros(F * C * KH * KW), b = zeros(F), out = zeros(F * OH * OW);
  repeat(() => kernel.forward(1, x, w, b, out));
  repeat(() => kernel.forward(1, x, w, b, out, true));
  repeat(() => kernel.backwardData(1, out, w, x));
  repeat(() => kernel.backwardWeights(1, x, out, w, b));
}

function repeat(call: () => void): void {
  const start = performance.now();
  for (let i = 0; i < CALLS; i++) {
    call();
    if (i > 0 && performance.now() - start > PATIENCE) return;
  }
}
