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
import { checkGroups, type ParamGroup, type ParamNames } from "./param_groups.ts";
import { checkRandom, type RandomState } from "../random/random_state.ts";
import type { Schedule } from "./schedules.ts";
import type { Tensor } from "../tensor.ts";
import { checkConfig, readRule } from "./update.ts";

/**
 * What a solver trains on, and what it measures by: tensors, bytes ({@linkcode ByteTensor}), or
 * {@linkcode Examples} that are read batch by batch. All number types go with any model: a batch is
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
  /** The update rule: a name, in the course's spelling too, or a function. "sgd" if left out. */
  readonly updateRule?: UpdateRuleName | CourseRuleName | UpdateRule;
  /** The update rule's settings, learningRate among them. */
  readonly optimConfig?: OptimConfig;
  /** Other settings for some parameters, such as no weight decay for biases. None if left out. */
  readonly paramGroups?: readonly ParamGroup[];
  /** The parameters that stay as they are: names, or expressions that match them. None if left out. */
  readonly frozen?: ParamNames;
  /** Changes the gradients before each update, for example {@linkcode clipGlobalNorm}. */
  readonly transformGradients?: TransformGradients;
  /**
   * An average of the parameters, for example {@linkcode exponentialAverage}: accuracies are measured
   * with it, and the model has it in the end. None if left out.
   */
  readonly average?: Average;
  /** What the learning rate is multiplied by after each epoch. 1 if left out. */
  readonly lrDecay?: number;
  /** What the learning rate is multiplied by besides, by how far the training is. 1 if left out. */
  readonly schedule?: Schedule;
  /** Examples in a batch. 100 if left out. */
  readonly batchSize?: number;
  /**
   * Batches whose gradients are averaged for one update: a large batch that need not be in memory at
   * once. Batch normalisation sees each on its own. 1 if left out.
   */
  readonly accumulate?: number;
  /**
   * Whether an epoch shows every example once, in random order, but for those that fill no batch. If
   * not, batches are drawn with replacement, as in the course. False if left out.
   */
  readonly shuffle?: boolean;
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
  /**
   * Whether the model has in the end the parameters that were best on the validation set. True if left
   * out; if false, it has the last ones.
   */
  readonly restoreBest?: boolean;
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

/**
 * How a training ended: all iterations done, stopped by its signal, out of patience, or with a loss that
 * is NaN or infinite.
 */
export type TrainEnd = "done" | "stopped" | "patience" | "diverged";

/** What a training reached. */
export interface TrainResult extends Progress {
  /** How it ended. */
  readonly end: TrainEnd;
  /** What happened and may help, if it diverged; undefined otherwise. */
  readonly hint?: string;
}

/** How a training is watched and stopped. */
export interface TrainOptions {
  /**
   * Ends the training after the iteration that it is aborted in. The result has the accuracies reached,
   * but they are no candidate for the best: a training that goes on is the one that was never stopped.
   */
  readonly signal?: AbortSignal;
  /** Called after every iteration. */
  readonly onProgress?: (progress: Progress) => void;
  /** Called with a checkpoint every few epochs; trainAsync waits for what it returns. */
  readonly onCheckpoint?: (checkpoint: Checkpoint) => void | Promise<void>;
  /** Epochs between checkpoints. 1 if left out. */
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
  shuffle: option(checkBoolean, false),
  numEpochs: option(whole(1), 10),
  numTrainSamples: option(checkSamples, 1000),
  numValSamples: option(checkSamples, null),
  printEvery: option(whole(1), 10),
  verbose: option(checkBoolean, true),
  restoreBest: option(checkBoolean, true),
  patience: option(whole(1)),
  augment: option(checkFunction<Augment>),
  seed: option(whole(0)),
  random: option(checkRandom),
};

/** The options of a training. */
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
