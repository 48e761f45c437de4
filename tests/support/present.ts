/**
 * Parts of a report that may be missing.
 *
 * @module
 */

import type { Either } from "../../site/kernel/report.ts";

/** What is there, or an error that says why it is not. */
export function present<T extends object>(part: Either<T>): T {
  if ("missing" in part) throw new Error(String(part.missing));
  return part as T;
}

/** Why a part is missing; undefined if it is there. */
export function whyMissing(part: Either<object>): string | undefined {
  return "missing" in part ? String(part.missing) : undefined;
}
