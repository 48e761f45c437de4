/**
 * A worker that times every tier on one workload and dtype. A fresh worker for each keeps V8's type
 * feedback to one dtype, as in a program that uses one: naive loops that have seen both are slower.
 *
 * @module
 */

import { parentPort } from "node:worker_threads";
import type { DType, Tier } from "../mod.ts";
import { useKernels } from "../mod.ts";
import { bind, explain } from "./peers/ours.ts";
import { type Direction, type Job, makeJob, type Workload, workloads } from "./peers/peer.ts";

/** What a worker is asked to time. */
export interface Request {
  /** Name of the workload. */
  readonly workload: string;
  /** Data type of the tensors. */
  readonly dtype: DType;
  /** Images per call. Default: the workload's own number. */
  readonly images?: number;
  /** Milliseconds of measurement for each cell. */
  readonly budget: number;
}

/** One tier's time for one direction. */
export interface Timing {
  /** Forward or backward. */
  readonly direction: Direction;
  /** The tier that ran. */
  readonly tier: Tier;
  /** The kernel that ran. */
  readonly kernel: string;
  /** Median of whole calls. */
  readonly milliseconds: number;
  /** 10^9 additions and multiplications a second; undefined for a pool, which does none. */
  readonly gigaflops?: number;
}

/** The median time of a call in milliseconds, after enough calls for the optimizer. */
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

/** Multiply-adds count twice; backward does them for dx and for dw. */
function operations({ kind, w }: Workload, { x, dout, direction }: Job): number | undefined {
  if (w === undefined) return undefined;
  const { length } = kind === "conv" ? dout : x;
  const forward = 2 * length * w[1] * w[2] * w[3];
  return direction === "bwd" ? 2 * forward : forward;
}

/** Times the tiers that serve a workload. */
function measure({ workload: name, dtype, images, budget }: Request): Timing[] {
  const workload = workloads.find((workload) => workload.name === name)!;
  const timings: Timing[] = [];
  for (const direction of ["fwd", "bwd"] as const) {
    const job = makeJob(workload, direction, images);
    for (const tier of ["naive", "generated", "simd"] as const) {
      using _ = useKernels(tier);
      const { name: kernel, tier: chosen } = explain(job, dtype);
      if (chosen !== tier) continue;
      const run = bind(job, dtype, tier);
      // One image is enough to warm the naive loops, which take seconds for a batch.
      const warmUp = tier === "naive" ? bind(makeJob(workload, direction, 1), dtype, tier) : run;
      const milliseconds = median(run, budget, warmUp);
      const flops = operations(workload, job);
      const gigaflops = flops === undefined ? undefined : flops / milliseconds / 1e6;
      timings.push({ direction, tier, kernel, milliseconds, gigaflops });
    }
  }
  return timings;
}

parentPort!.once("message", (request: Request) => parentPort!.postMessage(measure(request)));
