/**
 * Plain data: numbers, strings, booleans, null, tensors, and arrays and objects of these. It can be
 * copied, and written as JSON with the tensors beside it. What is not plain data is refused, as a copy
 * of it would silently be something else.
 *
 * @module
 */

import { checkTensor, checkType, isFloatArray, isObject } from "../kernels/check.ts";
import { ArgumentTypeError } from "../kernels/errors.ts";
import type { Tensor } from "../kernels/tensor.ts";
import { checkKeys } from "./checks.ts";

/** Objects in objects: a limit that no training comes near, and a circle has no end of. */
const MAX_DEPTH = 100;

/** The values that JSON has no words for. */
const SPECIAL: Readonly<Record<string, number>> = {
  "NaN": NaN,
  "Infinity": Infinity,
  "-Infinity": -Infinity,
  "-0": -0,
};

/**
 * A deep copy of plain data; typed arrays of numbers are copied too.
 *
 * @param value The data.
 * @param name What the message calls it.
 * @returns The copy.
 * @throws {TypeError} If a part of it is not plain: a Map, a Date, a function and the like.
 */
export function copyOf<T>(value: T, name: string): T {
  return copyPart(value, name, 0) as T;
}

function copyPart(value: unknown, name: string, depth: number): unknown {
  if (isPrimitive(value)) return value;
  if (isFloatArray(value)) return value.slice();
  checkPlain(name, value, depth);
  if (isTensorLike(value) && !hasPlainPrototype(value)) {
    const { data, shape } = value;
    return copyPart({ data, shape }, name, depth);
  }
  if (Array.isArray(value)) {
    return Array.from(
      value,
      (v, i) => isPrimitive(v) ? v : copyPart(v, `${name}[${i}]`, depth + 1),
    );
  }
  return mapped(value, (part, key) => copyPart(part, `${name}.${key}`, depth + 1));
}

/**
 * Plain data as JSON can keep it exactly, with the tensors taken out of it.
 *
 * @param value The data.
 * @param name What messages call it.
 * @param tensors Where the tensors are put, each under the path that leads to it: "params.W1".
 * @returns The data, with the path of each tensor in its place.
 * @throws {TypeError} If a part of it is not plain.
 */
export function pack(value: unknown, name: string, tensors: Map<string, Tensor>): unknown {
  return packPart(value, name, "", tensors, 0);
}

function packPart(
  value: unknown,
  name: string,
  path: string,
  tensors: Map<string, Tensor>,
  depth: number,
): unknown {
  if (typeof value === "number") return packNumber(value);
  if (value !== undefined && isPrimitive(value)) return value;
  checkPlain(name, value, depth);
  if (isTensorLike(value)) {
    checkTensor(name, value);
    checkKeys(name, value, ["data", "shape"]);
    tensors.set(path, value);
    return { $tensor: path };
  }
  if (Array.isArray(value)) {
    return Array.from(
      value,
      (part, i) =>
        typeof part === "number"
          ? packNumber(part)
          : packPart(part, `${name}[${i}]`, `${path}.${i}`, tensors, depth + 1),
    );
  }
  return mapped(value, (part, key) => {
    const step = pathStep(key);
    return part === undefined
      ? undefined // JSON leaves it out.
      : packPart(
        part,
        `${name}.${key}`,
        path === "" ? step : `${path}.${step}`,
        tensors,
        depth + 1,
      );
  }, (key) => key.startsWith("$") ? `$${key}` : key);
}

function packNumber(value: number): unknown {
  if (Number.isFinite(value) && !Object.is(value, -0)) return value;
  return { $number: Object.is(value, -0) ? "-0" : String(value) };
}

/**
 * A key as part of a path: a point in it, or "__" in front, must not look like ours, and objects put
 * keys that are numbers first.
 */
function pathStep(key: string): string {
  return key.replace(/[\\.]|^__|^\d/g, "\\$&");
}

/**
 * The plain data that {@linkcode pack} was given.
 *
 * @param value What it returned.
 * @param tensorAt Gives a tensor by its path.
 * @param escaped Whether keys that begin with "$" were written with another one.
 * @returns The data.
 * @throws {TypeError} If it is nothing that pack returns.
 */
export function unpack(
  value: unknown,
  tensorAt: (path: string) => Tensor,
  escaped: boolean,
): unknown {
  function part(value: unknown, depth: number): unknown {
    if (!isObject(value)) return value;
    checkPlain("the JSON", value, depth);
    if (Array.isArray(value)) return value.map((item) => part(item, depth + 1));
    const keys = Object.keys(value);
    if (keys.length === 1 && "$tensor" in value) return tensorAt(String(value.$tensor));
    if (keys.length === 1 && "$number" in value) {
      const text = String(value.$number);
      checkType(Object.hasOwn(SPECIAL, text), "$number", "be NaN, -0 or infinite", text);
      return SPECIAL[text];
    }
    return mapped(value, (item) => part(item, depth + 1), (key) => {
      if (!escaped || !key.startsWith("$")) return key;
      checkType(key.startsWith("$$"), "A key", "not begin with one $", key);
      return key.slice(1);
    });
  }
  return part(value, 0);
}

function isPrimitive(value: unknown): boolean {
  const type = typeof value;
  return value === null || type === "number" || type === "string" || type === "boolean" ||
    type === "undefined";
}

function isTensorLike(value: object): value is { data: unknown; shape: unknown } {
  return "data" in value && "shape" in value;
}

/** Refuses what has more to it than its keys and values. A tensor may be of any class. */
function checkPlain(name: string, value: unknown, depth: number): asserts value is object {
  const isPlain = isObject(value) && !ArrayBuffer.isView(value) &&
    (Array.isArray(value) || isTensorLike(value) || hasPlainPrototype(value));
  checkType(isPlain, name, "be plain data", isObject(value) ? nameOf(value) : value);
  if (depth <= MAX_DEPTH) return;
  throw new ArgumentTypeError(
    `${name} must be plain data: it is nested more than ${MAX_DEPTH} deep`,
  );
}

/** Whether an object is one of `{ ... }`, of whatever realm. */
function hasPlainPrototype(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function nameOf(value: object): string {
  return `a ${value.constructor?.name ?? "object"}`;
}

/** An object with the values, and the keys too if wanted, made anew from those of another. */
function mapped(
  value: object,
  toPart: (part: unknown, key: string) => unknown,
  toKey = (key: string) => key,
): object {
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [toKey(key), toPart(part, key)]),
  );
}
