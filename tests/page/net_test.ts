import { describe, it } from "@std/testing/bdd";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { type LayerDescription, Net } from "../../mod.ts";
import { DEFAULT_SETTINGS } from "../../page/learn/settings.ts";
import { kindOf, KINDS, layerOfKind } from "../../page/net/kinds.ts";
import { cellsOf, notebookOf } from "../../page/net/notebook.ts";
import { netDescription, type NetPlan, planNet } from "../../page/net/plan.ts";
import { PRESETS } from "../../page/net/presets.ts";
import { PACKAGE, ROOT } from "../../tools/bundle.ts";

/** The layers of a preset with the last one, for an input. */
const described = (layers: readonly LayerDescription[], inputDim: readonly number[]) =>
  netDescription(layers, inputDim, 10, 0);

/** The sizes of a net that is right. */
function sizes(plan: NetPlan) {
  if ("wrong" in plan) throw new Error(plan.message);
  return plan;
}

/** What is wrong with a net. */
function mistake(plan: NetPlan) {
  if ("wrong" in plan) return plan;
  throw new Error("It is right");
}

describe("The page's layers", () => {
  for (const kind of KINDS) {
    it(`are read and written: ${kind.label}`, () => {
      const layer = layerOfKind(kind);
      assertEquals(kindOf(layer), kind);
      const values = kind.read(layer.args)!;
      assertEquals(kind.write(values), layer.args);
      // Another value of each field stays what it is.
      for (const { name, value, choices } of kind.fields) {
        const other = choices === undefined ? Number(value) / 2 : Object.keys(choices)[1];
        const changed = { ...values, [name]: other };
        assertEquals(kind.read(kind.write(changed)), changed);
      }
    });
  }

  it("are left alone where the fields do not hold all of them", () => {
    const read = (type: string, ...args: unknown[]) => kindOf({ type, args })?.read(args);
    assertEquals(read("conv", 8, { groups: 2 }), undefined);
    assertEquals(read("conv", 8, { kernel: [3, 5] }), undefined);
    assertEquals(read("maxPool", 2, { stride: 1 }), undefined);
    assertEquals(read("residual", { type: "conv", args: [8] }), undefined);
    assertEquals(kindOf({ type: "concat", args: [] }), undefined);
  });
});

describe("The plan of a net", () => {
  for (const [name, layers] of Object.entries(PRESETS)) {
    for (const inputDim of [[1, 28, 28], [3, 32, 32]]) {
      it(`has the sizes of the net itself: ${name} for ${inputDim}`, () => {
        const description = described(layers, inputDim), plan = sizes(planNet(description));
        const net = Net.fromJSON(description);
        assertEquals(plan.rows.map((row) => row.outShape), net.layers.map((l) => l.plan.outShape));
        const counted = Object.values(net.params).reduce((sum, { data }) => sum + data.length, 0);
        assertEquals(plan.total.parameters, counted);
        const [, products] = /total.* ([\d,]+)$/.exec(net.summary())!;
        assertEquals(plan.total.multiplyAdds, Number(products.replaceAll(",", "")));
      });
    }
  }

  it("says which layer is wrong, and why", () => {
    const wrong = (...layers: LayerDescription[]) => mistake(planNet(described(layers, [1, 8, 8])));
    const affine = { type: "affine", args: [9] }, pool = { type: "maxPool", args: [2] };
    const flat = wrong(affine, pool);
    assertEquals(flat.wrong, 1);
    assertStringIncludes(flat.message, "needs an input of (C, H, W)");
    const small = wrong(pool, { type: "maxPool", args: [9] });
    assertEquals(small.wrong, 1);
    const argument = wrong({ type: "conv", args: [-1] });
    assertEquals(argument.wrong, 0);
    const unknown = wrong({ type: "constructor", args: [] });
    assertEquals(unknown, { wrong: 0, message: "there is no layer constructor" });
  });

  it("refuses more parameters than a page holds, and names the layer that has most", () => {
    const layers = [{ type: "relu", args: [] }, { type: "affine", args: [4096] }];
    const plan = mistake(planNet(described(layers, [64, 64, 64])));
    assertEquals(plan.wrong, 1);
    assertStringIncludes(plan.message, "1,073,786,890 parameters");
  });
});

describe("The net as code", () => {
  it("is a program that makes and trains the same net", async () => {
    const layers = [{ type: "conv", args: [2, { kernel: 5, stride: 4 }] }];
    const settings = { ...DEFAULT_SETTINGS, epochs: 1, shift: 1 };
    const parts = { layers, inputDim: [1, 28, 28], classes: 10, settings, set: "mnist" };
    const cells = cellsOf(parts);
    const program = cells.join("\n\n")
      .replaceAll(`"${PACKAGE}"`, JSON.stringify(`${ROOT}mod.ts`))
      .replace("../examples", `${ROOT}examples`)
      // Few images, so that it is soon over.
      .replace("readMnist()", "readMnist(undefined, 500)");
    const folder = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${folder}/program.ts`, program);
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--check", "--config", `${ROOT}deno.json`, `${folder}/program.ts`],
        env: { NO_COLOR: "1" },
      }).output();
      const text = new TextDecoder();
      assertEquals(code, 0, text.decode(stderr));
      const printed = text.decode(stdout);
      const net = Net.fromJSON(described(layers, [1, 28, 28]));
      assertStringIncludes(printed, net.summary());
      assertStringIncludes(printed, "validation accuracy 0.");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
    const notebook = JSON.parse(notebookOf(parts));
    const sources = notebook.cells.map(({ source }: { source: string[] }) => source.join(""));
    assertEquals(sources, cells);
    assertEquals(notebook.metadata.kernelspec.name, "deno");
  });

  it("has the layers inside others", () => {
    const settings = DEFAULT_SETTINGS, layers = [layerOfKind(KINDS[6])];
    const parts = { layers, inputDim: [16, 8, 8], classes: 3, settings, set: "own" };
    const [imports, data, net] = cellsOf(parts);
    assertStringIncludes(imports, "  residual,\n");
    assertStringIncludes(imports, "  sequential,\n");
    assertStringIncludes(data, "openPictures(folder)");
    assertStringIncludes(net, "residual(\n      sequential(\n        conv(16, { bias: false }),\n");
  });
});
