/**
 * Updates from several micro-batches, in one process or in several.
 *
 * The bits do not depend on the number of processes, as nothing that a micro-batch gives depends on the
 * others: each begins with the same running statistics, whose mean is kept; each has random numbers of
 * its own, for augmentation and dropout; and sums are made in an order that they do not change.
 *
 * @module
 */

import { checkNumber } from "../../kernels/check.ts";
import { ArgumentRangeError, ArgumentTypeError } from "../../kernels/errors.ts";
import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import type { Read } from "../checks.ts";
import type { LossAndGradients, ModelState } from "../model.ts";
import { copyOf } from "../plain_data.ts";
import { copyRandom, RandomState } from "../random/random_state.ts";
import { type Batches, SEEDS } from "./batches.ts";
import { describeStart } from "./non_finite.ts";
import { PairwiseSum } from "./pairwise_sum.ts";
import { OwnSums, type Parallel, type ParallelSums, shareOf } from "./parallel.ts";
import type { SETTINGS } from "./solver_options.ts";
import type { TrainedModel } from "./snapshot.ts";

/** The only process. */
const ALONE = { rank: 0, size: 1 };

/** Which micro-batches make an update. */
export interface UpdatePlace {
  /** Epochs done. */
  readonly epoch: number;
  /** Its first micro-batch, as the epoch counts them. */
  readonly place: number;
  /** Micro-batches before it in all. */
  readonly done: number;
}

type Options = Pick<Read<typeof SETTINGS>, "accumulate" | "parallel" | "synchronizeBatchnorm">;

/** The mean loss of the micro-batches of an update, and their mean gradients. */
export class MicroBatches<A extends FloatArray> {
  /** Where non-finite values began, if the last loss is not finite. */
  divergedAt: string | undefined;
  readonly #trained: TrainedModel<A>;
  readonly #batches: Batches<A>;
  readonly #count: number;
  readonly #parallel: Parallel | undefined;
  readonly #frozen: ReadonlySet<string>;
  readonly #synchronizes: boolean;
  /** The micro-batches of this process. */
  readonly #first: number;
  readonly #end: number;
  /** Where the random numbers go on after the update. */
  readonly #after = new RandomState(0);

  constructor(
    trained: TrainedModel<A>,
    batches: Batches<A>,
    { accumulate: count, parallel, synchronizeBatchnorm }: Options,
    frozen: ReadonlySet<string>,
  ) {
    const { size } = parallel ?? ALONE;
    if (size > count) {
      throw new ArgumentRangeError(
        `accumulate must give each rank a batch, so that it is ${size} or more: it is ${count}`,
      );
    }
    if (synchronizeBatchnorm && trained.model.losses === undefined) {
      throw new ArgumentTypeError(
        "synchronizeBatchnorm must be false, as the model has no losses()",
      );
    }
    this.#synchronizes = synchronizeBatchnorm;
    this.#trained = trained;
    this.#batches = batches;
    this.#count = count;
    this.#parallel = parallel;
    this.#frozen = frozen;
    [this.#first, this.#end] = shareOf(count, parallel ?? ALONE);
  }

  /** Draws the batches of an update, and gives their mean loss and mean gradients. */
  next({ epoch, place, done }: UpdatePlace): LossAndGradients<A> {
    const { model, random } = this.#trained;
    // Every process draws what all of them see, and reads what is its own.
    const picks = Array.from(
      { length: this.#count },
      (_, i) => this.#batches.draw(random, place + i),
    );
    copyRandom(random, this.#after);
    const seed = random.randint(SEEDS - 1) + done;
    const before = model.getState?.() ?? null;
    const exchange = this.#parallel?.sums(this.#count) ?? new OwnSums();
    const update: Update<A> = {
      before,
      batch: (i) => {
        copyRandom(new RandomState((seed + i) % 2 ** 32), random);
        return this.#batches.fill(picks[i], random, epoch);
      },
      gradients: new NamedSums(exchange),
      statistics: new NamedSums(exchange),
    };
    const { losses, divergedAt } = this.#synchronizes
      ? this.#together(update)
      : this.#oneByOne(update);
    exchange.end();
    const grads = update.gradients.means(this.#count) as Record<string, Tensor<A>>;
    if (before !== null) {
      // Synchronized statistics are the same everywhere.
      const statistics = this.#synchronizes
        ? model.getState!().statistics
        : update.statistics.means(this.#count);
      model.setState?.(copyOf({ ...before, statistics }, "state"));
    }
    copyRandom(this.#after, random);
    return { loss: this.#meanLoss(losses, divergedAt), grads };
  }

  /** Puts this process's batches through the model one after the other. */
  #oneByOne({ before, batch, gradients, statistics }: Update<A>): Losses {
    const { model, random } = this.#trained, frozen = this.#frozen, first = this.#first;
    const losses = new Float64Array(this.#end - first);
    let divergedAt: string | undefined;
    for (let i = first; i < this.#end; i++) {
      const { x, y } = batch(i), isLast = i === this.#end - 1;
      if (before !== null) {
        const own = ownRandom(before, random)?.getState();
        model.setState?.({ ...before, ...own && { random: own } });
      }
      const add = (name: string, gradient: Tensor) => {
        if (!frozen.has(name)) gradients.add(name, gradient, i, isLast);
      };
      // The last gradients are on their way to the others while the next are computed.
      const { loss, grads } = model.loss(x, y, { frozen, onGradient: isLast ? add : undefined });
      checkNumber("The loss of the model", loss);
      losses[i - first] = loss;
      if (!Number.isFinite(loss)) divergedAt ??= describeStart(model, x);
      for (const [name, gradient] of Object.entries(grads)) add(name, gradient);
      const after = Object.entries(model.getState?.().statistics ?? {});
      for (const [name, statistic] of after) statistics.add(name, statistic, i, isLast);
    }
    return { losses, divergedAt };
  }

  /** Puts this process's batches through the model together. */
  #together({ before, batch, gradients }: Update<A>): Losses {
    const { model, random } = this.#trained, frozen = this.#frozen, first = this.#first;
    const count = this.#end - first;
    const batches = Array.from({ length: count }, (_, i) => {
      // Copies, as the next batch is read into the same arrays.
      const { x: { data, shape }, y } = batch(first + i);
      const x = { data: data.slice() as A, shape };
      return { x, y: y instanceof Int32Array ? y.slice() : y, random: ownRandom(before, random) };
    });
    const add = (i: number, name: string, gradient: Tensor) => {
      if (!frozen.has(name)) gradients.add(name, gradient, first + i, i === count - 1);
    };
    const gather = (own: Float64Array) => this.#parallel?.gather(own) ?? own;
    const results = model.losses!(batches, { frozen, gather, onGradient: add });
    let divergedAt: string | undefined;
    const losses = Float64Array.from(results, ({ loss, grads }, i) => {
      checkNumber("The loss of the model", loss);
      if (!Number.isFinite(loss)) divergedAt ??= describeStart(model, batches[i].x);
      for (const [name, gradient] of Object.entries(grads)) add(i, name, gradient);
      return loss;
    });
    return { losses, divergedAt };
  }

  /** The mean over all processes. */
  #meanLoss(own: Float64Array, divergedAt = ""): number {
    const losses = this.#parallel?.gather(own) ?? own;
    const loss = losses.reduce((sum, loss) => sum + loss) / this.#count;
    if (Number.isFinite(loss)) return loss;
    // The process that has the first such loss tells where it began.
    const first = losses.findIndex((loss) => !Number.isFinite(loss));
    const tells = first >= this.#first && first < this.#end;
    const letters = Float64Array.from(tells ? divergedAt : "", (letter) => letter.codePointAt(0)!);
    const told = this.#parallel?.gather(letters) ?? letters;
    this.divergedAt = told.length === 0 ? undefined : String.fromCodePoint(...told);
    return loss;
  }
}

/** Random numbers of a batch's own for a model that draws some. */
function ownRandom(state: ModelState | null, random: RandomState): RandomState | undefined {
  return state?.random && new RandomState(random.randint(SEEDS - 1));
}

/** An update that is under way. */
interface Update<A extends FloatArray> {
  /** Where the model stood before it. */
  readonly before: ModelState | null;
  /** Reads a batch, after which the random numbers are its own. */
  readonly batch: (i: number) => ReturnType<Batches<A>["fill"]>;
  readonly gradients: NamedSums;
  readonly statistics: NamedSums;
}

/** The losses of a process's batches, and where non-finite values began. */
interface Losses {
  readonly losses: Float64Array;
  readonly divergedAt: string | undefined;
}

/** Sums of tensors by their names. */
class NamedSums {
  readonly #sums = new Map<string, { sum: PairwiseSum; shape: readonly number[] }>();
  readonly #totals = new Map<string, () => FloatArray>();
  readonly #exchange: ParallelSums;

  constructor(exchange: ParallelSums) {
    this.#exchange = exchange;
  }

  /** Adds what a micro-batch gave; when this is its process's last, once. */
  add(name: string, { data, shape }: Tensor, first: number, isLast: boolean): void {
    if (this.#totals.has(name)) return;
    let entry = this.#sums.get(name);
    if (entry === undefined) this.#sums.set(name, entry = { sum: new PairwiseSum(), shape });
    const { sum } = entry;
    // A copy, as a model may use its arrays again.
    sum.add({ first, size: 1, data }, !isLast);
    if (isLast) this.#totals.set(name, this.#exchange.add(sum.parts));
  }

  /** The means, when the exchange has ended. */
  means(count: number): Record<string, Tensor> {
    return Object.fromEntries(
      Array.from(this.#totals, ([name, total]) => {
        const data = total(), { shape } = this.#sums.get(name)!;
        for (let i = 0; i < data.length; i++) data[i] /= count;
        return [name, { data, shape }];
      }),
    );
  }
}
