/**
 * Hosts that are started with the flag by which V8 runs pairs of vectors as one.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { PairsReport } from "./pairs_report.ts";
import { TRAINING_HASH } from "./reproducible.ts";

/** The flag. */
export const PAIRS_FLAG = "--experimental-wasm-revectorize";

/** The script that prints a {@linkcode PairsReport}. */
export const PAIRS_SCRIPT = new URL("pairs_report.ts", import.meta.url).pathname;

/** Whether the processor has vectors of 32 bytes; undefined where the system does not say. */
export async function hasAvx2(): Promise<boolean | undefined> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return undefined;
  const text = await Deno.readTextFile("/proc/cpuinfo");
  return /\bavx2\b/.test(text) && /\bfma\b/.test(text);
}

/** Asserts that numbers and bits are right, and that kernels are for pairs where these are faster. */
export async function assertPairs(text: string): Promise<void> {
  const { main, worker, tiers, hash, threads, different }: PairsReport = JSON.parse(text);
  const pays = await hasAvx2() ?? main.faster[0];
  for (const { faster, kernel } of [main, worker]) {
    assertEquals(faster, faster.map(() => pays));
    assertMatch(kernel, pays ? /-pairs-simd$/ : /[0-9](-winograd)?-simd$/);
  }
  assert(tiers.length > 0);
  assertEquals(tiers.filter(({ difference }) => difference !== undefined), []);
  assertEquals(hash, TRAINING_HASH);
  assertEquals([threads, different], [2, []]);
}
