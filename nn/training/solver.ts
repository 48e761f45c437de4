/**
 * The solver: trains a model on data, keeps what was best, and can be watched, stopped and resumed.
 *
 * Source: cs231n/solver.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import { checkNumber, checkWhole } from "../../kernels/check.ts";
import { ArgumentRangeError, ArgumentTypeError } from "../../kernels/errors.ts";
import type { Examples } from "../data/examples.ts";
import { accuracyOf } from "./accuracy.ts";
import type { AverageState } from "./averages.ts";
import { addTo, Batches } from "./batches.ts";
import { checkCheckpoint, type Checkpoint } from "./checkpoint.ts";
import { type Read, readOptions } from "../checks.ts";
import type { Labels, LossAndGradients, Model, ModelState } from "../model.ts";
import { describeStart } from "./non_finite.ts";
import type { OptimConfig } from "./optim.ts";
import { configsOf, namesOf } from "./param_groups.ts";
import { copyOf } from "../plain_data.ts";
import {
  checkOneSource,
  copyRandom,
  RandomState,
  type RandomStateData,
} from "../random/random_state.ts";
import {
  type AnyData,
  checkData,
  checkExamples,
  checkModel,
  checkSamples,
  type Progress,
  SETTINGS,
  type SolverData,
  type SolverOptions,
  TRAIN,
  type TrainEnd,
  type TrainOptions,
  type TrainResult,
} from "./solver_options.ts";
import type { FloatArray, Tensor } from "../tensor.ts";
import { Timing } from "./timing.ts";

/** How long trainAsync keeps the event loop waiting, if an iteration does not take longer. */
const TURN_MILLISECONDS = 50;

/** Examples in a batch where only scores are computed, as in the course. */
const CHECK_BATCH = 100;

/**
 * Trains a model by stochastic gradient descent: draws batches with replacement, updates the
 * parameters, measures accuracies before the second iteration and after every epoch, and in the end
 * gives the model the parameters that were best on the validation set.
 *
 * Source: Solver in cs231n/solver.py. Beyond it: trainAsync, progress, stop, schedules, augmentation,
 * early stop, checkpoints, groups of parameters, averages.
 *
 * @example
 * ```ts
 * import { RandomState, Solver, TwoLayerNet } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(0);
 * const x = random.randn([200, 2]);
 * const y = Array.from({ length: 200 }, (_, i) => x.data[2 * i] > x.data[2 * i + 1] ? 1 : 0);
 * const model = new TwoLayerNet({ inputDim: 2, hiddenDim: 8, numClasses: 2, weightScale: 0.1 });
 * const solver = new Solver(model, { xTrain: x, yTrain: y, xVal: x, yVal: y }, {
 *   updateRule: "adam",
 *   optimConfig: { learningRate: 1e-2 },
 *   batchSize: 20,
 *   verbose: false,
 * });
 * solver.train();
 * if (solver.bestValAcc < 0.9) throw new Error("not learned");
 * ```
 */
export class Solver<A extends FloatArray = FloatArray> {
  /** What is trained. */
  readonly model: Model<A>;
  /** The loss of each iteration. */
  lossHistory: number[] = [];
  /** The training accuracy of the first iteration and of each epoch. */
  trainAccHistory: number[] = [];
  /** The validation accuracy of the first iteration and of each epoch. */
  valAccHistory: number[] = [];
  /** The best validation accuracy so far. */
  bestValAcc = 0;
  /** A copy of the parameters that had it; undefined before the first was measured. */
  bestParams: Record<string, Tensor<A>> | undefined;
  /** Iterations in all. */
  readonly iterations: number;

  readonly #data: AnyData;
  readonly #options: Read<typeof SETTINGS>;
  readonly #random: RandomState;
  /** Where the random numbers stood before the iteration that is under way. */
  readonly #beforeStep = new RandomState(0);
  /** Iterations of an epoch. */
  readonly #perEpoch: number;
  readonly #batches: Batches<A>;
  /** The names of the parameters that stay as they are. */
  readonly #frozen: ReadonlySet<string>;
  /** The averages of the parameters; undefined before the first update, or if there are none. */
  #averages: AverageState | undefined;
  /** Where numbers that are not finite began, if the last loss is such a one. */
  #divergedAt: string | undefined;
  #optimConfigs: Record<string, OptimConfig>;
  #iteration = 0;
  #checkPending = false;
  /** Where valAccHistory has its first maximum. */
  #bestCheck = 0;
  #bestModelState: ModelState | null = null;
  /** Where the training stands while the model has the best parameters instead. */
  #parked: Standing<A> | undefined;
  /** Where the random numbers stood before a measurement that is under way. */
  #beforeCheck: RandomStateData | undefined;
  #running = false;
  readonly #iterationTime = new Timing();
  readonly #checkTime = new Timing();

  /**
   * A solver at its start.
   *
   * @param model What is trained.
   * @param data What it is trained on, and measured by.
   * @param options How it is trained.
   * @throws {TypeError} If a type is wrong, or an option unknown.
   * @throws {RangeError} If sizes do not fit each other, or a number is out of range.
   */
  constructor(model: Model<A>, data: SolverData<Tensor | Examples>, options: SolverOptions = {}) {
    checkModel(model);
    checkData(data);
    const settings = readOptions("options", options, SETTINGS);
    const { optimConfig, paramGroups, schedule, seed, random } = settings;
    if (schedule !== undefined && optimConfig.learningRate === undefined) {
      throw new ArgumentTypeError(
        "optimConfig must have a learningRate for the schedule to multiply",
      );
    }
    this.model = model;
    this.#data = data;
    this.#options = settings;
    checkOneSource("options", seed, random);
    this.#random = random ?? new RandomState(seed ?? 0);
    const names = Object.keys(model.params);
    this.#optimConfigs = configsOf(optimConfig, paramGroups, names);
    const { frozen = [], numEpochs } = settings;
    this.#frozen = namesOf("frozen", frozen, names);
    if (this.#frozen.size === names.length) {
      throw new ArgumentRangeError("frozen must leave a parameter that learns: it holds all");
    }
    this.#perEpoch = Math.max(Math.floor(data.xTrain.shape[0] / this.#perUpdate), 1);
    this.iterations = numEpochs * this.#perEpoch;
    this.#batches = new Batches(model, data, settings);
  }

  /** Examples that an update is made from. */
  get #perUpdate(): number {
    return this.#options.batchSize * this.#options.accumulate;
  }

  /** Iterations done. */
  get iteration(): number {
    return this.#iteration;
  }

  /** Epochs done. */
  get epoch(): number {
    return Math.floor(this.#iteration / this.#perEpoch);
  }

  /**
   * Trains from where the solver stands to the end, and gives the model the best parameters. While it
   * runs, nothing else does; see {@linkcode Solver.trainAsync}.
   *
   * @param options How it is watched and stopped.
   * @returns What was reached.
   * @throws {TypeError} If an option is unknown or has a wrong type, or the solver is training already.
   */
  train(options: TrainOptions = {}): TrainResult {
    return finish(this.#run(options));
  }

  /**
   * {@linkcode Solver.train} with pauses in which a page or a server does its other work: after every
   * 50 ms, or every iteration if one takes longer. The numbers are the same.
   *
   * @example Stop after a while, and keep what was reached
   * ```ts
   * import { RandomState, Solver, TwoLayerNet } from "@cnn-layers/cnn-layers";
   *
   * const x = new RandomState(0).randn([20, 4]), y = Array.from({ length: 20 }, (_, i) => i % 2);
   * const model = new TwoLayerNet({ inputDim: 4, hiddenDim: 4, numClasses: 2 });
   * const solver = new Solver(model, { xTrain: x, yTrain: y, xVal: x, yVal: y }, { verbose: false });
   * const { end, iteration } = await solver.trainAsync({
   *   signal: AbortSignal.timeout(30_000),
   *   onProgress: ({ iteration, iterations, loss }) => console.log(iteration, iterations, loss),
   * });
   * ```
   *
   * @param options How it is watched and stopped.
   * @returns What was reached.
   * @throws {TypeError} If an option is unknown or has a wrong type, or the solver is training already.
   */
  async trainAsync(options: TrainOptions = {}): Promise<TrainResult> {
    const run = this.#run(options);
    let turn = performance.now();
    try {
      for (;;) {
        const { done, value } = run.next();
        if (done) return value;
        await value;
        if (performance.now() - turn < TURN_MILLISECONDS) continue;
        await new Promise((resolve) => setTimeout(resolve));
        turn = performance.now();
      }
    } catch (error) {
      run.throw(error);
      throw error;
    }
  }

  /**
   * The part of examples whose highest score is that of their label.
   *
   * @param x Examples, (N, ...), in memory or read batch by batch.
   * @param y Their labels.
   * @param numSamples Measures on so many, drawn at random with replacement. All if left out or null.
   * @param batchSize How many are put through the model at a time.
   * @returns A number from 0 to 1.
   * @throws {TypeError} If a type is wrong.
   * @throws {RangeError} If there are no examples, or not as many labels.
   */
  checkAccuracy(
    x: Tensor | Examples,
    y: Labels,
    numSamples: number | null = null,
    batchSize = CHECK_BATCH,
  ): number {
    checkExamples("x", x, "y", y);
    checkSamples("numSamples", numSamples);
    checkWhole("batchSize", batchSize, 1);
    return finish(accuracyOf(this.model, x, y, this.#picks(x, numSamples), batchSize));
  }

  /**
   * Where the training stands: a copy, plain data. May be called at any time, also from onProgress,
   * and between two turns of trainAsync.
   *
   * @returns The checkpoint, for {@linkcode Solver.resume} or {@linkcode encodeCheckpoint}.
   */
  checkpoint(): Checkpoint {
    const { params, modelState, random } = this.#parked ?? this.#standing();
    // A first iteration that threw may have left something.
    const started = this.#iteration > 0;
    return copyOf({
      iteration: this.#iteration,
      checkPending: this.#checkPending,
      updateRule: this.#options.updateRule.name,
      batchSize: this.#perUpdate,
      numTrain: this.#data.xTrain.shape[0],
      params,
      optimConfigs: this.#optimConfigs,
      random: this.#beforeCheck ?? random,
      modelState,
      lossHistory: this.lossHistory,
      trainAccHistory: this.trainAccHistory,
      valAccHistory: this.valAccHistory,
      bestValAcc: this.bestValAcc,
      bestParams: this.bestParams ?? null,
      bestModelState: this.#bestModelState,
      shuffleSeed: started ? this.#batches.seed : null,
      averages: started ? this.#averages ?? null : null,
    }, "checkpoint");
  }

  /**
   * Continues where a checkpoint was taken: with the same model, data and options, train then gives bit
   * for bit what a training gives that was never interrupted. If it is refused, nothing has changed.
   *
   * @param checkpoint What {@linkcode Solver.checkpoint} returned.
   * @throws {TypeError} If it is no checkpoint, that of another model or update rule, the update rule is a
   * function without a name of its own, or the solver is training.
   * @throws {RangeError} If it is that of another batch size, or another number of examples, or a number
   * in it is out of range.
   */
  resume(checkpoint: Checkpoint): void {
    if (this.#running) throw new ArgumentTypeError("Cannot resume while the solver is training");
    const { updateRule, schedule, shuffle, average } = this.#options;
    checkCheckpoint(checkpoint, {
      model: this.model,
      updateRule,
      batchSize: this.#perUpdate,
      numTrain: this.#data.xTrain.shape[0],
      shuffles: shuffle,
      averages: average !== undefined,
    });
    if (schedule !== undefined) checkRates("checkpoint.optimConfigs", checkpoint.optimConfigs);
    const from = copyOf(checkpoint, "checkpoint");
    const { params, modelState, random } = from;
    this.#restoreOr(this.#standing(), () => {
      // Only the model can tell whether a state is one of its own: that of the end is tried first.
      const best = copyOf(from.bestModelState, "checkpoint.bestModelState");
      if (best !== null) this.model.setState?.(best);
      this.#restore({ params: params as Record<string, Tensor<A>>, modelState, random });
    });
    this.#parked = undefined;
    this.#optimConfigs = from.optimConfigs as Record<string, OptimConfig>;
    this.#iteration = from.iteration;
    this.#checkPending = from.checkPending;
    this.lossHistory = from.lossHistory as number[];
    this.trainAccHistory = from.trainAccHistory as number[];
    this.valAccHistory = from.valAccHistory as number[];
    this.#bestCheck = indexOfMax(this.valAccHistory);
    this.bestValAcc = from.bestValAcc;
    this.bestParams = from.bestParams as Record<string, Tensor<A>> | null ?? undefined;
    this.#bestModelState = from.bestModelState;
    this.#batches.seed = from.shuffleSeed ?? null;
    this.#averages = from.averages ?? undefined;
    this.#divergedAt = undefined;
  }

  /** The one course of a training; it pauses wherever trainAsync may let others work. */
  *#run(options: TrainOptions): Generator<void | Promise<void>, TrainResult> {
    const { signal, onProgress, onCheckpoint, checkpointEvery } = //
      readOptions("options", options, TRAIN);
    if (this.#running) throw new ArgumentTypeError("The solver is training already");
    const { verbose, printEvery } = this.#options;
    this.#running = true;
    try {
      this.#unpark();
      let end: TrainEnd | undefined;
      while ((end = this.#ended(signal)) === undefined) {
        if (!this.#checkPending) {
          this.#step();
          yield;
          if (verbose && (this.#iteration - 1) % printEvery === 0) {
            const place = `${this.#iteration} / ${this.iterations}`;
            console.log(`(Iteration ${place}) loss: ${this.lossHistory.at(-1)!.toFixed(6)}`);
          }
        }
        if (this.#checkPending) {
          const accuracies = yield* this.#measure();
          this.#record(accuracies);
          if (verbose) {
            const { trainAcc, valAcc } = accuracies;
            console.log(
              `(Epoch ${this.epoch} / ${this.#options.numEpochs}) ` +
                `train acc: ${trainAcc.toFixed(6)}; val_acc: ${valAcc.toFixed(6)}`,
            );
          }
        }
        onProgress?.(this.#progress());
        // A checkpoint of what diverged would take the place of one that can go on.
        const isDue = this.#iteration % (checkpointEvery * this.#perEpoch) === 0;
        if (onCheckpoint !== undefined && isDue && !this.#diverged) {
          yield onCheckpoint(this.checkpoint());
        }
      }
      let reached: TrainResult = { ...this.#progress(), end };
      if (end === "diverged") {
        const place = this.#divergedAt === undefined ? "" : `, first in ${this.#divergedAt}`;
        const hint = `The loss became ${reached.loss} in iteration ${reached.iteration}${place}: ` +
          "try a lower learning rate";
        if (verbose) console.log(hint);
        reached = { ...reached, hint };
      }
      const measured = this.#isCheckPoint(this.#iteration) && !this.#checkPending;
      if (end === "stopped" && this.#iteration > 0 && !measured) {
        // Told, but not recorded, and no candidate for the best: a training that goes on from here
        // must be the one that was never stopped.
        const before = this.#random.getState();
        reached = { ...reached, ...yield* this.#measure() };
        this.#random.setState(before);
      }
      this.#park();
      return reached;
    } finally {
      // A measurement that did not come to its end will be made again, with the same numbers.
      if (this.#beforeCheck !== undefined) this.#random.setState(this.#beforeCheck);
      this.#beforeCheck = undefined;
      this.#running = false;
    }
  }

  /** Why there is nothing more to do; undefined if there is. */
  #ended(signal: AbortSignal | undefined): TrainEnd | undefined {
    if (this.#diverged) return "diverged";
    if (signal?.aborted) return "stopped";
    if (this.#checkPending) return undefined;
    if (this.#iteration >= this.iterations) return "done";
    const { patience = Infinity } = this.#options;
    // The first entry is that of the first iteration, not of an epoch.
    const waited = this.valAccHistory.length - 1 - this.#bestCheck;
    return waited >= patience ? "patience" : undefined;
  }

  /** Whether the last loss was no number that one can learn from. */
  get #diverged(): boolean {
    return !Number.isFinite(this.lossHistory.at(-1) ?? 0);
  }

  /** Whether accuracies are measured after an iteration: the first, the last, and the last of an epoch. */
  #isCheckPoint(iteration: number): boolean {
    return iteration === 1 || iteration === this.iterations || iteration % this.#perEpoch === 0;
  }

  /** One iteration: a batch, its gradients, an update of every parameter. If it throws, nothing changed. */
  #step(): void {
    const start = performance.now();
    copyRandom(this.#random, this.#beforeStep);
    const modelState = this.model.getState?.() ?? null;
    const undo = () => {
      if (modelState !== null) this.model.setState?.(modelState);
      copyRandom(this.#beforeStep, this.#random);
    };
    const { schedule, average } = this.#options;
    if (average !== undefined) this.#averages ??= average.start(this.model);
    const factor = schedule?.(this.#iteration / this.iterations);
    let loss: number;
    try {
      const result = this.#lossAndGradients();
      loss = result.loss;
      if (Number.isFinite(loss)) this.#update(result.grads, factor);
      else undo();
    } catch (error) {
      undo();
      throw error;
    }
    this.lossHistory.push(loss);
    this.#iteration++;
    this.#checkPending = Number.isFinite(loss) && this.#isCheckPoint(this.#iteration);
    this.#iterationTime.add(performance.now() - start);
  }

  /** The mean loss of the batches of one update, and their mean gradients. */
  #lossAndGradients(): LossAndGradients<A> {
    const { accumulate } = this.#options;
    const first = this.#lossOfBatch(0);
    if (accumulate === 1 || !Number.isFinite(first.loss)) return first;
    // A copy, as a model may use its arrays again.
    const grads = copyOf(first.grads, "grads");
    let { loss } = first;
    for (let part = 1; part < accumulate && Number.isFinite(loss); part++) {
      const next = this.#lossOfBatch(part);
      loss += next.loss;
      addTo(grads, next.grads);
    }
    for (const { data } of Object.values(grads)) {
      for (let i = 0; i < data.length; i++) data[i] /= accumulate;
    }
    return { loss: loss / accumulate, grads };
  }

  /** Draws a batch, and gives its loss and the gradients of the parameters that learn. */
  #lossOfBatch(part: number): LossAndGradients<A> {
    const place = (this.#iteration % this.#perEpoch) * this.#options.accumulate + part;
    const { x, y } = this.#batches.next(this.#random, this.epoch, place);
    const { loss, grads } = this.model.loss(x, y, { frozen: this.#frozen });
    checkNumber("The loss of the model", loss);
    if (!Number.isFinite(loss)) this.#divergedAt = describeStart(this.model, x);
    return { loss, grads: this.#learning(grads) };
  }

  /** What belongs to parameters that are not frozen. */
  #learning<T>(all: Record<string, T>): Record<string, T> {
    if (this.#frozen.size === 0) return all;
    return Object.fromEntries(Object.entries(all).filter(([name]) => !this.#frozen.has(name)));
  }

  /** Updates every parameter with its learning rate times a factor, or none. */
  #update(grads: Readonly<Record<string, Tensor<A>>>, factor: number | undefined): void {
    const { updateRule, lrDecay, transformGradients, average } = this.#options;
    const params = this.#learning(this.model.params), configs = this.#optimConfigs;
    const rates = Object.entries(configs).map(([name, { learningRate }]) =>
      [name, learningRate] as const
    );
    const setRates = (configs: Record<string, OptimConfig>, factor: number) => {
      for (const [name, rate] of rates) configs[name].learningRate = rate! * factor;
    };
    transformGradients?.(grads);
    if (factor !== undefined) setRates(configs, factor);
    try {
      const updated = updateRule.update(params, grads, this.#learning(configs));
      Object.assign(this.model.params, updated.params);
      this.#optimConfigs = { ...configs, ...updated.configs };
    } finally {
      if (factor !== undefined) setRates(this.#optimConfigs, 1);
    }
    const epochEnds = (this.#iteration + 1) % this.#perEpoch === 0;
    for (const config of Object.values(this.#optimConfigs)) {
      if (epochEnds && config.learningRate !== undefined) config.learningRate *= lrDecay;
    }
    if (average === undefined) return;
    const place = { iteration: this.#iteration + 1, iterations: this.iterations };
    average.follow(this.#averages!, this.model, place);
  }

  /** Both accuracies: those of the averages, if there are any. */
  *#measure(): Generator<void, Accuracies> {
    const start = performance.now();
    const { xTrain, yTrain, xVal, yVal } = this.#data;
    const { numTrainSamples, numValSamples } = this.#options;
    this.#beforeCheck = this.#random.getState();
    const trainPicks = this.#picks(xTrain, numTrainSamples);
    const valPicks = this.#picks(xVal, numValSamples);
    const averages = this.#averages;
    if (averages !== undefined) this.#parkFor(averages.params, this.#averageState());
    try {
      const trainAcc = yield* accuracyOf(this.model, xTrain, yTrain, trainPicks, CHECK_BATCH);
      const valAcc = yield* accuracyOf(this.model, xVal, yVal, valPicks, CHECK_BATCH);
      this.#beforeCheck = undefined;
      this.#checkTime.add(performance.now() - start);
      return { trainAcc, valAcc };
    } finally {
      if (averages !== undefined) this.#unpark();
    }
  }

  /** What the model carries beside its parameters, with averages of its running statistics. */
  #averageState(): ModelState | null {
    const state = this.model.getState?.() ?? null;
    return state && { ...state, ...this.#averages && { statistics: this.#averages.statistics } };
  }

  /** Keeps accuracies, and the parameters if they are the best so far. */
  #record({ trainAcc, valAcc }: Accuracies): void {
    this.trainAccHistory.push(trainAcc);
    this.valAccHistory.push(valAcc);
    if (valAcc > this.valAccHistory[this.#bestCheck]) {
      this.#bestCheck = this.valAccHistory.length - 1;
    }
    this.#checkPending = false;
    if (valAcc <= this.bestValAcc && this.bestParams !== undefined) return;
    this.bestValAcc = valAcc;
    const measured = this.#averages?.params ?? this.model.params;
    this.bestParams = copyOf(measured, "model.params") as Record<string, Tensor<A>>;
    // Batch-normalisation's running statistics belong to the parameters that they were seen with.
    this.#bestModelState = copyOf(this.#averageState(), "model.getState()");
  }

  /** All examples, or so many drawn. */
  #picks({ shape: [N] }: Tensor | Examples, numSamples: number | null): Int32Array {
    return numSamples !== null && N > numSamples
      ? this.#random.choice(N, numSamples)
      : Int32Array.from({ length: N }, (_, i) => i);
  }

  #progress(): Progress {
    const left = this.iterations - this.#iteration;
    const checksLeft = Math.ceil(left / this.#perEpoch);
    const perIteration = this.#iterationTime.mean;
    return {
      iteration: this.#iteration,
      iterations: this.iterations,
      epoch: this.epoch,
      epochs: this.#options.numEpochs,
      loss: this.lossHistory.at(-1) ?? NaN,
      trainAcc: this.trainAccHistory.at(-1) ?? NaN,
      valAcc: this.valAccHistory.at(-1) ?? NaN,
      imagesPerSecond: perIteration > 0 ? this.#perUpdate / perIteration : 0,
      secondsLeft: left * perIteration + checksLeft * this.#checkTime.mean,
    };
  }

  #standing(): Standing<A> {
    const modelState = this.model.getState?.() ?? null;
    return { params: { ...this.model.params }, modelState, random: this.#random.getState() };
  }

  /** Puts the model where it stood. The model may draw from our random numbers, so these come last. */
  #restore({ params, modelState, random }: Standing<A>): void {
    Object.assign(this.model.params, params);
    if (modelState !== null) this.model.setState?.(modelState);
    this.#random.setState(random);
  }

  /** Does what may throw half-way; if it does, the model stands where it stood. */
  #restoreOr(before: Standing<A>, change: () => void): void {
    try {
      change();
    } catch (error) {
      this.#restore(before);
      throw error;
    }
  }

  /** Gives the model what it is to have in the end, and remembers where the training stands. */
  #park(): void {
    if (this.#options.restoreBest) {
      if (this.bestParams !== undefined) this.#parkFor(this.bestParams, this.#bestModelState);
    } else if (this.#averages !== undefined) {
      this.#parkFor(this.#averages.params, this.#averageState());
    }
  }

  /** Gives the model copies of other parameters, and remembers where the training stands. */
  #parkFor(params: Readonly<Record<string, Tensor>>, modelState: ModelState | null): void {
    this.#parked = this.#standing();
    const { random } = this.#parked;
    // Copies: whoever has the model may train it on by himself.
    const copy = copyOf({ params, modelState }, "parameters");
    this.#restore({
      params: copy.params as Record<string, Tensor<A>>,
      modelState: copy.modelState,
      random,
    });
  }

  #unpark(): void {
    if (this.#parked !== undefined) this.#restore(this.#parked);
    this.#parked = undefined;
  }
}

/** What a measurement gives. */
interface Accuracies {
  readonly trainAcc: number;
  readonly valAcc: number;
}

/** Where a model and the random numbers stand. */
interface Standing<A extends FloatArray> {
  readonly params: Record<string, Tensor<A>>;
  readonly modelState: ModelState | null;
  readonly random: RandomStateData;
}

/** Runs what can be paused to its end. */
function finish<T>(run: Generator<unknown, T>): T {
  let step = run.next();
  while (!step.done) step = run.next();
  return step.value;
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
