/**
 * A training run as plain data, and the checks before another training run continues from it.
 *
 * @module
 */

import { checkNumber, checkType, isObject } from "../../kernels/check.ts";
import { ArgumentRangeError, ArgumentTypeError } from "../../kernels/errors.ts";
import type { Tensor } from "../../kernels/tensor.ts";
import {
  checkBoolean,
  checkKeys,
  checkTensorsLike,
  option,
  required,
  whole,
  within,
} from "../checks.ts";
import type { AverageState } from "./averages.ts";
import type { Model, ModelState } from "../model.ts";
import type { OptimConfig } from "./optim.ts";
import type { RandomStateData } from "../random/random_state.ts";
import type { SolverRule } from "./update.ts";

/** Where a training run stands: all that a resumed one needs to give the losses of an uninterrupted one. */
export interface Checkpoint {
  /** Iterations done. */
  readonly iteration: number;
  /** Whether the accuracies that belong to this iteration are still to be computed. */
  readonly checkPending: boolean;
  /** Name of the update rule. */
  readonly updateRule: string;
  /** Examples that an update is made from. */
  readonly batchSize: number;
  /** Examples to train on. */
  readonly numTrain: number;
  /** The parameters. */
  readonly params: Readonly<Record<string, Tensor>>;
  /** The update rule's settings and memory of each parameter. */
  readonly optimConfigs: Readonly<Record<string, OptimConfig>>;
  /** Where the solver's random numbers stand. */
  readonly random: RandomStateData;
  /** What the model carries beside its parameters; null if nothing. */
  readonly modelState: ModelState | null;
  /** The loss of each iteration. */
  readonly lossHistory: readonly number[];
  /** The training accuracy of the first iteration and of each epoch. */
  readonly trainAccHistory: readonly number[];
  /** The validation accuracy of the first iteration and of each epoch. */
  readonly valAccHistory: readonly number[];
  /** The best validation accuracy. */
  readonly bestValAcc: number;
  /** The parameters that had it; null before the first was computed. */
  readonly bestParams: Readonly<Record<string, Tensor>> | null;
  /** What the model carried then beside its parameters; null if nothing. */
  readonly bestModelState: ModelState | null;
  /** What the order of the present epoch's examples is made from; null or left out if they are not shuffled. */
  readonly shuffleSeed?: number | null;
  /** The averages of the parameters; null or left out if there are none. */
  readonly averages?: AverageState | null;
  /** The norm of all gradients in each iteration; null or left out if it is not recorded. */
  readonly gradNormHistory?: readonly number[] | null;
  /** The learning rate of each iteration; null or left out if it is not recorded. */
  readonly learningRateHistory?: readonly number[] | null;
}

/** What a checkpoint must fit. */
export interface CheckpointOwner {
  /** The model that is trained. */
  readonly model: Model;
  /** Its update rule. */
  readonly updateRule: SolverRule;
  /** Examples that an update is made from. */
  readonly batchSize: number;
  /** Examples to train on. */
  readonly numTrain: number;
  /** Whether it shuffles its examples. */
  readonly shuffles: boolean;
  /** Whether it averages its parameters. */
  readonly averages: boolean;
}

/**
 * Checks that a training run can continue from a checkpoint. What the model and the random numbers must
 * judge themselves, their states, is left to them.
 *
 * @param value The value to check.
 * @param owner What is to continue.
 * @throws {TypeError} If it is not a checkpoint, or that of another model or update rule.
 * @throws {RangeError} If it is that of another batch size or number of examples, or a number is out of
 * range.
 */
export function checkCheckpoint(
  value: unknown,
  owner: CheckpointOwner,
): asserts value is Checkpoint {
  const { model, updateRule, batchSize, numTrain } = owner;
  const name = "checkpoint";
  checkKeys(name, isObject(value) ? { ...LATER_PARTS, ...value } : value, Object.keys(PARTS));
  const checkpoint: Checkpoint = { ...LATER_PARTS, ...value as unknown as Checkpoint };
  checkTensorsLike(`${name}.params`, checkpoint.params, model.params, "the model's");
  const parts = checkpoint as unknown as Record<string, unknown>;
  for (const [key, read] of Object.entries(PARTS)) read(`${name}.${key}`, parts[key]);
  checkRuleName(checkpoint.updateRule, updateRule.name);
  for (const [key, own] of Object.entries({ batchSize, numTrain })) {
    if (parts[key] === own) continue;
    throw new ArgumentRangeError(`${name} must be of ${key} ${own}: it is of ${key} ${parts[key]}`);
  }
  const { iteration, lossHistory, trainAccHistory, valAccHistory } = checkpoint;
  checkLength("lossHistory", lossHistory, iteration);
  checkLength("valAccHistory", valAccHistory, trainAccHistory.length);
  for (const key of ["gradNormHistory", "learningRateHistory"] as const) {
    const history = checkpoint[key];
    if (history != null) checkLength(key, history, iteration);
  }

  checkKeys(`${name}.optimConfigs`, checkpoint.optimConfigs, Object.keys(model.params));
  updateRule.check(checkpoint.params, checkpoint.optimConfigs, `${name}.optimConfigs`);

  const { bestParams, modelState, bestModelState } = checkpoint;
  if (bestParams !== null) {
    checkTensorsLike(`${name}.bestParams`, bestParams, model.params, "the model's");
  }
  const hasState = model.getState !== undefined;
  checkState("modelState", modelState, hasState);
  checkState("bestModelState", bestModelState, hasState && bestParams !== null);
  checkLater(checkpoint, owner);
}

/** The parts that a solver with its options must find, or must not: before the first iteration there are none. */
function checkLater(
  { iteration, shuffleSeed, averages }: Checkpoint,
  { model, shuffles, averages: averaged }: CheckpointOwner,
): void {
  const started = iteration > 0;
  const has = (key: string, value: unknown, expected: boolean) => {
    const right = (value !== null) === (expected && started);
    checkType(
      right,
      `checkpoint.${key}`,
      "be there if, and only if, the solver's option asks",
      value,
    );
  };
  has("shuffleSeed", shuffleSeed, shuffles);
  has("averages", averages, averaged);
  if (averages === null) return;
  checkKeys("checkpoint.averages", averages, ["params", "statistics"]);
  const { params, statistics } = averages as AverageState;
  checkTensorsLike("checkpoint.averages.params", params, model.params, "the model's");
  const own = model.getState?.().statistics ?? {};
  checkTensorsLike("checkpoint.averages.statistics", statistics, own, "the model's");
}

/** Names tell update rules from one another; those without one of their own may be any. */
function checkRuleName(found: string, own: string): void {
  if (own === "") {
    throw new ArgumentTypeError(
      "updateRule must be a function with a name of its own where a checkpoint is resumed, " +
        "which names it too: it has none",
    );
  }
  if (found !== own) {
    throw new ArgumentTypeError(
      `checkpoint must be of the update rule ${own}: it is of ${found || "one without a name"}`,
    );
  }
}

function checkLength(key: string, { length }: readonly number[], expected: number): void {
  if (length === expected) return;
  throw new ArgumentRangeError(
    `checkpoint.${key} must hold ${expected} values: it holds ${length}`,
  );
}

function checkState(key: string, value: unknown, expected: boolean): void {
  const right = expected ? isObject(value) : value === null;
  checkType(right, `checkpoint.${key}`, expected ? "be the model's state" : "be null", value);
}

function checkString(name: string, value: unknown): asserts value is string {
  checkType(typeof value === "string", name, "be a string", value);
}

function checkNumbers(name: string, value: unknown): asserts value is readonly number[] {
  checkType(Array.isArray(value), name, "be an array of numbers", value);
  for (const [i, number] of value.entries()) checkNumber(`${name}[${i}]`, number);
}

function readHistory(name: string, value: unknown): void {
  if (value !== null) checkNumbers(name, value);
}

/** Parts that checkpoints of earlier versions do not have, and their defaults. */
const LATER_PARTS = {
  shuffleSeed: null,
  averages: null,
  gradNormHistory: null,
  learningRateHistory: null,
};

/** The parts of a checkpoint, with the checks that each allows by itself. */
const PARTS = {
  iteration: required(whole(0)),
  checkPending: required(checkBoolean),
  updateRule: required(checkString),
  batchSize: required(whole(1)),
  numTrain: required(whole(1)),
  params: () => {},
  optimConfigs: () => {},
  random: () => {},
  modelState: () => {},
  lossHistory: required(checkNumbers),
  trainAccHistory: required(checkNumbers),
  valAccHistory: required(checkNumbers),
  bestValAcc: required(within(0, 1)),
  bestParams: () => {},
  bestModelState: () => {},
  shuffleSeed: option(whole(0), null),
  averages: () => {},
  gradNormHistory: readHistory,
  learningRateHistory: readHistory,
};
