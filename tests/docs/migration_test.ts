import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { blocksOf, printedBy } from "../support/blocks.ts";
import { isMissing } from "../support/python.ts";

const library = new URL("../../mod.ts", import.meta.url).href;
const missing = await isMissing("torch");
const blocks = await blocksOf("MIGRATION.md");
const [python, ours, printed, tfjs, oursToo] = blocks.map(({ text }) => text);

/** Runs a program in Deno, which imports this copy of the library. */
async function runInDeno(text: string): Promise<string> {
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(path, text.replace('"@cnn-layers/cnn-layers"', `"${library}"`));
    return await printedBy([Deno.execPath(), "run", "--quiet", "--no-lock", "--allow-all", path]);
  } finally {
    await Deno.remove(path);
  }
}

describe("MIGRATION.md", () => {
  it("has the programs of these tests", () => {
    assertEquals(blocks.map(({ info }) => info), ["python", "ts", "text", "js ignore", "ts"]);
  });
  it("trains to the numbers that it says", async () => {
    assertEquals(await runInDeno(ours), printed);
  });
  if (missing) console.log(`Skipped: ${missing}`);
  it("says what PyTorch prints", { skip: missing !== false }, async () => {
    assertEquals(await printedBy(["/usr/bin/python3", "-c", python]), printed);
  });
  it("convolves to the numbers of TensorFlow.js", async () => {
    const core = 'from "npm:@tensorflow/tfjs-core@4.22.0";\n' +
      'import "npm:@tensorflow/tfjs-backend-cpu@4.22.0"';
    const theirs = await runInDeno(tfjs.replace('from "@tensorflow/tfjs"', core));
    const line = theirs.trim().split("\n").at(-1)!; // the first lines are advice
    assertMatch(line, /^\d+\.\d{4}( \d+\.\d{4}){3}$/);
    assertEquals((await runInDeno(oursToo)).trim(), line);
  });
});
