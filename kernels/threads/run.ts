/**
 * Jobs on several threads: cut into chunks, written down for the workers, and run by whoever is free.
 *
 * @module
 */

import { type Job, type JobRunner, runHere } from "../simd/job.ts";
import { immediate } from "../simd/queue.ts";
import { NoRoom, Recorder } from "./recorder.ts";
import { MOST_CHUNKS, type Team } from "./team.ts";

/** A job that takes less, in nanoseconds, stays in one thread: waking the others takes 10,000. */
const SMALL_JOB = 60_000;
/** The least that a chunk should take. */
const SMALL_CHUNK = 20_000;
/** Chunks for each thread, so that one that was held up does not keep the others waiting. */
const CHUNKS_EACH = 4;

/** What a chunk takes beside its parts may be so much of what these take, where each thread has several. */
const CALL_SHARE = 0.05;

/** Parts of a chunk. */
function chunkSize(
  { cost, together = 1, callCost = 0 }: Job,
  count: number,
  threads: number,
): number {
  const worthwhile = callCost > 0 ? CALL_SHARE * cost * count / callCost : Infinity;
  const each = Math.max(1, Math.min(CHUNKS_EACH, Math.floor(worthwhile / threads)));
  const least = Math.max(SMALL_CHUNK / cost, count / MOST_CHUNKS, count / (threads * each));
  return Math.ceil(least / together) * together;
}

/** What runs jobs on a team's threads. */
export function threadedRunner(team: Team): JobRunner {
  const recorder = new Recorder(team);
  return (job, count) => {
    if (!team.isOpen || job.cost * count < SMALL_JOB) return runHere(job, count);
    const size = chunkSize(job, count, team.count), chunks = Math.ceil(count / size);
    if (chunks < 2) return runHere(job, count);
    const endOf = (chunk: number) => Math.min(count, (chunk + 1) * size);
    try {
      write(recorder, job, chunks, (chunk) => [chunk * size, endOf(chunk)]);
    } catch (error) {
      if (error instanceof NoRoom) return runHere(job, count);
      throw error;
    }
    recorder.send();
    const own = new Set<number>();
    let isReady: boolean | undefined;
    const left = team.run(chunks, (chunk) => {
      own.add(chunk);
      isReady ??= job.prepare(immediate);
      if (!isReady) return 0;
      const end = job.run(immediate, chunk * size, endOf(chunk));
      return end === endOf(chunk) ? -1 : end;
    });
    for (let chunk = 0; chunk < chunks; chunk++) if (!own.has(chunk)) recorder.collect(chunk);
    return left.find((images) => images >= 0) ?? count;
  };
}

/** Writes a job down. */
function write(
  recorder: Recorder,
  job: Job,
  chunks: number,
  rangeOf: (chunk: number) => readonly [first: number, end: number],
): void {
  recorder.begin(chunks);
  job.prepare(recorder);
  for (let chunk = 0; chunk < chunks; chunk++) {
    recorder.mark(chunk);
    job.run(recorder, ...rangeOf(chunk));
  }
  recorder.mark(chunks);
}
