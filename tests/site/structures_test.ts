import { assert, assertEquals } from "@std/assert";
import { after, before, describe, it } from "@std/testing/bdd";
import { stop } from "esbuild";
import { join } from "node:path";
import {
  averagePoolFamilies,
  convConfigs,
  convConfigShape,
  convFamilies,
} from "../../codegen/configs.ts";
import { poolConfigs, poolConfigShape, poolFamilies } from "../../codegen/configs.ts";
import * as kernels from "../../codegen/kernels.ts";
import * as print from "../../codegen/print.ts";
import { convShape } from "../../kernels/shape.ts";
import { ROOT } from "../../tools/bundle.ts";
import { scripts } from "../../tools/docs/scripts.ts";

type Generator = typeof kernels & typeof print;

const options = { types: "../kernel.ts", command: "none", test: "this" };

/** The text of the file of each kernel. */
function textsOf(generator: Generator): string[] {
  const own = [
    convShape([1, 3, 9, 11], [4, 3, 3, 5], { stride: [2, 1], pad: [1, 2], dilation: [1, 2] }),
    convShape([1, 6, 8, 8], [6, 1, 3, 3], { pad: 1, groups: 6 }),
    convShape([1, 64, 56, 56], [128, 64, 1, 1], { stride: 2 }),
    convShape([1, 2, 30, 30], [2, 2, 11, 11], { stride: 4, pad: 2 }),
  ];
  const files = [
    ...[...convConfigs.map(convConfigShape), ...own].map((shape) => generator.exactConv(shape)),
    ...convFamilies.map((family) => generator.familyConv(family, "a row")),
    ...poolConfigs.map(poolConfigShape).map((shape) => generator.maxPool(shape)),
    ...poolFamilies.map((family) => generator.maxPool(family)),
    ...averagePoolFamilies.map((family) => generator.averagePool(family)),
  ].map((kernel) => generator.kernelFile(`${kernel.constant}.ts`, [kernel, kernel], options));
  return [...files, generator.indexFile(files, options, "../mod.ts")].map(({ text }) => text);
}

describe("The page's printer of structures", () => {
  let generator: Generator;
  before(async () => {
    const path = await Deno.makeTempFile({ suffix: ".ts" });
    const module = (name: string) =>
      `export * from ${JSON.stringify(join(ROOT, "codegen", name))};`;
    await Deno.writeTextFile(path, module("kernels.ts") + module("print.ts"));
    const { bundle } = await scripts({ bundle: path });
    assert(bundle.length < 200_000, `${bundle.length} bytes`);
    generator = await import(`data:text/javascript,${encodeURIComponent(bundle)}`);
    await Deno.remove(path);
  });
  after(stop);

  it("prints what ts-morph prints, to the byte", () => {
    const found = textsOf(generator), expected = textsOf({ ...kernels, ...print });
    assertEquals(found.length, expected.length);
    for (const [i, text] of found.entries()) assertEquals(text, expected[i]);
  });
});
