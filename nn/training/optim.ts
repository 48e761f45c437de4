/**
 * Update rules: how a parameter follows its gradient.
 *
 * Each rule changes the parameter in place, and what it remembers of earlier steps, so that training
 * allocates nothing: `nextW` is `w` itself, and the returned config is the given one, with the defaults
 * and the memory filled in. Pass it to the next step. It is plain data: numbers and tensors.
 *
 * Source: cs231n/optim.py of the CS231n course and nndl/optim.py of ECE C147.
 *
 * @module
 */

import { checkSameDType, checkTensor, checkTensorShape, checkWithin } from "../../kernels/check.ts";
import { ArgumentRangeError } from "../../kernels/errors.ts";
import { dtypeOf, type FloatArray, type Tensor } from "../../kernels/tensor.ts";
import {
  option,
  type Read,
  type Reader,
  readOptions,
  tensorLike,
  unchecked,
  whole,
  within,
} from "../checks.ts";
import { power } from "../../kernels/elementary.ts";
import type { MapShape } from "../../kernels/map.ts";
import { adamStep } from "../../kernels/maps/adam.ts";
import { adagradStep, rmspropStep } from "../../kernels/maps/rmsprop.ts";
import { momentumStep, nesterovStep, sgdStep } from "../../kernels/maps/sgd.ts";
import { mapKernels } from "../../kernels/operations.ts";
import { select } from "../../kernels/select.ts";

/**
 * A rule's settings, and what it remembers of one parameter: the course's `config`.
 *
 * Every rule takes its own of these and no others. What is left out gets its default.
 */
export interface OptimConfig {
  /** How far a step goes. Default: 1e-2, for adam and adamw 1e-3. */
  learningRate?: number;
  /** sgdMomentum, sgdNesterovMomentum: how much velocity stays, from 0 to 1. Default: 0.9. */
  momentum?: number;
  /** rmsprop: how much of the cache stays, from 0 to 1. Default: 0.99. */
  decayRate?: number;
  /** adagrad, rmsprop, adam, adamw: keeps a divisor from 0. Default: 1e-8, for adagrad 1e-7. */
  epsilon?: number;
  /** adam, adamw: how much of the mean stays, from 0 to below 1. Default: 0.9. */
  beta1?: number;
  /** adam, adamw: how much of the mean of squares stays, from 0 to below 1. Default: 0.999. */
  beta2?: number;
  /**
   * sgd, sgdMomentum, sgdNesterovMomentum, adamw: how much of the parameter goes in a step, times the
   * learning rate: decoupled weight decay. Default: 0, for adamw 1e-2.
   */
  weightDecay?: number;
  /** adam, adamw: steps done. Default: 0. */
  t?: number;
  /** sgdMomentum, sgdNesterovMomentum: the running sum of steps. Default: zeros. */
  velocity?: Tensor;
  /** adagrad: the sum of squared gradients, the course's `a`; rmsprop: their moving mean. Default: zeros. */
  cache?: Tensor;
  /** adam, adamw: the moving mean of gradients. Default: zeros. */
  m?: Tensor;
  /** adam, adamw: the moving mean of squared gradients. Default: zeros. */
  v?: Tensor;
}

/** What an update rule returns. */
export interface Update<A extends FloatArray = FloatArray> {
  /** The parameter after the step: the tensor that was given. */
  readonly nextW: Tensor<A>;
  /** What to give to the next step: the config that was given. */
  readonly config: OptimConfig;
}

/** One step of a parameter w against its gradient dw. A solver tells it the parameter's name. */
export type UpdateRule = <A extends FloatArray>(
  w: Tensor<A>,
  dw: Tensor<A>,
  config?: OptimConfig,
  name?: string,
) => Update<A>;

/** The name of an update rule. */
export type UpdateRuleName =
  | "sgd"
  | "sgdMomentum"
  | "sgdNesterovMomentum"
  | "adagrad"
  | "rmsprop"
  | "adam"
  | "adamw";

/** The course's spelling of the names that have two words or more. */
export type CourseRuleName = "sgd_momentum" | "sgd_nesterov_momentum";

/** Every update rule by its name. */
export const updateRules: Readonly<Record<UpdateRuleName, UpdateRule>> = {
  sgd,
  sgdMomentum,
  sgdNesterovMomentum,
  adagrad,
  rmsprop,
  adam,
  adamw,
};

/**
 * Stochastic gradient descent: w -= learningRate * dw. With a weight decay, w *= 1 - learningRate *
 * weightDecay first.
 *
 * @example
 * ```ts
 * import { full, sgd } from "@cnn-layers/cnn-layers";
 *
 * const w = full([2, 3], 1), dw = full([2, 3], 0.5);
 * sgd(w, dw, { learningRate: 0.1 });
 * if (w.data[0] !== 0.95) throw new Error("wrong step");
 * ```
 *
 * @param w The parameter; changed in place.
 * @param dw Its gradient, in its shape and dtype.
 * @param config `learningRate` (1e-2), `weightDecay` (0); defaults are written into it.
 * @returns `nextW`, which is w, and the config.
 * @throws {TypeError} If a type, a dtype or a rank is wrong, or an option unknown.
 * @throws {RangeError} If the shapes differ, or a setting is out of range.
 */
export function sgd<A extends FloatArray>(
  w: Tensor<A>,
  dw: Tensor<A>,
  config: OptimConfig = {},
): Update<A> {
  return stepOf(prepareStep.sgd, w, dw, config);
}

/**
 * Stochastic gradient descent with momentum: velocity = momentum * velocity - learningRate * dw;
 * w += velocity. With a weight decay, w *= 1 - learningRate * weightDecay first: SGDW of Loshchilov and
 * Hutter, Decoupled Weight Decay Regularization (2019).
 *
 * @example Two steps
 * ```ts
 * import { full, sgdMomentum } from "@cnn-layers/cnn-layers";
 *
 * const w = full([2, 3], 1), dw = full([2, 3], 0.5);
 * const { config } = sgdMomentum(w, dw, { learningRate: 0.1, momentum: 0.9 });
 * sgdMomentum(w, dw, config);
 * console.log(config.velocity);
 * ```
 *
 * @param w The parameter; changed in place.
 * @param dw Its gradient, in its shape and dtype.
 * @param config `learningRate` (1e-2), `weightDecay` (0), `momentum` (0.9), `velocity` (zeros); the last
 * is changed in place.
 * @returns `nextW`, which is w, and the config.
 * @throws {TypeError} If a type, a dtype or a rank is wrong, or an option unknown.
 * @throws {RangeError} If the shapes differ, or a setting is out of range.
 */
export function sgdMomentum<A extends FloatArray>(
  w: Tensor<A>,
  dw: Tensor<A>,
  config: OptimConfig = {},
): Update<A> {
  return stepOf(prepareStep.sgdMomentum, w, dw, config);
}

/**
 * Stochastic gradient descent with Nesterov's momentum: the velocity changes as in
 * {@linkcode sgdMomentum}, from old to new; w += new + momentum * (new - old). With a weight decay,
 * w *= 1 - learningRate * weightDecay first.
 *
 * Source: sgd_nesterov_momentum in nndl/optim.py.
 *
 * @example
 * ```ts
 * import { full, sgdNesterovMomentum } from "@cnn-layers/cnn-layers";
 *
 * const w = full([2, 3], 1), dw = full([2, 3], 0.5);
 * sgdNesterovMomentum(w, dw, { learningRate: 0.1 });
 * ```
 *
 * @param w The parameter; changed in place.
 * @param dw Its gradient, in its shape and dtype.
 * @param config `learningRate` (1e-2), `weightDecay` (0), `momentum` (0.9), `velocity` (zeros); the last
 * is changed in place.
 * @returns `nextW`, which is w, and the config.
 * @throws {TypeError} If a type, a dtype or a rank is wrong, or an option unknown.
 * @throws {RangeError} If the shapes differ, or a setting is out of range.
 */
export function sgdNesterovMomentum<A extends FloatArray>(
  w: Tensor<A>,
  dw: Tensor<A>,
  config: OptimConfig = {},
): Update<A> {
  return stepOf(prepareStep.sgdNesterovMomentum, w, dw, config);
}

/**
 * Adagrad: cache += dw^2; w -= learningRate * dw / (sqrt(cache) + epsilon).
 *
 * Source: adagrad in nndl/optim.py, whose `a` is the cache here; Duchi, Hazan and Singer (2011).
 *
 * @example
 * ```ts
 * import { adagrad, full } from "@cnn-layers/cnn-layers";
 *
 * const w = full([2, 3], 1), dw = full([2, 3], 0.5);
 * adagrad(w, dw, { learningRate: 0.1 });
 * ```
 *
 * @param w The parameter; changed in place.
 * @param dw Its gradient, in its shape and dtype.
 * @param config `learningRate` (1e-2), `epsilon` (1e-7), `cache` (zeros); the last is changed in place.
 * @returns `nextW`, which is w, and the config.
 * @throws {TypeError} If a type, a dtype or a rank is wrong, or an option unknown.
 * @throws {RangeError} If the shapes differ, or a setting is out of range.
 */
export function adagrad<A extends FloatArray>(
  w: Tensor<A>,
  dw: Tensor<A>,
  config: OptimConfig = {},
): Update<A> {
  return stepOf(prepareStep.adagrad, w, dw, config);
}

/**
 * RMSProp: cache = decayRate * cache + (1 - decayRate) * dw^2; w -= learningRate * dw / (sqrt(cache) +
 * epsilon).
 *
 * Source: rmsprop in cs231n/optim.py; Tieleman and Hinton (2012).
 *
 * @example
 * ```ts
 * import { full, rmsprop } from "@cnn-layers/cnn-layers";
 *
 * const w = full([2, 3], 1), dw = full([2, 3], 0.5);
 * rmsprop(w, dw, { learningRate: 0.1, decayRate: 0.9 });
 * ```
 *
 * @param w The parameter; changed in place.
 * @param dw Its gradient, in its shape and dtype.
 * @param config `learningRate` (1e-2), `decayRate` (0.99), `epsilon` (1e-8), `cache` (zeros); the last is
 * changed in place.
 * @returns `nextW`, which is w, and the config.
 * @throws {TypeError} If a type, a dtype or a rank is wrong, or an option unknown.
 * @throws {RangeError} If the shapes differ, or a setting is out of range.
 */
export function rmsprop<A extends FloatArray>(
  w: Tensor<A>,
  dw: Tensor<A>,
  config: OptimConfig = {},
): Update<A> {
  return stepOf(prepareStep.rmsprop, w, dw, config);
}

/**
 * Adam: moving means of the gradient and of its square, both corrected for their start at zero.
 *
 * t += 1; m = beta1 * m + (1 - beta1) * dw; v = beta2 * v + (1 - beta2) * dw^2;
 * w -= learningRate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).
 * Source: adam in cs231n/optim.py; Kingma and Ba (2015).
 *
 * @example
 * ```ts
 * import { adam, full } from "@cnn-layers/cnn-layers";
 *
 * const w = full([2, 3], 1), dw = full([2, 3], 0.5);
 * const { config } = adam(w, dw);
 * if (config.t !== 1) throw new Error("one step was done");
 * ```
 *
 * @param w The parameter; changed in place.
 * @param dw Its gradient, in its shape and dtype.
 * @param config `learningRate` (1e-3), `beta1` (0.9), `beta2` (0.999), `epsilon` (1e-8), `m`, `v` (zeros)
 * and `t` (0); the last three are changed in place.
 * @returns `nextW`, which is w, and the config.
 * @throws {TypeError} If a type, a dtype or a rank is wrong, or an option unknown.
 * @throws {RangeError} If the shapes differ, or a setting is out of range.
 */
export function adam<A extends FloatArray>(
  w: Tensor<A>,
  dw: Tensor<A>,
  config: OptimConfig = {},
): Update<A> {
  return stepOf(prepareStep.adam, w, dw, config);
}

/**
 * Adam with decoupled weight decay: w *= 1 - learningRate * weightDecay, then the step of
 * {@linkcode adam}. Unlike an L2 term in the loss, the decay is not divided by the gradient's size.
 *
 * Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019), as PyTorch has it.
 *
 * @example
 * ```ts
 * import { adamw, full } from "@cnn-layers/cnn-layers";
 *
 * const w = full([2, 3], 1), dw = full([2, 3], 0.5);
 * adamw(w, dw, { learningRate: 1e-3, weightDecay: 0.05 });
 * ```
 *
 * @param w The parameter; changed in place.
 * @param dw Its gradient, in its shape and dtype, without a regularization term.
 * @param config `weightDecay` (1e-2), and all that adam takes.
 * @returns `nextW`, which is w, and the config.
 * @throws {TypeError} If a type, a dtype or a rank is wrong, or an option unknown.
 * @throws {RangeError} If the shapes differ, or a setting is out of range.
 */
export function adamw<A extends FloatArray>(
  w: Tensor<A>,
  dw: Tensor<A>,
  config: OptimConfig = {},
): Update<A> {
  return stepOf(prepareStep.adamw, w, dw, config);
}

const share = within(0, 1);

function checkBeta(name: string, value: unknown): asserts value is number {
  checkWithin(name, value, 0, 1);
  if (value === 1) {
    throw new ArgumentRangeError(`${name} must be below 1: received 1`, "OUT_OF_RANGE");
  }
}

/** A memory of earlier steps, which {@linkcode prepare} checks against the parameter. */
const memory = unchecked<Tensor>;

/** The settings of each rule. */
const RATE = { learningRate: option(within(0), 1e-2) };
const SGD = { ...RATE, weightDecay: option(within(0), 0) };
const MOMENTUM = { ...SGD, momentum: option(share, 0.9), velocity: memory };
const ADAGRAD = { ...RATE, epsilon: option(within(0), 1e-7), cache: memory };
const RMSPROP = {
  ...RATE,
  decayRate: option(share, 0.99),
  epsilon: option(within(0), 1e-8),
  cache: memory,
};
const ADAM = {
  learningRate: option(within(0), 1e-3),
  beta1: option(checkBeta, 0.9),
  beta2: option(checkBeta, 0.999),
  epsilon: option(within(0), 1e-8),
  t: option(whole(0), 0),
  m: memory,
  v: memory,
};
const ADAMW = { ...ADAM, weightDecay: option(within(0), 1e-2) };

/**
 * Checks everything that a step needs, writes nothing, and gives what does the step. The name is what
 * messages call the config. Default: "config".
 */
export type PrepareStep = (
  w: Tensor,
  dw: Tensor,
  config: OptimConfig,
  name?: string,
) => () => void;

/** What a rule does to the values of a parameter, by its settings. */
type Apply<T> = (w: FloatArray, dw: FloatArray, settings: T, config: OptimConfig) => void;

/** A rule from the settings that it reads and what it does then. */
function rule<T>(
  settings: { readonly [K in keyof T]: Reader<T[K]> },
  apply: Apply<T>,
): PrepareStep {
  return (w, dw, config, prefix = "config") => {
    checkTensor("w", w);
    checkTensorShape("dw", dw, w.shape, "w");
    checkSameDType({ w, dw });
    const read = readOptions(prefix, config, settings);
    for (const name in settings) {
      if (settings[name] !== memory as unknown) continue;
      read[name] = tensorLike(`${prefix}.${name}`, read[name], w, "w") as T[typeof name];
    }
    return () => apply(w.data, dw.data, Object.assign(config, read), config);
  };
}

/** One step of a parameter on its own. */
function stepOf<A extends FloatArray>(
  prepare: PrepareStep,
  w: Tensor<A>,
  dw: Tensor<A>,
  config: OptimConfig,
): Update<A> {
  prepare(w, dw, config)();
  return { nextW: w, config };
}

/** Every update rule in two parts, so that all parameters can be checked before one is changed. */
export const prepareStep: Readonly<Record<UpdateRuleName, PrepareStep>> = {
  sgd: rule(SGD, (w, dw, settings) => {
    run(sgdStep, [w, dw], [keepOf(settings), settings.learningRate]);
  }),
  sgdMomentum: rule(MOMENTUM, runMomentum(momentumStep)),
  sgdNesterovMomentum: rule(MOMENTUM, runMomentum(nesterovStep)),
  adagrad: rule(ADAGRAD, (w, dw, { learningRate, epsilon, cache }) => {
    run(adagradStep, [w, dw, cache.data], [learningRate, epsilon]);
  }),
  rmsprop: rule(RMSPROP, (w, dw, { learningRate, decayRate, epsilon, cache }) => {
    const settings = [learningRate, epsilon, decayRate, 1 - decayRate];
    run(rmspropStep, [w, dw, cache.data], settings);
  }),
  adam: rule(ADAM, (w, dw, settings, config) => runAdam(w, dw, settings, config, 1)),
  adamw: rule(ADAMW, (w, dw, settings, config) => {
    runAdam(w, dw, settings, config, keepOf(settings));
  }),
};

/** Runs a step on arrays of one size. */
function run(step: MapShape, arrays: readonly FloatArray[], settings: readonly number[]): void {
  select(mapKernels, step, dtypeOf(arrays[0])).run(arrays, settings);
}

/** A rule with a velocity. */
function runMomentum(step: MapShape): Apply<Read<typeof MOMENTUM>> {
  return (w, dw, settings) => {
    const { learningRate, momentum, velocity } = settings;
    run(step, [w, dw, velocity.data], [keepOf(settings), learningRate, momentum]);
  };
}

/** How much decoupled weight decay keeps of a parameter: without any, all of it to the last bit. */
function keepOf({ learningRate, weightDecay }: Read<typeof SGD>): number {
  return 1 - learningRate * weightDecay;
}

/** A step of adam for a parameter of which `keep` is kept. */
function runAdam(
  w: FloatArray,
  dw: FloatArray,
  settings: Read<typeof ADAM>,
  config: OptimConfig,
  keep: number,
): void {
  const { learningRate, beta1, beta2, epsilon, m, v } = settings;
  const t = settings.t + 1;
  // Both corrections are the same for every value: divide here, multiply for each.
  const rate = learningRate / (1 - power(beta1, t)), correction = 1 / (1 - power(beta2, t));
  const means = [beta1, 1 - beta1, beta2, 1 - beta2];
  run(adamStep, [w, dw, m.data, v.data], [keep, rate, ...means, correction, epsilon]);
  config.t = t;
}
