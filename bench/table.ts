/**
 * `deno task bench`: one table of speed-ups, whole calls on whole batches, medians of one run.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { useKernels } from "../mod.ts";
import type { DType, Tier } from "../mod.ts";
import { bind, explain } from "./peers/ours.ts";
import { type Direction, type Job, makeJob, type Workload, workloads } from "./peers/peer.ts";

const { values } = parseArgs({
  options: {
    images: { type: "string" },
    only: { type: "string" },
    budget: { type: "string", default: "1000" },
    help: { type: "boolean", default: false },
  },
});

if (values.help) {
  console.log(`Times the layers by tier.

  --images N      images a call (default: the workload's, 64 or 100)
  --only S1,C2    workloads
  --budget MS     milliseconds of measurement for each cell (default 1000)`);
  Deno.exit(0);
}

const chosen = values.only?.split(",");
const budget = Number(values.budget);
const images = values.images === undefined ? undefined : Number(values.images);
if (!(budget > 0) || (images !== undefined && !(Number.isInteger(images) && images > 0))) {
  console.error("bench: --budget and --images take positive numbers");
  Deno.exit(2);
}
const unknown = chosen?.filter((name) => !workloads.some((workload) => workload.name === name));
if (unknown !== undefined && unknown.length > 0) {
  console.error(`bench: unknown workload ${unknown}: known are ${workloads.map((w) => w.name)}`);
  Deno.exit(2);
}

/** The median time of a call in milliseconds, after enough calls for the optimiser. */
function median(run: () => void, milliseconds: number, warmUp: () => void): number {
  const start = performance.now();
  do warmUp(); while (performance.now() - start < milliseconds / 2);
  const times: number[] = [];
  const end = performance.now() + milliseconds;
  do {
    const before = performance.now();
    run();
    times.push(performance.now() - before);
  } while (performance.now() < end);
  return times.sort((a, b) => a - b)[times.length >> 1];
}

/** One tier's time for a job, and the name of its kernel; undefined if it does not serve it. */
function timeTier(
  tier: Tier,
  job: Job,
  dtype: DType,
): { name: string; milliseconds: number } | undefined {
  using _ = useKernels(tier);
  const explanation = explain(job, dtype);
  if (explanation.tier !== tier) return undefined;
  // One image is enough to warm the naive loops, which take seconds for a batch.
  const warmUp = tier === "naive"
    ? bind(makeJob(job.workload, job.direction, 1), dtype)
    : undefined;
  const run = bind(job, dtype);
  return { name: explanation.name, milliseconds: median(run, budget, warmUp ?? run) };
}

/** Multiply-adds count twice; backward does them for dx and for dw. */
function gigaflops({ w }: Workload, { outShape, direction }: Job, milliseconds: number): string {
  if (w === undefined) return "";
  const forward = 2 * outShape.reduce((a, b) => a * b, 1) * w[1] * w[2] * w[3];
  return ((direction === "bwd" ? 2 : 1) * forward / milliseconds / 1e6).toFixed(1);
}

const header = ["", "", "dtype", "naive ms"];
for (const tier of ["generated", "simd"]) header.push(`${tier} ms`, "speed-up", "GFLOP/s");
header.push("kernels");
const rows: string[][] = [];
const jobs = workloads.filter(({ name }) => chosen === undefined || chosen.includes(name))
  .flatMap((workload) =>
    (["fwd", "bwd"] as const).map((direction): [Workload, Direction] => [workload, direction])
  );
for (const [workload, direction] of jobs) {
  for (const dtype of ["float64", "float32"] as const) {
    if (Deno.stderr.isTerminal()) {
      const done = `${rows.length + 1}/${jobs.length * 2}`;
      await Deno.stderr.write(
        new TextEncoder().encode(`\r${done} ${workload.name} ${direction} ${dtype}      \r`),
      );
    }
    const job = makeJob(workload, direction, images);
    const naive = timeTier("naive", job, dtype)!;
    const row = [workload.name, direction, dtype, naive.milliseconds.toFixed(1)];
    const names: string[] = [];
    for (const tier of ["generated", "simd"] as const) {
      const timed = timeTier(tier, job, dtype);
      if (timed === undefined) row.push("-", "-", "-");
      else {
        const { milliseconds, name } = timed;
        row.push(
          milliseconds.toFixed(2),
          `${(naive.milliseconds / milliseconds).toFixed(1)}x`,
          gigaflops(workload, job, milliseconds),
        );
        names.push(name);
      }
    }
    rows.push([...row, names.join(", ")]);
  }
}
const widths = header.map((title, i) =>
  Math.max(title.length, ...rows.map((row) => row[i].length))
);
const line = (cells: readonly string[]) =>
  `| ${
    cells.map((cell, i) =>
      i < 3 || i === cells.length - 1 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])
    ).join(" | ")
  } |`;
console.log(line(header));
console.log(`|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`);
for (const row of rows) console.log(line(row));
