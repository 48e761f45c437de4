/**
 * The installed package through bundlers: a program that uses it, for pages, and one that imports it alone.
 *
 * @module
 */

import { assert } from "@std/assert";
import { it } from "@std/testing/bdd";
import { join } from "node:path";
import { PACKAGE } from "../../tools/bundle.ts";
import type { Installed } from "./install.ts";

/** The bundlers: each makes bundles/NAME/program.js and bundles/NAME/alone.js. */
export const bundlers = ["esbuild", "vite", "webpack"] as const;

/** Runs in Node beside the installed bundlers. */
const builds: Readonly<Record<(typeof bundlers)[number], string>> = {
  esbuild: `
    import { build } from "esbuild";
    const options = { bundle: true, minify: true, format: "esm", logLevel: "error" };
    await build({ ...options, entryPoints: ["program.mjs", "alone.mjs"], outdir: "bundles/esbuild" });`,
  vite: `
    import { build } from "vite";
    const output = { entryFileNames: "[name].js" }, input = ["program.mjs", "alone.mjs"];
    const options = { outDir: "bundles/vite", rollupOptions: { input, output } };
    await build({ configFile: false, logLevel: "error", build: options });`,
  webpack: `
    import webpack from "webpack";
    const entry = { program: "./program.mjs", alone: "./alone.mjs" };
    const output = { path: process.cwd() + "/bundles/webpack", filename: "[name].js" };
    const config = { mode: "production", performance: false, entry, output };
    const stats = await new Promise((resolve, reject) =>
      webpack(config, (error, stats) => error ? reject(error) : resolve(stats)));
    if (stats.hasErrors()) throw new Error(stats.toString("errors-only"));`,
};

/** Tests of bundles for which no page is needed. Pages run the bundles of the program later. */
export function testBundlers({ folder, runtimes, run }: Installed): void {
  for (const name of bundlers) {
    it(`is left out of a bundle by ${name} if nothing of it is used`, async () => {
      await Deno.writeTextFile(join(folder, "alone.mjs"), `import "${PACKAGE}";\n`);
      await Deno.writeTextFile(join(folder, `${name}.mjs`), builds[name]);
      const { success, stderr } = await run(runtimes["node latest"], `${name}.mjs`);
      assert(success, stderr);
      const [alone, program] = await Promise.all(
        ["alone", "program"].map((file) => Deno.stat(join(folder, "bundles", name, `${file}.js`))),
      );
      assert(alone.size < 1000, `${alone.size} bytes`);
      assert(program.size > 100_000, `${program.size} bytes`);
    });
  }
}
