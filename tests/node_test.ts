import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import { bundles } from "./support/bundles.ts";
import { isAtLeast, node, nodeVersion, runInNode } from "./support/node.ts";
import { assertPairs, PAIRS_FLAG, PAIRS_SCRIPT } from "./support/pairs.ts";
import { TRAINING_HASH, type TrainingReport } from "./support/reproducible.ts";
import type { TierReport } from "./support/tiers.ts";

const version = await nodeVersion();

/** Runs a program in Node beside the bundles, and returns what it prints. */
async function runBeside(program: string): Promise<string> {
  const files = Object.entries(await bundles()).map(([name, text]) => [`${name}.mjs`, text]);
  return await runInNode(program, Object.fromEntries(files));
}

describe("The bundle under Node", () => {
  it("runs every tier with the naive loops' numbers", { skip: version === undefined }, async () => {
    const printed = await runBeside(`
      import * as lib from "./mod.mjs";
      import { reportTiers } from "./tiers.mjs";
      console.log(JSON.stringify(reportTiers(lib)));
    `);
    const reports: TierReport[] = JSON.parse(printed);
    assert(reports.length > 0);
    assertEquals(reports.filter(({ difference }) => difference !== undefined), []);
    for (const { layer, asked, tier, reason } of reports) {
      if (asked === "simd" && tier !== undefined) {
        assertEquals([layer, tier, reason], [layer, "simd", reason]);
      }
    }
  });

  it("runs without WebAssembly", { skip: version === undefined }, async () => {
    const printed = await runBeside(`
      delete globalThis.WebAssembly;
      const lib = await import("./mod.mjs");
      const { reportTiers } = await import("./tiers.mjs");
      console.log(JSON.stringify(reportTiers(lib)));
    `);
    const reports: TierReport[] = JSON.parse(printed);
    assert(reports.length > 0);
    assertEquals(reports.filter(({ difference }) => difference !== undefined), []);
    assertEquals(reports.filter(({ tier }) => tier === "simd"), []);
    for (const { reason } of reports.filter(({ asked, tier }) => asked === "simd" && tier)) {
      assert(reason?.includes("WebAssembly"), reason);
    }
  });

  for (
    const [host, prepare] of [["", ""], [" without WebAssembly", "delete globalThis.WebAssembly"]]
  ) {
    it(`trains to the same bits${host}`, { skip: version === undefined }, async () => {
      const printed = await runBeside(`
        ${prepare};
        const lib = await import("./mod.mjs");
        const { reportTraining } = await import("./reproducible.mjs");
        console.log(JSON.stringify(await reportTraining(lib)));
      `);
      const { hash, reasons }: TrainingReport = JSON.parse(printed);
      assertEquals(
        reasons.filter((reason) => reason.includes("interpreted") === (host === "")),
        [],
      );
      assertEquals(hash, TRAINING_HASH);
    });
  }
});

/** Node 24 strips types by itself, has the flag, and knows `using`. */
const NEW = 24;
const skip = !isAtLeast(version, NEW);
if (skip) console.log(`Tests of the sources in Node are skipped: they need ${NEW} or newer`);

describe(`The sources under Node, from ${NEW} on`, () => {
  it("run as they are", { skip }, async () => {
    const mod = new URL("../mod.ts", import.meta.url).href;
    const printed = await runInNode(`
      import { convForward, full } from "${mod}";
      const { out } = convForward(full([1, 1, 3, 3], 1), full([1, 1, 3, 3], 1), null, { pad: 1 });
      console.log(out.data.join());
    `);
    assertEquals(printed.trim(), "4,6,4,6,9,6,4,6,4");
  });

  it("run on pairs of vectors in every thread, by the flag alone", { skip }, async () => {
    await assertPairs(await node(PAIRS_FLAG, PAIRS_SCRIPT));
  });
});
