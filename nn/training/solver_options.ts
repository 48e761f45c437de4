/**
 * What a solver is told, and what it tells: data, options, progress and result, with their checks.
 *
 * @module
 */

import { checkTensor, checkType, checkWhole, isObject } from "../../kernels/check.ts";
import { ArgumentRangeError, ArgumentTypeError } from "../../kernels/errors.ts";
import { show } from "../../kernels/tensor.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { checkBoolean, checkFunction, option, unchecked, whole, within } from "../checks.ts";
import { checkSource, type ExampleSource } from "../data/examples.ts";
import { checkLabels } from "../layers/loss.ts";
import type { Labels, Model } from "../model.ts";
import type { Average } from "./averages.ts";
import type { CourseRuleName, OptimConfig, UpdateRule, UpdateRuleName } from "./optim.ts";
import type { Parallel } from "./parallel.ts";
import { checkGroups, type ParamGroup, type ParamNames } from "./param_groups.ts";
import { checkRandom, type RandomState } from "../random/random_state.ts";
import type { Schedule } from "./schedules.ts";
import type { Tensor } from "../tensor.ts";
import { checkConfig, readRule } from "./update.ts";

/**
 * What a solver trains on, and what it measures by: tensors, bytes ({@linkcode ByteTensor}), or
 * {@linkcode Examples} that are read batch by batch. All data types go with any model: a batch is
 * converted.
 */
export interface SolverData<X extends ExampleSource = Tensor> {
  /** Examples to train on, (N, ...). */
  readonly xTrain: X;
  /** Their labels. */
  readonly yTrain: Labels;
  /** Examples to validate on, (M, ...). */
  readonly xVal: X;
  /** Their labels. */
  readonly yVal: Labels;
}

/** What a batch is of. */
export interface BatchInfo {
  /** The labels. */
  readonly y: Int32Array;
  /** Which of the examples to train on they belong to. */
  readonly picks: Int32Array;
  /** Epochs done. */
  readonly epoch: number;
}

/**
 * Changes a batch (N, ...) in place before the model sees it. What mixes examples returns the
 * probabilities of the classes, (N, classes), in place of the labels.
 */
export type Augment = (x: Tensor, random: RandomState, batch: BatchInfo) => void | Tensor;

/** Gradients by the names of their parameters; frozen ones are not among them. */
export type TransformGradients = (grads: Readonly<Record<string, Tensor>>) => void;

/** How a {@linkcode Solver} trains: the course's keyword arguments, and a few more. */
export interface SolverOptions {
  /** The update rule: a name, in the course's spelling too, or a function. Default: "sgd". */
  readonly updateRule?: UpdateRuleName | CourseRuleName | UpdateRule;
  /** The update rule's settings, learningRate among them. */
  readonly optimConfig?: OptimConfig;
  /** Other settings for some parameters, such as no weight decay for biases. Default: none. */
  readonly paramGroups?: readonly ParamGroup[];
  /** The parameters that stay as they are: names, or expressions that match them. Default: none. */
  readonly frozen?: ParamNames;
  /** Changes the gradients before each update, for example {@linkcode clipGlobalNorm}. */
  readonly transformGradients?: TransformGradients;
  /**
   * An average of the parameters, for example {@linkcode exponentialAverage}: accuracies are measured
   * with it, and the model ends with it. Default: none.
   */
  readonly average?: Average;
  /** What the learning rate is multiplied by after each epoch. Default: 1. */
  readonly lrDecay?: number;
  /** A factor of the learning rate that depends on the progress of the training run. Default: 1. */
  readonly schedule?: Schedule;
  /** Examples in a batch. Default: 100. */
  readonly batchSize?: number;
  /**
   * Batches whose gradients are averaged for one update: a large batch that need not be in memory at
   * once. Batch normalization sees each on its own, and keeps the mean of their running statistics.
   * Default: 1.
   */
  readonly accumulate?: number;
  /**
   * Whether batch normalization has the statistics of all batches of an update together, as if they were
   * one; a {@linkcode Net} can do that. The batches are in memory at once then. Default: false.
   */
  readonly synchronizeBatchnorm?: boolean;
  /**
   * The processes that train together, each with its share of the batches of every update: the result
   * has the same bits for any number of them, up to `accumulate`. Rank 0's parameters, and where it
   * stands, are everyone's at the start; it alone prints and calls onProgress and onCheckpoint. Default: this
   * process alone.
   */
  readonly parallel?: Parallel;
  /**
   * Whether an epoch shows every example once, in random order, but for those that fill no batch. If
   * not, batches are drawn with replacement, as in the course. Default: false.
   */
  readonly shuffle?: boolean;
  /** Passes over the training examples: as many examples are drawn. Default: 10. */
  readonly numEpochs?: number;
  /** Examples on which the training accuracy is measured. Default: 1,000; null for all. */
  readonly numTrainSamples?: number | null;
  /** Examples on which the validation accuracy is measured. Default: all, also for null. */
  readonly numValSamples?: number | null;
  /**
   * Whether the norm of the gradients and the learning rate of each iteration are recorded, in
   * {@linkcode Solver.gradNormHistory} and {@linkcode Solver.learningRateHistory}. A training run that is
   * resumed from a checkpoint with these goes on recording them. Default: false.
   */
  readonly recordUpdates?: boolean;
  /** Iterations from one printed line to the next. Default: 10. */
  readonly printEvery?: number;
  /** Whether lines are printed at all. Default: true. */
  readonly verbose?: boolean;
  /**
   * Whether the model ends with the parameters that were best on the validation set; if false, with the
   * last ones. Default: true.
   */
  readonly restoreBest?: boolean;
  /** Stops after this many epochs without a better validation accuracy. Default: never. */
  readonly patience?: number;
  /** Changes each batch, for example {@linkcode cropAndMirror}. */
  readonly augment?: Augment;
  /** Seeds the draw of batches. Default: 0. */
  readonly seed?: number;
  /** The random numbers themselves, in place of a seed: the course has one stream for all. */
  readonly random?: RandomState;
}

/** The progress of a training run. */
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
  /** How long the rest takes if it continues like this. */
  readonly secondsLeft: number;
}

/**
 * How a training run ended: all iterations done, stopped by its signal, out of patience, or with a loss that
 * is NaN or infinite.
 */
export type TrainEnd = "done" | "stopped" | "patience" | "diverged";

/** What a training run reached. */
export interface TrainResult extends Progress {
  /** How it ended. */
  readonly end: TrainEnd;
  /** What happened and may help, if it diverged; undefined otherwise. */
  readonly hint?: string;
}

/** How a training run is watched and stopped. */
export interface TrainOptions {
  /**
   * Ends the training run after the iteration that it is aborted in. The result has the accuracies reached,
   * but they are no candidate for the best: a training run that continues is the one that was never stopped.
   */
  readonly signal?: AbortSignal;
  /** Called after every iteration; trainAsync waits for what it returns, if that is a promise. */
  readonly onProgress?: (progress: Progress) => void;
  /** Called with a checkpoint every few epochs; trainAsync waits for what it returns. */
  readonly onCheckpoint?: (checkpoint: Checkpoint) => void | Promise<void>;
  /** Epochs between checkpoints. Default: 1. */
  readonly checkpointEvery?: number;
}

/** Checks a number of examples, null for all. */
export function checkSamples(name: string, value: unknown): asserts value is number | null {
  if (value !== null) checkWhole(name, value, 1);
}

function checkSignal(name: string, value: unknown): asserts value is AbortSignal {
  checkType(value instanceof AbortSignal, name, "be an AbortSignal", value);
}

function checkAverage(name: string, value: unknown): asserts value is Average {
  const isAverage = isObject(value) && "start" in value && "follow" in value;
  checkType(isAverage, name, "have start and follow", value);
}

function checkParallel(name: string, value: unknown): asserts value is Parallel {
  const isParallel = isObject(value) && "rank" in value && "size" in value && "sums" in value;
  checkType(isParallel, name, "have rank, size, share, gather and sums", value);
}

/** The options of a solver. */
export const SETTINGS = {
  updateRule: readRule,
  optimConfig: option(checkConfig, {} as OptimConfig),
  paramGroups: option(checkGroups, [] as readonly ParamGroup[]),
  frozen: unchecked<ParamNames | undefined>,
  transformGradients: option(checkFunction<TransformGradients>),
  average: option(checkAverage),
  lrDecay: option(within(0), 1),
  schedule: option(checkFunction<Schedule>),
  batchSize: option(whole(1), 100),
  accumulate: option(whole(1), 1),
  synchronizeBatchnorm: option(checkBoolean, false),
  parallel: option(checkParallel),
  shuffle: option(checkBoolean, false),
  numEpochs: option(whole(1), 10),
  numTrainSamples: option(checkSamples, 1000),
  numValSamples: option(checkSamples, null),
  recordUpdates: option(checkBoolean, false),
  printEvery: option(whole(1), 10),
  verbose: option(checkBoolean, true),
  restoreBest: option(checkBoolean, true),
  patience: option(whole(1)),
  augment: option(checkFunction<Augment>),
  seed: option(whole(0)),
  random: option(checkRandom),
};

/** The options of a training run. */
export const TRAIN = {
  signal: option(checkSignal),
  onProgress: option(checkFunction<NonNullable<TrainOptions["onProgress"]>>),
  onCheckpoint: option(checkFunction<NonNullable<TrainOptions["onCheckpoint"]>>),
  checkpointEvery: option(whole(1), 1),
};

export function checkModel(model: unknown): asserts model is Model {
  const { params, loss } = (model ?? {}) as Partial<Model>;
  const isModel = isObject(params) && typeof loss === "function";
  checkType(isModel, "model", "have params and loss", model);
  for (const [name, value] of Object.entries(params)) checkTensor(`model.params.${name}`, value);
  if (Object.keys(params).length === 0) {
    throw new ArgumentTypeError("model.params must not be empty");
  }
}

export function checkExamples(xName: string, x: unknown, yName: string, y: unknown): void {
  checkSource(xName, x);
  checkLabels(yName, y, x.shape[0]);
}

/** Data of either kind. */
export type AnyData = SolverData<ExampleSource>;

export function checkData(data: unknown): asserts data is AnyData {
  checkType(isObject(data), "data", "have xTrain, yTrain, xVal and yVal", data);
  const { xTrain, yTrain, xVal, yVal } = data as Partial<AnyData>;
  checkExamples("xTrain", xTrain, "yTrain", yTrain);
  checkExamples("xVal", xVal, "yVal", yVal);
  const [train, val] = [xTrain, xVal].map((x) => x!.shape);
  if (show(train.slice(1)) !== show(val.slice(1))) {
    throw new ArgumentRangeError(
      `xTrain and xVal must have examples of one shape: they have shapes ${show(train)} and ${
        show(val)
      }`,
    );
  }
}
