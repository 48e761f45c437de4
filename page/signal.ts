/**
 * What others may listen to.
 *
 * @module
 */

/** Something that happens again and again. */
export class Signal<T = void> {
  readonly #listeners: ((value: T) => void)[] = [];

  /** Calls a function whenever it happens. */
  listen(listener: (value: T) => void): void {
    this.#listeners.push(listener);
  }

  /** Says that it has happened. */
  emit(value: T): void {
    for (const listener of this.#listeners) listener(value);
  }
}
