import { describe, it } from "@std/testing/bdd";
import { assertAlmostEquals, assertEquals } from "@std/assert";
import { affine, conv, type ConvOptions, Net, RandomState, relu } from "../../mod.ts";
import { firstConv, partsOf, stageOf } from "../../page/convolution/first_conv.ts";

describe("A convolution, number by number", () => {
  const cases: readonly ConvOptions[] = [
    {},
    { kernel: 5, stride: 2 },
    { kernel: 4 },
    { pad: "valid" },
    { pad: "same", stride: 2 },
    { kernel: 1, bias: false },
  ];
  for (const options of cases) {
    it(`has sums that are the library's outputs: ${JSON.stringify(options)}`, () => {
      const layers = [conv(3, options), relu(), affine(2)];
      const net = new Net({ inputDim: [2, 9, 8], layers, dtype: "float32" });
      if (net.params.b1 !== undefined) net.params.b1.data.set([0.5, -1, 2]);
      const drawn = new RandomState(1).randn([1, 2, 9, 8]);
      const x = { data: Float32Array.from(drawn.data), shape: drawn.shape };
      const stage = stageOf(x, firstConv(net)!), [, F, OH, OW] = stage.out.shape;
      assertEquals([F, OH, OW], net.layers[0].plan.outShape);
      for (const [i, expected] of stage.out.data.entries()) {
        const f = Math.floor(i / (OH * OW)), rest = i % (OH * OW);
        const parts = partsOf(stage, f, Math.floor(rest / OW), rest % OW);
        assertAlmostEquals(parts.sum, expected, 1e-4);
        const [, C, KH, KW] = net.params.W1.shape;
        assertEquals([parts.channels.length, parts.channels[0].length], [C, KH]);
        assertEquals(parts.channels[0][0].length, KW);
      }
    });
  }

  it("is there only for a net that begins with one", () => {
    const net = new Net({ inputDim: [1, 4, 4], layers: [relu(), affine(2)], dtype: "float32" });
    assertEquals(firstConv(net), undefined);
    const layers = [conv(2, { dilation: 2 }), affine(2)];
    assertEquals(firstConv(new Net({ inputDim: [1, 9, 9], layers, dtype: "float32" })), undefined);
  });
});
