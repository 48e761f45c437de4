/**
 * Where a solver's batches come from.
 *
 * @module
 */

import { checkTensor } from "../../kernels/check.ts";
import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { gather } from "../data/examples.ts";
import type { Model, Targets } from "../model.ts";
import { RandomState } from "../random/random_state.ts";
import { zerosForModel } from "./accuracy.ts";
import type { AnyData, Augment } from "./solver_options.ts";

/** How batches are drawn. */
export interface BatchOptions {
  /** Examples in a batch. */
  readonly batchSize: number;
  /** Whether an epoch shows each example once; else batches are drawn with replacement. */
  readonly shuffle: boolean;
  /** Changes each batch. */
  readonly augment: Augment | undefined;
}

/** Seeds are whole numbers below this. */
export const SEEDS = 2 ** 31;

/** Draws batches: one after another out of a random order, or each anew. */
export class Batches<A extends FloatArray> {
  /** What the order of the present epoch was made from; null before the first. */
  seed: number | null = null;
  readonly #data: AnyData;
  readonly #options: BatchOptions;
  /** The batch, filled anew by each draw. */
  readonly #x: Tensor<A>;
  readonly #y: Int32Array;
  /** The order of the epoch, and what it was made from. */
  #order = new Int32Array(0);
  #orderSeed: number | null = null;

  constructor(model: Model<A>, data: AnyData, options: BatchOptions) {
    this.#data = data;
    this.#options = options;
    const { batchSize } = options;
    this.#x = zerosForModel(model, [batchSize, ...data.xTrain.shape.slice(1)]);
    this.#y = new Int32Array(batchSize);
  }

  /**
   * Draws a batch.
   *
   * @param random Where the random numbers come from.
   * @param place Which batch of the epoch this is, from 0.
   * @returns Which examples are in it.
   */
  draw(random: RandomState, place: number): Int32Array {
    const [N] = this.#data.xTrain.shape, { batchSize, shuffle } = this.#options;
    if (!shuffle) return random.choice(N, batchSize);
    if (place === 0 || this.seed === null) this.seed = random.randint(SEEDS - 1);
    if (this.#orderSeed !== this.seed) {
      this.#order = new RandomState(this.seed).permutation(N);
      this.#orderSeed = this.seed;
    }
    const first = place * batchSize;
    // More than there are, if a batch is larger than all: the order begins again.
    return Int32Array.from({ length: batchSize }, (_, i) => this.#order[(first + i) % N]);
  }

  /**
   * Reads a batch and augments it.
   *
   * @param picks Which examples are in it.
   * @param random Where augmentation's random numbers come from.
   * @param epoch Epochs done.
   * @returns The batch, to be used before the next one is read.
   */
  fill(picks: Int32Array, random: RandomState, epoch: number): { x: Tensor<A>; y: Targets } {
    const { xTrain, yTrain } = this.#data, { augment } = this.#options;
    const x = this.#x, y = this.#y;
    gather(xTrain, picks, x.data);
    for (let i = 0; i < y.length; i++) y[i] = yTrain[picks[i]];
    const targets = augment?.(x, random, { y, picks, epoch });
    if (targets === undefined) return { x, y };
    checkTensor("What augment returns", targets, 2);
    return { x, y: targets };
  }
}
