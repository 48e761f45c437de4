/**
 * What a solver is told, and what it tells: data, options, progress and result, with their checks.
 *
 * @module
 */

import {
  checkNonEmpty,
  checkTensor,
  checkType,
  checkWhole,
  isObject,
} from "../../kernels/check.ts";
import { show } from "../../kernels/tensor.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { checkBatch, checkBoolean, checkFunction, option, whole, within } from "../checks.ts";
import { checkLabels } from "../layers/loss.ts";
import type { Labels, Model } from "../model.ts";
import type { OptimConfig, UpdateRule, UpdateRuleName } from "./optim.ts";
import { checkRandom, type RandomState } from "../random/random_state.ts";
import type { Schedule } from "./schedules.ts";
import type { Tensor } from "../tensor.ts";
import { checkConfig, readRule } from "./update.ts";

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

/** The options of a solver. */
export const SETTINGS = {
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
  if (Object.keys(params).length === 0) throw new TypeError("model.params must not be empty");
}

export function checkExamples(xName: string, x: unknown, yName: string, y: unknown): void {
  checkBatch(xName, x);
  checkNonEmpty(xName, x.shape, 0);
  checkLabels(yName, y, x.shape[0]);
}

export function checkData(data: unknown): asserts data is SolverData {
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
