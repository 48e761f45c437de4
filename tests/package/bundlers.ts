/**
 * The installed package through bundlers: a program that uses it, for pages, and one that imports it alone.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { before, describe, it } from "@std/testing/bdd";
import { join } from "node:path";
import { NO_GENERATED, PACKAGE } from "../../tools/bundle.ts";
import type { Installed } from "./install.ts";
import { TRAINING } from "./training.ts";

/** The bundlers: each makes bundles/NAME/program.js, alone.js and slim.js. */
export const bundlers = ["esbuild", "vite", "webpack"] as const;

/** The bundlers that find the file of the worker by themselves. */
export const workerBundlers: readonly string[] = ["vite", "webpack"];

/**
 * Programs beside program.mjs: one that uses nothing, one that trains in a worker, and one that says what
 * runs without the generated tier.
 */
const programs = {
  "training.mjs": `${TRAINING}
    const answer = await fetch(location.href, { method: "POST", body: report });
    const next = await answer.text();
    if (next !== "") location.href = next;`,
  "alone.mjs": `import "${PACKAGE}";`,
  "slim.mjs": `
    import { convForward, explainConv, registerKernels, tensor, useKernels } from "${PACKAGE}";
    const said = [explainConv([1, 3, 31, 31], [25, 3, 3, 3], { stride: 2, pad: 1 }).tier];
    useKernels("generated");
    said.push(explainConv([1, 3, 31, 31], [25, 3, 3, 3], { stride: 2, pad: 1 }).tier);
    const x = tensor([[[[1, 2], [3, 4]]]]), { out } = convForward(x, x, tensor([5]), {});
    said.push(out.data.join());
    try { registerKernels([]); } catch (error) { said.push(error.message); }
    console.log(said.join());`,
};

/** What slim.mjs prints. */
const SLIM = "simd,naive,35,Cannot register kernels: the bundle leaves the generated tier out";

/** Runs in Node beside the installed bundlers. */
const builds: Readonly<Record<(typeof bundlers)[number], string>> = {
  esbuild: `
    import { build } from "esbuild";
    const options = { bundle: true, minify: true, format: "esm", outdir: "bundles/esbuild" };
    await build({ ...options, entryPoints: ["program.mjs", "alone.mjs"], logLevel: "error" });
    await build({ ...options, entryPoints: ["slim.mjs"], conditions: ["${NO_GENERATED}"] });`,
  vite: `
    import { build, defaultClientConditions } from "vite";
    const output = { entryFileNames: "[name].js" };
    const bundle = (input, conditions) => build({
      configFile: false,
      base: "./",
      logLevel: "error",
      resolve: { conditions: [...conditions, ...defaultClientConditions] },
      build: { outDir: "bundles/vite", emptyOutDir: false, rollupOptions: { input, output } },
    });
    await bundle(["program.mjs", "alone.mjs", "training.mjs"], []);
    await bundle(["slim.mjs"], ["${NO_GENERATED}"]);`,
  webpack: `
    import webpack from "webpack";
    const output = { path: process.cwd() + "/bundles/webpack", filename: "[name].js" };
    const bundle = (entry, conditionNames) => {
      const config = { mode: "production", performance: false, output, entry };
      return new Promise((resolve, reject) =>
        webpack({ ...config, resolve: { conditionNames } }, (error, stats) =>
          error || stats.hasErrors() ? reject(error ?? stats.toString("errors-only")) : resolve()));
    };
    await bundle({
      program: "./program.mjs", alone: "./alone.mjs", training: "./training.mjs",
    }, ["..."]);
    await bundle({ slim: "./slim.mjs" }, ["${NO_GENERATED}", "..."]);`,
};

/** Tests of bundles for which no page is needed. Pages run the bundles of the program later. */
export function testBundlers({ folder, runtimes, run }: Installed): void {
  const node = runtimes["node latest"];
  for (const name of bundlers) {
    describe(`Through ${name} the package`, () => {
      const size = async (file: string) =>
        (await Deno.stat(join(folder, "bundles", name, file))).size;

      before(async () => {
        for (const [file, text] of Object.entries({ ...programs, [`${name}.mjs`]: builds[name] })) {
          await Deno.writeTextFile(join(folder, file), text);
        }
        const { success, stderr } = await run(node, `${name}.mjs`);
        assert(success, stderr);
      });
      it("is left out if nothing of it is used", async () => {
        const bytes = await size("alone.js");
        assert(bytes < 1000, `${bytes} bytes`);
      });
      it("leaves the generated tier out on condition", async () => {
        const { stdout, stderr } = await run(node, join("bundles", name, "slim.js"));
        assertEquals(stdout.trim(), SLIM, stderr);
        const bytes = await size("slim.js");
        assert(bytes < 112_000, `${bytes} bytes`);
      });
    });
  }
}
