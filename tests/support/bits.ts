/**
 * Comparison to the last bit. `assertEquals` holds -0 equal to 0, in typed arrays too.
 *
 * @module
 */

import { assertEquals, AssertionError } from "@std/assert";

/** How numbers are compared. */
export interface BitOptions {
  /** Whether the sign and the low bits of a NaN in a typed array count too. Default: false. */
  readonly payloads?: boolean;
}

/**
 * Asserts that two values are equal as `assertEquals` has it, and every value to the last bit: 0 is
 * not -0. NaN equals NaN, unless payloads count.
 *
 * @param actual The value to check: a number, an array, a typed array, or objects that hold them.
 * @param expected What it must be.
 * @param what What the message calls the value.
 */
export function assertSameBits(
  actual: unknown,
  expected: unknown,
  what = "the value",
  options: BitOptions = {},
): void {
  const difference = firstDifference(actual, expected, what, options);
  if (difference !== undefined) throw new AssertionError(difference);
}

function firstDifference(
  actual: unknown,
  expected: unknown,
  path: string,
  options: BitOptions,
): string | undefined {
  if (Object.is(actual, expected)) return undefined;
  const differ = () => `${path} is ${show(actual)}, not ${show(expected)}`;
  if (!isObject(actual) || !isObject(expected)) return differ();
  if (Object.getPrototypeOf(actual) !== Object.getPrototypeOf(expected)) return differ();
  if (options.payloads && ArrayBuffer.isView(actual) && ArrayBuffer.isView(expected)) {
    const [a, b] = [bytesOf(actual), bytesOf(expected)];
    const at = b.findIndex((byte, i) => byte !== a[i]);
    if (at >= 0) return `${path}, byte ${at} is ${a[at]}, not ${b[at]}`;
  }
  if (ArrayBuffer.isView(actual) || Array.isArray(actual)) {
    const [a, b] = [actual as unknown as ArrayLike<unknown>, expected as ArrayLike<unknown>];
    if (a.length !== b.length) return `${path} holds ${a.length} values, not ${b.length}`;
    for (let i = 0; i < b.length; i++) {
      if (Object.is(a[i], b[i])) continue;
      const difference = firstDifference(a[i], b[i], `${path}[${i}]`, options);
      if (difference !== undefined) return difference;
    }
    return undefined;
  }
  if (Object.getPrototypeOf(expected) !== Object.prototype) {
    assertEquals(actual, expected, path);
    return undefined;
  }
  const [a, b] = [actual as Record<string, unknown>, expected as Record<string, unknown>];
  const [names, others] = [Object.keys(b), Object.keys(a)];
  for (const name of new Set([...names, ...others])) {
    if (!(name in a)) return `${path} has no ${name}`;
    if (!(name in b)) return `${path} has ${name}, which it should not`;
    const difference = firstDifference(a[name], b[name], `${path}.${name}`, options);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function show(value: unknown): string {
  if (Object.is(value, -0)) return "-0";
  if (typeof value === "string") return JSON.stringify(value);
  return isObject(value)
    ? `a ${value.constructor?.name ?? "null-prototype object"}`
    : String(value);
}
