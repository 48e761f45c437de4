/**
 * A training as plain data, and the checks before another training continues from it.
 *
 * @module
 */

import { checkNumber, checkType, isObject } from "../../kernels/check.ts";
import type { Tensor } from "../../kernels/tensor.ts";
import { checkBoolean, checkKeys, checkTensorsLike, required, whole, within } from "../checks.ts";
import type { Model, ModelState } from "../model.ts";
import type { OptimConfig } from "./optim.ts";
import type { RandomStateData } from "../random/random_state.ts";
import type { SolverRule } from "./update.ts";

/** Where a training stands: all that a resumed one needs to give the losses of an uninterrupted one. */
export interface Checkpoint {
  /** Iterations done. */
  readonly iteration: number;
  /** Whether the accuracies that belong to this iteration are still to be computed. */
  readonly checkPending: boolean;
  /** Name of the update rule. */
  readonly updateRule: string;
  /** Examples in a batch. */
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
}

/** What a checkpoint must fit. */
export interface CheckpointOwner {
  /** The model that is trained. */
  readonly model: Model;
  /** Its update rule. */
  readonly updateRule: SolverRule;
  /** Examples in a batch. */
  readonly batchSize: number;
  /** Examples to train on. */
  readonly numTrain: number;
}

/**
 * Checks that a training can continue from a checkpoint. What the model and the random numbers must
 * judge themselves, their states, is left to them.
 *
 * @param value The value to check.
 * @param owner What is to continue.
 * @throws {TypeError} If it is no checkpoint, or that of another model or update rule.
 * @throws {RangeError} If it is that of another batch size or number of examples, or a number is out of
 * range.
 */
export function checkCheckpoint(
  value: unknown,
  { model, updateRule, batchSize, numTrain }: CheckpointOwner,
): asserts value is Checkpoint {
  const name = "checkpoint";
  checkKeys(name, value, Object.keys(PARTS));
  const checkpoint = value as unknown as Checkpoint;
  checkTensorsLike(`${name}.params`, checkpoint.params, model.params, "the model's");
  for (const [key, read] of Object.entries(PARTS)) read(`${name}.${key}`, value[key]);
  checkRuleName(checkpoint.updateRule, updateRule.name);
  for (const [key, own] of Object.entries({ batchSize, numTrain })) {
    if (value[key] === own) continue;
    throw new RangeError(`${name} must be of ${key} ${own}: it is of ${key} ${value[key]}`);
  }
  const { iteration, lossHistory, trainAccHistory, valAccHistory } = checkpoint;
  checkLength("lossHistory", lossHistory, iteration);
  checkLength("valAccHistory", valAccHistory, trainAccHistory.length);

  checkKeys(`${name}.optimConfigs`, checkpoint.optimConfigs, Object.keys(model.params));
  updateRule.check(checkpoint.params, checkpoint.optimConfigs, `${name}.optimConfigs`);

  const { bestParams, modelState, bestModelState } = checkpoint;
  if (bestParams !== null) {
    checkTensorsLike(`${name}.bestParams`, bestParams, model.params, "the model's");
  }
  const hasState = model.getState !== undefined;
  checkState("modelState", modelState, hasState);
  checkState("bestModelState", bestModelState, hasState && bestParams !== null);
}

/** Names tell update rules from one another; those without one of their own may be any. */
function checkRuleName(found: string, own: string): void {
  if (own === "") {
    throw new TypeError(
      "updateRule must be a function with a name of its own where a checkpoint is resumed, " +
        "which names it too: it has none",
    );
  }
  if (found !== own) {
    throw new TypeError(
      `checkpoint must be of the update rule ${own}: it is of ${found || "one without a name"}`,
    );
  }
}

function checkLength(key: string, { length }: readonly number[], expected: number): void {
  if (length === expected) return;
  throw new RangeError(`checkpoint.${key} must hold ${expected} numbers: it holds ${length}`);
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

/** The parts of a checkpoint, with what can be said of them alone. */
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
};
