import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { naiveAveragePool } from "../../../kernels/naive/average_pool.ts";
import { naiveMaxPool } from "../../../kernels/naive/max_pool.ts";
import {
  type AveragePoolShape,
  averagePoolShape,
  poolShape,
  type WindowShape,
} from "../../../kernels/shape.ts";
import * as simdTier from "../../../kernels/simd/tier.ts";
import { ask } from "../../../kernels/tier.ts";
import type { DType, FloatArray } from "../../../kernels/tensor.ts";
import { assertClose, GEOMETRIES, numbers, SEED } from "../../support/kernels.ts";

const dtypes: readonly DType[] = ["float32", "float64"];

/** Windows with padding and in ceil mode, of any size that the definition computes quickly. */
const windows = fc.record({
  N: fc.integer({ min: 1, max: 3 }),
  C: fc.integer({ min: 1, max: 4 }),
  H: fc.integer({ min: 1, max: 14 }),
  W: fc.oneof(fc.integer({ min: 1, max: 14 }), fc.integer({ min: 15, max: 40 })),
  window: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })),
  stride: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
  pad: fc.tuple(fc.nat(2), fc.nat(2), fc.nat(2), fc.nat(2)),
  ceilMode: fc.boolean(),
  countIncludePad: fc.boolean(),
}).filter(({ H, W, window: [KH, KW], pad: [top, left, bottom, right] }) =>
  KH <= H + top + bottom && KW <= W + left + right && Math.max(top, bottom) < KH &&
  Math.max(left, right) < KW
).map(({ N, C, H, W, window: [poolHeight, poolWidth], countIncludePad, ...more }) => {
  const params = { poolHeight, poolWidth, ...more }, xShape = [N, C, H, W];
  return {
    N,
    max: poolShape(xShape, params),
    average: averagePoolShape(xShape, { ...params, countIncludePad }),
  };
});

/** Whole numbers that every window's count divides, so that averages are exact. */
function multiples(length: number, dtype: DType, seed: number): FloatArray {
  return numbers(length, dtype, seed, (u) => 3600 * (Math.floor(u * 9) - 4));
}

function sizesOf({ C, H, W, OH, OW }: WindowShape, N: number) {
  return { x: N * C * H * W, out: N * C * OH * OW };
}

function kernelOf(shape: AveragePoolShape, dtype: DType) {
  const { kernel, reason } = ask(simdTier.averagePool, shape, dtype);
  if (kernel === undefined) throw new Error(reason);
  return kernel;
}

describe(`SIMD pools in ceil mode over ${GEOMETRIES} geometries, seed ${SEED}`, () => {
  for (const dtype of dtypes) {
    it(`give the definition's averages and gradients on whole numbers, ${dtype}`, () => {
      const property = fc.property(windows, ({ N, average: shape }) => {
        const sizes = sizesOf(shape, N);
        const x = multiples(sizes.x, dtype, 1), dout = multiples(sizes.out, dtype, 2);
        const [actual, expected] = [kernelOf(shape, dtype), naiveAveragePool(shape)].map((pool) => {
          const out = dout.slice().fill(NaN), dx = x.slice().fill(NaN);
          pool.forward(N, x, out);
          pool.backward(N, dout, dx);
          return { out, dx };
        });
        assertClose(actual.out, expected.out, "integers", dtype, "out");
        assertClose(actual.dx, expected.dx, "integers", dtype, "dx");
      });
      fc.assert(property, { numRuns: GEOMETRIES, seed: SEED });
    });

    it(`give the definition's maxima and gradients, ${dtype}`, () => {
      const property = fc.property(windows, ({ N, max: shape }) => {
        const sizes = sizesOf(shape, N);
        const x = multiples(sizes.x, dtype, 3), dout = multiples(sizes.out, dtype, 4);
        const simd = ask(simdTier.maxPool, shape, dtype).kernel!;
        const [actual, expected] = [simd, naiveMaxPool(shape)].map((pool) => {
          const out = dout.slice().fill(NaN), dx = x.slice().fill(NaN);
          pool.forward(N, x, out);
          pool.backward(N, x, dout, dx);
          return { out, dx };
        });
        assertClose(actual.out, expected.out, "integers", dtype, "out");
        assertClose(actual.dx, expected.dx, "integers", dtype, "dx");
      });
      fc.assert(property, { numRuns: GEOMETRIES, seed: SEED });
    });
  }
});

describe("simdAveragePool()", () => {
  it("keeps its digits on reals, and more planes than it holds at once", () => {
    for (const dtype of dtypes) {
      const params = { poolHeight: 3, poolWidth: 3, stride: 2, pad: 1 };
      const shape = averagePoolShape([2, 70, 33, 30], params);
      const sizes = sizesOf(shape, 2);
      const real = (length: number, seed: number) => numbers(length, dtype, seed, (u) => u - 0.5);
      const x = real(sizes.x, 1), dout = real(sizes.out, 2);
      const out = dout.slice(), expectedOut = dout.slice(), dx = x.slice(), expectedDx = x.slice();
      kernelOf(shape, dtype).forward(2, x, out);
      naiveAveragePool(shape).forward(2, x, expectedOut);
      assertClose(out, expectedOut, "reals", dtype, "out");
      kernelOf(shape, dtype).backward(2, dout, dx);
      naiveAveragePool(shape).backward(2, dout, expectedDx);
      assertClose(dx, expectedDx, "reals", dtype, "dx");
    }
  });

  it("says its name, and why it refuses a window", () => {
    const shape = averagePoolShape([1, 1, 8, 8], { poolHeight: 2, poolWidth: 2, stride: 2 });
    assertEquals(kernelOf(shape, "float32").name, "averagepool-8x8-2x2-s2-f32-simd");
    const large = averagePoolShape([1, 1, 9, 9], { poolHeight: 9, poolWidth: 9, stride: 1 });
    assertMatch(ask(simdTier.averagePool, large, "float32").reason, /9x9 is more than the 64/);
  });
});
