import { describe, it } from "@std/testing/bdd";
import { assertEquals } from "@std/assert";
import { inspect } from "node:util";
import { affine, Net, relu, ThreeLayerConvNet } from "../../../mod.ts";

describe("A net on the console", () => {
  const net = new Net({ inputDim: [2, 4, 4], layers: [affine(50), relu(), affine(3)] });
  const line = "Net [2,4,4] -> [3], float64, 3 layers, 1,803 parameters";

  it("is one line in Deno and in Node, also inside something else", () => {
    assertEquals(Deno.inspect(net), line);
    assertEquals(inspect(net), line);
    assertEquals(Deno.inspect({ net }), `{ net: ${line} }`);
    assertEquals(inspect({ net }, { breakLength: Infinity }), `{ net: ${line} }`);
  });
  it("has the name of its class, and its parameters as they are", () => {
    const net = new ThreeLayerConvNet({ dtype: "float32", inputDim: [1, 8, 8], numFilters: 2 });
    assertEquals(
      inspect(net),
      "ThreeLayerConvNet [1,8,8] -> [10], float32, 6 layers, 4,410 parameters",
    );
    assertEquals(
      inspect(new Net({ inputDim: 3, layers: [] })),
      "Net [3] -> [3], float64, 0 layers, 0 parameters",
    );
  });
  it("keeps what prints it out of its fields", () => {
    assertEquals(Object.keys(net), ["params", "reg", "inputDim", "layers"]);
    assertEquals({ ...net }.params, net.params);
    assertEquals(Object.getOwnPropertySymbols({ ...net }), []);
  });
});
