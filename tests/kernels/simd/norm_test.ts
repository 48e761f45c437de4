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

  it("give the bits of the definition for whole numbers, and in float64 for all", () => {
    fc.assert(
      fc.property(cases, (each) => {
        const fast = simdKernel(each), naive = naiveNorm(each);
        // Which of the two zeros a float32 is, is left open.
        const [found, defined] = [fast, naive].map((kernel) => {
          const { sums, arrays } = results(kernel, each, whole());
          const plain = each.dtype === "float64" ? arrays : arrays.map((a) => a.map((v) => v + 0));
          return { sums, arrays: plain };
        });
        assertSameBits(found, defined);
        if (each.dtype === "float32") return;
        const [actual, expected] = [fast, naive].map((kernel) => results(kernel, each, normal()));
        assertSameBits(actual, expected);
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

  it("sum float32 in float32 some terms at a time, and lose next to nothing", () => {
    const planes = 8;
    for (const P of [2, 7, 64, 225, 256, 1024, 5000]) {
      const kernel = simdKernel({ P, planes, dtype: "float32" }), naive = naiveNorm({ P });
      for (const offset of [0, 1000]) {
        const random = normal();
        const x = random(planes * P, "float32").map((value) => value + offset);
        const dout = random(planes * P, "float32");
        const table = () => new Float64Array(planes), mean = table().fill(offset + 0.1);
        const fast = [table(), table(), table(), table()], exact = fast.map(table);
        kernel.moments!(x, fast[0], fast[1]);
        kernel.products(x, dout, mean, fast[2], fast[3]);
        naive.sum(x, exact[0]);
        naive.squares(x, table(), exact[1]);
        naive.products(x, dout, mean, exact[2], exact[3]);
        for (let plane = 0; plane < planes; plane++) {
          const difference = (i: number) => Math.abs(fast[i][plane] - exact[i][plane]) / P;
          const [sum, squares, douts, products] = [0, 1, 2, 3].map(difference);
          // A mean far from 0 costs no digits of the sum, and as many of the squares as it is large.
          assert(sum < 2e-7, `${P}, ${offset}: sums differ by ${sum}`);
          assert(squares < 4e-7 * Math.max(1, offset), `${P}, ${offset}: squares by ${squares}`);
          assert(douts < 2e-7, `${P}, ${offset}: sums of dout differ by ${douts}`);
          assert(products < 4e-7, `${P}, ${offset}: products by ${products}`);
        }
      }
    }
  });

  it("sum float32 in float64 where squares are too large for float32", () => {
    const P = 100, planes = 3, kernel = simdKernel({ P, planes, dtype: "float32" });
    const x = normal()(planes * P, "float32").map((value) => 1e25 * value);
    const table = () => new Float64Array(planes);
    const fast = [table(), table()], exact = fast.map(table);
    kernel.moments!(x, fast[0], fast[1]);
    naiveNorm({ P }).sum(x, exact[0]);
    naiveNorm({ P }).squares(x, table(), exact[1]);
    assertSameBits(fast, exact);
  });

  it("let NaN and infinities spread to the sums of their planes alone", () => {
    const P = 30, planes = 4, kernel = simdKernel({ P, planes, dtype: "float32" });
    for (const [at, value] of [[P >> 1, NaN], [P >> 1, Infinity], [3, -Infinity]]) {
      const x = normal()(planes * P, "float32");
      const dout = x.map((v) => v + 1), mean = new Float64Array(planes);
      x[P + at] = value;
      const table = () => new Float64Array(planes);
      const [sums, squares, douts, products] = [table(), table(), table(), table()];
      kernel.moments!(x, sums, squares);
      kernel.products(x, dout, mean, douts, products);
      const finite = [true, false, true, true];
      for (const table of [sums, squares, products]) {
        assertEquals(Array.from(table, Number.isFinite), finite);
      }
      assert(Object.is(sums[1], value), `${sums[1]} is not ${value}`);
      assert(douts.every(Number.isFinite));
    }
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
