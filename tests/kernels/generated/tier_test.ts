import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import * as none from "../../../kernels/generated/none.ts";
import * as generatedTier from "../../../kernels/generated/tier.ts";
import { naiveConv } from "../../../kernels/naive/conv.ts";
import {
  type AveragePoolParams,
  averagePoolShape,
  type ConvParams,
  convShape,
  poolShape,
} from "../../../kernels/shape.ts";
import { ask } from "../../../kernels/tier.ts";
import { registerKernels } from "../../../kernels/select.ts";
import { assertConv, runPasses } from "../../support/kernels.ts";

/** The generated kernel of a convolution, or the reason why there is none. */
function conv(x: readonly number[], w: readonly number[], params: ConvParams) {
  const shape = convShape(x, w, params);
  return { shape, ...ask(generatedTier.conv, shape, "float64") };
}

function averagePool(params: Omit<AveragePoolParams, "poolHeight" | "poolWidth">, size = 2) {
  const pool = { poolHeight: size, poolWidth: size, ...params };
  return ask(generatedTier.averagePool, averagePoolShape([1, 3, 7, 7], pool), "float64");
}

describe("generated kernels of groups", () => {
  it("are depthwise where each channel has one filter", () => {
    for (const stride of [1, 2]) {
      const { kernel, reason } = conv([1, 6, 9, 9], [6, 1, 3, 3], { stride, pad: 1, groups: 6 });
      assertEquals(kernel?.name, `conv-3x3-s${stride}-depthwise-generated`);
      assertEquals(reason, `generated for the family 3x3-s${stride}-depthwise`);
    }
  });
  it("run group by group on the family's kernel elsewhere", () => {
    const cases = [
      // Two filters a channel, two channels a filter, groups of several, one group.
      { x: [2, 3, 9, 8], w: [6, 1, 3, 3], groups: 3, dilation: 1, name: "conv-3x3-s1-generated" },
      { x: [2, 6, 9, 8], w: [3, 2, 3, 3], groups: 3, dilation: 1, name: "conv-3x3-s1-generated" },
      { x: [2, 8, 9, 8], w: [4, 4, 5, 5], groups: 2, dilation: 1, name: "conv-5x5-s1-generated" },
      { x: [2, 1, 9, 8], w: [1, 1, 3, 3], groups: 1, dilation: 1, name: "conv-3x3-s1-generated" },
      // No depthwise kernel is generated for these.
      { x: [2, 4, 9, 8], w: [4, 1, 3, 3], groups: 4, dilation: 2, name: "conv-3x3-s1d2-generated" },
      { x: [2, 4, 9, 8], w: [4, 1, 1, 1], groups: 4, dilation: 1, name: "conv-1x1-s1-generated" },
    ];
    for (const { x, w, name, ...params } of cases) {
      const { kernel, shape } = conv(x, w, { ...params, pad: 2 });
      assertEquals(kernel?.name, name);
      for (const dtype of ["float64", "float32"] as const) {
        for (const fill of ["integers", "reals"] as const) {
          assertConv(kernel!, shape, 2, dtype, fill);
        }
      }
    }
  });
  it("keep what is not finite where the definition does", () => {
    const cases = [
      conv([1, 3, 6, 5], [3, 1, 3, 3], { pad: 1, groups: 3 }),
      conv([1, 3, 6, 5], [3, 1, 3, 3], { pad: 1, stride: 2, groups: 3 }),
      conv([1, 3, 6, 5], [3, 3, 3, 3], { pad: 2, dilation: 2 }),
    ];
    for (const { kernel, shape } of cases) {
      const { C, H, W, F, KH, KW, OH, OW, groups } = shape;
      const numbers = (length: number) => Float64Array.from({ length }, (_, i) => i % 7 - 3);
      for (const special of [NaN, Infinity, -Infinity]) {
        for (const which of ["x", "w", "dout"] as const) {
          const inputs = {
            x: numbers(C * H * W),
            w: numbers(F * C / groups * KH * KW),
            b: numbers(F),
            dout: numbers(F * OH * OW),
          };
          inputs[which][3] = special;
          const [naive, generated] = [naiveConv(shape), kernel!].map((k) =>
            runPasses(k, 1, inputs)
          );
          assertEquals(generated, naive, `${kernel?.name}: ${special} in ${which}`);
        }
      }
    }
  });
});

describe("generated average pools", () => {
  it("serve windows that all average as many values", () => {
    for (
      const params of [{ stride: 2 }, { stride: 2, countIncludePad: false }, { stride: 2, pad: 1 }]
    ) {
      assertEquals(averagePool(params).kernel?.name, "averagepool-2x2-s2-generated");
    }
  });
  it("leave others to the naive loops, and say so", () => {
    const different = "its windows average different counts";
    assertEquals(averagePool({ stride: 2, pad: 1, countIncludePad: false }), { reason: different });
    assertEquals(averagePool({ stride: 2, ceilMode: true }), { reason: different });
    const none = "none is generated for 7x7-3x3-s2 or the family 3x3-s2";
    assertEquals(averagePool({ stride: 2 }, 3), { kernel: undefined, reason: none });
  });
});

describe("the generated tier", () => {
  it("leaves arrays that its indices do not reach to the naive loops", () => {
    const reason = "its arrays are too large";
    const side = 2 ** 15, pool = { poolHeight: 2, poolWidth: 2, stride: 2 };
    assertEquals(conv([1, 1, side, side], [1, 1, 1, 1], {}).reason, reason);
    // Its border makes it too large.
    assertEquals(conv([1, 1, side - 1, side], [1, 1, 3, 3], { pad: 1 }).reason, reason);
    assertEquals(
      conv([1, 1, side - 4, side - 4], [1, 1, 3, 3], { pad: 1 }).kernel?.tier,
      "generated",
    );
    const shape = poolShape([1, 1, side, side], pool);
    assertEquals(ask(generatedTier.maxPool, shape, "float32"), { reason });
    const average = averagePoolShape([1, 1, side, side], pool);
    assertEquals(ask(generatedTier.averagePool, average, "float32"), { reason });
    assertEquals(ask(generatedTier.affine, { D: 1, M: 2 ** 23 }, "float32"), { reason });
    assertEquals(
      ask(generatedTier.affine, { D: 2 ** 23, M: 1 }, "float32").kernel?.tier,
      "generated",
    );
  });
  it("takes depthwise families, grouped and dilated shapes, and average pools", () => {
    const pass = () => {};
    const passes = { forward: pass, backwardData: pass, backwardWeights: pass };
    const names = ["conv-11x9-s3-depthwise-generated", "conv-8x97x19-8x11x9-s3d2g8-generated"];
    const pool = { name: "averagepool-97x9-11x9-s3p1-generated", forward: pass, backward: pass };
    registerKernels(names.map((name) => ({ name, ...passes })), [], [pool]);
    const found = conv([1, 5, 97, 11], [5, 1, 11, 9], { stride: 3, groups: 5 });
    assertEquals(found.kernel?.name, names[0]);
    const dilated = conv([1, 8, 97, 19], [8, 1, 11, 9], { stride: 3, dilation: 2, groups: 8 });
    assertEquals(dilated.kernel?.name, names[1]);
    const shape = averagePoolShape([1, 4, 97, 9], {
      poolHeight: 11,
      poolWidth: 9,
      stride: 3,
      pad: 1,
    });
    assertEquals(ask(generatedTier.averagePool, shape, "float64").kernel?.name, pool.name);
  });
  it("refuses kernels whose names belong to another operation", () => {
    const pass = () => {};
    const pool = { name: "maxpool-9x9-s9-generated", forward: pass, backward: pass };
    assertThrows(
      () => generatedTier.addKernels([], [], [pool]),
      TypeError,
      "averagePools[0].name must be like averagepool-32x32-2x2-s2-generated or " +
        'averagepool-2x2-s2-generated: received "maxpool-9x9-s9-generated"',
    );
    const depthwise = { ...pool, name: "maxpool-9x9-s9-depthwise-generated" };
    assertThrows(
      () => generatedTier.addKernels([], [depthwise], []),
      TypeError,
      "pools[0].name must be like maxpool-",
    );
  });
});

describe("What takes the generated tier's place", () => {
  it("has all that the tier exports, and no kernel", () => {
    assertEquals(Object.keys(none), Object.keys(generatedTier));
    const offers = [none.conv, none.maxPool, none.averagePool, none.affine];
    assertEquals(offers.filter((offer) => offer !== undefined), []);
    assertEquals(none.generatedNames(), []);
    assertThrows(() => none.addKernels([], [], []), Error, "leaves the generated tier out");
  });
});
