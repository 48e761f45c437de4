/** The SIMD tier at sizes far apart: log-uniform up to 200,000, exact on whole numbers. */

import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { convShape, poolShape } from "../../../kernels/shape.ts";
import { simdAffine } from "../../../kernels/simd/affine.ts";
import { simdConv } from "../../../kernels/simd/conv.ts";
import { features } from "../../../kernels/simd/features.ts";
import { simdMaxPool } from "../../../kernels/simd/max_pool.ts";
import type { DType } from "../../../kernels/tensor.ts";
import {
  assertAffine,
  assertConv,
  assertMaxPool,
  GEOMETRIES,
  SEED,
} from "../../support/kernels.ts";
import { LARGEST, lopsided } from "../../support/sizes.ts";

/** The most products of a case, so that the definition takes milliseconds. */
const WORK = 1_000_000;
const RUNS = Math.ceil(GEOMETRIES / 50);

function check<T>(cases: fc.Arbitrary<T>, property: (it: T, dtype: DType) => void): void {
  for (const dtype of ["float32", "float64"] as const) {
    fc.assert(fc.property(cases, (it) => property(it, dtype)), { numRuns: RUNS, seed: SEED });
  }
}

describe(`SIMD kernels of lopsided sizes, seed ${SEED}`, () => {
  it("equal the naive loops on whole numbers in the fully-connected layer", () => {
    check(lopsided([LARGEST, LARGEST, LARGEST], WORK), ([N, D, M], dtype) => {
      const { kernel, reason } = simdAffine({ D, M }, dtype, features());
      if (kernel === undefined) throw new Error(reason);
      assertAffine(kernel, { D, M }, N, dtype, "integers");
    });
  });

  it("equal the naive loops on whole numbers in convolutions", () => {
    const limits = [8, LARGEST, LARGEST, LARGEST, LARGEST, LARGEST, 64, 40, 40];
    check(lopsided(limits, WORK), ([N, C, F, H, W, rows, KW, strideY, strideX], dtype) => {
      // Taller columns are another tier's.
      const KH = KW === 1 ? Math.min(rows, 64) : rows;
      const kernel = [KH, KW] as const;
      // Kernels larger than the image hang over it on both sides.
      const pad = ([[H, KH], [W, KW]] as const).map(([side, taps]) =>
        Math.max(Math.ceil((taps - side) / 2), (C + F) % 2 === 0 ? Math.floor(taps / 2) : 0)
      );
      const shape = convShape([N, C, H, W], [F, C, ...kernel], {
        stride: [strideY, strideX],
        pad: [pad[0], pad[1]],
      });
      const found = simdConv(shape, dtype, features());
      if (found.kernel === undefined) throw new Error(found.reason);
      assertConv(found.kernel, shape, N, dtype, "integers");
    });
  });

  it("equal the naive loops on whole numbers in pools", () => {
    check(lopsided([20, LARGEST, LARGEST, LARGEST, 5, 5, 40, 40], WORK), (drawn, dtype) => {
      const [N, C, H, W, KH, KW, strideY, strideX] = drawn;
      const [poolHeight, poolWidth] = [Math.min(KH, H), Math.min(KW, W)];
      const pad: [number, number] = [poolHeight >> 1, poolWidth >> 1];
      const shape = poolShape([N, C, H, W], {
        poolHeight,
        poolWidth,
        stride: [strideY, strideX],
        pad: C % 2 === 0 ? pad : 0,
      });
      const { kernel, reason } = simdMaxPool(shape, dtype);
      if (kernel === undefined) throw new Error(reason);
      assertMaxPool(kernel, shape, N, dtype, "integers");
    });
  });
});
