/**
 * `deno task sizes`: what programs take of the library, bundled by esbuild.
 *
 * @module
 */

import { stop } from "esbuild";
import { constants, gzipSync } from "node:zlib";
import { markdownTable } from "./markdown.ts";
import { bundled, NO_GENERATED, PACKAGE } from "./bundle.ts";
import { runCommand } from "./options.ts";

/** Programs by what they use. */
export const programs = {
  "nothing: `import` alone": `import "${PACKAGE}";`,
  "convolution and max-pool":
    `export { convBackward, convForward, maxPoolBackward, maxPoolForward } from "${PACKAGE}";`,
  "`ThreeLayerConvNet` and `Solver`": `export { Solver, ThreeLayerConvNet } from "${PACKAGE}";`,
  "everything": `export * from "${PACKAGE}";`,
} as const;

/** The bytes of a bundle when it is gzipped as small as can be. */
export function zippedSize(bundle: Uint8Array): number {
  return gzipSync(bundle, { level: constants.Z_BEST_COMPRESSION }).length;
}

const about = `Prints what programs take of the library: bundled and minified by esbuild for ES2022,
then gzipped. A KB is 1000 bytes. The generated tier is for hosts without WebAssembly SIMD: bundlers
that are told the condition ${NO_GENERATED} leave it out of the npm package.`;

async function main(): Promise<number> {
  const rows: string[][] = [];
  for (const [uses, program] of Object.entries(programs)) {
    const whole = await bundled(program), bare = await bundled(program, false);
    const cells = [whole.length, zippedSize(whole), zippedSize(bare)];
    rows.push([uses, ...cells.map((bytes) => (bytes / 1000).toFixed(1))]);
  }
  await stop();
  const head = [
    "a program that uses",
    "minified, KB",
    "gzipped, KB",
    "without the generated tier, KB",
  ];
  console.log(markdownTable([head, ...rows]));
  return 0;
}

if (import.meta.main) await runCommand({ usage: "deno task sizes", about, options: {} }, main);
