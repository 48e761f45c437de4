/**
 * The installed package in Node, the oldest that it serves and the newest, and in Bun.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { PACKAGE } from "../../tools/bundle.ts";
import type { Installed } from "./install.ts";
import { assertReport } from "./report.ts";

/** Tests of the installed package in every runtime. */
export function testRuntimes({ runtimes, run }: Installed): void {
  for (const [name, program] of Object.entries(runtimes)) {
    describe(`In ${name} the package`, () => {
      it("has the naive loops' numbers by every tier, and trains to the known bits", async () => {
        const { success, stdout, stderr } = await run(program, "program.mjs");
        assert(success, stderr);
        assertReport(stdout);
      });
    });
  }
  it("can be required where Node requires modules", async () => {
    const text = `console.log(typeof require("${PACKAGE}").convForward)`;
    const { stdout, stderr } = await run(runtimes["node latest"], "-e", text);
    assertEquals(stdout.trim(), "function", stderr);
  });
}
