import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ROOT } from "../../tools/bundle.ts";
import { blocksOf, printedBy } from "../support/blocks.ts";
import { isMissing } from "../support/python.ts";

const missing = await isMissing("torch");
const blocks = await blocksOf("MIGRATION.md");
const [python, ours, printed, pythonWeights, ourWeights, tfjs, oursToo] = blocks
  .map(({ text }) => text);

/** Runs a program in Deno, which imports this copy of the library, in a folder. */
async function runInDeno(text: string, cwd?: string): Promise<string> {
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  const own = text.replaceAll(/"@cnn-layers\/cnn-layers(\/?)(.*)"/g, (_, slash, entry) => {
    return `"${new URL(slash ? `../../io/${entry}.ts` : "../../mod.ts", import.meta.url)}"`;
  });
  try {
    await Deno.writeTextFile(path, own);
    const options = ["--quiet", "--no-lock", "--allow-all", "--config", `${ROOT}deno.json`];
    return await printedBy([Deno.execPath(), "run", ...options, path], { cwd });
  } finally {
    await Deno.remove(path);
  }
}

describe("MIGRATION.md", () => {
  it("has the programs of these tests", () => {
    assertEquals(blocks.map(({ info }) => info), [
      ...["python", "ts", "text"],
      ...["python", "ts ignore"],
      ...["js ignore", "ts"],
    ]);
  });
  it("trains to the numbers that it says", async () => {
    assertEquals(await runInDeno(ours), printed);
  });
  if (missing) console.log(`Skipped: ${missing}`);
  it("says what PyTorch prints", { skip: missing !== false }, async () => {
    assertEquals(await printedBy(["/usr/bin/python3", "-c", python]), printed);
  });
  it("predicts with PyTorch's weights what PyTorch does", { skip: missing !== false }, async () => {
    const cwd = await Deno.makeTempDir();
    try {
      const theirs = await printedBy(["/usr/bin/python3", "-c", pythonWeights], { cwd });
      assertMatch(theirs, /^-?\d\.\d{4}( -?\d\.\d{4}){9}$/m);
      assertEquals(await runInDeno(ourWeights, cwd), theirs);
      const load = 'import numpy; print(numpy.load("trained.npz")["W1"].shape)';
      assertEquals(await printedBy(["/usr/bin/python3", "-c", load], { cwd }), "(4, 1, 3, 3)\n");
    } finally {
      await Deno.remove(cwd, { recursive: true });
    }
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
