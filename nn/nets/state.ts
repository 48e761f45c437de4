/**
 * Whether tensors fit a net, said of all of them at once.
 *
 * @module
 */

import { checkOptions, checkTensor, isObject } from "../../kernels/check.ts";
import { ArgumentRangeError, ArgumentTypeError } from "../../kernels/errors.ts";
import { show } from "../../kernels/tensor.ts";

/** How {@linkcode LayeredNet.loadState} takes tensors. */
export interface LoadStateOptions {
  /** Whether every tensor of the net must be there, and no other. Default: true. */
  readonly strict?: boolean;
}

/** What {@linkcode LayeredNet.loadState} has left alone. */
export interface LoadedState {
  /** Tensors of the net that were not given, and keep their values. */
  readonly missing: readonly string[];
  /** Tensors that were given and the net does not have. */
  readonly extra: readonly string[];
}

/**
 * Checks that tensors are those of a net; their dtype may differ.
 *
 * @param name What the message calls them.
 * @param record The tensors, by name.
 * @param shapes The shapes that the net has, by name.
 * @param strict Whether all of them must be there, and no others.
 * @returns What is missing, and what is not the net's.
 * @throws {TypeError} If a value is not a tensor, a rank differs, or a name does where strict.
 * @throws {RangeError} If nothing but sizes differs.
 */
export function checkState(
  name: string,
  record: unknown,
  shapes: Readonly<Record<string, readonly number[]>>,
  strict: boolean,
): LoadedState {
  checkOptions(name, record, isObject(record) ? Object.keys(record) : []);
  const missing = Object.keys(shapes).filter((key) => !Object.hasOwn(record, key));
  const extra: string[] = [], wrong: string[] = [];
  let ranksAgree = true;
  for (const [key, value] of Object.entries(record)) {
    checkTensor(`${name}.${key}`, value);
    if (!Object.hasOwn(shapes, key)) {
      extra.push(key);
      continue;
    }
    const own = shapes[key], { shape } = value;
    if (own.join() === shape.join()) continue;
    wrong.push(`${key} ${show(shape)} for ${show(own)}`);
    ranksAgree &&= own.length === shape.length;
  }
  const names = strict ? [...missing, ...extra] : [];
  if (names.length + wrong.length === 0) return { missing, extra };
  const list = (what: string, items: readonly string[]) =>
    items.length === 0 ? [] : [`${what}: ${items.join(", ")}`];
  const faults = [
    ...strict ? [...list("missing", missing), ...list("extra", extra)] : [],
    ...list("of a wrong shape", wrong),
  ];
  const message = `${name} must fit the net; ${faults.join("; ")}`;
  if (names.length === 0 && ranksAgree) throw new ArgumentRangeError(message);
  throw new ArgumentTypeError(message, ranksAgree ? "INVALID_TYPE" : "INVALID_RANK");
}
