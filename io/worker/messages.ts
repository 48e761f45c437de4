/**
 * What a training run in a worker and its owner say to each other.
 *
 * @module
 */

import type { KernelChoice } from "../../kernels/select.ts";
import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import type { ModelState } from "../../nn/model.ts";
import type { ByteTensor } from "../../nn/data/examples.ts";
import type { Progress, TrainEnd } from "../../nn/training/solver_options.ts";
import type { ErrorData } from "./errors.ts";
import type { Setup } from "./setup.ts";

/** The progress of a training run in a worker. */
export interface WorkerProgress extends Omit<Progress, "trainAcc" | "valAcc"> {
  /** The last training accuracy; undefined before the first. */
  readonly trainAcc?: number;
  /** The last validation accuracy; undefined before the first. */
  readonly valAcc?: number;
  /** Examples trained on in a second since the last report, without the time for accuracies. */
  readonly imagesPerSecond: number;
  /** The learning rate of the last iteration, as {@linkcode Solver.learningRateHistory} has it. */
  readonly learningRate: number;
  /** The norm of all gradients of the last iteration, as {@linkcode Solver.gradNormHistory} has it. */
  readonly gradientNorm: number;
  /** How many threads layers run on. */
  readonly threads: number;
  /** Which kernels run. */
  readonly kernels: KernelChoice;
}

/** Losses and accuracies, as a solver records them. */
export interface Histories {
  /** The loss of each iteration. */
  readonly lossHistory: readonly number[];
  /** The training accuracy of the first iteration and of each epoch. */
  readonly trainAccHistory: readonly number[];
  /** The validation accuracy of the first iteration and of each epoch. */
  readonly valAccHistory: readonly number[];
  /** The best validation accuracy so far. */
  readonly bestValAcc: number;
  /** The norm of all gradients in each iteration, before they are clipped. */
  readonly gradNormHistory: readonly number[];
  /** The learning rate of each iteration. */
  readonly learningRateHistory: readonly number[];
}

/** Where a training run in a worker stands: copies. */
export interface WorkerState {
  /** The parameters, by name. */
  readonly params: Readonly<Record<string, Tensor>>;
  /** Batch normalization's running statistics, by name. */
  readonly statistics: Readonly<Record<string, Tensor>>;
  /** Losses and accuracies. */
  readonly histories: Histories;
}

/** The threads that layers run on. */
export interface WorkerThreads {
  /** How many. */
  readonly count: number;
  /** Why there is one alone, if more were asked for. */
  readonly reason?: string;
}

/** What can be asked of a training run: arguments and results, plain data. */
export interface Calls {
  predict: { args: { x: Tensor | ByteTensor }; result: Tensor };
  state: { args: Record<never, never>; result: WorkerState };
  checkpoint: { args: Record<never, never>; result: Uint8Array<ArrayBuffer> };
  setKernels: { args: { kernels: KernelChoice }; result: null };
  setThreads: { args: { count: number | undefined }; result: WorkerThreads };
}

/** What can be asked. */
export type CallName = keyof Calls;

/** How a training run ended, and all that the net has. */
export interface Trained {
  readonly params: Readonly<Record<string, Tensor>>;
  readonly modelState: ModelState;
  readonly histories: Histories;
  readonly end: TrainEnd;
  readonly hint?: string;
}

/** A question and what it is about. */
export type Call = {
  [N in CallName]: { readonly kind: "call"; readonly id: number; readonly name: N } & {
    readonly args: Calls[N]["args"];
  };
}[CallName];

/** What the owner says. */
export type ToWorker =
  | { readonly kind: "start"; readonly setup: Setup; readonly lock: string }
  | { readonly kind: "pause" | "resume" | "stop" }
  | Call;

/** What the worker says. */
export type FromWorker =
  | { readonly kind: "holds lock" }
  | { readonly kind: "progress"; readonly progress: WorkerProgress }
  | { readonly kind: "result"; readonly id: number; readonly result: Calls[CallName]["result"] }
  | { readonly kind: "refused"; readonly id: number; readonly error: ErrorData }
  | { readonly kind: "trained"; readonly trained: Trained }
  | { readonly kind: "failed"; readonly error: ErrorData };

/**
 * The buffers of arrays that a message may take along, so that they are moved and not copied. Those that
 * are shared stay where they are.
 *
 * @param arrays The arrays.
 * @returns Each buffer once.
 */
export function buffersOf(arrays: Iterable<FloatArray | Uint8Array>): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { buffer } of arrays) if (buffer instanceof ArrayBuffer) buffers.add(buffer);
  return [...buffers];
}
