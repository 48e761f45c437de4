import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import { bundles } from "./support/bundles.ts";
import { TRAINING_HASH, type TrainingReport } from "./support/reproducible.ts";
import type { TierReport } from "./support/tiers.ts";

/** Node's version; undefined, with the reason printed, where there is none. */
async function nodeVersion(): Promise<string | undefined> {
  try {
    const { stdout } = await new Deno.Command("node", { args: ["--version"] }).output();
    return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    console.log(`Skipped as node does not run: ${error instanceof Error ? error.message : error}`);
    return undefined;
  }
}

const version = await nodeVersion();

/** Runs a program in Node beside the bundles, and returns what it prints. */
async function runInNode(program: string): Promise<string> {
  const directory = await Deno.makeTempDir();
  try {
    for (const [name, text] of Object.entries(await bundles())) {
      await Deno.writeTextFile(`${directory}/${name}.mjs`, text);
    }
    await Deno.writeTextFile(`${directory}/main.mjs`, program);
    const { success, stdout, stderr } = await new Deno.Command("node", {
      args: [`${directory}/main.mjs`],
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

describe("The bundle under Node", () => {
  it("runs every tier with the naive loops' numbers", { skip: version === undefined }, async () => {
    const printed = await runInNode(`
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
    const printed = await runInNode(`
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
      const printed = await runInNode(`
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
