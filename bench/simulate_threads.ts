/**
 * `deno task bench:simulate`: how much faster layers would be on more cores than this machine has.
 *
 * Each job is cut as it would be for so many threads, and its chunks are run one by one on this thread and
 * timed, as are what each thread does first, what writes the job down for the others, and what is done
 * outside jobs. Threads then take the chunks in order, each when it is free. A job begins and ends by what
 * an empty one takes on this machine's threads, times the logarithm of how many there are. Cores are taken
 * to be as fast together as one alone: memory that is shared, and clocks that fall, are left out.
 *
 * @module
 */

import { type DType, useThreads } from "../mod.ts";
import { type Job, runHere, setJobRunner } from "../kernels/simd/job.ts";
import { immediate } from "../kernels/simd/queue.ts";
import { Recorder } from "../kernels/threads/recorder.ts";
import { beginWriting, chunkSize } from "../kernels/threads/run.ts";
import { Team } from "../kernels/threads/team.ts";
import { markdownTable } from "../tools/markdown.ts";
import { scriptOptions, whole, word, words } from "../tools/options.ts";
import { bind } from "./peers/ours.ts";
import { type Direction, makeJob, workloads } from "./peers/peer.ts";

const { only, rounds, dtype } = scriptOptions({
  usage: "deno task bench:simulate",
  about: "Simulates layers on many threads from the times of their chunks.",
  options: {
    only: words(workloads.map(({ name }) => name), "workloads, separated by commas"),
    dtype: word("float32", ["float32", "float64"], "data type"),
    rounds: whole(10, [2, 100_000], "calls that are timed for each number of threads"),
  },
});

const THREADS = [2, 4, 8, 16, 64];

/** What a job took: the least times of its steps, in milliseconds. */
interface Timed {
  readonly parts: number;
  /** Parts of a chunk. */
  readonly size: number;
  prepare: number;
  /** What writes its first chunk down for other threads, and what writes all. */
  writeFirst: number;
  write: number;
  readonly chunks: number[];
}

/** The milliseconds that something takes. */
function timeOf(run: () => void): number {
  const start = performance.now();
  run();
  return performance.now() - start;
}

/** Runs a job chunk by chunk, as it is cut for so many threads, and times the steps. */
function runTimed(job: Job, count: number, threads: number, recorder: Recorder): Timed {
  const size = chunkSize(job, count, threads), chunks: number[] = [];
  const endOf = (chunk: number) => Math.min(count, (chunk + 1) * size);
  const isCut = size < count, number = Math.ceil(count / size);
  let write = 0, writeFirst = 0;
  if (isCut) {
    let next: ReturnType<typeof beginWriting>;
    const rangeOf = (chunk: number) => [chunk * size, endOf(chunk)] as const;
    writeFirst = timeOf(() => next = beginWriting(recorder, job, number, rangeOf));
    write = writeFirst + timeOf(() => {
      for (let chunk = 1; chunk < number; chunk++) next(chunk);
    });
  }
  const prepare = timeOf(() => {
    if (!job.prepare(immediate)) throw new Error("A job leaves its parts to the next attempt");
  });
  for (let chunk = 0; chunk < number; chunk++) {
    chunks.push(timeOf(() => job.run(immediate, chunk * size, endOf(chunk))));
  }
  return { parts: count, size, prepare, writeFirst, write, chunks };
}

/** How long one thread takes for a job. */
function onOne({ prepare, chunks }: Timed): number {
  return chunks.reduce((sum, chunk) => sum + chunk, prepare);
}

/** How long threads take for a job, the dispatch included. */
function makespan(timed: Timed, threads: number, dispatch: number): number {
  const { prepare, writeFirst, write, chunks } = timed;
  if (chunks.length === 1) return onOne(timed);
  const woken = dispatch * Math.log2(threads);
  const free = Array<number>(Math.min(threads, chunks.length)).fill(writeFirst + woken + prepare);
  free[0] = write + woken + prepare;
  const writeEach = (write - writeFirst) / (chunks.length - 1);
  for (const [i, chunk] of chunks.entries()) {
    // Whoever is free first takes the next chunk, when it is written.
    const at = free.indexOf(Math.min(...free));
    free[at] = Math.max(free[at], writeFirst + i * writeEach) + chunk;
  }
  return Math.max(...free);
}

/** The milliseconds of an empty job on two threads. */
function emptyJob(team: Team): number {
  const CALLS = 1000;
  const calls = () => {
    for (let i = 0; i < CALLS; i++) team.run(0, () => -1);
  };
  return Math.min(...Array.from({ length: 10 }, () => timeOf(calls))) / CALLS;
}

/** A layer on one thread, in milliseconds; and simulated on so many. */
function simulate(name: string, direction: Direction, dtype: DType, team: Team, dispatch: number) {
  const workload = workloads.find((workload) => workload.name === name)!;
  const run = bind(makeJob(workload, direction), dtype, "simd");
  const least = (measure: () => number) => Math.min(...Array.from({ length: rounds }, measure));
  setJobRunner(runHere);
  run();
  let alone = least(() => timeOf(run));
  const simulated = THREADS.map((threads) => {
    const recorder = new Recorder(team);
    let jobs: Timed[] = [], outside = Infinity;
    for (let round = 0; round < rounds; round++) {
      const seen: Timed[] = [];
      let inside = 0;
      setJobRunner((job, count) => {
        inside += timeOf(() => seen.push(runTimed(job, count, threads, recorder)));
        return count;
      });
      outside = Math.min(outside, timeOf(run) - inside);
      jobs = round === 0 ? seen : jobs.map((job, i) => ({
        ...job,
        prepare: Math.min(job.prepare, seen[i].prepare),
        writeFirst: Math.min(job.writeFirst, seen[i].writeFirst),
        write: Math.min(job.write, seen[i].write),
        chunks: job.chunks.map((chunk, k) => Math.min(chunk, seen[i].chunks[k])),
      }));
    }
    // The same work in one thread: where others use the machine, a whole call may never be undisturbed.
    alone = Math.min(alone, jobs.reduce((sum, job) => sum + onOne(job), outside));
    const ms = jobs.reduce((sum, job) => sum + makespan(job, threads, dispatch), outside);
    return { ms, jobs };
  });
  return { alone, simulated };
}

// Tensors that are made meanwhile lie in shared memory, as they would.
using _ = await useThreads(2);
const team = await Team.start(2, 1, 1000);
if (typeof team === "string") throw new Error(team);
const dispatch = emptyJob(team);
console.log(`An empty job on 2 threads: ${(1000 * dispatch).toFixed(1)} µs\n`);
const rows: string[][] = [];
for (const name of only) {
  for (const direction of ["fwd", "bwd"] as const) {
    const { alone, simulated } = simulate(name, direction, dtype, team, dispatch);
    const speedUps = simulated.map(({ ms }) => `${(alone / ms).toFixed(1)}x`);
    const chunks = simulated.at(-1)!.jobs.map(({ parts, size }) => `${size} of ${parts}`);
    rows.push([`${name} ${direction}`, alone.toFixed(2), ...speedUps, chunks.join(", ")]);
  }
}
team.close();
const heads = THREADS.map((threads) => `${threads}`);
console.log(markdownTable([
  ["", "1 thread, ms", ...heads, `parts of a chunk on ${THREADS.at(-1)}, of each job`],
  ...rows,
]));
