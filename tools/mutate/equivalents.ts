/**
 * Mutants that no test can notice, with the reasons: equivalent.json.
 *
 * @module
 */

import type { Mutant } from "./mutants.ts";

/** Mutants of one line that change nothing that a user could see. */
export interface Equivalent {
  /** The file, from the root. */
  readonly file: string;
  /** The line, without its indentation. */
  readonly snippet: string;
  /** What stands there. Default: any mutant of the line. */
  readonly from?: string;
  /** What takes its place. Default: anything. */
  readonly to?: string;
  /** Why it makes no difference. */
  readonly reason: string;
}

/** Whether an entry speaks of a mutant. */
function covers({ file, snippet, from, to }: Equivalent, mutant: Mutant): boolean {
  return file === mutant.file && snippet === mutant.snippet &&
    (from === undefined || from === mutant.from) && (to === undefined || to === mutant.to);
}

/**
 * Parts mutants that are to be noticed from those that cannot be.
 *
 * @param mutants All mutants.
 * @param equivalents The entries.
 * @returns The mutants that count, and the entries that speak of none of the others.
 */
export function withoutEquivalents(
  mutants: readonly Mutant[],
  equivalents: readonly Equivalent[],
): { readonly counted: Mutant[]; readonly stale: Equivalent[] } {
  const counted = mutants.filter((mutant) => !equivalents.some((entry) => covers(entry, mutant)));
  const stale = equivalents.filter((entry) => !mutants.some((mutant) => covers(entry, mutant)));
  return { counted, stale };
}
