import { assert } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { parse } from "@std/jsonc";
import { ROOT } from "../tools/bundle.ts";

/** Runs Deno in the project's folder. */
async function deno(...args: string[]) {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder();
  return { success, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

/** What `deno doc --json` says of a module. */
interface ModuleDoc {
  readonly module_doc?: { readonly doc?: string; readonly tags?: readonly { kind: string }[] };
}

const config = parse(await Deno.readTextFile(`${ROOT}deno.json`));
const { exports } = config as { readonly exports: Readonly<Record<string, string>> };

// What the registries' pages of the package show, and JSR's score counts.
describe("The entry points", () => {
  for (const [entry, file] of Object.entries(exports)) {
    it(`say what they are for, as ${entry}`, async () => {
      const { stdout } = await deno("doc", "--json", file);
      const nodes: Readonly<Record<string, ModuleDoc>> = JSON.parse(stdout).nodes;
      const { module_doc } = Object.values(nodes)[0];
      assert(module_doc?.doc, `${file} has no documentation of its own`);
      if (entry !== ".") return;
      assert(module_doc?.tags?.some(({ kind }) => kind === "example"), `${file} has no example`);
    });
  }
  it("document every symbol, with types that need no inference", async () => {
    const { success, stderr } = await deno("doc", "--lint", ...Object.values(exports));
    assert(success, stderr);
  });
});
