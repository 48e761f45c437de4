/**
 * The solver: trains a model on data, keeps what was best, and can be watched, stopped and resumed.
 *
 * Source: cs231n/solver.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import {
  checkNonEmpty,
  checkOptions,
  checkTensor,
  checkType,
  checkWhole,
  isObject,
} from "../kernels/check.ts";
import { show, sizeOf } from "../kernels/tensor.ts";
import {
  checkBatch,
  checkBoolean,
  checkFunction,
  checkTensorsLike,
  option,
  type Read,
  readOptions,
  whole,
  within,
} from "./checks.ts";
import { type Checkpoint, copyOf } from "./checkpoint.ts";
import { checkLabels } from "./layers/loss.ts";
import type { Labels, Model, ModelState } from "./model.ts";
import { type OptimConfig, type UpdateRule, type UpdateRuleName, updateRules } from "./optim.ts";
import { checkOneSource, checkRandom, RandomState, type RandomStateData } from "./random.ts";
import type { Schedule } from "./schedules.ts";
import { type FloatArray, type Tensor, zerosLike } from "./tensor.ts";

/** What a solver trains on, and what it measures by. Both dtypes go with any model. */
export interface SolverData {
  /** Examples to train on, (N, ...). */
  readonly xTrain: Tensor;
  /** Their labels. */
  readonly yTrain: Labels;
  /** Examples to validate on, (M, ...). */
  readonly xVal: Tensor;
  /** Their labels. */
  readonly yVal: Labels;
}

/** Changes a batch (N, ...) in place before the model sees it. */
export type Augment = (x: Tensor, random: RandomState) => void;

/** How a {@linkcode Solver} trains: the course's keyword arguments, and a few more. */
export interface SolverOptions {
  /** The update rule: a name, in the course's spelling too, or a function. "sgd" if left out. */
  readonly updateRule?: UpdateRuleName | UpdateRule;
  /** The update rule's settings, learningRate among them. */
  readonly optimConfig?: OptimConfig;
  /** What the learning rate is multiplied by after each epoch. 1 if left out. */
  readonly lrDecay?: number;
  /** What the learning rate is multiplied by besides, by how far the training is. 1 if left out. */
  readonly schedule?: Schedule;
  /** Examples in a batch. 100 if left out. */
  readonly batchSize?: number;
  /** How many times as many examples as there are to train on are drawn. 10 if left out. */
  readonly numEpochs?: number;
  /** Examples on which the training accuracy is measured. 1,000 if left out; null for all. */
  readonly numTrainSamples?: number | null;
  /** Examples on which the validation accuracy is measured. All if left out or null. */
  readonly numValSamples?: number | null;
  /** A line is printed every so many iterations. 10 if left out. */
  readonly printEvery?: number;
  /** Whether lines are printed at all. True if left out. */
  readonly verbose?: boolean;
  /** Stops after so many epochs without a better validation accuracy. Never if left out. */
  readonly patience?: number;
  /** Changes each batch, for example {@linkcode cropAndMirror}. */
  readonly augment?: Augment;
  /** Seeds the draw of batches. 0 if left out. */
  readonly seed?: number;
  /** The random numbers themselves, in place of a seed: the course has one stream for all. */
  readonly random?: RandomState;
}

/** How far a training is. */
export interface Progress {
  /** Iterations done. */
  readonly iteration: number;
  /** Iterations in all. */
  readonly iterations: number;
  /** Epochs done. */
  readonly epoch: number;
  /** Epochs in all. */
  readonly epochs: number;
  /** The loss of the last batch; NaN before the first. */
  readonly loss: number;
  /** The last training accuracy; NaN before the first. */
  readonly trainAcc: number;
  /** The last validation accuracy; NaN before the first. */
  readonly valAcc: number;
  /** Examples trained on in a second, without the time for accuracies. */
  readonly imagesPerSecond: number;
  /** How long the rest takes if it goes on like this. */
  readonly secondsLeft: number;
}

/** How a training ended: all iterations done, stopped by its signal, or out of patience. */
export type TrainEnd = "done" | "stopped" | "patience";

/** What a training reached. */
export interface TrainResult extends Progress {
  /** How it ended. */
  readonly end: TrainEnd;
}

/** How a training is watched and stopped. */
export interface TrainOptions {
  /** Ends the training after the iteration that it is aborted in. */
  readonly signal?: AbortSignal;
  /** Called after every iteration. */
  readonly onProgress?: (progress: Progress) => void;
  /** Called with a checkpoint every few epochs; trainAsync waits for what it returns. */
  readonly onCheckpoint?: (checkpoint: Checkpoint) => void | Promise<void>;
  /** Epochs between checkpoints. 1 if left out. */
  readonly checkpointEvery?: number;
}

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
 * early stop, checkpoints.
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

  readonly #data: SolverData;
  readonly #options: Read<typeof SETTINGS>;
  readonly #random: RandomState;
  readonly #perEpoch: number;
  /** The batch, filled anew by each iteration. */
  readonly #batch: { readonly x: Tensor<A>; readonly y: Int32Array };
  #optimConfigs: Record<string, OptimConfig>;
  #iteration = 0;
  #checkPending = false;
  #trainAcc = NaN;
  #valAcc = NaN;
  #bestModelState: ModelState | null = null;
  /** Where the training stands while the model has the best parameters instead. */
  #parked: Standing<A> | undefined;
  /** Where the random numbers stood before a measurement that is under way. */
  #beforeCheck: RandomStateData | undefined;
  #running = false;
  readonly #clock = { iterations: 0, iterationSeconds: 0, checks: 0, checkSeconds: 0 };

  /**
   * A solver at its start.
   *
   * @param model What is trained.
   * @param data What it is trained on, and measured by.
   * @param options How it is trained.
   * @throws {TypeError} If a type is wrong, or an option unknown.
   * @throws {RangeError} If sizes do not fit each other, or a number is out of range.
   */
  constructor(model: Model<A>, data: SolverData, options: SolverOptions = {}) {
    checkModel(model);
    checkData(data);
    const settings = readOptions("options", options, SETTINGS);
    const { optimConfig, schedule, seed, random } = settings;
    if (schedule !== undefined && optimConfig.learningRate === undefined) {
      throw new TypeError("optimConfig must have a learningRate for the schedule to multiply");
    }
    this.model = model;
    this.#data = data;
    this.#options = settings;
    checkOneSource("options", seed, random);
    this.#random = random ?? new RandomState(seed ?? 0);
    const names = Object.keys(model.params);
    this.#optimConfigs = Object.fromEntries(names.map((name) => [name, copyOf(optimConfig)]));
    const { batchSize, numEpochs } = this.#options;
    const [numTrain, ...example] = data.xTrain.shape;
    this.#perEpoch = Math.max(Math.floor(numTrain / batchSize), 1);
    this.iterations = numEpochs * this.#perEpoch;
    this.#batch = {
      x: this.#zeros([batchSize, ...example]),
      y: new Int32Array(batchSize),
    };
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
   * @param x Examples, (N, ...).
   * @param y Their labels.
   * @param numSamples Measures on so many, drawn at random with replacement. All if left out or null.
   * @param batchSize How many are put through the model at a time.
   * @returns A number from 0 to 1.
   * @throws {TypeError} If a type is wrong.
   * @throws {RangeError} If there are no examples, or not as many labels.
   */
  checkAccuracy(
    x: Tensor,
    y: Labels,
    numSamples: number | null = null,
    batchSize = CHECK_BATCH,
  ): number {
    checkExamples("x", x, "y", y);
    checkSamples("numSamples", numSamples);
    checkWhole("batchSize", batchSize, 1);
    return finish(this.#accuracy(x, y, numSamples, batchSize));
  }

  /**
   * Where the training stands: a copy, plain data. May be called at any time, also from onProgress,
   * and between two turns of trainAsync.
   *
   * @returns The checkpoint, for {@linkcode Solver.resume} or {@linkcode encodeCheckpoint}.
   */
  checkpoint(): Checkpoint {
    const { params, modelState, random } = this.#parked ?? this.#standing();
    return copyOf({
      iteration: this.#iteration,
      checkPending: this.#checkPending,
      updateRule: this.#options.updateRule.name,
      batchSize: this.#options.batchSize,
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
    });
  }

  /**
   * Continues where a checkpoint was taken: with the same model, data and options, train then gives bit
   * for bit the losses of a training that was never interrupted.
   *
   * @param checkpoint What {@linkcode Solver.checkpoint} returned.
   * @throws {TypeError} If it is no checkpoint, that of another model or update rule, or the solver is
   * training.
   * @throws {RangeError} If it is that of another batch size, or another number of examples.
   */
  resume(checkpoint: Checkpoint): void {
    if (this.#running) throw new TypeError("Cannot resume while the solver is training");
    this.#checkFits(checkpoint);
    const from = copyOf(checkpoint);
    this.#restore({ ...from, params: from.params as Record<string, Tensor<A>> });
    this.#parked = undefined;
    this.#optimConfigs = from.optimConfigs as Record<string, OptimConfig>;
    this.#iteration = from.iteration;
    this.#checkPending = from.checkPending;
    this.lossHistory = from.lossHistory as number[];
    this.trainAccHistory = from.trainAccHistory as number[];
    this.valAccHistory = from.valAccHistory as number[];
    this.#trainAcc = this.trainAccHistory.at(-1) ?? NaN;
    this.#valAcc = this.valAccHistory.at(-1) ?? NaN;
    this.bestValAcc = from.bestValAcc;
    this.bestParams = from.bestParams as Record<string, Tensor<A>> | null ?? undefined;
    this.#bestModelState = from.bestModelState;
  }

  /** The one course of a training; it pauses wherever trainAsync may let others work. */
  *#run(options: TrainOptions): Generator<void | Promise<void>, TrainResult> {
    const { signal, onProgress, onCheckpoint, checkpointEvery } = //
      readOptions("options", options, TRAIN);
    if (this.#running) throw new TypeError("The solver is training already");
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
          yield* this.#measure();
          this.trainAccHistory.push(this.#trainAcc);
          this.valAccHistory.push(this.#valAcc);
          this.#checkPending = false;
          if (verbose) {
            console.log(
              `(Epoch ${this.epoch} / ${this.#options.numEpochs}) ` +
                `train acc: ${this.#trainAcc.toFixed(6)}; val_acc: ${this.#valAcc.toFixed(6)}`,
            );
          }
        }
        onProgress?.(this.#progress());
        if (
          onCheckpoint !== undefined && this.#iteration % (checkpointEvery * this.#perEpoch) === 0
        ) {
          yield onCheckpoint(this.checkpoint());
        }
      }
      const measured = this.#isCheckPoint(this.#iteration) && !this.#checkPending;
      if (end === "stopped" && this.#iteration > 0 && !measured) {
        // What was reached counts, but leaves no trace in what a resumed training would do.
        const before = this.#random.getState();
        yield* this.#measure();
        this.#random.setState(before);
      }
      this.#park();
      return { ...this.#progress(), end };
    } finally {
      this.#beforeCheck = undefined;
      this.#running = false;
    }
  }

  /** Why there is nothing more to do; undefined if there is. */
  #ended(signal: AbortSignal | undefined): TrainEnd | undefined {
    if (signal?.aborted) return "stopped";
    if (this.#checkPending) return undefined;
    if (this.#iteration >= this.iterations) return "done";
    const { patience } = this.#options;
    // The first entry is that of the first iteration, not of an epoch.
    const best = this.valAccHistory.indexOf(Math.max(...this.valAccHistory));
    const waited = this.valAccHistory.length - 1 - Math.max(best, 0);
    return patience !== undefined && waited >= patience ? "patience" : undefined;
  }

  /** Whether accuracies are measured after an iteration: the first, the last, and the last of an epoch. */
  #isCheckPoint(iteration: number): boolean {
    return iteration === 1 || iteration === this.iterations || iteration % this.#perEpoch === 0;
  }

  /** One iteration: a batch, its gradients, an update of every parameter. */
  #step(): void {
    const start = performance.now();
    const { xTrain, yTrain } = this.#data;
    const { updateRule, batchSize, augment, schedule, lrDecay } = this.#options;
    const { x, y } = this.#batch;
    const picks = this.#random.choice(xTrain.shape[0], batchSize);
    gather(xTrain, picks, x.data);
    for (let i = 0; i < batchSize; i++) y[i] = yTrain[picks[i]];
    augment?.(x, this.#random);

    const { params } = this.model;
    const { loss, grads } = this.model.loss(x, y);
    const factor = schedule?.(this.#iteration / this.iterations);
    const epochEnds = (this.#iteration + 1) % this.#perEpoch === 0;
    for (const name of Object.keys(params)) {
      const config = this.#optimConfigs[name], rate = config.learningRate;
      if (factor !== undefined) config.learningRate = rate! * factor;
      const { nextW, config: next } = updateRule.step(params[name], grads[name], config);
      if (factor !== undefined) next.learningRate = rate;
      if (epochEnds && next.learningRate !== undefined) next.learningRate *= lrDecay;
      params[name] = nextW;
      this.#optimConfigs[name] = next;
    }
    this.lossHistory.push(loss);
    this.#iteration++;
    this.#checkPending = this.#isCheckPoint(this.#iteration);
    this.#clock.iterations++;
    this.#clock.iterationSeconds += (performance.now() - start) / 1000;
  }

  /** Both accuracies, and the best parameters if these are they. */
  *#measure(): Generator<void> {
    const start = performance.now();
    const { xTrain, yTrain, xVal, yVal } = this.#data;
    const { numTrainSamples, numValSamples } = this.#options;
    this.#beforeCheck = this.#random.getState();
    this.#trainAcc = yield* this.#accuracy(xTrain, yTrain, numTrainSamples, CHECK_BATCH);
    this.#valAcc = yield* this.#accuracy(xVal, yVal, numValSamples, CHECK_BATCH);
    this.#beforeCheck = undefined;
    if (this.#valAcc > this.bestValAcc || this.bestParams === undefined) {
      this.bestValAcc = this.#valAcc;
      this.bestParams = copyOf(this.model.params);
      // Batch-normalisation's running statistics belong to the parameters that they were seen with.
      this.#bestModelState = this.model.getState?.() ?? null;
    }
    this.#clock.checks++;
    this.#clock.checkSeconds += (performance.now() - start) / 1000;
  }

  *#accuracy(
    x: Tensor,
    y: Labels,
    numSamples: number | null,
    batchSize: number,
  ): Generator<void, number> {
    const [N, ...example] = x.shape;
    const picks = numSamples !== null && N > numSamples
      ? this.#random.choice(N, numSamples)
      : Int32Array.from({ length: N }, (_, i) => i);
    const count = picks.length, size = sizeOf(example);
    const batch = this.#zeros([Math.min(batchSize, count), ...example]);
    let correct = 0;
    for (let start = 0; start < count; start += batchSize) {
      const batchPicks = picks.subarray(start, start + batchSize), n = batchPicks.length;
      gather(x, batchPicks, batch.data);
      const part = { data: batch.data.subarray(0, n * size) as A, shape: [n, ...example] };
      const scores = this.model.loss(part);
      for (let i = 0; i < n; i++) {
        if (highest(scores, i) === y[batchPicks[i]]) correct++;
      }
      yield;
    }
    return correct / count;
  }

  #progress(): Progress {
    const { iterations, iterationSeconds, checks, checkSeconds } = this.#clock;
    const left = this.iterations - this.#iteration;
    const checksLeft = Math.ceil(left / this.#perEpoch);
    const perIteration = iterationSeconds / Math.max(iterations, 1);
    return {
      iteration: this.#iteration,
      iterations: this.iterations,
      epoch: this.epoch,
      epochs: this.#options.numEpochs,
      loss: this.lossHistory.at(-1) ?? NaN,
      trainAcc: this.#trainAcc,
      valAcc: this.#valAcc,
      imagesPerSecond: perIteration > 0 ? this.#options.batchSize / perIteration : 0,
      secondsLeft: left * perIteration + checksLeft * checkSeconds / Math.max(checks, 1),
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

  /** Gives the model the best parameters, and remembers where the training stands. */
  #park(): void {
    if (this.bestParams === undefined) return;
    this.#parked = this.#standing();
    const { random } = this.#parked;
    const modelState = this.#bestModelState;
    this.#restore({ params: copyOf(this.bestParams), modelState, random });
  }

  #unpark(): void {
    if (this.#parked !== undefined) this.#restore(this.#parked);
    this.#parked = undefined;
  }

  /** Zeros of the model's dtype. */
  #zeros(shape: readonly number[]): Tensor<A> {
    const [first] = Object.values(this.model.params);
    return zerosLike(first, shape);
  }

  #checkFits(checkpoint: unknown): asserts checkpoint is Checkpoint {
    const own = this.checkpoint();
    checkOptions("checkpoint", checkpoint, Object.keys(own));
    const { params, updateRule } = checkpoint;
    checkType(isObject(params), "checkpoint", "have params", checkpoint);
    checkTensorsLike("checkpoint.params", params, this.model.params, "the model's");
    if (updateRule !== own.updateRule) {
      throw new TypeError(
        `checkpoint must be of the update rule ${own.updateRule}: it is of ${updateRule}`,
      );
    }
    for (const name of ["batchSize", "numTrain"] as const) {
      if (checkpoint[name] === own[name]) continue;
      throw new RangeError(
        `checkpoint must be of ${name} ${own[name]}: it is of ${name} ${checkpoint[name]}`,
      );
    }
  }
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

/** Copies the examples that are picked into a batch; types are converted. */
function gather({ data, shape: [N] }: Tensor, picks: Int32Array, to: FloatArray): void {
  const size = data.length / N;
  for (const [i, pick] of picks.entries()) {
    to.set(data.subarray(pick * size, (pick + 1) * size), i * size);
  }
}

/** The column of a row's first maximum; a NaN wins, as in numpy's argmax. */
function highest({ data, shape: [, classes] }: Tensor, row: number): number {
  let best = 0;
  for (let c = 1; c < classes; c++) {
    const value = data[row * classes + c], max = data[row * classes + best];
    if (value > max || (value !== value && max === max)) best = c;
  }
  return best;
}

/** An update rule and its name in our spelling: "sgdMomentum" for the course's "sgd_momentum". */
interface NamedRule {
  readonly name: string;
  readonly step: UpdateRule;
}

function readRule(option: string, value: unknown = "sgd"): NamedRule {
  if (typeof value === "function") return { name: value.name, step: value as UpdateRule };
  const name = typeof value === "string"
    ? value.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())
    : "";
  const known = Object.keys(updateRules);
  checkType(known.includes(name), option, `be one of ${known.join(", ")}, or a function`, value);
  return { name, step: updateRules[name as UpdateRuleName] };
}

/** Checks a number of examples, null for all. */
function checkSamples(name: string, value: unknown): asserts value is number | null {
  if (value !== null) checkWhole(name, value, 1);
}

function checkConfig(name: string, value: unknown): asserts value is OptimConfig {
  checkType(isObject(value), name, "be an object", value);
}

function checkSignal(name: string, value: unknown): asserts value is AbortSignal {
  checkType(value instanceof AbortSignal, name, "be an AbortSignal", value);
}

/** The options of a solver. */
const SETTINGS = {
  updateRule: readRule,
  optimConfig: option(checkConfig, {} as OptimConfig),
  lrDecay: option(within(0), 1),
  schedule: option(checkFunction<Schedule>),
  batchSize: option(whole(1), 100),
  numEpochs: option(whole(1), 10),
  numTrainSamples: option(checkSamples, 1000),
  numValSamples: option(checkSamples, null),
  printEvery: option(whole(1), 10),
  verbose: option(checkBoolean, true),
  patience: option(whole(1)),
  augment: option(checkFunction<Augment>),
  seed: option(whole(0)),
  random: option(checkRandom),
};

/** The options of a training. */
const TRAIN = {
  signal: option(checkSignal),
  onProgress: option(checkFunction<NonNullable<TrainOptions["onProgress"]>>),
  onCheckpoint: option(checkFunction<NonNullable<TrainOptions["onCheckpoint"]>>),
  checkpointEvery: option(whole(1), 1),
};

function checkModel(model: unknown): asserts model is Model {
  const { params, loss } = (model ?? {}) as Partial<Model>;
  const isModel = isObject(params) && typeof loss === "function";
  checkType(isModel, "model", "have params and loss", model);
  for (const [name, value] of Object.entries(params)) checkTensor(`model.params.${name}`, value);
  if (Object.keys(params).length === 0) throw new TypeError("model.params must not be empty");
}

function checkExamples(xName: string, x: unknown, yName: string, y: unknown): void {
  checkBatch(xName, x);
  checkNonEmpty(xName, x.shape, 0);
  checkLabels(yName, y, x.shape[0]);
}

function checkData(data: unknown): asserts data is SolverData {
  checkType(isObject(data), "data", "have xTrain, yTrain, xVal and yVal", data);
  const { xTrain, yTrain, xVal, yVal } = data as Partial<SolverData>;
  checkExamples("xTrain", xTrain, "yTrain", yTrain);
  checkExamples("xVal", xVal, "yVal", yVal);
  const [train, val] = [xTrain, xVal].map((x) => x!.shape);
  if (show(train.slice(1)) !== show(val.slice(1))) {
    throw new RangeError(
      `xTrain and xVal must have examples of one shape: they have shapes ${show(train)} and ${
        show(val)
      }`,
    );
  }
}
