/**
 * The interface between a net and what trains it.
 *
 * @module
 */

import type { FloatArray, Tensor } from "../kernels/tensor.ts";
import type { RandomState, RandomStateData } from "./random/random_state.ts";

/** The class of each example of a batch: whole numbers from 0. */
export type Labels = ArrayLike<number>;

/**
 * What a batch should give: the class of each example, or its probabilities of all classes, (N, classes),
 * as {@linkcode mixup} makes them.
 */
export type Targets = Labels | Tensor;

/** What a step of training asks of a model beside the loss. */
export interface LossOptions {
  /** The names of parameters that stay as they are: a model may leave out their gradients. */
  readonly frozen?: ReadonlySet<string>;
  /**
   * Called with a gradient as soon as it is known, with its name, so that it can be sent elsewhere while
   * others are computed. A model need not call it.
   */
  readonly onGradient?: (name: string, gradient: Tensor) => void;
  /**
   * Gradients of an earlier call that nobody needs any more: a model may write new ones into their arrays.
   * {} before there are any. Default: all gradients are in new arrays, as fresh memory takes its time.
   */
  readonly spent?: Readonly<Record<string, Tensor>>;
}

/** A batch of several that go through a model together. */
export interface JointBatch<A extends FloatArray = FloatArray> {
  /** The examples, as many as in the others. */
  readonly x: Tensor<A>;
  /** Their labels, or probabilities of the classes. */
  readonly y: Targets;
  /** Where dropout's masks are drawn from; left out if the model's state has no random numbers. */
  readonly random?: RandomState;
}

/** What batches that go through a model together need beside themselves. */
export interface JointOptions extends Pick<LossOptions, "frozen"> {
  /**
   * Gives all processes what each has, in their order. A single process returns what it gets.
   *
   * @param own Numbers of this one.
   * @returns Those of all.
   */
  gather(own: Float64Array): Float64Array;
  /** Called with each gradient as soon as it is known: which batch's it is, and its name. */
  readonly onGradient?: (batch: number, name: string, gradient: Tensor) => void;
}

/** What one step of training needs: how wrong the net is, and which way is better. */
export interface LossAndGradients<A extends FloatArray = FloatArray> {
  /** The loss of the batch, regularization included. */
  readonly loss: number;
  /** The gradient of the loss with respect to each parameter that is not frozen, under the parameter's name. */
  readonly grads: Record<string, Tensor<A>>;
}

/** What a net carries from one step of training to the next beside its parameters. */
export interface ModelState {
  /** The running mean and variance of each batch-normalization, by name. */
  readonly statistics: Readonly<Record<string, Tensor>>;
  /** Where dropout's random numbers stand; left out if the net draws none. */
  readonly random?: RandomStateData;
}

/** A net, as the solver sees it: the course's models have `params` and `loss(X, y=None)`. */
export interface Model<A extends FloatArray = FloatArray> {
  /** The learnable parameters by name: W1, b1, gamma1 and so on. Replace or overwrite them to learn. */
  readonly params: Record<string, Tensor<A>>;
  /**
   * The scores of a batch, (N, classes), in test mode.
   *
   * @param x The batch, (N, ...).
   * @returns The scores.
   */
  loss(x: Tensor<A>): Tensor<A>;
  /**
   * The loss of a batch and its gradients, in training mode.
   *
   * @param x The batch, (N, ...).
   * @param y The N labels, or probabilities (N, classes) if the training run mixes examples.
   * @param options Which gradients may be left out.
   * @returns The loss and the gradients.
   */
  loss(x: Tensor<A>, y: Targets, options?: LossOptions): LossAndGradients<A>;
  /**
   * The losses of several batches and their gradients, in training mode, with the statistics of all of them
   * together where batch normalization has those of one: synchronized batch normalization.
   *
   * @param batches The batches, of one size.
   * @param options How statistics are shared, and which gradients may be left out.
   * @returns The loss of each batch, and its gradients.
   */
  losses?(batches: readonly JointBatch<A>[], options: JointOptions): LossAndGradients<A>[];
  /**
   * Says where non-finite values come from.
   *
   * @param x A batch whose loss is NaN or infinite, (N, ...).
   * @returns What the first layer is called whose output is not finite; undefined if there is none.
   */
  findNonFinite?(x: Tensor<A>): string | undefined;
  /**
   * A copy of what a training run that is resumed needs beside the parameters, if there is anything.
   *
   * @returns The state, plain data.
   */
  getState?(): ModelState;
  /**
   * Continues where {@linkcode Model.getState} was called.
   *
   * @param state What getState returned.
   */
  setState?(state: ModelState): void;
}
