/**
 * Bundles by esbuild, as an application makes them of the npm package.
 *
 * @module
 */

import { build, type Plugin } from "esbuild";
import { fileURLToPath } from "node:url";

/** The project's folder. */
export const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** The name that users import. */
export const PACKAGE = "@cnn-layers/cnn-layers";

/** The oldest JavaScript that the library is made for. */
export const TARGET = "es2022";

/** Says of every module what the npm package says: if nothing of it is used, it is left out. */
const withoutSideEffects: Plugin = {
  name: "without side effects",
  setup({ onResolve, resolve }) {
    const resolving = {};
    onResolve({ filter: /.*/ }, async ({ path, pluginData, ...where }) => {
      if (pluginData === resolving) return undefined;
      return { ...await resolve(path, { ...where, pluginData: resolving }), sideEffects: false };
    });
  },
};

/** The condition under which the npm package is bundled without the generated tier. */
export const NO_GENERATED = "no-generated-kernels";

/** What the npm package does under {@linkcode NO_GENERATED}. */
const withoutGenerated: Plugin = {
  name: NO_GENERATED,
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]generated[\\/]tier\.ts$/ }, async () => ({
      contents: await Deno.readTextFile(`${ROOT}kernels/generated/none.ts`),
      loader: "ts",
    }));
  },
};

/**
 * Bundles and minifies a program. Call esbuild's `stop` at the end: a process of its own does the work.
 *
 * @param program The program's text, which imports {@linkcode PACKAGE}.
 * @param generated Whether the generated tier belongs to it. Default: true.
 * @returns An ES module.
 */
export async function bundled(program: string, generated = true): Promise<Uint8Array<ArrayBuffer>> {
  const { outputFiles: [{ contents }] } = await build({
    stdin: { contents: program, resolveDir: ROOT },
    alias: { [PACKAGE]: `${ROOT}mod.ts` },
    plugins: generated ? [withoutSideEffects] : [withoutGenerated, withoutSideEffects],
    bundle: true,
    minify: true,
    format: "esm",
    target: TARGET,
    write: false,
    logLevel: "error",
  });
  return new Uint8Array(contents);
}
