/**
 * Finds a learning rate by trying many in one short training.
 *
 * @module
 */

import { checkWithin } from "../../kernels/check.ts";
import { ArgumentRangeError } from "../../kernels/errors.ts";
import type { FloatArray } from "../../kernels/tensor.ts";
import { option, readOptions, whole } from "../checks.ts";
import type { ExampleSource } from "../data/examples.ts";
import { exp } from "../../kernels/elementary.ts";
import { log } from "../../kernels/log.ts";
import type { Model } from "../model.ts";
import { copyOf } from "../plain_data.ts";
import { Solver } from "./solver.ts";
import type { SolverData, SolverOptions } from "./solver_options.ts";

/** Iterations in the beginning that are too few to be smoothed, and tell nothing of the steepest fall. */
const SKIPPED = 10;

/** What {@linkcode findLearningRate} tries. */
export interface LearningRateRange {
  /** The lowest learning rate. Default: 1e-6. */
  readonly from?: number;
  /** The highest learning rate. Default: 1. */
  readonly to?: number;
  /** Iterations in which it rises from one to the other, by the same factor each time. Default: 100. */
  readonly iterations?: number;
}

/** What {@linkcode findLearningRate} found. */
export interface LearningRates {
  /** The learning rate of each iteration. */
  readonly rates: readonly number[];
  /** Its loss, smoothed over the iterations before it. */
  readonly losses: readonly number[];
  /** The learning rate at which the loss fell fastest; NaN if it never fell after 10. */
  readonly steepest: number;
}

/** The trial ends where the smoothed loss is so many times the lowest. */
const BLOWN_UP = 4;

/** How much of the smoothed loss stays at each iteration. */
const SMOOTHING = 0.9;

/**
 * Trains for a few iterations with a learning rate that rises from very low to very high, and tells the
 * losses: a good learning rate is where the loss falls fastest, or a little above. It ends early when
 * the loss blows up. The model and the random numbers are restored.
 *
 * Source: Smith, "Cyclical Learning Rates for Training Neural Networks" (2017); smoothing and end as in
 * fastai's learning-rate finder.
 *
 * @example
 * ```ts
 * import { findLearningRate, RandomState, TwoLayerNet } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(0).randn([100, 4]), y = Array.from({ length: 100 }, (_, i) => i % 2);
 * const model = new TwoLayerNet({ inputDim: 4, hiddenDim: 8, numClasses: 2, weightScale: 0.1 });
 * const data = { xTrain: x, yTrain: y, xVal: x, yVal: y };
 * const { steepest } = findLearningRate(model, data, { from: 1e-4, to: 10 }, { batchSize: 20 });
 * console.log(steepest);
 * ```
 *
 * @param model What is to be trained.
 * @param data What it is to be trained on.
 * @param range Which learning rates.
 * @param options How it is to be trained: update rule, batch size and so on.
 * @returns Learning rates and losses.
 * @throws {TypeError} If a type is wrong, or an option unknown.
 * @throws {RangeError} If `to` is not above `from`, or a number is out of range.
 */
export function findLearningRate<A extends FloatArray>(
  model: Model<A>,
  data: SolverData<ExampleSource>,
  range: LearningRateRange = {},
  options: Omit<SolverOptions, "schedule" | "numEpochs"> = {},
): LearningRates {
  const { from, to, iterations } = readOptions("range", range, {
    from: option(checkAbove0, 1e-6),
    to: option(checkAbove0, 1),
    iterations: option(whole(2), 100),
  });
  if (from >= to) {
    throw new ArgumentRangeError(
      `range.to must be above range.from, ${from}: it is ${to}`,
      "OUT_OF_RANGE",
    );
  }
  const growth = log(to / from) / (iterations - 1);
  const rates: number[] = [], losses: number[] = [];
  let mean = 0, lowest = Infinity, weight = 1;
  const stop = new AbortController();
  const quiet = { verbose: false, numTrainSamples: 1, numValSamples: 1, restoreBest: false };
  // The rule's learning rate is 1, and the factor that the schedule gives all there is.
  const settings = {
    ...options,
    ...quiet,
    optimConfig: { ...options.optimConfig, learningRate: 1 },
  };
  const solverOf = (numEpochs: number) => {
    const schedule = (): number => from * exp(growth * rates.length);
    return new Solver(model, data, { ...settings, numEpochs, schedule });
  };
  const params = copyOf(model.params, "model.params"), state = model.getState?.();
  const random = options.random?.getState();
  try {
    const perEpoch = solverOf(1).iterations;
    solverOf(Math.ceil(iterations / perEpoch)).train({
      signal: stop.signal,
      onProgress: ({ loss }) => {
        rates.push(from * exp(growth * rates.length));
        weight *= SMOOTHING;
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss;
        losses.push(mean / (1 - weight));
        lowest = Math.min(lowest, losses.at(-1)!);
        const isOver = rates.length === iterations || !(losses.at(-1)! <= BLOWN_UP * lowest);
        if (isOver) stop.abort();
      },
    });
  } finally {
    Object.assign(model.params, params);
    if (state !== undefined) model.setState?.(state);
    if (random !== undefined) options.random!.setState(random);
  }
  return { rates, losses, steepest: steepestOf(rates, losses) };
}

/** The rate at which the loss fell fastest, by the logarithm of the rate. */
function steepestOf(rates: readonly number[], losses: readonly number[]): number {
  let steepest = NaN, most = 0;
  for (let i = SKIPPED; i < losses.length; i++) {
    const fall = losses[i - 1] - losses[i];
    if (fall > most) [most, steepest] = [fall, rates[i]];
  }
  return steepest;
}

function checkAbove0(name: string, value: unknown): asserts value is number {
  checkWithin(name, value, 0);
  if (value === 0) {
    throw new ArgumentRangeError(`${name} must be above 0: received 0`, "OUT_OF_RANGE");
  }
}
