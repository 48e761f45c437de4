/**
 * Jobs on several threads: cut into chunks, written down for the workers, and run by whoever is free.
 *
 * @module
 */

import { type Job, type JobRunner, runHere } from "../simd/job.ts";
import { immediate } from "../simd/queue.ts";
import { NoRoom, Recorder } from "./recorder.ts";
import { MOST_CHUNKS, type Team } from "./team.ts";

/** What is worth several threads, in nanoseconds. */
export interface Worth {
  /** A job that takes less stays in one thread: waking the others takes about 10,000. */
  readonly job: number;
  /** The least that a chunk should take. */
  readonly chunk: number;
}

const WORTH: Worth = { job: 60_000, chunk: 20_000 };

/** Chunks for each thread, so that one that was held up does not keep the others waiting. */
const CHUNKS_EACH = 4;
/** What a chunk takes beside its parts may be so much of what these take, where each thread has several. */
const CALL_SHARE = 0.05;

/**
 * How a job is cut, by what it takes.
 *
 * @param job The job.
 * @param count How many parts it has.
 * @param threads How many threads there are.
 * @param worth What is worth several of them.
 * @returns How many parts a chunk has: all of them if the job is not worth it.
 */
export function chunkSize(
  { cost, together = 1, callCost = 0 }: Job,
  count: number,
  threads: number,
  worth: Worth = WORTH,
): number {
  if (cost * count < worth.job) return count;
  const affordable = callCost > 0 ? CALL_SHARE * cost * count / callCost : Infinity;
  const each = Math.max(1, Math.min(CHUNKS_EACH, Math.floor(affordable / threads)));
  const least = Math.max(worth.chunk / cost, count / MOST_CHUNKS, count / (threads * each));
  return Math.min(count, Math.ceil(least / together) * together);
}

/**
 * What runs jobs on a team's threads.
 *
 * @param team The threads.
 * @param worth What is worth several of them.
 * @returns The runner.
 */
export function threadedRunner(team: Team, worth: Worth = WORTH): JobRunner {
  const recorder = new Recorder(team);
  return (job, count) => {
    const size = chunkSize(job, count, team.count, worth);
    if (!team.isOpen || size >= count) return runHere(job, count);
    const chunks = Math.ceil(count / size);
    const endOf = (chunk: number) => Math.min(count, (chunk + 1) * size);
    const rangeOf = (chunk: number) => [chunk * size, endOf(chunk)] as const;
    const writeChunk = whereRoom(() => beginWriting(recorder, job, chunks, rangeOf));
    if (writeChunk === undefined) return runHere(job, count);
    recorder.send();
    /** Writes a chunk, unless there is no room, or mail that workers could not read before the next job. */
    const writeNext = (chunk: number) => whereRoom(writeChunk, chunk) === true && !recorder.hasMail;
    const own = new Set<number>();
    let isReady: boolean | undefined;
    const left = team.run(chunks, (chunk) => {
      own.add(chunk);
      isReady ??= job.prepare(immediate);
      if (!isReady) return 0;
      const end = job.run(immediate, ...rangeOf(chunk));
      return end === endOf(chunk) ? -1 : end;
    }, writeNext);
    for (let chunk = 0; chunk < chunks; chunk++) if (!own.has(chunk)) recorder.collect(chunk);
    return left.find((images) => images >= 0) ?? count;
  };
}

/** Writes a job down as far as its first chunk; returns what writes the next one, and then true. */
export function beginWriting(
  recorder: Recorder,
  job: Job,
  chunks: number,
  rangeOf: (chunk: number) => readonly [first: number, end: number],
): (chunk: number) => true {
  const writeChunk = (chunk: number) => {
    job.run(recorder, ...rangeOf(chunk));
    recorder.mark(chunk + 1);
    return true as const;
  };
  recorder.begin(chunks);
  job.prepare(recorder);
  recorder.mark(0);
  writeChunk(0);
  return writeChunk;
}

/** Calls what writes; undefined if there is no room for what it writes. */
function whereRoom<A extends unknown[], T>(write: (...args: A) => T, ...args: A): T | undefined {
  try {
    return write(...args);
  } catch (error) {
    if (error instanceof NoRoom) return undefined;
    throw error;
  }
}
