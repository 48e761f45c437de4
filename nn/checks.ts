/**
 * Checks of the options that layers and nets share.
 *
 * @module
 */

import { checkOptions, describe } from "../kernels/shape.ts";

/** What a layer does that differs between training and use. */
export type Mode = "train" | "test";

/**
 * Checks that a value is a mode.
 *
 * @param name What the message calls it.
 * @param value The value to check.
 * @throws {TypeError} If it is neither "train" nor "test".
 */
export function checkMode(name: string, value: unknown): asserts value is Mode {
  if (value === "train" || value === "test") return;
  throw new TypeError(`${name} must be "train" or "test": received ${describe(value)}`);
}

/**
 * Checks that a value is a number between two others, both allowed.
 *
 * @param name What the message calls it.
 * @param value The value to check.
 * @param minimum The smallest number allowed.
 * @param maximum The largest number allowed; any if left out.
 * @throws {TypeError} If it is not a number.
 * @throws {RangeError} If it is NaN, infinite, too small or too large.
 */
export function checkWithin(
  name: string,
  value: unknown,
  minimum: number,
  maximum: number = Number.MAX_VALUE,
): asserts value is number {
  if (typeof value !== "number") {
    throw new TypeError(`${name} must be a number: received ${describe(value)}`);
  }
  if (value >= minimum && value <= maximum) return;
  const range = maximum === Number.MAX_VALUE
    ? `a number of ${minimum} or more`
    : `from ${minimum} to ${maximum}`;
  throw new RangeError(`${name} must be ${range}: received ${value}`);
}

/**
 * Checks that a value is true or false.
 *
 * @param name What the message calls it.
 * @param value The value to check.
 * @throws {TypeError} If it is neither.
 */
export function checkBoolean(name: string, value: unknown): asserts value is boolean {
  if (typeof value !== "boolean") {
    throw new TypeError(`${name} must be true or false: received ${describe(value)}`);
  }
}

/**
 * Checks that a cache comes from the forward pass that belongs to a backward pass.
 *
 * @param cache The value to check.
 * @param keys What the forward pass puts into it.
 * @throws {TypeError} If it is no object, lacks a key, or has another.
 */
export function checkCache(cache: unknown, keys: readonly string[]): void {
  checkOptions("cache", cache, keys);
  for (const key of keys) {
    if (!(key in cache)) {
      throw new TypeError(`cache must have ${keys.join(", ")}: received ${describe(cache)}`);
    }
  }
}
