/**
 * `deno task bench:threads`: whole calls on one thread and on several, and what waking the threads costs.
 *
 * Both sides take turns, and each number is the least of its rounds. Tensors are made anew for each side,
 * as they lie in shared memory where threads are in force. The workers stay, as they do in a program.
 *
 * @module
 */

import { type DType, useThreads } from "../mod.ts";
import { Team } from "../kernels/threads/team.ts";
import { markdownTable } from "../tools/markdown.ts";
import { scriptOptions, whole, words } from "../tools/options.ts";
import { bind } from "./peers/ours.ts";
import { type Direction, makeJob, workloads } from "./peers/peer.ts";

const { threads, only, rounds } = scriptOptions({
  usage: "deno task bench:threads",
  about: "Times the layers on one thread and on several.",
  options: {
    threads: whole(Math.max(2, navigator.hardwareConcurrency), [2, 256], "threads"),
    only: words(workloads.map(({ name }) => name), "workloads, separated by commas"),
    rounds: whole(40, [2, 100_000], "calls of each side"),
  },
});

/** Milliseconds of the fastest call on one thread and on several. */
async function times(name: string, direction: Direction, dtype: DType): Promise<[number, number]> {
  const workload = workloads.find((workload) => workload.name === name)!;
  const job = makeJob(workload, direction);
  const least: [number, number] = [Infinity, Infinity];
  const alone = bind(job, dtype, "simd");
  using _ = await useThreads(threads);
  const together = bind(job, dtype, "simd");
  for (let round = 0; round < rounds; round++) {
    for (const [side, run] of [alone, together].entries()) {
      using _ = side === 0 ? await useThreads(1) : undefined;
      run();
      const start = performance.now();
      run();
      least[side] = Math.min(least[side], performance.now() - start);
    }
  }
  return least;
}

/** Microseconds of a job without a chunk: the least mean of some. */
async function emptyJob(): Promise<number> {
  const team = await Team.start(threads, 1, 1000);
  if (typeof team === "string") throw new Error(team);
  const CALLS = 1000;
  let least = Infinity;
  for (let round = 0; round < 10; round++) {
    const start = performance.now();
    for (let i = 0; i < CALLS; i++) team.run(0, () => -1);
    least = Math.min(least, (performance.now() - start) / CALLS * 1000);
  }
  team.close();
  return least;
}

console.log(`an empty job on ${threads} threads: ${(await emptyJob()).toFixed(1)} µs\n`);
const rows: string[][] = [];
for (const name of only) {
  for (const dtype of ["float32", "float64"] as const) {
    for (const direction of ["fwd", "bwd"] as const) {
      const [alone, together] = await times(name, direction, dtype);
      const cells = [alone.toFixed(2), together.toFixed(2), `${(alone / together).toFixed(2)}x`];
      rows.push([name, direction, dtype, ...cells]);
    }
  }
}
console.log(
  markdownTable([["", "", "dtype", "1 thread, ms", `${threads}, ms`, "speed-up"], ...rows]),
);
