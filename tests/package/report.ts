/**
 * What a report of program.ts must say.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import * as lib from "../../mod.ts";
import { TRAINING_HASH } from "../support/reproducible.ts";
import { reportTiers, type TierReport } from "../support/tiers.ts";
import type { Report } from "./program.ts";

const kernels = (tiers: readonly TierReport[]) =>
  tiers.map(({ layer, asked, name, tier }) => ({ layer, asked, name, tier }));

/** The kernels that Deno chooses. */
function expected(pairs: boolean): ReturnType<typeof kernels> {
  using _ = lib.useVectorPairs(pairs);
  return kernels(reportTiers(lib));
}

/**
 * Asserts that every tier has the naive loops' numbers, by the kernels that Deno takes too, and the training
 * run its bits.
 *
 * @param text The report.
 * @param pairs Whether kernels must be for pairs of vectors. Default: false.
 */
export function assertReport(text: string, pairs = false): void {
  assert(text.startsWith("{"), `no report: ${text.slice(0, 2000)}`);
  const report: Report | { readonly error: string } = JSON.parse(text);
  if ("error" in report) throw new Error(report.error);
  const { tiers, training } = report;
  assertEquals(tiers.filter(({ difference }) => difference !== undefined), []);
  assertEquals(kernels(tiers), expected(pairs));
  // A tier that is asked for runs, but for the pools and shapes that have no generated kernel.
  for (const asked of ["auto", "simd", "generated", "naive"] as const) {
    const wanted = asked === "auto" ? "simd" : asked;
    assert(tiers.some((report) => report.asked === asked && report.tier === wanted), asked);
  }
  assertEquals(training.reasons.filter((reason) => reason.includes("interpreted")), []);
  assertEquals(training.hash, TRAINING_HASH);
}
