import { describe, it } from "@std/testing/bdd";
import { assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import type { NormKernel } from "../../../kernels/kernel.ts";
import { normKernels } from "../../../kernels/operations.ts";
import { naiveNorm } from "../../../kernels/naive/norm.ts";
import { explain } from "../../../kernels/select.ts";
import type { DType, FloatArray } from "../../../kernels/tensor.ts";
import * as simdTier from "../../../kernels/simd/tier.ts";
import { ask } from "../../../kernels/tier.ts";
import { RandomState } from "../../../mod.ts";
import { assertSameBits } from "../../support/bits.ts";

interface Case {
  readonly P: number;
  readonly planes: number;
  readonly dtype: DType;
}

/** Planes with and without a rest after the last step, few and more than are held at once. */
const cases: fc.Arbitrary<Case> = fc.record({
  P: fc.oneof(fc.integer({ min: 4, max: 70 }), fc.constantFrom(225, 1024, 20_000)),
  planes: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constantFrom(70)),
  dtype: fc.constantFrom<DType>("float32", "float64"),
});

/** What a kernel makes of random planes: all its results. */
function results(kernel: NormKernel, { P, planes, dtype }: Case): FloatArray[] {
  const random = new RandomState(5);
  const array = () => random.randn([planes * P], dtype).data;
  const table = () => random.randn([planes]).data;
  const x = array(), dout = array(), out = array().slice(), dx = array().slice();
  const [mean, scale, slope, shift] = [table(), table(), table(), table()];
  const [sums, squares, douts, products] = [table(), table(), table(), table()];
  kernel.sum(x, sums);
  kernel.squares(x, mean, squares);
  kernel.scale(x, mean, scale, shift, out);
  kernel.products(x, dout, mean, douts, products);
  kernel.gradient(x, dout, mean, scale, slope, shift, dx);
  return [sums, squares, out, douts, products, dx];
}

describe("The SIMD kernels of normalizations", () => {
  it("give the bits of the definition", () => {
    fc.assert(
      fc.property(cases, (each) => {
        const { P, dtype } = each;
        const { kernel, reason } = ask(simdTier.norm, { P }, dtype);
        if (kernel === undefined) throw new Error(reason);
        assertEquals(kernel.name, `norm-${P}-${dtype === "float32" ? "f32" : "f64"}-simd`);
        assertSameBits(results(kernel, each), results(naiveNorm({ P }), each));
      }),
      { numRuns: 60 },
    );
  });

  it("leave vectors to the loops, and say so", () => {
    const { name, reason } = explain(normKernels, { P: 1 }, "float32");
    assertEquals(name, "norm-1-naive");
    assertMatch(reason, /a plane of 1 is less than the 4 numbers of a step/);
  });
});
