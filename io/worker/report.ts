/**
 * The progress that a worker reports: ten times a second at most.
 *
 * @module
 */

import type { Tensor } from "../../kernels/tensor.ts";
import type { Progress } from "../../nn/training/solver_options.ts";
import type { WorkerProgress } from "./messages.ts";
import { scheduleOf, type Setup } from "./setup.ts";

/** Milliseconds from one report to the next. */
const INTERVAL = 100;

/** The learning rates that update rules have by themselves. */
const OWN_RATES: Readonly<Record<string, number>> = { adam: 1e-3, adamw: 1e-3 };
const OWN_RATE = 1e-2;

/** What a report says beside the solver's progress. */
type Found = Pick<WorkerProgress, "imagesPerSecond" | "learningRate" | "gradientNorm">;

/** Watches a training run, and says when a report is due. */
export class Watch {
  readonly #rateAt: (progress: Progress) => number;
  readonly #perUpdate: number;
  #last = -Infinity;
  #norm: number | undefined;
  /** Iterations seen, and the seconds that they took, at the last report. */
  #seen = 0;
  #reported = { count: 0, seconds: 0 };

  constructor(setup: Setup) {
    const { batchSize = 100, accumulate = 1 } = setup.solver;
    this.#perUpdate = batchSize * accumulate;
    this.#rateAt = rateOf(setup);
  }

  /** Sees the gradients of an iteration. */
  readonly gradients = (grads: Readonly<Record<string, Tensor>>): void => {
    if (!this.isDue) return;
    let squares = 0;
    for (const { data } of Object.values(grads)) {
      for (let i = 0; i < data.length; i++) squares += data[i] * data[i];
    }
    this.#norm = Math.sqrt(squares);
  };

  /** Whether it is time for a report. */
  get isDue(): boolean {
    return performance.now() - this.#last >= INTERVAL;
  }

  /**
   * Sees an iteration.
   *
   * @param progress What the solver says after it.
   * @param wanted Whether a report is wanted early.
   * @returns What a report says beside, if there is to be one.
   */
  iteration(progress: Progress, wanted: boolean): Found | undefined {
    this.#seen++;
    // Where the gradients were seen it was due; if not, the next iteration is soon enough.
    const isDue = this.#norm !== undefined || !Number.isFinite(progress.loss);
    if (!isDue && !wanted) return undefined;
    const found = {
      imagesPerSecond: this.#speed(progress),
      learningRate: this.#rateAt(progress),
      gradientNorm: this.#norm,
    };
    this.#norm = undefined;
    this.#last = performance.now();
    return found;
  }

  /** The speed since the last report: that of the solver is a mean over all iterations. */
  #speed({ imagesPerSecond }: Progress): number {
    if (!(imagesPerSecond > 0)) return 0;
    const count = this.#seen, seconds = count * this.#perUpdate / imagesPerSecond;
    const since = this.#reported;
    this.#reported = { count, seconds };
    return (count - since.count) * this.#perUpdate / (seconds - since.seconds);
  }
}

/** The learning rate of the last iteration. */
function rateOf({ solver, schedule }: Setup): (progress: Progress) => number {
  const { updateRule = "sgd", optimConfig, lrDecay = 1 } = solver, factor = scheduleOf(schedule);
  const rate = optimConfig?.learningRate ?? OWN_RATES[updateRule] ?? OWN_RATE;
  return ({ iteration, iterations, epochs }) => {
    const done = Math.max(iteration - 1, 0), epoch = Math.floor(done * epochs / iterations);
    return rate * lrDecay ** epoch * (factor?.(done / iterations) ?? 1);
  };
}
