/**
 * The course of a training run: iterations, accuracies, what was best, and how it ends, is kept and resumed.
 *
 * @module
 */

import { checkNumber } from "../../kernels/check.ts";
import { ArgumentTypeError } from "../../kernels/errors.ts";
import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { type Read, readOptions } from "../checks.ts";
import type { ModelState } from "../model.ts";
import { copyOf } from "../plain_data.ts";
import type { RandomStateData } from "../random/random_state.ts";
import { accuracyOf, CHECK_BATCH, drawExamples } from "./accuracy.ts";
import { checkCheckpoint, type Checkpoint } from "./checkpoint.ts";
import { Iterations } from "./iteration.ts";
import type { OptimConfig } from "./optim.ts";
import type { TrainedModel } from "./snapshot.ts";
import {
  type AnyData,
  type Progress,
  type SETTINGS,
  TRAIN,
  type TrainEnd,
  type TrainOptions,
  type TrainResult,
} from "./solver_options.ts";
import { Timing } from "./timing.ts";

/** What a training run records. */
export interface History<A extends FloatArray> {
  lossHistory: number[];
  trainAccHistory: number[];
  valAccHistory: number[];
  gradNormHistory: number[];
  learningRateHistory: number[];
  bestValAcc: number;
  bestParams: Record<string, Tensor<A>> | undefined;
}

/** A training run, which can be paused, ended, kept and resumed. */
export class Training<A extends FloatArray> {
  /** Iterations done. */
  iteration = 0;
  readonly iterations: Iterations<A>;
  readonly #trained: TrainedModel<A>;
  readonly #data: AnyData;
  readonly #options: Read<typeof SETTINGS>;
  readonly #history: History<A>;
  #checkPending = false;
  /** Where valAccHistory has its first maximum. */
  #bestCheck = 0;
  #bestModelState: ModelState | null = null;
  /** Where the random numbers stood before a measurement that is under way. */
  #beforeCheck: RandomStateData | undefined;
  #running = false;
  #records: boolean;
  readonly #iterationTime = new Timing();
  readonly #checkTime = new Timing();

  constructor(
    trained: TrainedModel<A>,
    data: AnyData,
    options: Read<typeof SETTINGS>,
    history: History<A>,
  ) {
    this.#trained = trained;
    this.#data = data;
    this.#options = options;
    this.#history = history;
    this.#records = options.recordUpdates;
    this.iterations = new Iterations(trained, data, options);
  }

  /** Epochs done. */
  get epoch(): number {
    return this.iterations.epochAt(this.iteration);
  }

  /** Runs it to its end; it pauses wherever others may work. */
  *run(options: TrainOptions): Generator<void | Promise<void>, TrainResult> {
    const { signal, onProgress, onCheckpoint, checkpointEvery } = //
      readOptions("options", options, TRAIN);
    const { parallel } = this.#options;
    if (this.#running) throw new ArgumentTypeError("The solver is training already", "BUSY");
    const { perEpoch } = this.iterations;
    if (parallel !== undefined) this.resume(parallel.share(this.checkpoint()));
    this.#running = true;
    try {
      this.#trained.takeBack();
      let end: TrainEnd | undefined;
      while ((end = this.#ended(signal)) === undefined) {
        if (!this.#checkPending) {
          this.#step();
          yield;
          this.#printLoss();
        }
        if (this.#checkPending) {
          const accuracies = yield* this.#measure();
          this.#record(accuracies);
          this.#printAccuracies(accuracies);
        }
        if (!this.#leads) continue;
        // It may return a promise, though its type does not ask for one.
        yield onProgress?.(this.#progress());
        // A checkpoint of what diverged would take the place of one that can continue.
        const isDue = this.iteration % (checkpointEvery * perEpoch) === 0;
        if (onCheckpoint !== undefined && isDue && !this.#diverged) {
          yield onCheckpoint(this.checkpoint());
        }
      }
      const reached = yield* this.#reached(end);
      this.#lendResult();
      return reached;
    } finally {
      // A measurement that did not come to its end will be made again, with the same numbers.
      if (this.#beforeCheck !== undefined) this.#trained.random.setState(this.#beforeCheck);
      this.#beforeCheck = undefined;
      this.#running = false;
    }
  }

  /** Where it stands: a copy. */
  checkpoint(): Checkpoint {
    const { params, modelState, random } = this.#trained.snapshot();
    const { batches, optimConfigs, averages, perUpdate } = this.iterations;
    const { lossHistory, trainAccHistory, valAccHistory, bestValAcc, bestParams } = this.#history;
    const { gradNormHistory, learningRateHistory } = this.#history;
    // A first iteration that threw may have left something.
    const started = this.iteration > 0;
    return copyOf({
      iteration: this.iteration,
      checkPending: this.#checkPending,
      updateRule: this.#options.updateRule.name,
      batchSize: perUpdate,
      numTrain: this.#data.xTrain.shape[0],
      params,
      optimConfigs,
      random: this.#beforeCheck ?? random,
      modelState,
      lossHistory,
      trainAccHistory,
      valAccHistory,
      bestValAcc,
      bestParams: bestParams ?? null,
      bestModelState: this.#bestModelState,
      shuffleSeed: started ? batches.seed : null,
      averages: started ? averages ?? null : null,
      gradNormHistory: this.#records ? gradNormHistory : null,
      learningRateHistory: this.#records ? learningRateHistory : null,
    }, "checkpoint");
  }

  /** Continues where a checkpoint was taken. If it is refused, nothing has changed. */
  resume(checkpoint: Checkpoint): void {
    if (this.#running) {
      throw new ArgumentTypeError("Cannot resume while the solver is training", "BUSY");
    }
    const { updateRule, schedule, shuffle, average } = this.#options;
    const { model } = this.#trained, iterations = this.iterations, history = this.#history;
    checkCheckpoint(checkpoint, {
      model,
      updateRule,
      batchSize: iterations.perUpdate,
      numTrain: this.#data.xTrain.shape[0],
      shuffles: shuffle,
      averages: average !== undefined,
    });
    if (schedule !== undefined) checkRates("checkpoint.optimConfigs", checkpoint.optimConfigs);
    const from = copyOf(checkpoint, "checkpoint");
    const { params, modelState, random } = from;
    this.#trained.move(() => {
      // Only the model can tell whether a state is one of its own: that of the end is tried first.
      const best = copyOf(from.bestModelState, "checkpoint.bestModelState");
      if (best !== null) model.setState?.(best);
      this.#trained.restore({ params: params as Record<string, Tensor<A>>, modelState, random });
    });
    this.iteration = from.iteration;
    this.#checkPending = from.checkPending;
    history.lossHistory = from.lossHistory as number[];
    history.trainAccHistory = from.trainAccHistory as number[];
    history.valAccHistory = from.valAccHistory as number[];
    this.#records = this.#options.recordUpdates || from.gradNormHistory != null;
    const unknown = () => Array<number>(this.#records ? from.iteration : 0).fill(NaN);
    history.gradNormHistory = from.gradNormHistory as number[] | null ?? unknown();
    history.learningRateHistory = from.learningRateHistory as number[] | null ?? unknown();
    history.bestValAcc = from.bestValAcc;
    history.bestParams = from.bestParams as Record<string, Tensor<A>> | null ?? undefined;
    this.#bestCheck = indexOfMax(history.valAccHistory);
    this.#bestModelState = from.bestModelState;
    iterations.optimConfigs = from.optimConfigs as Record<string, OptimConfig>;
    iterations.batches.seed = from.shuffleSeed ?? null;
    iterations.averages = from.averages ?? undefined;
    iterations.divergedAt = undefined;
  }

  /** Why there is nothing more to do; undefined if there is. */
  #ended(signal: AbortSignal | undefined): TrainEnd | undefined {
    if (this.#diverged) return "diverged";
    if (this.#isStopped(signal)) return "stopped";
    if (this.#checkPending) return undefined;
    if (this.iteration >= this.iterations.count) return "done";
    const { patience = Infinity } = this.#options;
    // The first entry is that of the first iteration, not of an epoch.
    const waited = this.#history.valAccHistory.length - 1 - this.#bestCheck;
    return waited >= patience ? "patience" : undefined;
  }

  /** Whether a signal was aborted, here or in another process. */
  #isStopped(signal: AbortSignal | undefined): boolean {
    const aborted = signal?.aborted ?? false, { parallel } = this.#options;
    return parallel?.gather(Float64Array.of(Number(aborted))).includes(1) ?? aborted;
  }

  /** Whether this process tells how it goes. */
  get #leads(): boolean {
    return (this.#options.parallel?.rank ?? 0) === 0;
  }

  /** Whether the last loss was no number that one can learn from. */
  get #diverged(): boolean {
    return !Number.isFinite(this.#history.lossHistory.at(-1) ?? 0);
  }

  /** Whether accuracies are measured after an iteration: the first, the last, and the last of an epoch. */
  #isCheckPoint(iteration: number): boolean {
    const { count, perEpoch } = this.iterations;
    return iteration === 1 || iteration === count || iteration % perEpoch === 0;
  }

  /** One iteration. If it throws, nothing changed. */
  #step(): void {
    const start = performance.now();
    const { loss, gradNorm, learningRate } = this.iterations.next(this.iteration, this.#records);
    this.#history.lossHistory.push(loss);
    if (this.#records) {
      this.#history.gradNormHistory.push(gradNorm);
      this.#history.learningRateHistory.push(learningRate);
    }
    this.iteration++;
    this.#checkPending = Number.isFinite(loss) && this.#isCheckPoint(this.iteration);
    this.#iterationTime.add(performance.now() - start);
  }

  /** The result. */
  *#reached(end: TrainEnd): Generator<void, TrainResult> {
    const reached: TrainResult = { ...this.#progress(), end };
    if (end === "diverged") {
      const { divergedAt } = this.iterations;
      const place = divergedAt === undefined ? "" : `, first in ${divergedAt}`;
      const hint = `The loss became ${reached.loss} in iteration ${reached.iteration}${place}: ` +
        "try a lower learning rate";
      if (this.#options.verbose && this.#leads) console.log(hint);
      return { ...reached, hint };
    }
    const measured = this.#isCheckPoint(this.iteration) && !this.#checkPending;
    if (end !== "stopped" || this.iteration === 0 || measured) return reached;
    // Told, but not recorded, and no candidate for the best: a training run that continues from here
    // must be the one that was never stopped.
    const { random } = this.#trained, before = random.getState();
    const accuracies = yield* this.#measure();
    random.setState(before);
    return { ...reached, ...accuracies };
  }

  /** Both accuracies: those of the averages, if there are any. */
  *#measure(): Generator<void, Accuracies> {
    const start = performance.now();
    const { xTrain, yTrain, xVal, yVal } = this.#data;
    const { numTrainSamples, numValSamples, parallel } = this.#options;
    const { model, random } = this.#trained;
    this.#beforeCheck = random.getState();
    const trainPicks = drawExamples(xTrain, numTrainSamples, random);
    const valPicks = drawExamples(xVal, numValSamples, random);
    const { averages } = this.iterations;
    if (averages !== undefined) this.#trained.lend(averages.params, this.#averageState());
    try {
      const trainAcc = yield* accuracyOf(model, xTrain, yTrain, trainPicks, CHECK_BATCH, parallel);
      const valAcc = yield* accuracyOf(model, xVal, yVal, valPicks, CHECK_BATCH, parallel);
      this.#beforeCheck = undefined;
      this.#checkTime.add(performance.now() - start);
      return { trainAcc, valAcc };
    } finally {
      if (averages !== undefined) this.#trained.takeBack();
    }
  }

  /** What the model carries beside its parameters, with averages of its running statistics. */
  #averageState(): ModelState | null {
    const state = this.#trained.model.getState?.() ?? null, { averages } = this.iterations;
    return state && { ...state, ...averages && { statistics: averages.statistics } };
  }

  /** Keeps accuracies, and the parameters if they are the best so far. */
  #record({ trainAcc, valAcc }: Accuracies): void {
    const history = this.#history, { valAccHistory } = history;
    history.trainAccHistory.push(trainAcc);
    valAccHistory.push(valAcc);
    if (valAcc > valAccHistory[this.#bestCheck]) this.#bestCheck = valAccHistory.length - 1;
    this.#checkPending = false;
    if (valAcc <= history.bestValAcc && history.bestParams !== undefined) return;
    history.bestValAcc = valAcc;
    const measured = this.iterations.averages?.params ?? this.#trained.model.params;
    history.bestParams = copyOf(measured, "model.params") as Record<string, Tensor<A>>;
    // Batch-normalization's running statistics belong to the parameters that they were seen with.
    this.#bestModelState = copyOf(this.#averageState(), "model.getState()");
  }

  /** Gives the model the parameters that it ends with. */
  #lendResult(): void {
    const { bestParams } = this.#history, { averages } = this.iterations;
    if (this.#options.restoreBest) {
      if (bestParams !== undefined) this.#trained.lend(bestParams, this.#bestModelState);
    } else if (averages !== undefined) {
      this.#trained.lend(averages.params, this.#averageState());
    }
  }

  #progress(): Progress {
    const { count, perEpoch, perUpdate } = this.iterations;
    const { lossHistory, trainAccHistory, valAccHistory } = this.#history;
    const left = count - this.iteration;
    const checksLeft = Math.ceil(left / perEpoch);
    const perIteration = this.#iterationTime.mean;
    return {
      iteration: this.iteration,
      iterations: count,
      epoch: this.epoch,
      epochs: this.#options.numEpochs,
      loss: lossHistory.at(-1) ?? NaN,
      trainAcc: trainAccHistory.at(-1) ?? NaN,
      valAcc: valAccHistory.at(-1) ?? NaN,
      imagesPerSecond: perIteration > 0 ? perUpdate / perIteration : 0,
      secondsLeft: left * perIteration + checksLeft * this.#checkTime.mean,
    };
  }

  #printLoss(): void {
    const { verbose, printEvery } = this.#options;
    if (!verbose || !this.#leads || (this.iteration - 1) % printEvery !== 0) return;
    const place = `${this.iteration} / ${this.iterations.count}`;
    console.log(`(Iteration ${place}) loss: ${this.#history.lossHistory.at(-1)!.toFixed(6)}`);
  }

  #printAccuracies({ trainAcc, valAcc }: Accuracies): void {
    const { verbose, numEpochs } = this.#options;
    if (!verbose || !this.#leads) return;
    console.log(
      `(Epoch ${this.epoch} / ${numEpochs}) ` +
        `train acc: ${trainAcc.toFixed(6)}; val_acc: ${valAcc.toFixed(6)}`,
    );
  }
}

/** What a measurement gives. */
interface Accuracies {
  readonly trainAcc: number;
  readonly valAcc: number;
}

function indexOfMax(values: readonly number[]): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** Checks that there are learning rates for a schedule to multiply. */
function checkRates(name: string, configs: Readonly<Record<string, OptimConfig>>): void {
  for (const [key, { learningRate }] of Object.entries(configs)) {
    checkNumber(`${name}.${key}.learningRate`, learningRate);
  }
}
