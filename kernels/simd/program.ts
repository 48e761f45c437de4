/**
 * A pass as the steps of a driver: what all images share, and what each few of them take. Steps go to a
 * queue, so that the same driver serves this thread and others.
 *
 * @module
 */

import type { Epilogue } from "../epilogue.ts";
import type { ImageRun, WeightRun } from "../runner.ts";
import { dtypeOf, type FloatArray, zerosOf } from "../tensor.ts";
import { addParts, partialSums } from "./partial_sums.ts";
import { type Job, runJob } from "./job.ts";
import { lastingWeights } from "./memory.ts";
import { immediate, type Queue } from "./queue.ts";

/** Products of a vector in a nanosecond, about: what jobs are cut by. */
export const PRODUCTS = 5;
/** Copies of numbers in a nanosecond, about. */
export const COPIES = 2;

/** A pass whose result is computed image by image. */
export interface ImageProgram {
  /** About how long an image takes, in nanoseconds. */
  readonly cost: number;
  /** Images that are best run together. Default: 1. */
  readonly together?: number;
  /**
   * Loads what all images share.
   *
   * @param packed The weights as they lay in `packed` after an earlier call: they are not packed again.
   * @returns Whether images can be run: if not, all are left to the next attempt.
   */
  prepare(queue: Queue, w: FloatArray, epilogue: Epilogue, packed?: FloatArray): boolean;
  /** Where packed weights lie, if they are packed, and how many values they are. */
  readonly packed?: { readonly at: number; readonly length: number };
  /** Runs images from the first to before the end; returns the first that it leaves, or the end. */
  run(queue: Queue, source: FloatArray, target: FloatArray, first: number, end: number): number;
}

/** Images of a call as a job's parts; with weights that are packed already, if there are any. */
function imageJob(
  program: ImageProgram,
  [source, w, target, epilogue]: Operands,
  packed?: FloatArray,
): Job {
  const { cost, together } = program;
  return {
    cost,
    together,
    prepare: (queue) => program.prepare(queue, w, epilogue, packed),
    run: (queue, first, end) => program.run(queue, source, target, first, end),
  };
}

/** What an attempt is given beside the number of images. */
type Operands = Parameters<ImageRun> extends [number, ...infer Rest] ? Rest : never;

/** An attempt that runs a program. */
export function imageRun(program: ImageProgram): ImageRun {
  return (N, ...operands) => runJob(imageJob(program, operands), N);
}

/**
 * An attempt that packs its own weights when it first runs, and never again.
 *
 * @param make The program; one that reads packed weights in place if it is given `true`.
 * @param w The weights.
 * @param epilogue What follows the sums.
 * @returns The attempt.
 */
export function preparedRun(
  make: (inPlace: boolean) => ImageProgram,
  w: FloatArray,
  epilogue: Epilogue,
): ImageRun {
  let program: ImageProgram | undefined, weights: FloatArray | undefined, serves = false;
  return (N, source, _, target) => {
    if (program === undefined) {
      program = make(false);
      serves = program.prepare(immediate, w, epilogue);
      if (serves && program.packed !== undefined) {
        const { at, length } = program.packed, dtype = dtypeOf(w);
        weights = lastingWeights(dtype, length);
        if (weights !== undefined) program = make(true);
        immediate.store(weights ??= zerosOf(dtype, length), 0, length, at);
      }
    }
    return serves ? runJob(imageJob(program, [source, w, target, epilogue], weights), N) : 0;
  };
}

/** A pass that sums over images. */
export interface WeightProgram {
  /** About how long an image takes, in nanoseconds. */
  readonly cost: number;
  /** Images that are best summed together. */
  readonly together: number;
  /** Sums images from the first to before the end, in float64, from zero. */
  run(queue: Queue, x: FloatArray, dout: FloatArray, first: number, end: number): void;
  /** Where the sums lie then, dw's and db's. */
  readonly sums: number;
  readonly biasSums: number;
  /** A flag of 16 bytes that is not zero if the sums are not to be used. */
  readonly flag?: number;
}

/** The most parts that a batch is cut into. */
const MOST_PARTS = 16;

/** A batch that takes less, in nanoseconds, is one part. */
const SMALL_BATCH = 200_000;

/** What each part but two costs beside its images, in nanoseconds for each weight. */
const PART_COST = 4;

/** That may be so much of what all images cost. */
const PART_SHARE = 0.02;

/** How many parts: by the geometry alone, so that sums do not depend on how many threads there are. */
function partsOf({ cost, together }: WeightProgram, N: number, weights: number): number {
  const free = cost * N < SMALL_BATCH ? 1 : 2;
  const affordable = Math.floor(PART_SHARE * cost * N / (PART_COST * weights));
  const most = Math.min(MOST_PARTS, N / together, free + affordable);
  // A power of two: even for two threads, and for four.
  let parts = 1;
  while (2 * parts <= most) parts *= 2;
  return parts;
}

/**
 * An attempt that runs a program. A batch is cut into parts, whose sums are added in order: the same numbers
 * for any number of threads.
 */
export function weightRun(program: WeightProgram): WeightRun {
  const { cost, together, sums, biasSums, flag } = program;
  return (N, x, dout, dw, db) => {
    const parts = partsOf(program, N, dw.length), few = Math.ceil(N / together);
    const start = (part: number) => Math.min(N, Math.floor(part * few / parts) * together);
    const biases = db?.length ?? 0, size = dw.length + biases;
    const results = partialSums(parts * size);
    const done = runJob({
      cost: cost * N / parts,
      prepare: () => true,
      run(queue, first, end) {
        for (let part = first; part < end; part++) {
          program.run(queue, x, dout, start(part), start(part + 1));
          if (flag !== undefined && queue.isSet(flag, part)) return part;
          queue.store(results, part * size, dw.length, sums);
          queue.store(results, part * size + dw.length, biases, biasSums);
        }
        return end;
      },
    }, parts);
    if (done < parts) return false;
    addParts(results, parts, size, 0, dw);
    if (db !== undefined) addParts(results, parts, size, dw.length, db);
    return true;
  };
}
