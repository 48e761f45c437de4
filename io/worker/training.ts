/**
 * The side of the owner: a training run in a worker, as an object.
 *
 * @module
 */

import type { KernelChoice } from "../../kernels/select.ts";
import type { DType, Tensor } from "../../kernels/tensor.ts";
import type { ByteTensor } from "../../nn/data/examples.ts";
import type { Net } from "../../nn/nets/net.ts";
import type { TrainEnd } from "../../nn/training/solver_options.ts";
import { errorOf } from "./errors.ts";
import { Host } from "./host.ts";
import {
  buffersOf,
  type Call,
  type CallName,
  type Calls,
  type FromWorker,
  type Histories,
  type Trained,
  type WorkerProgress,
  type WorkerState,
  type WorkerThreads,
} from "./messages.ts";
import { checkKernels, checkThreads, checkTravels, newCopy, type Start } from "./options.ts";

/** What a training run in a worker reached. */
export interface WorkerResult extends Histories {
  /** A net with the final weights: the best on the validation set, unless `restoreBest` is false. */
  readonly net: Net<DType>;
  /** Whether it was stopped. */
  readonly stopped: boolean;
  /** How it ended. */
  readonly end: TrainEnd;
  /** What happened and may help, if it diverged; undefined otherwise. */
  readonly hint?: string;
}

/** Who waits for an answer. */
interface Waiting {
  resolve(result: Calls[CallName]["result"]): void;
  reject(error: Error): void;
}

/**
 * A training run in a worker: {@linkcode trainInWorker} starts one.
 *
 * As an iterable it gives the progress: the newest report each time, up to ten a second, until the
 * training run ends; an error ends the loop too. Leaving the loop does not stop the training run.
 *
 * The worker lives on when the training run has ended, for predictions and checkpoints, until it is
 * disposed of; outside pages it keeps the process alive.
 */
export class WorkerTraining implements Disposable, AsyncIterable<WorkerProgress> {
  /** Called with every report. */
  onprogress: ((progress: WorkerProgress) => void) | undefined;
  /**
   * What was reached, at the end. Rejects if the training run throws, or the worker dies or is disposed
   * of before.
   */
  readonly done: Promise<WorkerResult>;

  readonly #host: Host;
  readonly #net: Net<DType>;
  readonly #calls = new Map<number, Waiting>();
  #nextCall = 0;
  #resolve: (result: WorkerResult) => void = () => {};
  #reject: (error: Error) => void = () => {};
  /** Whether the training run has ended. */
  #ended = false;
  /** Why the worker is gone, if it is. */
  #lost: Error | undefined;
  /** The newest report, and how many there have been. */
  #progress: WorkerProgress | undefined;
  #reports = 0;
  /** Whoever waits for the next report, or the end. */
  #watchers: (() => void)[] = [];

  /**
   * Starts a worker, and trains in it.
   *
   * @param start What it starts with.
   */
  constructor({ setup, transfer, net, worker }: Start) {
    this.#net = net;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#host = new Host(worker, {
      hear: (message) => this.#hear(message),
      lose: (error) => this.#lose(error),
    });
    this.#host.send({ kind: "start", setup, lock: this.#host.lock }, transfer);
  }

  /** Pauses it after the current iteration, until {@linkcode WorkerTraining.resume} is called. */
  pause(): void {
    this.#tell("pause");
  }

  /** Ends a pause. */
  resume(): void {
    this.#tell("resume");
  }

  /**
   * Ends the training run after the current iteration, also in a pause: `done` resolves with what was
   * reached.
   */
  stop(): void {
    this.#tell("stop");
  }

  /**
   * The scores of examples, by the parameters of now. While the training run goes on, it waits
   * meanwhile.
   *
   * @param x Examples, (N, ...), as those that the net learns from: bytes or a tensor of any dtype.
   * @returns The scores, (N, classes).
   * @throws {TypeError} If x has a wrong type.
   * @throws {RangeError} If sizes do not fit the net.
   */
  async predict(x: Tensor | ByteTensor): Promise<Tensor> {
    checkTravels("x", x);
    const copy = { data: newCopy(x.data), shape: [...x.shape] } as Tensor | ByteTensor;
    return await this.#call("predict", { x: copy }, buffersOf([copy.data]));
  }

  /**
   * Where the training run stands: copies.
   *
   * @returns Parameters, running statistics, losses and accuracies.
   */
  async state(): Promise<WorkerState> {
    return await this.#call("state", {});
  }

  /**
   * Where the training run stands, as {@linkcode encodeCheckpoint} writes it. The option `checkpoint`
   * of another training run, or a {@linkcode Solver}, continues from there to the same bits.
   *
   * @returns The bytes.
   */
  async checkpoint(): Promise<Uint8Array<ArrayBuffer>> {
    return await this.#call("checkpoint", {});
  }

  /**
   * Sets which kernels run from now on: see {@linkcode useKernels}.
   *
   * @param kernels The choice.
   * @throws {TypeError} If it is none of the choices.
   */
  async setKernels(kernels: KernelChoice): Promise<void> {
    checkKernels("kernels", kernels);
    await this.#call("setKernels", { kernels });
  }

  /**
   * Sets how many threads layers run on from now on; the values stay the same.
   *
   * @param count How many. Default: every core.
   * @returns How many there are, and why, if it is one alone.
   * @throws {TypeError} If it is not a number.
   * @throws {RangeError} If it is not a whole number from 1 to 256.
   */
  async setThreads(count?: number): Promise<WorkerThreads> {
    if (count !== undefined) checkThreads("count", count);
    return await this.#call("setThreads", { count });
  }

  /** The progress, until the training run ends. */
  async *[Symbol.asyncIterator](): AsyncIterator<WorkerProgress> {
    let seen = 0;
    // The loop throws what `done` rejects with, so that it need not be awaited meanwhile.
    this.done.catch(() => {});
    for (;;) {
      if (this.#reports > seen) {
        seen = this.#reports;
        yield this.#progress!;
      } else if (this.#ended) {
        await this.done;
        return;
      } else await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }

  /** Ends the worker. If the training run has not ended, `done` rejects. */
  [Symbol.dispose](): void {
    if (this.#lost !== undefined) return;
    // Whoever disposes of it need not hear of it.
    this.done.catch(() => {});
    this.#lose(new Error("The training worker was disposed of"));
  }

  #tell(kind: "pause" | "resume" | "stop"): void {
    if (this.#lost === undefined) this.#host.send({ kind });
  }

  #call<N extends CallName>(
    name: N,
    args: Calls[N]["args"],
    transfer: ArrayBuffer[] = [],
  ): Promise<Calls[N]["result"]> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    const id = this.#nextCall++;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.#host.send({ kind: "call", id, name, args } as Call, transfer);
    });
  }

  #hear(message: FromWorker): void {
    switch (message.kind) {
      case "progress":
        this.#progress = message.progress;
        this.#reports++;
        this.onprogress?.(message.progress);
        return this.#wake();
      case "trained":
        this.#finish(message.trained);
        return this.#wake();
      case "failed":
        return this.#lose(errorOf(message.error));
      case "result":
        this.#calls.get(message.id)?.resolve(message.result);
        this.#calls.delete(message.id);
        return;
      case "refused":
        this.#calls.get(message.id)?.reject(errorOf(message.error));
        this.#calls.delete(message.id);
    }
  }

  #finish({ params, modelState, histories, end, hint }: Trained): void {
    this.#net.loadState({ ...params, ...modelState.statistics });
    this.#net.setState(modelState);
    this.#ended = true;
    this.#resolve({
      net: this.#net,
      ...histories,
      stopped: end === "stopped",
      end,
      ...hint === undefined ? {} : { hint },
    });
  }

  /** The worker is gone, or must go. */
  #lose(error: Error): void {
    if (this.#lost !== undefined) return;
    this.#lost = error;
    this.#host.end();
    this.#ended = true;
    // Does nothing if the training run had ended before.
    this.#reject(error);
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#watchers.splice(0)) wake();
  }
}
