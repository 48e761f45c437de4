/**
 * Checks of arguments. Every check throws before anything is written: a `TypeError` for a wrong type,
 * dtype or rank, a `RangeError` for a size that cannot be. Messages say what was expected and what came.
 *
 * @module
 */

import { ArgumentRangeError, ArgumentTypeError, type TypeErrorCode } from "./errors.ts";
import { type DType, dtypeOf, type FloatArray, show, sizeOf, type Tensor } from "./tensor.ts";

/** A short account of any value, for a message that says what came. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return `an Array of length ${value.length}`;
  if (ArrayBuffer.isView(value)) {
    return `a ${value.constructor.name} of ${value.byteLength} bytes`;
  }
  if (typeof value === "object") return `an object with keys [${Object.keys(value).join(", ")}]`;
  if (typeof value === "string") return JSON.stringify(value);
  return typeof value === "function" ? "a function" : String(value);
}

/**
 * Checks that a value is of the right type.
 *
 * @param right Whether it is.
 * @param name What the message calls the value.
 * @param expected What it must do, for example "be an array".
 * @param value The value.
 * @param code What the error is about. Default: "INVALID_TYPE".
 * @throws {TypeError} If it is not.
 */
export function checkType(
  right: boolean,
  name: string,
  expected: string,
  value: unknown,
  code?: TypeErrorCode,
): asserts right {
  if (right) return;
  throw new ArgumentTypeError(`${name} must ${expected}: received ${describe(value)}`, code);
}

/**
 * Whether a value is a typed array of one of these names. Unlike instanceof it knows those of another
 * realm, such as a frame's or a node:vm context's.
 */
function isTyped(value: unknown, names: readonly string[]): boolean {
  return ArrayBuffer.isView(value) &&
    names.some((name) => Object.prototype.toString.call(value) === `[object ${name}]`);
}

/** Whether a value is an array that can hold a tensor's numbers. */
export function isFloatArray(value: unknown): value is FloatArray {
  return value instanceof Float64Array || value instanceof Float32Array ||
    isTyped(value, ["Float64Array", "Float32Array"]);
}

/** Whether a value is an array of bytes. */
export function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array || isTyped(value, ["Uint8Array"]);
}

/** Checks that a value is a number. */
export function checkNumber(name: string, value: unknown): asserts value is number {
  checkType(typeof value === "number", name, "be a number", value);
}

/** Whether a value has properties. */
export function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/**
 * Checks that a value names a dtype.
 *
 * @param dtype The value to check.
 * @returns The dtype.
 * @throws {TypeError} If it is neither "float64" nor "float32".
 */
export function checkDType(dtype: unknown): DType {
  const isDType = dtype === "float64" || dtype === "float32";
  checkType(isDType, "dtype", 'be "float64" or "float32"', dtype, "INVALID_DTYPE");
  return dtype;
}

/**
 * Checks that a value is a list of sizes.
 *
 * @param name What the message calls it.
 * @param shape The value to check.
 * @param rank How many sizes it must have. Default: any number.
 * @throws {TypeError} If it is not an array of numbers, or the rank differs.
 * @throws {RangeError} If a size is negative, not whole, or too large to be exact.
 */
export function checkShape(
  name: string,
  shape: unknown,
  rank?: number,
): asserts shape is readonly number[] {
  checkType(Array.isArray(shape), name, "be an array of sizes", shape);
  for (const size of shape) {
    if (typeof size !== "number") {
      throw new ArgumentTypeError(
        `${name} must hold numbers: received ${describe(size)} in [${shape}]`,
      );
    }
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new ArgumentRangeError(
        `${name} must hold whole sizes of 0 or more and below 2^53: received ${show(shape)}`,
      );
    }
  }
  if (rank !== undefined && shape.length !== rank) {
    throw new ArgumentTypeError(
      `${name} must have ${rank} dimensions: received ${show(shape)}`,
      "INVALID_RANK",
    );
  }
}

/**
 * Checks that a value is a tensor whose data fits its shape.
 *
 * @param name What the message calls it.
 * @param value The value to check.
 * @param rank The number of dimensions it must have. Default: any number.
 * @throws {TypeError} If it is not a tensor, its data is not a Float32Array or Float64Array, or its rank differs.
 * @throws {RangeError} If its data length is not the product of its shape.
 */
export function checkTensor(
  name: string,
  value: unknown,
  rank?: number,
): asserts value is Tensor {
  const isTensor = isObject(value) && "data" in value && "shape" in value;
  checkType(isTensor, name, "be a tensor { data, shape }", value);
  const { data, shape } = value;
  checkType(isFloatArray(data), `The data of ${name}`, "be a Float32Array or a Float64Array", data);
  checkShape(`The shape of ${name}`, shape, rank);
  if (data.length !== sizeOf(shape)) {
    throw new ArgumentRangeError(
      `The data of ${name} must hold ${sizeOf(shape)} values, the product of its shape ` +
        `${show(shape)}: it holds ${data.length}`,
    );
  }
}

/**
 * Checks that tensors have one dtype.
 *
 * @param tensors The tensors by the names that the message gives them.
 * @throws {TypeError} If one is float32 and another float64.
 */
export function checkSameDType(tensors: Readonly<Record<string, Tensor>>): void {
  const dtypes = Object.values(tensors).map((t) => dtypeOf(t.data));
  if (dtypes.some((dtype) => dtype !== dtypes[0])) {
    const list = Object.entries(tensors).map(([name, { data, shape }]) =>
      `${name} is ${dtypeOf(data)} ${show(shape)}`
    );
    throw new ArgumentTypeError(
      `Tensors of one call must have one dtype: ${list.join(", ")}`,
      "INVALID_DTYPE",
    );
  }
}

/**
 * Checks that a tensor has exactly one shape.
 *
 * @param name What the message calls it.
 * @param value The tensor to check.
 * @param shape The shape it must have.
 * @param why What asks for that shape, for example "the output of the convolution".
 * @throws {TypeError} If it is not a tensor, or its rank differs.
 * @throws {RangeError} If a size differs.
 */
export function checkTensorShape(
  name: string,
  value: unknown,
  shape: readonly number[],
  why: string,
): asserts value is Tensor {
  checkTensor(name, value);
  const same = value.shape.length === shape.length && shape.every((s, i) => s === value.shape[i]);
  if (same) return;
  const message = `${name} must have the shape of ${why}, ${show(shape)}: received ` +
    show(value.shape);
  throw value.shape.length === shape.length
    ? new ArgumentRangeError(message)
    : new ArgumentTypeError(message, "INVALID_RANK");
}

/**
 * Checks that a value is an options object with known keys only.
 *
 * @param name What the message calls it.
 * @param value The value to check.
 * @param known The keys it may have.
 * @throws {TypeError} If it is not an object, or has a key that is not known.
 */
export function checkOptions(
  name: string,
  value: unknown,
  known: readonly string[],
): asserts value is Record<string, unknown> {
  const isRecord = isObject(value) && !Array.isArray(value);
  checkType(isRecord, name, "be an object of options", value);
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) {
      throw new ArgumentTypeError(
        `${name} has an unknown option "${key}": known are ${known.join(", ")}`,
        "UNKNOWN_OPTION",
      );
    }
  }
}

/**
 * Checks that a value is a number within limits.
 *
 * @param name What the message calls it.
 * @param value The value to check.
 * @param minimum The smallest value allowed.
 * @param maximum The largest value allowed. Default: any.
 * @param whole Whether it must be whole.
 * @throws {TypeError} If it is not a number.
 * @throws {RangeError} If it is NaN, infinite, too small or too large, or not whole.
 */
export function checkWithin(
  name: string,
  value: unknown,
  minimum: number,
  maximum = Infinity,
  whole = false,
): asserts value is number {
  checkNumber(name, value);
  const right = whole ? Number.isSafeInteger(value) : Number.isFinite(value);
  if (right && value >= minimum && value <= maximum) return;
  const limits = maximum < Infinity ? `from ${minimum} to ${maximum}` : `of ${minimum} or more`;
  throw new ArgumentRangeError(
    `${name} must be a ${whole ? "whole " : ""}number ${limits}: received ${value}`,
    "OUT_OF_RANGE",
  );
}

/** Checks that a value is a whole number within limits: see {@linkcode checkWithin}. */
export function checkWhole(
  name: string,
  value: unknown,
  minimum: number,
  maximum?: number,
): asserts value is number {
  checkWithin(name, value, minimum, maximum, true);
}

/** Checks that a shape, from one of its dimensions on, has no size of 0. */
export function checkNonEmpty(name: string, shape: readonly number[], from: number): void {
  if (shape.indexOf(0, from) >= 0) {
    throw new ArgumentRangeError(
      `${name} must have no empty dimension: it has shape ${show(shape)}`,
    );
  }
}
