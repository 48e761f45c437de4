/**
 * When scratch is given back. It is as large as its largest kernel has needed, until a hundred calls in a
 * row, of any tier, need less than a tenth of that.
 *
 * @module
 */

/** Calls in a row, and how many times what they need is too much to hold. */
const CALLS = 100;
const TIMES = 10;

const all: Scratch[] = [];

/** Memory that kernels share. */
export class Scratch {
  readonly #held: () => number;
  readonly #release: () => void;
  /** The most that was needed since the last call that needed much, and the calls since then. */
  #most = 0;
  #calls = 0;

  /**
   * @param held How much is held.
   * @param release Gives all of it back: kernels ask for what they need when they next run.
   */
  constructor(held: () => number, release: () => void) {
    this.#held = held;
    this.#release = release;
    all.push(this);
  }

  /** Notes what a kernel needs. */
  need(size: number): void {
    if (size > this.#most) this.#most = size;
  }

  /** Notes that a call begins, and with it what those before have needed. */
  beginCall(): void {
    const tooMuch = this.#most * TIMES < this.#held();
    if (tooMuch && ++this.#calls < CALLS) return;
    if (tooMuch) this.#release();
    this.#most = this.#calls = 0;
  }
}

/** Tells every scratch that a call begins. No kernel may be running. */
export function beginCall(): void {
  for (const scratch of all) scratch.beginCall();
}
