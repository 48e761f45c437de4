/**
 * A training run in a worker: it reports, pauses, stops and answers.
 *
 * @module
 */

import { type KernelChoice, useKernels } from "../../kernels/select.ts";
import { type DType, type FloatArray, sizeOf, type Tensor } from "../../kernels/tensor.ts";
import { type Threads, useThreads } from "../../kernels/threads/use.ts";
import { type ByteTensor, gather } from "../../nn/data/examples.ts";
import type { ChannelStatistics } from "../../nn/data/split.ts";
import type { Net } from "../../nn/nets/net.ts";
import { copyOf } from "../../nn/plain_data.ts";
import { zeros } from "../../nn/tensor.ts";
import { encodeCheckpoint } from "../../nn/training/checkpoint_file.ts";
import type { Solver } from "../../nn/training/solver.ts";
import type { Progress } from "../../nn/training/solver_options.ts";
import { errorData } from "./errors.ts";
import {
  buffersOf,
  type Call,
  type CallName,
  type Calls,
  type FromWorker,
  type Histories,
  type ToWorker,
  type WorkerState,
  type WorkerThreads,
} from "./messages.ts";
import { Pace } from "./report.ts";
import { netOf, type Setup, solverOf, sourceOf } from "./setup.ts";

/** Says something to the owner, and moves buffers there. */
export type Send = (message: FromWorker, transfer?: readonly ArrayBuffer[]) => void;

/** An answer, and the arrays in it. */
interface Answer {
  readonly result: Calls[CallName]["result"];
  readonly arrays?: readonly (FloatArray | Uint8Array)[];
}

/** One training run. */
export class Session {
  readonly #setup: Setup;
  readonly #send: Send;
  readonly #stop = new AbortController();
  readonly #pace: Pace;
  #kernels: KernelChoice = "auto";
  #kernelsInForce: Disposable | undefined;
  #threads: Threads | undefined;
  /** Threads are changed one after the other. */
  #threadsChanged: Promise<unknown> = Promise.resolve();
  /** What the training run waits for while it is paused, and what ends the pause. */
  #pause: { readonly gate: Promise<void>; readonly open: () => void } | undefined;
  /** The net and its solver, as soon as threads have started. */
  readonly #started: Promise<{ readonly net: Net<DType>; readonly solver: Solver }>;

  constructor(setup: Setup, send: Send) {
    this.#setup = setup;
    this.#send = send;
    const { batchSize = 100, accumulate = 1 } = setup.solver;
    this.#pace = new Pace(batchSize * accumulate);
    this.#setKernels(setup.kernels);
    this.#started = this.#start();
    this.#train().catch((error) => send({ kind: "failed", error: errorData(error) }));
  }

  /** Hears what the owner says. */
  receive(message: Exclude<ToWorker, { readonly kind: "start" }>): void {
    if (message.kind === "call") this.#answer(message);
    else if (message.kind === "pause") this.#close();
    else {
      if (message.kind === "stop") this.#stop.abort();
      this.#pause?.open();
      this.#pause = undefined;
    }
  }

  /** Lets the training run wait after its next iteration. */
  #close(): void {
    if (this.#pause !== undefined || this.#stop.signal.aborted) return;
    let open = () => {};
    const gate = new Promise<void>((resolve) => open = resolve);
    this.#pause = { gate, open };
  }

  async #start(): Promise<{ readonly net: Net<DType>; readonly solver: Solver }> {
    // Before the net, so that its parameters lie where all threads find them.
    await this.#setThreads(this.#setup.threads);
    const net = netOf(this.#setup);
    return { net, solver: solverOf(net, this.#setup) };
  }

  async #train(): Promise<void> {
    const { net, solver } = await this.#started;
    await this.#pause?.gate;
    const { end, hint } = await solver.trainAsync({
      signal: this.#stop.signal,
      onProgress: (progress) => {
        this.#report(progress, solver);
        return this.#pause?.gate;
      },
    });
    const params = copyOf(net.params, "params"), modelState = net.getState();
    const trained = { params, modelState, histories: historiesOf(solver), end, hint };
    this.#send({ kind: "trained", trained }, buffersOf(arraysOf(params, modelState.statistics)));
  }

  /** Says how far the training run is, if it is time, or there will be nothing new for a while. */
  #report(progress: Progress, { gradNormHistory, learningRateHistory }: Solver): void {
    const isLast = progress.iteration === progress.iterations || this.#stop.signal.aborted ||
      !Number.isFinite(progress.loss);
    const isDue = this.#pace.iteration();
    if (!isDue && !isLast && this.#pause === undefined) return;
    const { trainAcc, valAcc, ...rest } = progress;
    this.#send({
      kind: "progress",
      progress: {
        ...rest,
        ...Number.isNaN(trainAcc) ? {} : { trainAcc, valAcc },
        imagesPerSecond: this.#pace.report(progress),
        learningRate: learningRateHistory.at(-1)!,
        gradientNorm: gradNormHistory.at(-1)!,
        threads: this.#threads!.count,
        kernels: this.#kernels,
      },
    });
  }

  async #answer(call: Call): Promise<void> {
    const { id } = call;
    try {
      const { result, arrays = [] } = await this.#resultOf(call);
      this.#send({ kind: "result", id, result }, buffersOf(arrays));
    } catch (error) {
      this.#send({ kind: "refused", id, error: errorData(error) });
    }
  }

  async #resultOf(call: Call): Promise<Answer> {
    const { net, solver } = await this.#started;
    switch (call.name) {
      case "predict": {
        const scores = scoresOf(net, call.args.x, this.#setup.normalize);
        return { result: scores, arrays: [scores.data] };
      }
      case "state": {
        const state = stateOf(net, solver);
        return { result: state, arrays: arraysOf(state.params, state.statistics) };
      }
      case "checkpoint": {
        const bytes = encodeCheckpoint(solver.checkpoint());
        return { result: bytes, arrays: [bytes] };
      }
      case "setKernels":
        this.#setKernels(call.args.kernels);
        return { result: null };
      case "setThreads":
        return { result: await this.#setThreads(call.args.count) };
    }
  }

  #setKernels(kernels: KernelChoice): void {
    this.#kernelsInForce?.[Symbol.dispose]();
    this.#kernelsInForce = useKernels(kernels);
    this.#kernels = kernels;
  }

  #setThreads(count: number | undefined): Promise<WorkerThreads> {
    const change = this.#threadsChanged.then(async () => {
      const threads = await useThreads(count);
      this.#threads?.[Symbol.dispose]();
      this.#threads = threads;
      const { reason } = threads;
      return { count: threads.count, ...reason === undefined ? {} : { reason } };
    });
    this.#threadsChanged = change.catch(() => {});
    return change;
  }
}

/** Examples that are predicted at a time. */
const BATCH = 100;

/** The scores of examples, which are converted and brought to scale as those that are learned from. */
function scoresOf(
  net: Net<DType>,
  x: Tensor | ByteTensor,
  normalize: ChannelStatistics | undefined,
): Tensor {
  const source = sourceOf(x, normalize), [N, ...example] = x.shape;
  const parts: Tensor[] = [];
  for (let start = 0; start < N; start += BATCH) {
    const picks = Int32Array.from({ length: Math.min(BATCH, N - start) }, (_, i) => start + i);
    const batch = zeros([picks.length, ...example], net.dtype);
    gather(source, picks, batch.data);
    parts.push(net.predict(batch));
  }
  const [, classes] = parts[0].shape, shape = [N, classes];
  // Not in shared memory, as it goes to another thread for good.
  const data = new (net.dtype === "float32" ? Float32Array : Float64Array)(sizeOf(shape));
  for (const [i, part] of parts.entries()) data.set(part.data, i * BATCH * classes);
  return { data, shape };
}

function stateOf(net: Net<DType>, solver: Solver): WorkerState {
  const params = copyOf(net.params, "params");
  return { params, statistics: net.getState().statistics, histories: historiesOf(solver) };
}

function historiesOf(solver: Solver): Histories {
  const { lossHistory, trainAccHistory, valAccHistory, bestValAcc } = solver;
  const { gradNormHistory, learningRateHistory } = solver;
  return {
    ...{ lossHistory, trainAccHistory, valAccHistory, bestValAcc },
    ...{ gradNormHistory, learningRateHistory },
  };
}

function arraysOf(...records: readonly Readonly<Record<string, Tensor>>[]): FloatArray[] {
  return records.flatMap((record) => Object.values(record).map(({ data }) => data));
}
