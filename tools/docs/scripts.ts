/**
 * Bundles of what the pages of the documentation run.
 *
 * @module
 */

import { build } from "esbuild";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ROOT, TARGET } from "../bundle.ts";

/** The scripts' sources. */
const SOURCES = join(ROOT, "site", "kernel");

/**
 * Bundles modules for browsers, with the generator's printer in place of ts-morph. Call esbuild's `stop`
 * at the end: a process of its own does the work.
 *
 * @param entries The modules, by the names of their bundles.
 * @returns The text of each, by its name.
 */
export async function scripts(
  entries: Readonly<Record<string, string>>,
): Promise<Record<string, string>> {
  // Deno fetches the package when it is imported, and says where to.
  await import("code-block-writer");
  const { outputFiles } = await build({
    entryPoints: { ...entries },
    alias: {
      "ts-morph": join(SOURCES, "structures.ts"),
      "code-block-writer": fileURLToPath(import.meta.resolve("code-block-writer")),
    },
    outdir: ".",
    bundle: true,
    minify: true,
    format: "esm",
    target: TARGET,
    write: false,
    logLevel: "error",
  });
  return Object.fromEntries(
    Object.keys(entries).map((name, i) => [name, outputFiles[i].text]),
  );
}

/** The scripts of "How a kernel is made". */
export function kernelScripts(): Promise<Record<string, string>> {
  return scripts({
    "kernel": join(SOURCES, "main.ts"),
    "kernel_worker": join(SOURCES, "worker.ts"),
  });
}
