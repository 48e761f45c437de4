/**
 * One iteration of a training run: a batch or several, their gradients, an update of every parameter.
 *
 * @module
 */

import { checkNumber } from "../../kernels/check.ts";
import { ArgumentRangeError } from "../../kernels/errors.ts";
import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import type { Read } from "../checks.ts";
import type { LossAndGradients } from "../model.ts";
import { copyRandom, RandomState } from "../random/random_state.ts";
import type { AverageState } from "./averages.ts";
import { Batches } from "./batches.ts";
import { globalNorm } from "./clip.ts";
import { MicroBatches } from "./micro_batches.ts";
import { describeStart } from "./non_finite.ts";
import type { OptimConfig } from "./optim.ts";
import { configsOf, namesOf } from "./param_groups.ts";
import type { TrainedModel } from "./snapshot.ts";
import type { AnyData, SETTINGS } from "./solver_options.ts";

/** What an iteration gives. */
export interface Step {
  readonly loss: number;
  /** The norm of all gradients; NaN if it was not asked for, or there was no update. */
  readonly gradNorm: number;
  /** The learning rate of the first parameter that learns; NaN like the norm. */
  readonly learningRate: number;
}

/** Does the iterations of a training run, one by one. */
export class Iterations<A extends FloatArray> {
  /** Examples that an update is made from. */
  readonly perUpdate: number;
  /** Iterations of an epoch. */
  readonly perEpoch: number;
  /** Iterations in all. */
  readonly count: number;
  readonly batches: Batches<A>;
  /** The update rule's settings and memory of each parameter. */
  optimConfigs: Record<string, OptimConfig>;
  /** The averages of the parameters; undefined before the first update, or if there are none. */
  averages: AverageState | undefined;
  /** Where non-finite values began, if the last loss is not finite. */
  divergedAt: string | undefined;
  readonly #trained: TrainedModel<A>;
  readonly #options: Read<typeof SETTINGS>;
  /** Where the random numbers stood before the iteration that is under way. */
  readonly #before = new RandomState(0);
  /** The names of the parameters that stay as they are. */
  readonly #frozen: ReadonlySet<string>;
  readonly #microBatches: MicroBatches<A>;
  /** The last gradients; undefined if a function of the user's gets them, which may keep them. */
  #spent: Record<string, Tensor<A>> | undefined;

  constructor(trained: TrainedModel<A>, data: AnyData, options: Read<typeof SETTINGS>) {
    this.#trained = trained;
    this.#options = options;
    const { optimConfig, paramGroups, frozen = [], batchSize, accumulate, numEpochs } = options;
    const names = Object.keys(trained.model.params);
    this.optimConfigs = configsOf(optimConfig, paramGroups, names);
    this.#frozen = namesOf("frozen", frozen, names);
    if (this.#frozen.size === names.length) {
      throw new ArgumentRangeError("frozen must leave a parameter that learns: it holds all");
    }
    this.perUpdate = batchSize * accumulate;
    this.perEpoch = Math.max(Math.floor(data.xTrain.shape[0] / this.perUpdate), 1);
    this.count = numEpochs * this.perEpoch;
    this.batches = new Batches(trained.model, data, options);
    const { updateRule, transformGradients } = options;
    this.#spent = updateRule.keepsGradients || transformGradients !== undefined ? undefined : {};
    this.#microBatches = new MicroBatches(trained, this.batches, options, this.#frozen);
  }

  /** Epochs done after this many iterations. */
  epochAt(iteration: number): number {
    return Math.floor(iteration / this.perEpoch);
  }

  /**
   * Does one iteration. If it throws, or its loss is not finite, no parameter has changed.
   *
   * @param iteration Iterations done before.
   * @param measures Whether the norm of the gradients and the learning rate are wanted.
   * @returns Its loss, and these.
   */
  next(iteration: number, measures: boolean): Step {
    const { model, random } = this.#trained;
    copyRandom(random, this.#before);
    const modelState = model.getState?.() ?? null;
    const undo = () => {
      if (modelState !== null) model.setState?.(modelState);
      copyRandom(this.#before, random);
    };
    const { schedule, average } = this.#options;
    if (average !== undefined) this.averages ??= average.start(model);
    const factor = schedule?.(iteration / this.count);
    try {
      const { loss, grads } = this.#lossAndGradients(iteration);
      if (!Number.isFinite(loss)) {
        undo();
        return { loss, gradNorm: NaN, learningRate: NaN };
      }
      const gradNorm = measures ? globalNorm(grads) : NaN;
      return { loss, gradNorm, learningRate: this.#update(grads, iteration, factor) };
    } catch (error) {
      undo();
      throw error;
    }
  }

  /** The loss of an update's examples, and its gradients with respect to the parameters that learn. */
  #lossAndGradients(iteration: number): LossAndGradients<A> {
    const { accumulate } = this.#options, { model, random } = this.#trained;
    const epoch = this.epochAt(iteration), place = (iteration % this.perEpoch) * accumulate;
    if (accumulate > 1) {
      const result = this.#microBatches.next({ epoch, place, done: iteration * accumulate });
      this.divergedAt = this.#microBatches.divergedAt;
      return result;
    }
    const { x, y } = this.batches.fill(this.batches.draw(random, place), random, epoch);
    const { loss, grads } = model.loss(x, y, { frozen: this.#frozen, spent: this.#spent });
    if (this.#spent !== undefined) this.#spent = grads;
    checkNumber("The loss of the model", loss);
    if (!Number.isFinite(loss)) this.divergedAt = describeStart(model, x);
    return { loss, grads: this.#learning(grads) };
  }

  /** What belongs to parameters that are not frozen. */
  #learning<T>(all: Record<string, T>): Record<string, T> {
    if (this.#frozen.size === 0) return all;
    return Object.fromEntries(Object.entries(all).filter(([name]) => !this.#frozen.has(name)));
  }

  /** Updates every parameter with its learning rate times a factor, or none; gives the first one's rate. */
  #update(
    grads: Readonly<Record<string, Tensor<A>>>,
    iteration: number,
    factor: number | undefined,
  ): number {
    const { model } = this.#trained;
    const { updateRule, lrDecay, transformGradients, average } = this.#options;
    const params = this.#learning(model.params), configs = this.optimConfigs;
    const rates = Object.entries(configs).map(([name, { learningRate }]) =>
      [name, learningRate] as const
    );
    const setRates = (configs: Record<string, OptimConfig>, factor: number) => {
      for (const [name, rate] of rates) configs[name].learningRate = rate! * factor;
    };
    transformGradients?.(grads);
    if (factor !== undefined) setRates(configs, factor);
    const [first] = Object.keys(params);
    let rate = configs[first].learningRate;
    try {
      const updated = updateRule.update(params, grads, this.#learning(configs));
      Object.assign(model.params, updated.params);
      this.optimConfigs = { ...configs, ...updated.configs };
      // A rule fills in its default.
      rate ??= this.optimConfigs[first].learningRate;
    } finally {
      if (factor !== undefined) setRates(this.optimConfigs, 1);
    }
    const epochEnds = (iteration + 1) % this.perEpoch === 0;
    for (const config of Object.values(this.optimConfigs)) {
      if (epochEnds && config.learningRate !== undefined) config.learningRate *= lrDecay;
    }
    const { count } = this;
    average?.follow(this.averages!, model, { iteration: iteration + 1, iterations: count });
    return rate ?? NaN;
  }
}
