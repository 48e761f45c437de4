import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { fileURLToPath, pathToFileURL } from "node:url";
import { minified, zippedSize } from "./support/bundles.ts";
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
  it("depends on nothing", async () => {
    const foreign = (await graph()).filter(({ specifier }) =>
      !specifier.startsWith(new URL("..", import.meta.url).href)
    );
    assertEquals(foreign, []);
  });
  it("takes a page 57 KB for ThreeLayerConvNet and Solver, generated kernels apart", async () => {
    const script = await minified(
      `export { Solver, ThreeLayerConvNet } from "${pathToFileURL(`${root}mod.ts`)}";`,
    );
    // Layers that the net does not have are left out: each is a value that brings its own code.
    const text = new TextDecoder().decode(script);
    const layers = ["maxPool", "batchnorm", "averagePool", "concat", "convTranspose", "gelu"];
    assertEquals(layers.filter((type) => text.includes(`"${type}"`)), ["maxPool", "batchnorm"]);
    const bytes = await zippedSize(script);
    assert(bytes < 57_000, `${bytes} bytes`);
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
