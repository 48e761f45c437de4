/**
 * What a training run in a worker is made from: plain data, and the same solver from it on both sides.
 *
 * @module
 */

import { checkOptions, checkType, isObject } from "../../kernels/check.ts";
import type { KernelChoice } from "../../kernels/select.ts";
import type { DType, Tensor } from "../../kernels/tensor.ts";
import { cropAndMirror, type CropAndMirrorOptions } from "../../nn/data/crop_and_mirror.ts";
import type { ByteTensor, ExampleSource } from "../../nn/data/examples.ts";
import { type ChannelStatistics, normalizedExamples } from "../../nn/data/split.ts";
import type { Labels, ModelState } from "../../nn/model.ts";
import type { NetDescription } from "../../nn/nets/layered_net.ts";
import { Net } from "../../nn/nets/net.ts";
import {
  type Average,
  exponentialAverage,
  type ExponentialAverageOptions,
  lookahead,
  type LookaheadOptions,
} from "../../nn/training/averages.ts";
import { decodeCheckpoint } from "../../nn/training/checkpoint_file.ts";
import { clipGlobalNorm } from "../../nn/training/clip.ts";
import type { CourseRuleName, UpdateRuleName } from "../../nn/training/optim.ts";
import {
  type CosineOptions,
  cosineSchedule,
  type Schedule,
  type StepOptions,
  stepSchedule,
  type TriangularOptions,
  triangularSchedule,
} from "../../nn/training/schedules.ts";
import { Solver } from "../../nn/training/solver.ts";
import type { SolverOptions } from "../../nn/training/solver_options.ts";

/** What a training run in a worker learns from, and is measured by. */
export interface WorkerData {
  /** Examples to train on, (N, ...): a tensor or bytes. */
  readonly xTrain: Tensor | ByteTensor;
  /** Their labels. */
  readonly yTrain: Labels;
  /** Examples to validate on, (M, ...). */
  readonly xVal: Tensor | ByteTensor;
  /** Their labels. */
  readonly yVal: Labels;
}

/** A schedule as data: the options of {@linkcode cosineSchedule}, {@linkcode stepSchedule} or {@linkcode triangularSchedule}. */
export type ScheduleDescription =
  | ({ readonly type: "cosine" } & CosineOptions)
  | ({ readonly type: "step" } & StepOptions)
  | ({ readonly type: "triangular" } & TriangularOptions);

/** An average of the parameters as data: the options of {@linkcode exponentialAverage} or {@linkcode lookahead}. */
export type AverageDescription =
  | ({ readonly type: "exponential" } & ExponentialAverageOptions)
  | ({ readonly type: "lookahead" } & LookaheadOptions);

/** The options of a {@linkcode Solver} that can travel to a worker, and what describes others. */
export interface WorkerSolverOptions extends
  Omit<
    SolverOptions,
    | "updateRule"
    | "transformGradients"
    | "average"
    | "recordUpdates"
    | "parallel"
    | "schedule"
    | "augment"
    | "seed"
    | "random"
  > {
  /** The update rule's name. Default: "sgd". */
  readonly updateRule?: UpdateRuleName | CourseRuleName;
  /** The largest norm of all gradients together: see {@linkcode clipGlobalNorm}. Default: none. */
  readonly clip?: number;
  /** An average of the parameters. Default: none. */
  readonly average?: AverageDescription;
  /** Whether the worker prints lines. Default: false. */
  readonly verbose?: boolean;
}

/** All that travels to the worker at the start. */
export interface Setup {
  readonly description: NetDescription;
  readonly params: Readonly<Record<string, Tensor>>;
  readonly modelState: ModelState;
  readonly data: WorkerData;
  readonly normalize?: ChannelStatistics;
  readonly solver: WorkerSolverOptions;
  readonly augment?: CropAndMirrorOptions;
  readonly schedule?: ScheduleDescription;
  readonly threads?: number;
  readonly kernels: KernelChoice;
  readonly seed?: number;
  readonly checkpoint?: Uint8Array;
}

/** Every option: the type tells of one that a solver gets later. */
const SOLVER_OPTIONS: Readonly<Record<keyof WorkerSolverOptions, true>> = {
  updateRule: true,
  optimConfig: true,
  paramGroups: true,
  frozen: true,
  clip: true,
  average: true,
  lrDecay: true,
  batchSize: true,
  accumulate: true,
  synchronizeBatchnorm: true,
  shuffle: true,
  numEpochs: true,
  numTrainSamples: true,
  numValSamples: true,
  printEvery: true,
  verbose: true,
  restoreBest: true,
  patience: true,
};

/** Functions that make a thing of its description, by type. */
type Makers<T, D extends { readonly type: string }> = {
  readonly [K in D["type"]]: (options: Omit<Extract<D, { readonly type: K }>, "type">) => T;
};

const SCHEDULES: Makers<Schedule, ScheduleDescription> = {
  cosine: cosineSchedule,
  step: stepSchedule,
  triangular: triangularSchedule,
};

const AVERAGES: Makers<Average, AverageDescription> = {
  exponential: exponentialAverage,
  lookahead,
};

/** What a description is of; undefined if there is none. */
function made<T>(
  name: string,
  description: unknown,
  makers: Readonly<Record<string, (options: never) => T>>,
): T | undefined {
  if (description === undefined) return undefined;
  const types = Object.keys(makers).join(", ");
  const expected =
    `be described as { type, ... } with a type of ${types}, as functions do not travel`;
  checkType(isObject(description) && "type" in description, name, expected, description);
  const { type, ...options } = description;
  const isKnown = typeof type === "string" && Object.hasOwn(makers, type);
  checkType(isKnown, `${name}.type`, `be one of ${types}`, type);
  return makers[type](options as never);
}

/** Examples as the solver reads them. */
export function sourceOf(
  x: Tensor | ByteTensor,
  normalize: ChannelStatistics | undefined,
): ExampleSource {
  return normalize === undefined ? x : normalizedExamples(x, normalize);
}

/** The net of a setup. */
export function netOf({ description, params, modelState }: Omit<Setup, "data">): Net<DType> {
  const net = Net.fromJSON(description);
  net.loadState({ ...params, ...modelState.statistics });
  net.setState(modelState);
  return net;
}

function checkSolverOptions(solver: unknown): void {
  checkOptions("solver", solver, Object.keys(SOLVER_OPTIONS));
  const { updateRule = "sgd" } = solver;
  const expected = "be the name of an update rule, as functions do not travel to a worker";
  checkType(typeof updateRule === "string", "solver.updateRule", expected, updateRule);
}

/**
 * The solver of a setup: throws what the solver throws if it is not right.
 *
 * @param net The setup's net.
 * @param setup The setup.
 * @returns The solver, where the checkpoint was taken if there is one.
 */
export function solverOf(net: Net<DType>, setup: Setup): Solver {
  const { data, normalize, solver, augment, schedule, seed, checkpoint } = setup;
  checkSolverOptions(solver);
  const { clip, average, ...options } = solver;
  const trained = new Solver(net, {
    xTrain: sourceOf(data.xTrain, normalize),
    yTrain: data.yTrain,
    xVal: sourceOf(data.xVal, normalize),
    yVal: data.yVal,
  }, {
    verbose: false,
    ...options,
    average: made("solver.average", average, AVERAGES),
    transformGradients: clip === undefined ? undefined : clipGlobalNorm(clip),
    recordUpdates: true,
    augment: augment === undefined ? undefined : cropAndMirror(augment),
    schedule: made("schedule", schedule, SCHEDULES),
    seed,
  });
  if (checkpoint !== undefined) trained.resume(decodeCheckpoint(checkpoint));
  return trained;
}
