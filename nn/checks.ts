/**
 * Checks that layers and nets share, and options read by a table: how each is checked, and its
 * default.
 *
 * @module
 */

import {
  checkDType,
  checkOptions,
  checkSameDType,
  checkTensor,
  checkTensorShape,
  checkType,
  checkWhole,
  checkWithin,
} from "../kernels/check.ts";
import { ArgumentTypeError } from "../kernels/errors.ts";
import { type DType, dtypeOf, type FloatArray, show, type Tensor } from "../kernels/tensor.ts";
import { zeros } from "./tensor.ts";

/** Whether a layer runs in training or at inference. */
export type Mode = "train" | "test";

/**
 * Checks that a value is a mode.
 *
 * @param name What the message calls it.
 * @param value The value to check.
 * @throws {TypeError} If it is neither "train" nor "test".
 */
export function checkMode(name: string, value: unknown): asserts value is Mode {
  checkType(value === "train" || value === "test", name, 'be "train" or "test"', value);
}

/**
 * Checks that a value is true or false.
 *
 * @param name What the message calls it.
 * @param value The value to check.
 * @throws {TypeError} If it is neither.
 */
export function checkBoolean(name: string, value: unknown): asserts value is boolean {
  checkType(typeof value === "boolean", name, "be true or false", value);
}

/**
 * Checks that a value is a batch of examples.
 *
 * @param name What the message calls it.
 * @param x The value to check.
 * @throws {TypeError} If it is not a tensor, or has less than 2 dimensions.
 * @throws {RangeError} If its data length is not its shape's product.
 */
export function checkBatch(name: string, x: unknown): asserts x is Tensor {
  checkTensor(name, x);
  if (x.shape.length < 2) {
    throw new ArgumentTypeError(
      `${name} must have 2 dimensions or more, (N, ...): it has shape ${show(x.shape)}`,
      "INVALID_RANK",
    );
  }
}

/**
 * Checks that a value is a function.
 *
 * @param name What the message calls it.
 * @param value The value to check.
 * @throws {TypeError} If it is none.
 */
export function checkFunction<F extends (...args: never[]) => unknown>(
  name: string,
  value: unknown,
): asserts value is F {
  checkType(typeof value === "function", name, "be a function", value);
}

/**
 * Checks that a value is an object with certain keys and no others.
 *
 * @param name What the message calls it.
 * @param value The value to check.
 * @param keys The keys.
 * @throws {TypeError} If it is not an object, lacks a key, or has another.
 */
export function checkKeys(
  name: string,
  value: unknown,
  keys: readonly string[],
): asserts value is Record<string, unknown> {
  checkOptions(name, value, keys);
  for (const key of keys) {
    if (!Object.hasOwn(value, key)) checkType(false, name, `have ${keys.join(", ")}`, value);
  }
}

/**
 * Checks that a cache comes from the forward pass that belongs to a backward pass.
 *
 * @param cache The value to check.
 * @param keys What the forward pass puts into it.
 * @throws {TypeError} If it is not an object, lacks a key, or has another.
 */
export function checkCache(cache: unknown, keys: readonly string[]): void {
  checkKeys("cache", cache, keys);
}

/**
 * Checks that a value holds tensors like others, under the same names.
 *
 * @param name What the message calls it.
 * @param value The value to check.
 * @param own The others.
 * @param whose What the message calls them, for example "the model's".
 * @throws {TypeError} If it is not an object, has another name, or a tensor has another dtype or rank.
 * @throws {RangeError} If a size differs.
 */
export function checkTensorsLike(
  name: string,
  value: unknown,
  own: Readonly<Record<string, Tensor>>,
  whose: string,
): asserts value is Readonly<Record<string, Tensor>> {
  checkOptions(name, value, Object.keys(own));
  for (const [key, like] of Object.entries(own)) {
    const part = `${name}.${key}`, tensor = value[key];
    checkTensorShape(part, tensor, like.shape, whose);
    checkSameDType({ [part]: tensor, [whose]: like });
  }
}

/** Throws unless a value is what it must be; the message calls it by the name. */
export type Check<T> = (name: string, value: unknown) => asserts value is T;

/** Gives the value of an option from what came, undefined if it was left out; or throws. */
export type Reader<T> = (name: string, value: unknown) => T;

/** What a table of readers gives. */
export type Read<R extends Readonly<Record<string, Reader<unknown>>>> = {
  readonly [K in keyof R]: ReturnType<R[K]>;
};

/**
 * An option that may be left out.
 *
 * @param check What it must be if it is given.
 * @param fallback Its default.
 * @returns Its reader.
 */
export function option<T, F = undefined>(check: Check<T>, fallback?: F): Reader<T | F> {
  return (name, value = fallback) => {
    if (value !== fallback) check(name, value);
    return value as T | F;
  };
}

/**
 * An option that must be given.
 *
 * @param check What it must be.
 * @returns Its reader.
 */
export function required<T>(check: Check<T>): Reader<T> {
  return (name, value) => {
    check(name, value);
    return value;
  };
}

/** Reads an option that is checked where it is used. */
export function unchecked<T>(_: string, value: unknown): T {
  return value as T;
}

/** Reads a dtype. Default: "float64". */
export function readDType(_: string, value: unknown = "float64"): DType {
  return checkDType(value);
}

/**
 * A tensor that was given, or zeros, in the shape and dtype of another.
 *
 * @param name What the message calls it.
 * @param value What was given; undefined for zeros.
 * @param like The other.
 * @param whose What the message calls the other.
 * @returns The tensor.
 * @throws {TypeError} If it is not a tensor, or its dtype or rank differs.
 * @throws {RangeError} If a size differs.
 */
export function tensorLike<A extends FloatArray>(
  name: string,
  value: unknown,
  like: Tensor<A>,
  whose: string,
): Tensor<A> {
  if (value === undefined) return zeros(like.shape, dtypeOf(like.data)) as Tensor<A>;
  checkTensorShape(name, value, like.shape, whose);
  checkSameDType({ [whose]: like, [name]: value });
  return value as Tensor<A>;
}

/**
 * Reads options: each by its reader, in the table's order.
 *
 * @param name What the messages call the object; its options are called by their own names if it is
 * "options", else by this name and theirs.
 * @param options The object.
 * @param readers A reader for each option that is known.
 * @returns The value of every option.
 * @throws {TypeError} If it is not an object, has an option that is not known, or one of a wrong type.
 * @throws {RangeError} If an option is out of range.
 */
export function readOptions<T>(
  name: string,
  options: unknown,
  readers: { readonly [K in keyof T]: Reader<T[K]> },
): T {
  checkOptions(name, options, Object.keys(readers));
  const prefix = name === "options" ? "" : `${name}.`;
  const read = {} as T;
  for (const key in readers) read[key] = readers[key](prefix + key, options[key]);
  return read;
}

/** Checks for a whole number between two others, both allowed. */
export function whole(minimum: number, maximum?: number): Check<number> {
  return (name, value): asserts value is number => checkWhole(name, value, minimum, maximum);
}

/** Checks for a number between two others, both allowed. */
export function within(minimum: number, maximum?: number): Check<number> {
  return (name, value): asserts value is number => checkWithin(name, value, minimum, maximum);
}
