/**
 * Where a model stands, and how it gets other parameters for a while.
 *
 * @module
 */

import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import type { Model, ModelState } from "../model.ts";
import { copyOf } from "../plain_data.ts";
import type { RandomState, RandomStateData } from "../random/random_state.ts";

/** Where a model and the random numbers stand. */
export interface Snapshot<A extends FloatArray> {
  readonly params: Record<string, Tensor<A>>;
  readonly modelState: ModelState | null;
  readonly random: RandomStateData;
}

/** A model in training, with the random numbers of the training run, which it may draw from too. */
export class TrainedModel<A extends FloatArray> {
  readonly model: Model<A>;
  readonly random: RandomState;
  /** Where the training run stands while the model has other parameters. */
  #own: Snapshot<A> | undefined;

  constructor(model: Model<A>, random: RandomState) {
    this.model = model;
    this.random = random;
  }

  /** Where the training run stands, whatever parameters the model has now. */
  snapshot(): Snapshot<A> {
    return this.#own ?? this.#present();
  }

  /** Puts the model where it stood. It may draw from our random numbers, so these come last. */
  restore({ params, modelState, random }: Snapshot<A>): void {
    Object.assign(this.model.params, params);
    if (modelState !== null) this.model.setState?.(modelState);
    this.random.setState(random);
  }

  /** Does what puts the model elsewhere for good; if it throws, the model is as it was. */
  move(change: () => void): void {
    const before = this.#present();
    try {
      change();
    } catch (error) {
      this.restore(before);
      throw error;
    }
    this.#own = undefined;
  }

  /** Gives the model copies of other parameters, and remembers where the training run stands. */
  lend(params: Readonly<Record<string, Tensor>>, modelState: ModelState | null): void {
    this.#own = this.#present();
    const { random } = this.#own;
    // Copies: the model's owner may train it further.
    const copy = copyOf({ params, modelState }, "parameters");
    this.restore({
      params: copy.params as Record<string, Tensor<A>>,
      modelState: copy.modelState,
      random,
    });
  }

  /** Gives the model its own parameters again, if it has others. */
  takeBack(): void {
    if (this.#own !== undefined) this.restore(this.#own);
    this.#own = undefined;
  }

  #present(): Snapshot<A> {
    const modelState = this.model.getState?.() ?? null;
    return { params: { ...this.model.params }, modelState, random: this.random.getState() };
  }
}
