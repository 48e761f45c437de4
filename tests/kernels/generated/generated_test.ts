import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  averagePoolFamilies,
  type ConvConfig,
  convConfigs,
  convConfigShape,
  convFamilies,
  convFamilyLabel,
  poolConfigs,
  poolConfigShape,
  poolFamilies,
} from "../../../codegen/configs.ts";
import {
  generatedAveragePools,
  generatedConvs,
  generatedPools,
} from "../../../kernels/generated/kernels/index.ts";
import type { WeightedKernel } from "../../../kernels/kernel.ts";
import { naiveAveragePool } from "../../../kernels/naive/average_pool.ts";
import { naiveConv } from "../../../kernels/naive/conv.ts";
import * as generatedTier from "../../../kernels/generated/tier.ts";
import {
  affineKernels,
  averagePoolKernels,
  convKernels,
  maxPoolKernels,
} from "../../../kernels/operations.ts";
import { select, useKernels } from "../../../kernels/select.ts";
import {
  averagePoolShape,
  convLabel,
  type ConvParams,
  type ConvShape,
  convShape,
  familyLabel,
  poolLabel,
  poolShape,
} from "../../../kernels/shape.ts";
import { convStage } from "../../../kernels/generated/staging.ts";
import type { DType } from "../../../kernels/tensor.ts";
import { driveConv } from "../../../kernels/generated/driver.ts";
import { scratchBytes } from "../../../kernels/generated/buffers.ts";
import {
  convForward,
  explainConv,
  explainMaxPool,
  maxPoolForward,
  RandomState,
} from "../../../mod.ts";
import {
  assertAffine,
  assertAveragePool,
  assertConv,
  assertMaxPool,
  type Fill,
} from "../../support/kernels.ts";
import { assertSameBits } from "../../support/bits.ts";
import { ask } from "../../../kernels/tier.ts";

const dtypes: readonly DType[] = ["float64", "float32"];
const fills: readonly Fill[] = ["integers", "reals"];

function label({ x, w, stride, pad }: ConvConfig): string {
  return `x(${x}) w(${w}) stride ${stride} pad ${pad}`;
}

describe("generated exact convolutions", () => {
  for (const config of convConfigs) {
    const shape = convConfigShape(config);
    it(`match naive for ${label(config)}`, () => {
      using _ = useKernels("generated");
      const name = `conv-${convLabel(shape)}-generated`;
      for (const dtype of dtypes) {
        const kernel = select(convKernels, shape, dtype);
        assertEquals(kernel.name, name);
        for (const fill of fills) assertConv(kernel, shape, 2, dtype, fill);
      }
    });
  }
});

describe("generated families of convolutions", () => {
  // Sizes that no table names: small, prime, wide, tall, fewer columns than a tile, odd planes.
  const planes = [[1, 1], [2, 3], [5, 7], [9, 4], [3, 17], [13, 2], [8, 8], [11, 6]] as const;
  for (const family of convFamilies) {
    const label = convFamilyLabel(family), name = `conv-${label}-generated`;
    const { KH, KW, strideY: stride, dilationY, dilationX, depthwise } = family;
    const dilation = [dilationY, dilationX] as const;
    /** A shape of the family, or none if the plane is too small; depthwise ones have C filters. */
    const shapeOf = (
      C: number,
      F: number,
      [H, W]: readonly [number, number],
      pad: ConvParams["pad"],
    ) => {
      const w = depthwise ? [C, 1, KH, KW] : [F, C, KH, KW];
      const groups = depthwise ? C : 1;
      return convShape([1, C, H, W], w, { stride, pad, dilation, groups });
    };
    const assertFamily = (shape: ConvShape, N: number) => {
      using _ = useKernels("generated");
      for (const dtype of dtypes) {
        const kernel = select(convKernels, shape, dtype);
        assertEquals(kernel.name, name);
        for (const fill of fills) assertConv(kernel, shape, N, dtype, fill);
      }
    };
    const height = (KH - 1) * dilationY + 1, width = (KW - 1) * dilationX + 1;
    it(`match naive for ${label} at sizes that no table names`, () => {
      let cases = 0;
      for (const [H, W] of planes) {
        for (const pad of [0, 1, Math.floor(height / 2), height, [0, 1, 2, 0]] as const) {
          const F = cases % 9 + 1, N = cases % 3 === 0 ? 1 : 2;
          const C = (depthwise ? [2, 3, 4, 5, 7] : [1, 2, 3, 4, 5, 7])[cases % 5];
          const [top, left, bottom, right] = typeof pad === "number" ? [pad, pad, pad, pad] : pad;
          if (H + top + bottom < height || W + left + right < width) continue;
          assertFamily(shapeOf(C, F, [H, W], pad), N);
          cases++;
        }
      }
      assert(cases >= 15, `only ${cases} cases fit`);
    });
    it(`match naive for ${label} with a kernel as large as the padded input`, () => {
      assertFamily(shapeOf(2, 5, [height, width], 0), 3);
    });
    it(`serve ${label} for every value of channels and filters from 1 to 9`, () => {
      for (let F = 1; F <= 9; F++) {
        if (!depthwise || F < 9) assertFamily(shapeOf(10 - F, F, [8, 7], 1), 1);
      }
    });
  }
  it("round forward as the exact kernels and the naive loops do, to the last bit", () => {
    const random = new RandomState(0);
    for (const config of convConfigs) {
      const shape = convConfigShape(config);
      const { C, H, W, F, KH, KW, OH, OW } = shape;
      const family = generatedConvs.find(({ name }) =>
        name === `conv-${familyLabel(shape)}-generated`
      )!;
      const x = random.randn([2, C, H, W]).data, w = random.randn([F, C, KH, KW]).data;
      const b = random.randn([F]).data;
      const run = (kernel: WeightedKernel) => {
        const out = new Float64Array(2 * F * OH * OW);
        kernel.forward(2, x, w, out, { bias: b });
        return out;
      };
      const naive = run(naiveConv(shape));
      assertSameBits(run(driveConv(family, shape)), naive);
      assertSameBits(run(ask(generatedTier.conv, shape, "float64").kernel!), naive);
    }
  });
});

describe("non-finite values", () => {
  it("reach the results of generated convolutions as they reach the naive ones", () => {
    const shape = convShape([1, 2, 6, 5], [3, 2, 3, 3], { stride: 1, pad: 1 });
    const kernels = [naiveConv(shape), ask(generatedTier.conv, shape, "float64").kernel!];
    const random = new RandomState(9);
    for (const special of [NaN, Infinity, -Infinity]) {
      for (const which of ["x", "w", "b", "dout"] as const) {
        const data = {
          x: random.randn([60]).data,
          w: random.randn([54]).data,
          b: random.randn([3]).data,
          dout: random.randn([90]).data,
        };
        data[which][1] = special;
        const [naive, generated] = kernels.map((kernel) => {
          const out = new Float64Array(90), dx = new Float64Array(60);
          const dw = new Float64Array(54), db = new Float64Array(3);
          kernel.forward(1, data.x, data.w, out, { bias: data.b });
          kernel.backwardData(1, data.dout, data.w, dx);
          kernel.backwardWeights(1, data.x, data.dout, dw, db);
          return [out, dx, dw, db].map((array) => Array.from(array, (v) => v - v === 0 ? 0 : v));
        });
        assertEquals(generated, naive, `${special} in ${which}`);
      }
    }
  });
});

describe("generated max-pools", () => {
  for (const config of poolConfigs) {
    const plane = poolConfigShape(config);
    it(`match naive for ${poolLabel(plane)}`, () => {
      using _ = useKernels("generated");
      const shape = { ...plane, C: 3 };
      for (const dtype of dtypes) {
        const kernel = select(maxPoolKernels, shape, dtype);
        assertEquals(kernel.name, `maxpool-${poolLabel(plane)}-generated`);
        for (const fill of fills) assertMaxPool(kernel, shape, 2, dtype, fill);
      }
    });
  }
  for (const family of poolFamilies) {
    it(`match naive for ${familyLabel(family)} at sizes that no table names`, () => {
      using _ = useKernels("generated");
      const { KH: poolHeight, KW: poolWidth, strideY: stride } = family;
      for (const [H, W] of [[3, 3], [5, 7], [9, 4], [3, 17], [13, 3], [11, 6]]) {
        for (const pad of [0, 1, [1, 0, 0, 1]] as const) {
          const shape = poolShape([2, 3, H, W], { poolHeight, poolWidth, stride, pad });
          for (const dtype of dtypes) {
            const kernel = select(maxPoolKernels, shape, dtype);
            assertEquals(kernel.name, `maxpool-${familyLabel(family)}-generated`);
            for (const fill of fills) assertMaxPool(kernel, shape, 2, dtype, fill);
          }
        }
      }
    });
    it(`keep ties, NaN and infinities of ${familyLabel(family)} as naive does`, () => {
      const { KH: poolHeight, KW: poolWidth, strideY: stride } = family;
      const values = [NaN, -Infinity, Infinity, -0, 0, 1];
      const random = new RandomState(3);
      for (const pad of [0, 1] as const) {
        for (let trial = 0; trial < 40; trial++) {
          const data = Float64Array.from(
            { length: 2 * 6 * 5 },
            () => values[random.randint(0, trial < 20 ? 2 : values.length)],
          );
          const x = { data, shape: [1, 2, 6, 5] };
          const run = (kernels: "generated" | "naive") => {
            using _ = useKernels(kernels);
            return maxPoolForward(x, { poolHeight, poolWidth, stride, pad }).out.data;
          };
          assertSameBits(run("generated"), run("naive"));
          const shape = poolShape(x.shape, { poolHeight, poolWidth, stride, pad });
          const generated = ask(generatedTier.maxPool, shape, "float64").kernel!;
          const dout = Float64Array.from({ length: 2 * shape.OH * shape.OW }, (_, i) => i + 1);
          const [dx, expected] = [new Float64Array(60), new Float64Array(60)];
          generated.backward(1, data, dout, dx);
          {
            using _ = useKernels("naive");
            select(maxPoolKernels, shape, "float64").backward(1, data, dout, expected);
          }
          assertSameBits(dx, expected);
        }
      }
    });
  }
});

describe("generated average pools", () => {
  for (const family of averagePoolFamilies) {
    const name = `averagepool-${familyLabel(family)}-generated`;
    const { KH: poolHeight, KW: poolWidth, strideY: stride } = family;
    const window = { poolHeight, poolWidth, stride };
    it(`match naive for ${familyLabel(family)} at sizes that no table names`, () => {
      using _ = useKernels("generated");
      for (const [H, W] of [[2, 2], [3, 3], [5, 7], [9, 4], [3, 17], [13, 3], [11, 6], [8, 8]]) {
        for (const pad of [0, 1, [1, 0, 0, 1]] as const) {
          const shape = averagePoolShape([2, 3, H, W], { ...window, pad });
          for (const dtype of dtypes) {
            const kernel = select(averagePoolKernels, shape, dtype);
            assertEquals(kernel.name, name);
            for (const fill of fills) assertAveragePool(kernel, shape, 2, dtype, fill);
          }
        }
      }
    });
    it(`round ${familyLabel(family)} as naive does, to the last bit, and keep what is not finite`, () => {
      const values = [NaN, -Infinity, Infinity, -0, 0, 0.1, 1 / 3];
      const random = new RandomState(3);
      for (const pad of [0, 1] as const) {
        const shape = averagePoolShape([1, 2, 6, 5], { ...window, pad });
        const kernels = [
          naiveAveragePool(shape),
          ask(generatedTier.averagePool, shape, "float64").kernel!,
        ];
        assertEquals(kernels[1].name, name);
        for (let trial = 0; trial < 40; trial++) {
          const some = (length: number) =>
            Float64Array.from({ length }, () => values[random.randint(0, values.length)]);
          const x = some(60), dout = some(2 * shape.OH * shape.OW);
          const [naive, generated] = kernels.map((kernel) => {
            const out = dout.slice(), dx = x.slice();
            kernel.forward(1, x, out);
            kernel.backward(1, dout, dx);
            return { out, dx };
          });
          assertSameBits(generated.out, naive.out);
          assertSameBits(generated.dx, naive.dx);
        }
      }
    });
  }
});

describe("the generated fully-connected layer", () => {
  it("matches naive for small, odd and blocked sizes", () => {
    using _ = useKernels("generated");
    const sizes = [[1, 1, 1], [2, 3, 5], [7, 13, 4], [130, 9, 6], [5, 520, 3], [3, 6, 530]];
    for (const [N, D, M] of sizes) {
      for (const dtype of dtypes) {
        const kernel = select(affineKernels, { D, M }, dtype);
        assertEquals(kernel.name, "affine-generated");
        for (const fill of fills) assertAffine(kernel, { D, M }, N, dtype, fill);
      }
    }
  });
});

describe("the registry", () => {
  it("holds every configuration of the table, once", () => {
    const expected = [
      ...convConfigs.map((config) => `conv-${convLabel(convConfigShape(config))}-generated`),
      ...convFamilies.map((family) => `conv-${convFamilyLabel(family)}-generated`),
      ...poolConfigs.map((config) => `maxpool-${poolLabel(poolConfigShape(config))}-generated`),
      ...poolFamilies.map((family) => `maxpool-${familyLabel(family)}-generated`),
      ...averagePoolFamilies.map((family) => `averagepool-${familyLabel(family)}-generated`),
    ];
    assertEquals(new Set(expected).size, expected.length);
    const kernels = [...generatedConvs, ...generatedPools, ...generatedAveragePools];
    const names = kernels.map((kernel) => kernel.name);
    assertEquals(names.toSorted(), expected.toSorted());
    assertEquals(generatedTier.generatedNames().toSorted(), expected.toSorted());
  });
  it("answers exact, then family, then nothing", () => {
    using _ = useKernels("generated");
    const params = { stride: 1, pad: 1 };
    const exact = explainConv([8, 3, 16, 16], [3, 3, 3, 3], params);
    assertEquals(exact.name, "conv-3x16x16-3x3x3-s1p1-generated");
    const family = explainConv([8, 3, 16, 15], [3, 3, 3, 3], params);
    assertEquals([family.name, family.tier], ["conv-3x3-s1-generated", "generated"]);
    const none = explainConv([8, 3, 32, 32], [32, 3, 2, 3], params);
    assertEquals([none.name, none.tier], ["conv-naive", "naive"]);
    assert(none.reason.includes("none is generated"), none.reason);
    const pool = { poolHeight: 4, poolWidth: 4, stride: 4 };
    assertEquals(explainMaxPool([1, 1, 8, 8], pool).tier, "naive");
  });
});

describe("scratch", () => {
  it("does not grow over a thousand calls", () => {
    using _ = useKernels("generated");
    const random = new RandomState(1);
    const x = random.randn([2, 3, 9, 9], "float32"), w = random.randn([4, 3, 3, 3], "float32");
    const b = random.randn([4], "float32");
    // What larger kernels have needed is given back by then.
    for (let call = 0; call < 200; call++) convForward(x, w, b, { stride: 1, pad: 1 });
    const before = scratchBytes();
    for (let call = 0; call < 1000; call++) convForward(x, w, b, { stride: 1, pad: 1 });
    assertEquals(scratchBytes(), before);
  });
  it("is bounded by the largest image and its weights", () => {
    using _ = useKernels("generated");
    const shape = convShape([50, 16, 40, 40], [16, 16, 3, 3], { stride: 1, pad: 1 });
    const kernel = select(convKernels, shape, "float64");
    const before = scratchBytes();
    const x = new Float64Array(50 * 16 * 1600), out = new Float64Array(50 * 16 * 1600);
    kernel.forward(50, x, new Float64Array(16 * 16 * 9), out, {});
    const image = convStage(shape).forward.xPlane * 16 + 16 * 1600;
    assert(scratchBytes() - before <= image * 8, "more than one image");
  });
});
