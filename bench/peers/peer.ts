/**
 * What the peers' bench measures, and what it asks of each implementation.
 *
 * @module
 */

import { RandomState } from "../../mod.ts";
import type { DType, FloatArray } from "../../mod.ts";

/** A convolution or a max-pool over one batch. Square windows, the same stride and padding each way. */
export interface Workload {
  readonly name: string;
  /** (N, C, H, W). */
  readonly x: readonly [number, number, number, number];
  /** (F, C, K, K); a pool has none. */
  readonly w?: readonly [number, number, number, number];
  /** Window of a pool; the filter's size of a convolution. */
  readonly size: number;
  readonly stride: number;
  readonly pad: number;
}

/** The shapes of the side-by-side table. */
export const workloads: readonly Workload[] = [
  { name: "S1", x: [100, 3, 31, 31], w: [25, 3, 3, 3], size: 3, stride: 2, pad: 1 },
  { name: "S2", x: [100, 3, 32, 32], size: 2, stride: 2, pad: 0 },
  { name: "C1", x: [100, 3, 32, 32], w: [32, 3, 7, 7], size: 7, stride: 1, pad: 3 },
  { name: "C2", x: [100, 32, 32, 32], w: [32, 32, 3, 3], size: 3, stride: 1, pad: 1 },
  { name: "C3", x: [100, 64, 16, 16], w: [64, 64, 3, 3], size: 3, stride: 1, pad: 1 },
  { name: "C4", x: [64, 1, 28, 28], w: [8, 1, 5, 5], size: 5, stride: 1, pad: 2 },
  { name: "P1", x: [100, 32, 32, 32], size: 2, stride: 2, pad: 0 },
];

/** The two passes of a layer. */
export type Direction = "fwd" | "bwd";

/** One cell of the table: a pass of a workload over N images, with its inputs in NCHW. */
export interface Job {
  readonly workload: Workload;
  readonly direction: Direction;
  readonly N: number;
  /** (N, C, OH, OW): the shape of the output. */
  readonly outShape: readonly [number, number, number, number];
  readonly x: Float64Array;
  /** Empty for a pool, as b is. */
  readonly w: Float64Array;
  readonly b: Float64Array;
  readonly dout: Float64Array;
}

/** A job made ready by one implementation. */
export interface Runnable {
  /** What the last run computed, NCHW: `out` forward; `dx`, and for a convolution `dw` and `db`, backward. */
  results(): Promise<Results>;
  /** Milliseconds of each of some runs: at least one, and as many as fit the budget. */
  sample(budget: number): Promise<number[]>;
  /** Gives back what the job holds. */
  dispose?(): void;
}

/** Arrays by name. */
export type Results = Readonly<Record<string, ArrayLike<number>>>;

/** An implementation under measurement. */
export interface Peer {
  readonly name: string;
  readonly dtype: DType;
  /** The job, ready to run; undefined if this implementation can't do it. */
  prepare(job: Job): Promise<Runnable | undefined>;
  dispose?(): void;
}

/** A runnable from a function of this process. */
export function runnable(
  run: () => unknown,
  results: () => Results | Promise<Results>,
  dispose?: () => void,
): Runnable {
  return {
    async results() {
      await run();
      return await results();
    },
    async sample(budget) {
      const times: number[] = [];
      const end = performance.now() + budget;
      do {
        const start = performance.now();
        const pending = run();
        if (pending instanceof Promise) await pending;
        times.push(performance.now() - start);
      } while (performance.now() < end);
      return times;
    },
    dispose,
  };
}

/** The inputs of a pass: normal deviates, the same in every run. */
export function makeJob(workload: Workload, direction: Direction, N = workload.x[0]): Job {
  const [, C, H, W] = workload.x;
  const { w: wShape, size, stride, pad } = workload;
  const out = (length: number) => 1 + Math.floor((length + 2 * pad - size) / stride);
  const random = new RandomState(231);
  const normal = (shape: readonly number[]) => random.randn(shape).data;
  const outShape = [N, wShape?.[0] ?? C, out(H), out(W)] as const;
  return {
    workload,
    direction,
    N,
    outShape,
    x: normal([N, C, H, W]),
    w: wShape ? normal(wShape) : new Float64Array(),
    b: wShape ? normal([wShape[0]]) : new Float64Array(),
    dout: normal(outShape),
  };
}

/** (N, C, H, W) to (N, H, W, C). */
export function toNHWC(
  from: ArrayLike<number>,
  [N, C, H, W]: readonly number[],
): Float32Array<ArrayBuffer> {
  return transposed(from, [N, C, H * W]);
}

/** (N, H, W, C) to (N, C, H, W), given the latter shape. */
export function toNCHW(
  from: ArrayLike<number>,
  [N, C, H, W]: readonly number[],
): Float32Array<ArrayBuffer> {
  return transposed(from, [N, H * W, C]);
}

/** (A, B, C) to (A, C, B). */
function transposed(
  from: ArrayLike<number>,
  [A, B, C]: readonly number[],
): Float32Array<ArrayBuffer> {
  const to = new Float32Array(from.length);
  for (let a = 0, at = 0; a < A; a++) {
    for (let c = 0; c < C; c++) {
      for (let b = 0; b < B; b++) to[at++] = from[(a * B + b) * C + c];
    }
  }
  return to;
}

/** The numbers in a dtype. */
export function cast(from: Float64Array, dtype: DType): FloatArray {
  return dtype === "float64" ? from : Float32Array.from(from);
}

/**
 * A package from npm. The name is no literal, so that neither the type check nor the lock file knows
 * of the peers: they are fetched by who runs this bench, and by nobody else.
 */
export async function load<T>(specifier: string): Promise<T> {
  const module = await import(specifier);
  // CommonJS packages have everything under `default`.
  return { ...module.default, ...module };
}
