/**
 * What the peers' bench measures, and what it asks of each implementation.
 *
 * @module
 */

import { RandomState } from "../../mod.ts";
import type { DType, FloatArray } from "../../mod.ts";

/** What a workload computes. An average pool does not count its padding, as every peer can do that. */
export type Kind = "conv" | "convTranspose" | "affine" | "maxPool" | "averagePool";

/** (N, C, H, W), or the shape of weights. */
type Shape = readonly [number, number, number, number];

/** A layer over one batch. Square windows, the same stride, padding and dilation each way. */
export interface Workload {
  readonly name: string;
  readonly kind: Kind;
  /** (N, C, H, W). */
  readonly x: Shape;
  /**
   * (F, C / groups, K, K) of a convolution, (C, F / groups, K, K) of a transposed one, (D, M, 1, 1) of a
   * fully-connected layer; a pool has none.
   */
  readonly w?: Shape;
  /** Window of a pool; the filter's size of a convolution. */
  readonly size: number;
  readonly stride: number;
  readonly pad: number;
  readonly dilation: number;
  readonly groups: number;
}

/** What most workloads leave out. */
type Options = Partial<Pick<Workload, "stride" | "pad" | "dilation" | "groups">>;

const PLAIN = { stride: 1, pad: 0, dilation: 1, groups: 1 };

export function conv(name: string, x: Shape, w: Shape, options: Options): Workload {
  return { ...PLAIN, name, kind: "conv", x, w, size: w[2], ...options };
}

function convTranspose(name: string, x: Shape, w: Shape, options: Options): Workload {
  return { ...conv(name, x, w, options), kind: "convTranspose" };
}

export function depthwise(name: string, x: Shape, size: number, stride: number): Workload {
  const C = x[1];
  return conv(name, x, [C, 1, size, size], { stride, pad: (size - 1) / 2, groups: C });
}

/** A fully-connected layer of D inputs and M outputs. */
export function affine(name: string, N: number, D: number, M: number): Workload {
  return { ...conv(name, [N, D, 1, 1], [D, M, 1, 1], {}), kind: "affine" };
}

export function pool(
  name: string,
  kind: Kind,
  x: Shape,
  size: number,
  stride: number,
  pad = 0,
): Workload {
  return { ...PLAIN, name, kind, x, size, stride, pad };
}

/** The shapes of the side-by-side tables. */
export const workloads: readonly Workload[] = [
  conv("S1", [100, 3, 31, 31], [25, 3, 3, 3], { stride: 2, pad: 1 }),
  pool("S2", "maxPool", [100, 3, 32, 32], 2, 2),
  conv("C1", [100, 3, 32, 32], [32, 3, 7, 7], { pad: 3 }),
  conv("C2", [100, 32, 32, 32], [32, 32, 3, 3], { pad: 1 }),
  conv("C3", [100, 64, 16, 16], [64, 64, 3, 3], { pad: 1 }),
  conv("C4", [64, 1, 28, 28], [8, 1, 5, 5], { pad: 2 }),
  pool("P1", "maxPool", [100, 32, 32, 32], 2, 2),
  depthwise("D1", [16, 64, 56, 56], 3, 1),
  depthwise("D2", [16, 64, 56, 56], 3, 2),
  depthwise("D3", [16, 256, 14, 14], 3, 1),
  depthwise("D4", [16, 256, 14, 14], 3, 2),
  depthwise("D5", [16, 64, 28, 28], 5, 1),
  conv("L1", [16, 64, 28, 28], [64, 64, 3, 3], { pad: 2, dilation: 2 }),
  conv("G1", [16, 128, 28, 28], [128, 4, 3, 3], { pad: 1, groups: 32 }),
  convTranspose("T1", [16, 64, 14, 14], [64, 32, 2, 2], { stride: 2 }),
  convTranspose("T2", [16, 64, 14, 14], [64, 32, 4, 4], { stride: 2, pad: 1 }),
  pool("A1", "averagePool", [16, 64, 56, 56], 2, 2),
  pool("A2", "averagePool", [16, 64, 56, 56], 3, 2, 1),
];

/** The two passes of a layer. */
export type Direction = "fwd" | "bwd";

/** One cell of the table: a pass of a workload over N images, with its inputs in NCHW. */
export interface Job {
  readonly workload: Workload;
  readonly direction: Direction;
  readonly N: number;
  /** (N, F, OH, OW): the shape of the output. */
  readonly outShape: Shape;
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
  const { kind, w: wShape, size, stride, pad, dilation, groups } = workload;
  const reach = dilation * (size - 1);
  const out = (length: number) =>
    kind === "convTranspose"
      ? (length - 1) * stride - 2 * pad + reach + 1
      : 1 + Math.floor((length + 2 * pad - reach - 1) / stride);
  const random = new RandomState(231);
  const normal = (shape: readonly number[]) => random.randn(shape).data;
  const F = wShape === undefined ? C : kind === "conv" ? wShape[0] : wShape[1] * groups;
  const outShape = [N, F, out(H), out(W)] as const;
  return {
    workload,
    direction,
    N,
    outShape,
    x: normal([N, C, H, W]),
    w: wShape ? normal(wShape) : new Float64Array(),
    b: wShape ? normal([F]) : new Float64Array(),
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

/** The values in a dtype. */
export function cast(from: Float64Array, dtype: DType): FloatArray {
  return dtype === "float64" ? from : Float32Array.from(from);
}

/**
 * A package from npm. The name is not a literal, so that neither the type check nor the lock file knows
 * of the peers: they are fetched by who runs this bench, and by nobody else.
 */
export async function load<T>(specifier: string): Promise<T> {
  const module = await import(specifier);
  // CommonJS packages have everything under `default`.
  return { ...module.default, ...module };
}
