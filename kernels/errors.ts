/**
 * What the library throws at wrong arguments: errors that a program can tell apart by their code.
 *
 * @module
 */

/**
 * What a {@linkcode ArgumentTypeError} is about: a value of another kind than expected
 * (`INVALID_TYPE`), tensors of the wrong dtype (`INVALID_DTYPE`) or number of dimensions
 * (`INVALID_RANK`), an option that there is not (`UNKNOWN_OPTION`), bytes that are not in the format
 * that they should have (`INVALID_FORMAT`), or a solver that is training already (`BUSY`).
 */
export type TypeErrorCode =
  | "INVALID_TYPE"
  | "INVALID_DTYPE"
  | "INVALID_RANK"
  | "UNKNOWN_OPTION"
  | "INVALID_FORMAT"
  | "BUSY";

/**
 * What a {@linkcode ArgumentRangeError} is about: sizes that cannot be, or do not fit each other
 * (`INVALID_SIZE`), or another number outside its limits (`OUT_OF_RANGE`).
 */
export type RangeErrorCode = "INVALID_SIZE" | "OUT_OF_RANGE";

/**
 * A `TypeError` of this library: an argument has a wrong type, dtype or rank. Nothing was written.
 *
 * @example
 * ```ts
 * import { ArgumentTypeError, convForward, zeros } from "@cnn-layers/cnn-layers";
 *
 * try {
 *   convForward(zeros([1, 8, 8]), zeros([4, 3, 3, 3]), zeros([4]));
 * } catch (error) {
 *   if (!(error instanceof ArgumentTypeError)) throw error;
 *   console.log(error.code); // INVALID_RANK
 * }
 * ```
 */
export class ArgumentTypeError extends TypeError {
  /** What it is about. */
  readonly code: TypeErrorCode;

  /**
   * An error.
   *
   * @param message What was expected, and what came.
   * @param code What it is about. Default: "INVALID_TYPE".
   * @param options Its cause.
   */
  constructor(message: string, code: TypeErrorCode = "INVALID_TYPE", options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * A `RangeError` of this library: an argument is a size or a number that cannot be. Nothing was written.
 *
 * @example
 * ```ts
 * import { ArgumentRangeError, convForward, zeros } from "@cnn-layers/cnn-layers";
 *
 * try {
 *   convForward(zeros([1, 3, 2, 2]), zeros([4, 3, 3, 3]), zeros([4]));
 * } catch (error) {
 *   if (!(error instanceof ArgumentRangeError)) throw error;
 *   console.log(error.code); // INVALID_SIZE
 * }
 * ```
 */
export class ArgumentRangeError extends RangeError {
  /** What it is about. */
  readonly code: RangeErrorCode;

  /**
   * An error.
   *
   * @param message What was expected, and what came.
   * @param code What it is about. Default: "INVALID_SIZE".
   * @param options Its cause.
   */
  constructor(message: string, code: RangeErrorCode = "INVALID_SIZE", options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
