import { assert, assertEquals } from "@std/assert";
import { after, describe, it } from "@std/testing/bdd";
import { stop } from "esbuild";
import { fileURLToPath } from "node:url";
import { bundled } from "../tools/bundle.ts";
import { programs, zippedSize } from "../tools/sizes.ts";
import { runByUrl } from "./support/by_url.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The files of mod.ts's graph. */
async function graph(): Promise<{ specifier: string }[]> {
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", `${root}mod.ts`],
  }).output();
  assert(success);
  return JSON.parse(new TextDecoder().decode(stdout)).modules;
}

describe("mod.ts", () => {
  after(stop);
  it("depends on nothing", async () => {
    const foreign = (await graph()).filter(({ specifier }) =>
      !specifier.startsWith(new URL("..", import.meta.url).href)
    );
    assertEquals(foreign, []);
  });
  it("takes a program no more than what it uses, the generated tier apart", async () => {
    const most: Readonly<Record<keyof typeof programs, number>> = {
      "nothing: `import` alone": 100,
      "convolution and max-pool": 47_500,
      "`ThreeLayerConvNet` and `Solver`": 82_000,
      "everything": 112_000,
    };
    for (const [uses, program] of Object.entries(programs)) {
      const bytes = zippedSize(await bundled(program, false));
      assert(bytes < most[uses as keyof typeof programs], `${uses}: ${bytes} bytes`);
    }
  });
  it("takes no layer to a program that does not use it", async () => {
    const program = programs["`ThreeLayerConvNet` and `Solver`"];
    const text = new TextDecoder().decode(await bundled(program, false));
    // Each layer is a value that brings its own code.
    const layers = ["maxPool", "batchnorm", "averagePool", "concat", "convTranspose", "gelu"];
    assertEquals(layers.filter((type) => text.includes(`"${type}"`)), ["maxPool", "batchnorm"]);
  });
  it("imports by URL in an empty folder, with no config file and no permission", async () => {
    const printed = await runByUrl(
      (url) =>
        `import { convForward, explainConv, linspace } from "${url}mod.ts";
       const x = linspace(-0.1, 0.5, [2, 3, 4, 4]), w = linspace(-0.2, 0.3, [3, 3, 4, 4]);
       const { out } = convForward(x, w, linspace(-0.1, 0.2, [3]), { stride: 2, pad: 1 });
       console.log(out.shape.join(), out.data[0].toFixed(8));
       console.log(explainConv(x.shape, w.shape, { stride: 2, pad: 1 }).tier);`,
      ["--allow-import=127.0.0.1"],
    );
    const [numbers, tier] = printed.split("\n");
    assertEquals(numbers, "2,3,2,2 -0.08759809");
    assert(["simd", "generated", "naive"].includes(tier), tier);
  });
});
