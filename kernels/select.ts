/**
 * Which kernel runs for a shape, and why: the tiers in order, most special first, and how they may
 * round.
 *
 * @module
 */

import { describe } from "./check.ts";
import { ArgumentTypeError } from "./errors.ts";
import { type Epilogue, NO_EPILOGUE } from "./epilogue.ts";
import type { GeneratedAveragePool, GeneratedConv, GeneratedPool } from "./generated/kernel.ts";
import { addKernels } from "./generated/tier.ts";
import type { KernelInfo, Tier } from "./kernel.ts";
import { beginCall } from "./scratch.ts";
import {
  type Arithmetic,
  currentArithmetic,
  hasPairs,
  hasSimd,
  probePairs,
  setArithmetic,
  setPairs,
} from "./simd/features.ts";
import { interpreter } from "./simd/interpreter.ts";
import { setInterpreter } from "./simd/memory.ts";
import type { DType } from "./tensor.ts";
import {
  type Answer,
  ask,
  finishes,
  type KernelOf,
  type Offers,
  type Operation,
  type ShapeOf,
} from "./tier.ts";

export type { Arithmetic } from "./simd/features.ts";

/** Every tier, most special first. */
const tiers: readonly Tier[] = ["simd", "generated", "naive"];

/** What {@linkcode useKernels} takes: "auto" is the best there is. */
export type KernelChoice = "auto" | Tier;

const choices: readonly KernelChoice[] = ["auto", ...tiers];
const arithmetics: readonly Arithmetic[] = ["fast", "reproducible"];

/** The kernel that runs for a shape, and why. */
export interface Explanation extends KernelInfo {
  /** Why this tier, and why none before it. */
  readonly reason: string;
}

/** Enough for the layers of any net, few enough to forget shapes that are no longer used. */
const CACHE_LIMIT = 256;

let choice: KernelChoice = "auto";

/** What a tier answered, and what it was asked. */
interface Asked {
  readonly facts: readonly unknown[];
  readonly answer: Answer<KernelInfo>;
}

/** What was asked by its hash, the most recently used last. */
const asked = new Map<number, Asked>();
let mostRecent: Asked | undefined;

/**
 * Sets which kernels run from now on: "auto" and "simd" take the best tier that serves a shape,
 * "generated" leaves out SIMD, "naive" runs only the generic loops.
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
    throw new ArgumentTypeError(
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
 * same bits for the same program. On a host whose WebAssembly has no vectors, or that has none, the same
 * kernels are interpreted then: that is some hundred times slower than SIMD.
 *
 * Exponentials, logarithms, sines and powers are this library's own under both. What may still differ is
 * which bits a NaN has, and a layer that is too large for the memory that a host gives.
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
    throw new ArgumentTypeError(
      `arithmetic must be one of ${arithmetics.join(", ")}: received ${describe(arithmetic)}`,
    );
  }
  setInterpreter(interpreter);
  const previous = setArithmetic(arithmetic);
  return { [Symbol.dispose]: () => void setArithmetic(previous) };
}

/**
 * Sets whether kernels are made for pairs of vectors from now on. WebAssembly's vectors have 16 bytes; V8 runs
 * two neighboring ones as one of 32 if it is started with `--experimental-wasm-revectorize` and the processor
 * has AVX2, which makes convolutions and fully-connected layers up to twice as fast. Without that, kernels for
 * pairs are a third slower than the others.
 *
 * Node shows its command line, so that nothing needs to be set there: the first layer that runs finds out, by
 * timing a product for some milliseconds, whether pairs pay. Deno needs this call, and checks the bounds of
 * every access by itself, which keeps pairs apart: there they take
 * `--v8-flags=--experimental-wasm-revectorize,--no-wasm-bounds-checks`, which turns those checks off for all
 * WebAssembly of the program. Debian's Chromium 156 does not know the flag.
 *
 * Other kernels have other last bits: sums may have another order. Under reproducible arithmetic there are no
 * pairs. The choice is this thread's: threads of {@linkcode useThreads} follow it, other workers have theirs.
 *
 * @example
 * ```ts
 * import { useVectorPairs } from "@cnn-layers/cnn-layers";
 *
 * useVectorPairs();
 * ```
 *
 * @param pairs Whether pairs are used. Default: whether they are faster, which is timed.
 * @returns A Disposable that restores what was in force.
 * @throws {TypeError} If it is neither true nor false nor left out.
 */
export function useVectorPairs(pairs?: boolean): Disposable {
  if (pairs !== undefined && typeof pairs !== "boolean") {
    throw new ArgumentTypeError(`pairs must be true or false: received ${describe(pairs)}`);
  }
  const previous = setPairs(pairs ?? probePairs());
  return { [Symbol.dispose]: () => void setPairs(previous) };
}

/** Forgets every choice made: needed when the tiers' answers may have changed. */
export function forgetChoices(): void {
  asked.clear();
}

/**
 * Adds generated kernels of your own. Files written by the generator call it when they are imported.
 *
 * @param convs Convolutions; one of the same name takes the place of the library's.
 * @param pools Max-pools, likewise.
 * @param averagePools Average pools, likewise.
 * @throws {TypeError} If one lacks a function, or its name is not a shape's or family's; then none is added.
 */
export function registerKernels(
  convs: readonly GeneratedConv[],
  pools: readonly GeneratedPool[] = [],
  averagePools: readonly GeneratedAveragePool[] = [],
): void {
  addKernels(convs, pools, averagePools);
  forgetChoices();
}

/** The tiers that take part in the present choice. */
function allowed(): readonly Tier[] {
  return choice === "auto" || choice === "simd" ? tiers : tiers.slice(tiers.indexOf(choice));
}

/** A number for what a tier is asked: numbers, words and truths. */
function hashOf(facts: readonly unknown[]): number {
  let hash = 0;
  for (const fact of facts) {
    const number = typeof fact === "string"
      ? fact.length << 8 | fact.charCodeAt(fact.length - 1)
      : Number(fact);
    hash = Math.imul(hash ^ number, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash;
}

/**
 * A tier's answer for a geometry, remembered. Every geometry of one kind lists its fields in the same
 * order. The arithmetic is asked too, so that a block with another finds its kernels again, whether vectors
 * come in pairs, and whether the host has any, as interpreted kernels have a memory of their own. Every
 * call comes here: comparing numbers is faster than joining them into a key.
 */
function answerOf<O extends Operation>(
  tier: Tier,
  offers: Offers<O>,
  shape: ShapeOf<O>,
  dtype: DType,
): Answer<KernelOf<O>> {
  const facts: unknown[] = Object.values(shape);
  facts.push(tier, offers.operation, dtype, currentArithmetic(), hasSimd(), hasPairs());
  const hash = hashOf(facts);
  let found = asked.get(hash);
  if (found === undefined || !areSame(found.facts, facts)) {
    found = { facts, answer: ask<O>(offers[tier], shape, dtype) };
  }
  if (found !== mostRecent) {
    // Last in the map is most recently used.
    asked.delete(hash);
    asked.set(hash, mostRecent = found);
    if (asked.size > CACHE_LIMIT) asked.delete(asked.keys().next().value!);
  }
  return found.answer as Answer<KernelOf<O>>;
}

function areSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((fact, i) => fact === b[i]);
}

/**
 * The kernel that runs for a geometry.
 *
 * @param offers The offers for the operation.
 * @param shape Its geometry.
 * @param dtype The data type.
 * @param epilogue What will follow its sums.
 * @returns The kernel of the first tier that serves all of that.
 */
export function select<O extends Operation>(
  offers: Offers<O>,
  shape: ShapeOf<O>,
  dtype: DType,
  epilogue: Epilogue = NO_EPILOGUE,
): KernelOf<O> {
  beginCall();
  for (const tier of allowed()) {
    const { kernel } = answerOf(tier, offers, shape, dtype);
    if (kernel !== undefined && finishes<O>(offers[tier], epilogue)) return kernel;
  }
  const fields = Object.keys({ ...shape, ...epilogue });
  throw new Error(`No tier serves a ${offers.operation} with these fields: ${fields.join(", ")}`);
}

/** What is to be said of the threads that kernels of a tier run on. */
let noteOfThreads: string | undefined;

/** Sets what is said of threads, if there is anything. */
export function setThreadNote(note?: string): void {
  noteOfThreads = note;
}

function threadNote(tier: Tier): readonly string[] {
  return tier === "simd" && noteOfThreads !== undefined ? [noteOfThreads] : [];
}

/** Which kernel {@linkcode select} gives for a geometry, and why: what that tier and those before say. */
export function explain<O extends Operation>(
  offers: Offers<O>,
  shape: ShapeOf<O>,
  dtype: DType,
): Explanation {
  const { name, tier } = select(offers, shape, dtype);
  const reasons: string[] = [];
  for (const each of allowed()) {
    const reason = `${each}: ${answerOf(each, offers, shape, dtype).reason}`;
    if (each === tier) {
      return { name, tier, reason: [reason, ...reasons, ...threadNote(tier)].join("; ") };
    }
    reasons.push(reason);
  }
  throw new Error(`No tier is called ${tier}`);
}
