/** Sums of a million float32 terms, all positive so that rounding shows: 1e-5 of the true ones. */

import { describe, it } from "@std/testing/bdd";
import { assert, assertMatch } from "@std/assert";
import { naiveAffine } from "../../../kernels/naive/affine.ts";
import { naiveConv } from "../../../kernels/naive/conv.ts";
import { convShape } from "../../../kernels/shape.ts";
import { simdAffine } from "../../../kernels/simd/affine.ts";
import { simdConv } from "../../../kernels/simd/conv.ts";
import { features } from "../../../kernels/simd/features.ts";
import type { FloatArray } from "../../../kernels/tensor.ts";
import { type Inputs, numbers, runPasses } from "../../support/kernels.ts";

const uniform = (length: number, seed: number) => numbers(length, "float32", seed, (u) => u);

function assertSums(actual: FloatArray, expected: FloatArray, what: string, bound = 1e-5): void {
  expected.forEach((value, i) => {
    const close = Math.abs(actual[i] - value) <= bound * value;
    assert(close, `${what}[${i}] is ${actual[i]}, by the definition ${value}`);
  });
}

/** Holds results of positive inputs against the naive loops', which sum in float64. */
function assertResults(actual: object, expected: object): void {
  const entries = Object.entries(actual) as [string, FloatArray][];
  const others = Object.values(expected) as FloatArray[];
  entries.forEach(([name, array], i) => assertSums(array, others[i], name));
}

type Sizes = readonly [number, number, number, number];

/** A convolution's kernel and inputs. */
function convCase(x: Sizes, w: Sizes, pad: number) {
  const shape = convShape(x, w, { pad });
  const { kernel, reason } = simdConv(shape, "float32", features());
  if (kernel === undefined) throw new Error(reason);
  const { F, C, H, W, KH, KW, OH, OW } = shape;
  const inputs: Inputs = {
    x: uniform(x[0] * C * H * W, 1),
    w: uniform(F * C * KH * KW, 2),
    b: uniform(F, 3),
    dout: uniform(x[0] * F * OH * OW, 4),
  };
  return { shape, kernel, inputs };
}

describe("float32 sums by SIMD keep their digits", () => {
  for (const [N, D, M] of [[1, 1e6, 1], [1, 1, 1e6], [1e6, 1, 1], [3, 4e5, 7]]) {
    it(`in a fully-connected layer of ${N} x ${D} x ${M}`, () => {
      const { kernel, reason } = simdAffine({ D, M }, "float32", features());
      if (kernel === undefined) throw new Error(reason);
      const inputs: Inputs = {
        x: uniform(N * D, 1),
        w: uniform(D * M, 2),
        b: uniform(M, 3),
        dout: uniform(N * M, 4),
      };
      assertResults(runPasses(kernel, N, inputs), runPasses(naiveAffine({ D, M }), N, inputs));
    });
  }

  const convs: readonly (readonly [what: string, x: Sizes, w: Sizes, pad: number])[] = [
    ["over an image of 1500 x 1500", [1, 1, 1500, 1500], [1, 1, 1, 2], 0],
    ["over a row of 2,000,000", [1, 1, 1, 2e6], [1, 1, 1, 1], 0],
    ["over a row of 1,000,000 with neighbors", [1, 1, 1, 1e6], [1, 1, 1, 3], 1],
    ["over 1,000,000 channels", [1, 1e6, 1, 1], [1, 1e6, 1, 1], 0],
    ["over 1,000,000 filters", [1, 1, 1, 1], [1e6, 1, 1, 1], 0],
    ["over 40,000 channels of 5 x 5", [1, 40_000, 5, 5], [1, 40_000, 5, 5], 0],
    ["over 40,000 filters of 5 x 5", [1, 1, 5, 5], [40_000, 1, 5, 5], 2],
  ];
  for (const [what, x, w, pad] of convs) {
    it(`in a convolution ${what}`, () => {
      const { shape, kernel, inputs } = convCase(x, w, pad);
      const expected = runPasses(naiveConv(shape), x[0], inputs);
      assertResults(runPasses(kernel, x[0], inputs), expected);
    });
  }

  it("in a convolution by a kernel of 16,000 x 64", () => {
    const sizes: Sizes = [1, 1, 16_000, 64];
    const { shape, kernel, inputs: { x, w, b: bias, dout: out } } = convCase(sizes, sizes, 0);
    const expected = out.slice();
    naiveConv(shape).forward(1, x, w, expected, { bias });
    kernel.forward(1, x, w, out, { bias });
    assertSums(out, expected, "out");
  });

  it("in Winograd's algorithm over an image of 1150 x 1150", () => {
    const side = 1150, plane = side * side;
    const { kernel, inputs } = convCase([1, 10, side, side], [10, 10, 3, 3], 1);
    if (features().reassociate) assertMatch(kernel.name, /winograd/);
    const { x, w, b: db, dout } = inputs;
    kernel.backwardWeights(1, x, dout, w, db);
    // The first channel and filter are as if there were no others.
    const one = convCase([1, 1, side, side], [1, 1, 3, 3], 1);
    const dw = one.inputs.w, sums = one.inputs.b;
    naiveConv(one.shape).backwardWeights(
      1,
      x.subarray(0, plane),
      dout.subarray(0, plane),
      dw,
      sums,
    );
    // As far from the bound as images that the memory holds come without parts.
    assertSums(w.subarray(0, 9), dw, "dw", 1e-6);
    assertSums(db.subarray(0, 1), sums, "db");
  });
});
