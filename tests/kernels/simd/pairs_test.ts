import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import type { WeightedKernel } from "../../../kernels/kernel.ts";
import { useArithmetic, useVectorPairs } from "../../../kernels/select.ts";
import { type ConvShape, convShape } from "../../../kernels/shape.ts";
import { simdAffine } from "../../../kernels/simd/affine.ts";
import { features } from "../../../kernels/simd/features.ts";
import type { Schedule } from "../../../kernels/simd/schedule.ts";
import { convTiles } from "../../../kernels/simd/tiles.ts";
import type { DType } from "../../../kernels/tensor.ts";
import { explainConv } from "../../../mod.ts";
import { assertAffine, assertConv, GEOMETRIES, SEED } from "../../support/kernels.ts";
import {
  batchedGeometries,
  type Case,
  geometries,
  groupedGeometries,
  wideGeometries,
  winogradGeometries,
} from "../../support/conv_cases.ts";
import { assertPairs, PAIRS_FLAG, PAIRS_SCRIPT } from "../../support/pairs.ts";
import { rescheduled } from "../../support/simd.ts";

const dtypes: readonly DType[] = ["float32", "float64"];
const fill = fc.constantFrom("integers" as const, "reals" as const);

const usual = fc.oneof(geometries, wideGeometries, groupedGeometries);
/** Each algorithm: what makes every pass use it, the cases, and how its kernels are called. */
const algorithms: readonly [Partial<Schedule>, fc.Arbitrary<Case>, RegExp][] = [
  [{}, usual, /-pairs-simd$/],
  [{ algorithm: "gemm", batched: undefined, few: undefined }, usual, /-gemm-pairs-simd$/],
  [{ algorithm: "direct", batched: undefined, few: undefined }, usual, /[0-9]-f..-pairs-simd$/],
  [{ algorithm: "direct", batched: 1, few: undefined }, batchedGeometries, /-batched-pairs-simd$/],
  [{ batched: undefined, few: undefined }, winogradGeometries, /(-winograd)?-pairs-simd$/],
];

function paired(shape: ConvShape, dtype: DType, change: Partial<Schedule>): WeightedKernel {
  return rescheduled(shape, dtype, { ...change, fewBy: undefined });
}

describe(`convolution by pairs of vectors, over ${GEOMETRIES / 4} geometries, seed ${SEED}`, () => {
  for (const dtype of dtypes) {
    for (const [change, cases, name] of algorithms) {
      const how = change.batched === 1 ? "batched" : change.algorithm ?? `${name}`;
      it(`gives the definition's numbers, ${how}, ${dtype}`, () => {
        using _ = useVectorPairs(true);
        let winogradRuns = 0;
        const property = fc.property(cases, fill, ({ N, shape }, fill) => {
          const kernel = paired(shape, dtype, change);
          assertMatch(kernel.name, name);
          if (kernel.name.includes("winograd")) winogradRuns++;
          assertConv(kernel, shape, N, dtype, fill);
        });
        fc.assert(property, { numRuns: Math.ceil(GEOMETRIES / 40), seed: SEED });
        if (cases === winogradGeometries) assert(winogradRuns > 0);
      });
    }

    it(`serves layers of several tiles and blocks, ${dtype}`, () => {
      using _ = useVectorPairs(true);
      const layers: readonly Case[] = [
        { N: 2, shape: convShape([2, 3, 67, 67], [13, 3, 7, 7], { stride: 2, pad: 3 }) },
        { N: 2, shape: convShape([2, 20, 33, 35], [19, 20, 3, 3], { pad: 1 }) },
        { N: 1, shape: convShape([1, 150, 5, 5], [37, 150, 3, 3], { pad: 1 }) },
        { N: 3, shape: convShape([3, 40, 28, 28], [23, 40, 1, 1], {}) },
        { N: 1, shape: convShape([1, 24, 30, 41], [24, 1, 5, 5], { pad: 2, groups: 24 }) },
        { N: 33, shape: convShape([33, 30, 3, 3], [17, 30, 3, 3], { pad: 1 }) },
        // More terms than a sum may have.
        { N: 1, shape: convShape([1, 2, 3, 20_000], [3, 2, 1, 1], {}) },
        { N: 1, shape: convShape([1, 4200, 2, 9], [7, 4200, 1, 1], {}) },
      ];
      for (const { N, shape } of layers) {
        for (const change of [{}, { batched: undefined, few: undefined }]) {
          assertConv(paired(shape, dtype, change), shape, N, dtype, "integers");
          assertConv(paired(shape, dtype, change), shape, N, dtype, "reals");
        }
      }
    });
  }

  it("cuts rows into pairs that share no vector, and rows shorter than a pair into vectors", () => {
    for (const columns of [3, 7, 8, 9, 12, 16, 28, 40]) {
      for (const { rows } of convTiles(6, 4, columns, { lanes: 4, pairs: true })) {
        for (const { columns: starts } of rows.flatMap(({ tiles }) => tiles)) {
          assertEquals(new Set(starts).size, starts.length);
          assert(Math.max(...starts) + 4 <= Math.max(4, columns));
          if (columns < 8) continue;
          const places = columns % 8 === 4 ? [0, 1] : [0];
          assert(places.includes(starts.length % 2), `${starts} of ${columns}`);
          for (let i = 0; i + 1 < starts.length; i += 2) assertEquals(starts[i + 1], starts[i] + 4);
        }
      }
    }
  });
});

describe(`fully-connected layers by pairs of vectors, seed ${SEED}`, () => {
  const sizes = fc.record({
    N: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 41, max: 300 })),
    D: fc.integer({ min: 1, max: 140 }),
    M: fc.integer({ min: 1, max: 140 }),
  });

  for (const dtype of dtypes) {
    it(`give the definition's numbers, ${dtype}`, () => {
      using _ = useVectorPairs(true);
      const property = fc.property(sizes, fill, ({ N, D, M }, fill) => {
        const { kernel } = simdAffine({ D, M }, dtype, features());
        assertMatch(kernel!.name, /-pairs-simd$/);
        assertAffine(kernel!, { D, M }, N, dtype, fill);
      });
      fc.assert(property, { numRuns: Math.ceil(GEOMETRIES / 10), seed: SEED });
      const large = [[1501, 5, 3], [70, 260, 1030], [40, 1, 26_241], [6, 65_537, 4], [600, 700, 9]];
      for (const [N, D, M] of large) {
        const { kernel } = simdAffine({ D, M }, dtype, features());
        assertAffine(kernel!, { D, M }, N, dtype, "integers");
      }
    });
  }
});

describe("useVectorPairs()", () => {
  const name = () => explainConv([1, 3, 32, 32], [8, 3, 3, 3], { pad: 1 }).name;
  const before = name();

  it("chooses kernels for pairs, says so, and restores the choice", () => {
    {
      using _ = useVectorPairs(true);
      assertMatch(name(), /-pairs-simd$/);
      assertStringIncludes(features().reason, "in pairs");
    }
    assertEquals(name(), before);
    {
      using _ = useVectorPairs(false);
      assertMatch(name(), /f64(-winograd)?-simd$/);
    }
  });

  it("has no pairs under reproducible arithmetic", () => {
    using _pairs = useVectorPairs(true);
    using _ = useArithmetic("reproducible");
    assertMatch(name(), /f64-simd$/);
  });

  it("finds pairs faster in every thread where Deno is started with V8's flags", async () => {
    const flags = `--v8-flags=${PAIRS_FLAG},--no-wasm-bounds-checks`;
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", flags, PAIRS_SCRIPT, "--ask"],
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    await assertPairs(new TextDecoder().decode(stdout));
  });

  it("times products where nothing is said, and finds the same each time", () => {
    const found = Array.from({ length: 3 }, () => {
      using _ = useVectorPairs();
      return features().pairs;
    });
    assertEquals(new Set(found).size, 1);
  });
});
