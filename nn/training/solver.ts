/**
 * The solver: trains a model on data, keeps what was best, and can be watched, stopped and resumed.
 *
 * Source: cs231n/solver.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import { checkWhole } from "../../kernels/check.ts";
import { ArgumentTypeError } from "../../kernels/errors.ts";
import { readOptions } from "../checks.ts";
import type { ExampleSource } from "../data/examples.ts";
import type { Labels, Model } from "../model.ts";
import { checkOneSource, RandomState } from "../random/random_state.ts";
import type { FloatArray, Tensor } from "../tensor.ts";
import { accuracyOf, CHECK_BATCH, drawExamples } from "./accuracy.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { TrainedModel } from "./snapshot.ts";
import {
  checkData,
  checkExamples,
  checkModel,
  checkSamples,
  SETTINGS,
  type SolverData,
  type SolverOptions,
  type TrainOptions,
  type TrainResult,
} from "./solver_options.ts";
import { Training } from "./training.ts";

/** How long trainAsync keeps the event loop waiting, if an iteration does not take longer. */
const TURN_MILLISECONDS = 50;

/**
 * Trains a model by stochastic gradient descent: draws batches with replacement, updates the
 * parameters, measures accuracies before the second iteration and after every epoch, and at the end
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
  /**
   * The norm of all gradients together in each iteration, before transformGradients; NaN where it was not
   * recorded, or the loss was not finite. Empty unless the option `recordUpdates` asks for it.
   */
  gradNormHistory: number[] = [];
  /**
   * The learning rate of each iteration, that of the first parameter that learns; NaN where it was not
   * recorded, or the loss was not finite. Empty unless the option `recordUpdates` asks for it.
   */
  learningRateHistory: number[] = [];
  /** The best validation accuracy so far. */
  bestValAcc = 0;
  /** A copy of the parameters that had it; undefined before the first was measured. */
  bestParams: Record<string, Tensor<A>> | undefined;
  /** Iterations in all. */
  readonly iterations: number;

  readonly #random: RandomState;
  readonly #training: Training<A>;

  /**
   * A solver at its start.
   *
   * @param model What is trained.
   * @param data What it is trained on, and measured by.
   * @param options How it is trained.
   * @throws {TypeError} If a type is wrong, or an option unknown.
   * @throws {RangeError} If sizes do not fit each other, or a number is out of range.
   */
  constructor(model: Model<A>, data: SolverData<ExampleSource>, options: SolverOptions = {}) {
    checkModel(model);
    checkData(data);
    const settings = readOptions("options", options, SETTINGS);
    const { optimConfig, schedule, seed, random } = settings;
    if (schedule !== undefined && optimConfig.learningRate === undefined) {
      throw new ArgumentTypeError(
        "optimConfig must have a learningRate for the schedule to multiply",
      );
    }
    checkOneSource("options", seed, random);
    this.model = model;
    this.#random = random ?? new RandomState(seed ?? 0);
    const trained = new TrainedModel(model, this.#random);
    this.#training = new Training(trained, data, settings, this);
    this.iterations = this.#training.iterations.count;
  }

  /** Iterations done. */
  get iteration(): number {
    return this.#training.iteration;
  }

  /** Epochs done. */
  get epoch(): number {
    return this.#training.epoch;
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
    return finish(this.#training.run(options));
  }

  /**
   * {@linkcode Solver.train} with pauses in which a page or a server does its other work: after every
   * 50 ms, or every iteration if one takes longer. The values are the same.
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
    const run = this.#training.run(options);
    let turn = performance.now();
    try {
      for (;;) {
        const { done, value } = run.next();
        if (done) return value;
        await value;
        if (performance.now() - turn < TURN_MILLISECONDS) continue;
        await nextTurn();
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
   * @param x Examples, (N, ...), in memory, as bytes too, or read batch by batch.
   * @param y Their labels.
   * @param numSamples Measures on this many, drawn at random with replacement. Default: all, also for null.
   * @param batchSize How many are put through the model at a time.
   * @returns A number from 0 to 1.
   * @throws {TypeError} If a type is wrong.
   * @throws {RangeError} If there are no examples, or not as many labels.
   */
  checkAccuracy(
    x: ExampleSource,
    y: Labels,
    numSamples: number | null = null,
    batchSize = CHECK_BATCH,
  ): number {
    checkExamples("x", x, "y", y);
    checkSamples("numSamples", numSamples);
    checkWhole("batchSize", batchSize, 1);
    const picks = drawExamples(x, numSamples, this.#random);
    return finish(accuracyOf(this.model, x, y, picks, batchSize));
  }

  /**
   * Where the training run stands: a copy, plain data. May be called at any time, also from onProgress,
   * and between two turns of trainAsync.
   *
   * @returns The checkpoint, for {@linkcode Solver.resume} or {@linkcode encodeCheckpoint}.
   */
  checkpoint(): Checkpoint {
    return this.#training.checkpoint();
  }

  /**
   * Continues where a checkpoint was taken: with the same model, data and options, train then gives bit
   * for bit what a training run gives that was never interrupted. If it is refused, nothing has changed.
   *
   * @param checkpoint What {@linkcode Solver.checkpoint} returned.
   * @throws {TypeError} If it is not a checkpoint, that of another model or update rule, the update rule is a
   * function without a name of its own, or the solver is training.
   * @throws {RangeError} If it is that of another batch size, or another number of examples, or a number
   * in it is out of range.
   */
  resume(checkpoint: Checkpoint): void {
    this.#training.resume(checkpoint);
  }
}

/**
 * Lets the event loop go on. Browsers hold nested timers back for 4 ms, in which a page may draw a frame;
 * a worker has none to draw, and sends itself a message.
 */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (!("WorkerGlobalScope" in globalThis)) {
      setTimeout(resolve);
      return;
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

/** Runs what can be paused to its end. */
function finish<T>(run: Generator<unknown, T>): T {
  let step = run.next();
  while (!step.done) step = run.next();
  return step.value;
}
