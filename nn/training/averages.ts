/**
 * Averages of the parameters over the iterations of a training run: they often do better than the last.
 *
 * @module
 */

import { approachStep } from "../../kernels/maps/approach.ts";
import { mapKernels } from "../../kernels/operations.ts";
import { select } from "../../kernels/select.ts";
import { dtypeOf, type FloatArray, type Tensor } from "../../kernels/tensor.ts";
import { option, readOptions, whole, within } from "../checks.ts";
import { power } from "../../kernels/elementary.ts";
import type { Model } from "../model.ts";
import { copyOf } from "../plain_data.ts";

/** How far a training run is. */
export interface Place {
  /** Iterations done. */
  readonly iteration: number;
  /** Iterations in all. */
  readonly iterations: number;
}

/** The averages of a model, as checkpoints keep them. */
export interface AverageState {
  /** Those of the parameters. */
  readonly params: Readonly<Record<string, Tensor>>;
  /** Those of the running statistics. */
  readonly statistics: Readonly<Record<string, Tensor>>;
}

/** How a solver averages parameters and running statistics. */
export interface Average {
  /**
   * The averages at the start.
   *
   * @param model What is trained.
   * @returns Copies of its parameters and running statistics.
   */
  start(model: Model): AverageState;
  /**
   * Lets the averages follow, after every update.
   *
   * @param averages What start returned; changed in place.
   * @param model What is trained; its parameters and statistics may be changed too.
   * @param place How far the training run is.
   */
  follow(averages: AverageState, model: Model, place: Place): void;
}

/**
 * A custom average, for {@linkcode SolverOptions.average}.
 *
 * @example The mean of all parameters so far
 * ```ts
 * import { averageBy } from "@cnn-layers/cnn-layers";
 *
 * const average = averageBy((mean, current, { iteration }) => {
 *   for (let i = 0; i < mean.length; i++) mean[i] += (current[i] - mean[i]) / iteration;
 * });
 * ```
 *
 * @param follow Called after every update with the average of each parameter and each running
 * statistic, which it changes, and the current numbers, which it may change too. At the start both are
 * the same.
 * @returns The average.
 */
export function averageBy(
  follow: (average: FloatArray, current: FloatArray, place: Place) => void,
): Average {
  return {
    start(model) {
      const { statistics = {} } = model.getState?.() ?? {};
      return copyOf({ params: model.params, statistics }, "model");
    },
    follow({ params, statistics }, model, place) {
      for (const [name, { data }] of Object.entries(model.params)) {
        follow(params[name].data, data, place);
      }
      const state = model.getState?.();
      if (state === undefined) return;
      for (const [name, { data }] of Object.entries(state.statistics)) {
        follow(statistics[name].data, data, place);
      }
      // It may have written to them too.
      model.setState?.(state);
    },
  };
}

/** How {@linkcode exponentialAverage} forgets. */
export interface ExponentialAverageOptions {
  /** How much of the average stays at each iteration, from 0 to 1. Default: 0.999. */
  readonly decay?: number;
}

/**
 * An exponential moving average for a solver: average = decay * average + (1 - decay) * current. In the
 * first iterations the decay is at most (1 + t) / (10 + t), so that the start is soon forgotten.
 *
 * Source: Polyak and Juditsky (1992); the start as in TensorFlow's ExponentialMovingAverage.
 *
 * @example
 * ```ts
 * import { exponentialAverage, RandomState, Solver, TwoLayerNet } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(0).randn([20, 4]), y = Array.from({ length: 20 }, (_, i) => i % 2);
 * const model = new TwoLayerNet({ inputDim: 4, hiddenDim: 4, numClasses: 2 });
 * const average = exponentialAverage({ decay: 0.99 });
 * new Solver(model, { xTrain: x, yTrain: y, xVal: x, yVal: y }, { average, verbose: false }).train();
 * ```
 *
 * @param options How fast it forgets.
 * @returns The average.
 * @throws {TypeError} If an option is unknown, or not a number.
 * @throws {RangeError} If decay is not from 0 to 1.
 */
export function exponentialAverage(options: ExponentialAverageOptions = {}): Average {
  const { decay } = readOptions("options", options, { decay: option(within(0, 1), 0.999) });
  return averageBy((average, current, { iteration }) => {
    approach(average, current, Math.min(decay, (1 + iteration) / (10 + iteration)));
  });
}

/** How {@linkcode lookahead} goes back. */
export interface LookaheadOptions {
  /** Iterations from one step back to the next. Default: 5. */
  readonly every?: number;
  /** How much of the average stays each time at the end, from 0 to 1. Default: 0.95^5. */
  readonly decay?: number;
}

/**
 * A slow average that the parameters go back to every few iterations: average = d * average +
 * (1 - d) * current; current = average. d grows with the third power of the training run's progress, up to
 * `decay`, and the last iteration goes back to the average as it is.
 *
 * Source: Zhang, Lucas, Hinton and Ba, "Lookahead Optimizer" (2019), with the schedule of Jordan,
 * "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024).
 *
 * @example
 * ```ts
 * import { lookahead } from "@cnn-layers/cnn-layers";
 *
 * const average = lookahead({ every: 10 }); // for SolverOptions.average
 * ```
 *
 * @param options How often it goes back, and how far.
 * @returns The average.
 * @throws {TypeError} If an option is unknown, or not a number.
 * @throws {RangeError} If an option is out of range.
 */
export function lookahead(options: LookaheadOptions = {}): Average {
  const { every, decay } = readOptions("options", options, {
    every: option(whole(1), 5),
    decay: option(within(0, 1), power(0.95, 5)),
  });
  return averageBy((average, current, { iteration, iterations }) => {
    const isLast = iteration === iterations;
    if (iteration % every !== 0 && !isLast) return;
    approach(average, current, isLast ? 1 : decay * power(iteration / iterations, 3));
    current.set(average);
  });
}

/** average = decay * average + (1 - decay) * current. */
function approach(average: FloatArray, current: FloatArray, decay: number): void {
  select(mapKernels, approachStep, dtypeOf(average)).run([average, current], [1 - decay]);
}
