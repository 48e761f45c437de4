import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import { bundle } from "../../support/bundles.ts";
import { nodeVersion, runInNode } from "../../support/node.ts";

const version = await nodeVersion();

describe("threads under Node", () => {
  it(
    "fail calls whose worker is ended, and serve the next",
    { skip: version === undefined },
    async () => {
      const program = await bundle("ended_workers.ts");
      const { calls, next } = JSON.parse(await runInNode(program));
      // A worker may have been done before its end; then the numbers must be right.
      const failure = "1 of 1 worker threads have ended or hang";
      assertEquals(calls.filter((call: string) => call !== failure && call !== "same"), []);
      assert(calls.filter((call: string) => call === failure).length > 25, calls.join());
      assertEquals(calls.length, 50);
      assertEquals(next, Array(50).fill("same"));
    },
  );
});
