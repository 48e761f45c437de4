/**
 * When a worker reports progress, and how fast it was since the last time.
 *
 * @module
 */

import type { Progress } from "../../nn/training/solver_options.ts";

/** Milliseconds from one report to the next. */
const INTERVAL = 100;

/** Watches the iterations of a training run. */
export class Pace {
  readonly #perUpdate: number;
  #last = -Infinity;
  /** Iterations seen. */
  #count = 0;
  /** Iterations, and the seconds that they took, at the last report. */
  #reported = { count: 0, seconds: 0 };

  /**
   * Watches from the start.
   *
   * @param perUpdate Examples of an iteration.
   */
  constructor(perUpdate: number) {
    this.#perUpdate = perUpdate;
  }

  /** Sees an iteration; returns whether it is time for a report. */
  iteration(): boolean {
    this.#count++;
    return performance.now() - this.#last >= INTERVAL;
  }

  /** Examples in a second since the last report; what the solver says is a mean over all iterations. */
  report({ imagesPerSecond }: Progress): number {
    this.#last = performance.now();
    const count = this.#count, seconds = count * this.#perUpdate / imagesPerSecond;
    const before = this.#reported;
    this.#reported = { count, seconds };
    return (count - before.count) * this.#perUpdate / (seconds - before.seconds) || 0;
  }
}
