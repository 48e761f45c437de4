import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import type { NormKernel } from "../../../kernels/kernel.ts";
import { normKernels } from "../../../kernels/operations.ts";
import { naiveNorm } from "../../../kernels/naive/norm.ts";
import { explain } from "../../../kernels/select.ts";
import type { DType, FloatArray } from "../../../kernels/tensor.ts";
import { scratch } from "../../../kernels/simd/memory.ts";
import * as simdTier from "../../../kernels/simd/tier.ts";
import { ask } from "../../../kernels/tier.ts";
import {
  type BatchnormParams,
  full,
  RandomState,
  spatialBatchnormForward,
  tensor,
  useArithmetic,
} from "../../../mod.ts";
import { assertSameBits } from "../../support/bits.ts";

interface Case {
  readonly P: number;
  readonly planes: number;
  readonly dtype: DType;
}

/** Planes with and without a rest after the last step, few and more than are held at once. */
const cases: fc.Arbitrary<Case> = fc.record({
  P: fc.oneof(fc.integer({ min: 2, max: 70 }), fc.constantFrom(225, 1024, 20_000)),
  planes: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constantFrom(70)),
  dtype: fc.constantFrom<DType>("float32", "float64"),
});

/** What a kernel makes of planes: its sums, and arrays. */
function results(
  kernel: NormKernel,
  { P, planes, dtype }: Case,
  random: (count: number, dtype: DType) => FloatArray,
): { readonly sums: readonly FloatArray[]; readonly arrays: readonly FloatArray[] } {
  const array = () => random(planes * P, dtype);
  const table = () => Float64Array.from(random(planes, "float64"));
  const x = array(), dout = array(), out = array(), positive = array(), dx = array();
  const [mean, scale, slope, shift] = [table(), table(), table(), table()];
  const [sums, squares, douts, products] = [table(), table(), table(), table()];
  kernel.sum(x, sums);
  kernel.squares(x, mean, squares);
  kernel.scale(x, mean, scale, shift, out, false);
  kernel.scale(x, mean, scale, shift, positive, true);
  kernel.products(x, dout, mean, douts, products);
  kernel.gradient(x, dout, mean, scale, slope, shift, dx);
  return { sums: [sums, squares, douts, products], arrays: [out, positive, dx] };
}

const normal = () => {
  const random = new RandomState(5);
  return (count: number, dtype: DType) => random.randn([count], dtype).data;
};
const whole = () => {
  const random = normal();
  return (count: number, dtype: DType) => random(count, dtype).map((v) => Math.round(3 * v));
};

function simdKernel({ P, dtype }: Case): NormKernel {
  const { kernel, reason } = ask(simdTier.norm, { P }, dtype);
  if (kernel === undefined) throw new Error(reason);
  assertEquals(kernel.name, `norm-${P}-${dtype === "float32" ? "f32" : "f64"}-simd`);
  // It relies on nothing that the memory holds.
  scratch("float32").fill(NaN);
  return kernel;
}

/** Asserts that a float32 is a sum of terms, but for a few roundings of the largest. */
function assertRounded(actual: number, terms: readonly number[]): void {
  const expected = terms.reduce((sum, term) => sum + term, 0);
  const off = Math.abs(actual - expected) / Math.max(...terms.map(Math.abs));
  assert(off < 6 * 2 ** -24, `${actual} is not ${expected}: ${off} of the largest term`);
}

describe("The SIMD kernels of normalizations", () => {
  it("give the bits of the definition under reproducible arithmetic", () => {
    using _ = useArithmetic("reproducible");
    for (const dtype of ["float32", "float64"] as const) {
      for (const P of [2, 3, 4, 9, 13, 64]) {
        const each: Case = { P, planes: 5, dtype }, kernel = simdKernel(each);
        assertEquals(kernel.moments, undefined);
        assertSameBits(results(kernel, each, normal()), results(naiveNorm(each), each, normal()));
      }
    }
  });

  it("give the bits of the definition: sums always, arrays of float64 and of whole numbers", () => {
    fc.assert(
      fc.property(cases, (each) => {
        const fast = simdKernel(each), naive = naiveNorm(each);
        assertSameBits(results(fast, each, whole()), results(naive, each, whole()));
        const [actual, expected] = [fast, naive].map((kernel) => results(kernel, each, normal()));
        assertSameBits(actual.sums, expected.sums);
        if (each.dtype === "float64") assertSameBits(actual.arrays, expected.arrays);
      }),
      { numRuns: 60 },
    );
  });

  it("are wrong by a few roundings of float32, also beside a mean that is much larger", () => {
    const planes = 20;
    for (const P of [9, 64, 225]) {
      for (const offset of [0, 1000]) {
        const random = normal();
        const x = random(planes * P, "float32").map((value) => value + offset);
        const dout = random(planes * P, "float32"), out = x.slice(), dx = x.slice();
        const table = () => Float64Array.from(random(planes, "float64"));
        const mean = table().map((value) => value + offset);
        const [scale, slope, shift] = [table(), table(), table()];
        const kernel = simdKernel({ P, planes, dtype: "float32" });
        kernel.scale(x, mean, scale, shift, out, false);
        kernel.gradient(x, dout, mean, scale, slope, shift, dx);
        for (let i = 0; i < x.length; i++) {
          const plane = Math.floor(i / P), difference = x[i] - mean[plane];
          const terms = [difference * scale[plane], shift[plane]];
          assertRounded(out[i], terms);
          assertRounded(dx[i], [
            ...[dout[i] * scale[plane], -difference * slope[plane], -shift[plane]],
          ]);
        }
      }
    }
  });

  it("sum numbers and their squares at once in float32, which loses no digits that there are", () => {
    const P = 1024, planes = 8;
    const kernel = simdKernel({ P, planes, dtype: "float32" });
    assertEquals(simdKernel({ P, planes, dtype: "float64" }).moments, undefined);
    const x = normal()(planes * P, "float32");
    const sums = new Float64Array(planes), squares = sums.slice(), naive = sums.slice();
    kernel.moments!(x, sums, squares);
    naiveNorm({ P }).sum(x, naive);
    assertSameBits(sums, naive);
    naiveNorm({ P }).squares(x, new Float64Array(planes), naive);
    assertSameBits(squares, naive);
  });

  it("give float32 the variance of float64, whatever the mean", () => {
    for (const offset of [0, 10, 1e4, 1e6]) {
      const x = new RandomState(1).randn([50, 2, 16, 16], "float32");
      for (let i = 0; i < x.data.length; i++) x.data[i] += offset;
      const runs = (["float32", "float64"] as const).map((dtype) => {
        const bnParam: BatchnormParams = { mode: "train", momentum: 0 };
        const input = tensor(Float64Array.from(x.data), x.shape);
        const [gamma, beta] = [full([2], 1, dtype), full([2], 0, dtype)];
        spatialBatchnormForward<FloatArray>(dtype === "float32" ? x : input, gamma, beta, bnParam);
        return bnParam.runningVar!.data;
      });
      for (const [i, variance] of runs[1].entries()) {
        // To 1e-3 where neighbors are a sixteenth of the deviation apart.
        const bound = offset === 1e6 ? 1e-3 : 1e-6;
        assert(Math.abs(runs[0][i] - variance) < bound * variance, `${offset}: ${runs[0][i]}`);
      }
    }
  });

  it("leave vectors to the loops, and say so", () => {
    const { name, reason } = explain(normKernels, { P: 1 }, "float32");
    assertEquals(name, "norm-1-naive");
    assertMatch(reason, /a plane of 1 value is less than the 2/);
  });
});
