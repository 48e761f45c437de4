/**
 * Turns: what lets a page do its other work meanwhile.
 *
 * @module
 */

/** Waits. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
