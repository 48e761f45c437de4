/**
 * Jobs: work in parts that this thread runs, or several.
 *
 * @module
 */

import { immediate, type Queue } from "./queue.ts";

/** Work on a range of parts - images, planes, sums - that do not depend on each other. */
export interface Job {
  /** About how long a part takes, in nanoseconds. */
  readonly cost: number;
  /** Parts that are best run together. Default: 1. */
  readonly together?: number;
  /** About how long each call of `run` takes beside its parts, in nanoseconds. Default: 0. */
  readonly callCost?: number;
  /** Loads what all parts share; returns false if none can be run. */
  prepare(queue: Queue): boolean;
  /** Runs the parts from the first to before the end; returns the first that it leaves, or the end. */
  run(queue: Queue, first: number, end: number): number;
}

/** Runs a job's first so many parts; returns how many it did before one that it leaves. */
export type JobRunner = (job: Job, count: number) => number;

/** Runs a job in this thread. */
export const runHere: JobRunner = (job, count) =>
  job.prepare(immediate) ? job.run(immediate, 0, count) : 0;

let runner = runHere;

/** Runs a job, on threads if there are any. */
export const runJob: JobRunner = (job, count) => runner(job, count);

/** Sets what runs jobs from now on. Default: this thread alone. */
export function setJobRunner(next: JobRunner = runHere): void {
  runner = next;
}
