/**
 * The installed package in Node, the oldest that it serves and the newest, and in Bun.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { join } from "node:path";
import { PACKAGE } from "../../tools/bundle.ts";
import { hasAvx2, PAIRS_FLAG } from "../support/pairs.ts";
import type { Installed } from "./install.ts";
import { assertReport } from "./report.ts";
import { TRAINED, TRAINING } from "./training.ts";

const avx2 = await hasAvx2();

/** Tests of the installed package in every runtime. */
export function testRuntimes({ folder, runtimes, run }: Installed): void {
  for (const [name, program] of Object.entries(runtimes)) {
    describe(`In ${name} the package`, () => {
      it("has the naive loops' numbers by every tier, and trains to the known bits", async () => {
        const { success, stdout, stderr } = await run(program, "program.mjs");
        assert(success, stderr);
        assertReport(stdout);
      });
      it("trains in a worker to a solver's bits", async () => {
        const text = `${TRAINING} console.log(report);`;
        await Deno.writeTextFile(join(folder, "trained.mjs"), text);
        const { stdout, stderr } = await run(program, "trained.mjs");
        assertEquals(stdout.trim(), TRAINED, stderr);
      });
      it("loads from every entry point", async () => {
        const path = join(folder, "node_modules", PACKAGE, "package.json");
        const { exports } = JSON.parse(await Deno.readTextFile(path));
        const imports = Object.keys(exports).map((entry) => `"${entry.replace(/^\./, PACKAGE)}"`);
        const text = `for (const name of [${imports}])
          console.log(Object.keys(await import(name)).length > 0);`;
        await Deno.writeTextFile(join(folder, "entries.mjs"), text);
        const { stdout, stderr } = await run(program, "entries.mjs");
        assertEquals(stdout.trim().split("\n"), imports.map(() => "true"), stderr);
      });
    });
  }
  describe("In node latest with V8's flag for pairs of vectors the package", () => {
    const program = runtimes["node latest"];

    it("has the naive loops' numbers and the known bits, by pairs", { skip: !avx2 }, async () => {
      const { success, stdout, stderr } = await run(program, PAIRS_FLAG, "program.mjs");
      assert(success, stderr);
      assertReport(stdout, true);
    });
    it("trains in a worker to a solver's bits", async () => {
      await Deno.writeTextFile(join(folder, "paired.mjs"), `${TRAINING} console.log(report);`);
      const { stdout, stderr } = await run(program, PAIRS_FLAG, "paired.mjs");
      assertEquals(stdout.trim(), TRAINED, stderr);
    });
  });
  it("can be required where Node requires modules", async () => {
    const text = `console.log(typeof require("${PACKAGE}").convForward)`;
    const { stdout, stderr } = await run(runtimes["node latest"], "-e", text);
    assertEquals(stdout.trim(), "function", stderr);
  });
}
