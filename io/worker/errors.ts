/**
 * Errors on their way between threads: structured clones lose the class and the code of an error.
 *
 * @module
 */

import {
  ArgumentRangeError,
  ArgumentTypeError,
  type RangeErrorCode,
  type TypeErrorCode,
} from "../../kernels/errors.ts";

/** An error as plain data. */
export interface ErrorData {
  readonly kind: "ArgumentTypeError" | "ArgumentRangeError" | "TypeError" | "RangeError" | "Error";
  readonly message: string;
  readonly code?: string;
  /** Where it was thrown, in the other thread. */
  readonly stack?: string;
}

/**
 * An error as plain data.
 *
 * @param error What was thrown.
 * @returns The data.
 */
export function errorData(error: unknown): ErrorData {
  if (!(error instanceof Error)) return { kind: "Error", message: String(error) };
  const { message, stack } = error;
  if (error instanceof ArgumentTypeError) {
    return { kind: "ArgumentTypeError", message, code: error.code, stack };
  }
  if (error instanceof ArgumentRangeError) {
    return { kind: "ArgumentRangeError", message, code: error.code, stack };
  }
  if (error instanceof TypeError) return { kind: "TypeError", message, stack };
  return { kind: error instanceof RangeError ? "RangeError" : "Error", message, stack };
}

/**
 * The error that data are of.
 *
 * @param data What {@linkcode errorData} returned.
 * @returns An error of the same class, with the same message and code.
 */
export function errorOf({ kind, message, code, stack }: ErrorData): Error {
  const error = newError(kind, message, code);
  if (stack !== undefined) error.stack = stack;
  return error;
}

function newError(kind: ErrorData["kind"], message: string, code: string | undefined): Error {
  switch (kind) {
    case "ArgumentTypeError":
      return new ArgumentTypeError(message, code as TypeErrorCode);
    case "ArgumentRangeError":
      return new ArgumentRangeError(message, code as RangeErrorCode);
    case "TypeError":
      return new TypeError(message);
    case "RangeError":
      return new RangeError(message);
    default:
      return new Error(message);
  }
}
