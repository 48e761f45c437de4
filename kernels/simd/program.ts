/**
 * A pass as the steps of a driver: what all images share, and what each few of them take. Steps go to a
 * queue, so that the same driver serves this thread and others.
 *
 * @module
 */

import type { Epilogue } from "../epilogue.ts";
import type { ImageRun, WeightRun } from "../runner.ts";
import type { FloatArray } from "../tensor.ts";
import { scratch } from "./memory.ts";
import { immediate, type Queue } from "./queue.ts";

/** Work on a range of images, planes or numbers, whose parts do not depend on each other. */
export interface Job {
  /** Loads what all parts share; returns false if none can be run. */
  prepare(queue: Queue): boolean;
  /** Runs the parts from the first to before the end; returns the first that it leaves, or the end. */
  run(queue: Queue, first: number, end: number): number;
}

/** Runs a job's first so many parts; returns how many it did before one that it leaves. */
export function runJob(job: Job, count: number): number {
  return job.prepare(immediate) ? job.run(immediate, 0, count) : 0;
}

/** A pass whose result is computed image by image. */
export interface ImageProgram {
  /**
   * Loads what all images share.
   *
   * @returns Whether images can be run: if not, all are left to the next attempt.
   */
  prepare(queue: Queue, w: FloatArray, epilogue: Epilogue): boolean;
  /** Runs images from the first to before the end; returns the first that it leaves, or the end. */
  run(queue: Queue, source: FloatArray, target: FloatArray, first: number, end: number): number;
}

/** A pass that sums over images. */
export interface WeightProgram {
  /** Sums images from the first to before the end, in float64, from zero. */
  run(queue: Queue, x: FloatArray, dout: FloatArray, first: number, end: number): void;
  /** Where the sums lie then, dw's and db's. */
  readonly sums: number;
  readonly biasSums: number;
  /** A flag of 16 bytes that is not zero if the sums are not to be used. */
  readonly flag?: number;
}

/** An attempt that runs a program in this thread. */
export function imageRun(program: ImageProgram): ImageRun {
  return (N, source, w, target, epilogue) =>
    runJob({
      prepare: (queue) => program.prepare(queue, w, epilogue),
      run: (queue, first, end) => program.run(queue, source, target, first, end),
    }, N);
}

/** An attempt that runs a program in this thread. */
export function weightRun({ run, sums, biasSums, flag }: WeightProgram): WeightRun {
  return (N, x, dout, dw, db) => {
    run(immediate, x, dout, 0, N);
    dw.set(doubles(sums, dw.length));
    db?.set(doubles(biasSums, db.length));
    return flag === undefined || !immediate.isSet(flag, 0);
  };
}

/** Some float64 numbers in the memory, from a byte on. */
function doubles(start: number, count: number): FloatArray {
  return scratch("float64").subarray(start / 8, start / 8 + count);
}
