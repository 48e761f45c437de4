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

/** Leaves the library's generated kernels out. */
const withoutGenerated: Plugin = {
  name: "without generated kernels",
  setup({ onLoad }) {
    const contents =
      "export const generatedConvs = [], generatedPools = [], generatedAveragePools = [];";
    onLoad({ filter: /[\\/]generated[\\/]kernels[\\/]index\.ts$/ }, () => ({ contents }));
  },
};

/**
 * Bundles and minifies a program. Call esbuild's `stop` in the end: a process of its own does the work.
 *
 * @param program The program's text, which imports {@linkcode PACKAGE}.
 * @param generated Whether the library's generated kernels belong to it. Default: true.
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
