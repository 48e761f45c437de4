/**
 * How long something takes that is done again and again.
 *
 * @module
 */

/** Times that are added up. */
export class Timing {
  #count = 0;
  #seconds = 0;

  /** Adds one. */
  add(milliseconds: number): void {
    this.#count++;
    this.#seconds += milliseconds / 1000;
  }

  /** Their mean in seconds; 0 before the first. */
  get mean(): number {
    return this.#seconds / Math.max(this.#count, 1);
  }
}
