import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { naiveAffine } from "../../../kernels/naive/affine.ts";
import type { DType } from "../../../kernels/tensor.ts";
import { simdAffine } from "../../../kernels/simd/affine.ts";
import { features } from "../../../kernels/simd/features.ts";
import { scratch } from "../../../kernels/simd/memory.ts";
import * as simdTier from "../../../kernels/simd/tier.ts";
import {
  assertAffine,
  GEOMETRIES,
  type Inputs,
  numbers,
  runPasses,
  SEED,
} from "../../support/kernels.ts";
import { assertSameBits } from "../../support/bits.ts";
import { ask } from "../../../kernels/tier.ts";

const dtypes: readonly DType[] = ["float32", "float64"];

interface Case {
  readonly N: number;
  readonly D: number;
  readonly M: number;
}

/** Sizes small enough to compute by the definition, most of them no multiples of a tile. */
const geometries: fc.Arbitrary<Case> = fc.record({
  N: fc.integer({ min: 1, max: 13 }),
  D: fc.integer({ min: 1, max: 40 }),
  M: fc.integer({ min: 1, max: 40 }),
});

/** Sizes for which the second matrix is not packed, and some just beyond. */
const few: fc.Arbitrary<Case> = fc.record({
  N: fc.integer({ min: 1, max: 34 }),
  D: fc.integer({ min: 50, max: 140 }),
  M: fc.integer({ min: 50, max: 140 }),
});

const integers = (u: number) => Math.floor(u * 9) - 4;

function inputsFor({ N, D, M }: Case, dtype: DType, next: (u: number) => number): Inputs {
  return {
    x: numbers(N * D, dtype, 1, next),
    w: numbers(D * M, dtype, 2, next),
    b: numbers(M, dtype, 3, next),
    dout: numbers(N * M, dtype, 4, next),
  };
}

/** The SIMD kernel, which must exist and say its name. */
function kernelFor({ D, M }: Case, dtype: DType, fused = features().fused) {
  const { kernel, reason } = simdAffine({ D, M }, dtype, { ...features(), fused });
  if (kernel === undefined) throw new Error(reason);
  assertEquals(kernel.name, `affine-${D}x${M}-${dtype === "float32" ? "f32" : "f64"}-simd`);
  return kernel;
}

function compareIntegers(testCase: Case, dtype: DType, fused?: boolean): void {
  const inputs = inputsFor(testCase, dtype, integers);
  assertEquals(
    runPasses(kernelFor(testCase, dtype, fused), testCase.N, inputs),
    runPasses(naiveAffine(testCase), testCase.N, inputs),
  );
}

/** Checks a property on random geometries, the seed in the message of a failure. */
function check(
  property: (testCase: Case, dtype: DType) => void,
  share = 1,
  cases = geometries,
): void {
  console.log(`seed ${SEED}`);
  for (const dtype of dtypes) {
    fc.assert(fc.property(cases, (testCase) => property(testCase, dtype)), {
      seed: SEED,
      numRuns: Math.ceil(GEOMETRIES * share),
    });
  }
}

/** Sizes that need several blocks of rows, of columns, of steps, in one pass or another. */
const large: readonly Case[] = [
  { N: 2, D: 3000, M: 11 },
  { N: 3, D: 7, M: 3001 },
  { N: 1501, D: 5, M: 3 },
  { N: 5, D: 1500, M: 700 },
  { N: 70, D: 260, M: 1030 },
  { N: 1, D: 1, M: 1 },
  // Few rows: more terms than a sum may have, several blocks of columns, and B too long for dots.
  { N: 2, D: 9001, M: 70 },
  { N: 3, D: 70, M: 20_001 },
  { N: 9, D: 600, M: 1030 },
];

/** Few steps and many columns, or many rows: blocks that fill their bytes. */
const lopsided: readonly Case[] = [1, 4, 40].flatMap((few) =>
  [13_121, 26_241, 65_537].flatMap((many) => [
    { N: 6, D: few, M: many },
    { N: 6, D: many, M: few },
    { N: few, D: many, M: 6 },
    { N: few, D: 6, M: many },
    { N: many, D: few, M: 6 },
  ])
).filter(({ N, D, M }) => N * D * M < 3e6);

describe("simdAffine()", () => {
  it("equals the naive loops on integers", () => {
    check((testCase, dtype) => compareIntegers(testCase, dtype));
  });

  it("equals the naive loops on integers without relaxed multiply-add", () => {
    check((testCase, dtype) => compareIntegers(testCase, dtype, false), 0.2);
  });

  it("equals the naive loops on integers for few rows, with and without multiply-add", () => {
    check((testCase, dtype) => compareIntegers(testCase, dtype), 0.2, few);
    check((testCase, dtype) => compareIntegers(testCase, dtype, false), 0.1, few);
  });

  it("equals the naive loops on integers where a product takes several blocks", () => {
    for (const dtype of dtypes) {
      for (const testCase of [...large, ...lopsided]) compareIntegers(testCase, dtype);
    }
  });

  it("agrees with the naive loops on random numbers", () => {
    for (const dtype of dtypes) {
      for (const testCase of [...large, { N: 64, D: 300, M: 100 }]) {
        assertAffine(kernelFor(testCase, dtype), testCase, testCase.N, dtype, "reals");
      }
    }
  });

  it("passes on NaN, infinities and signed zeros where the naive loops do", () => {
    const specials = [NaN, Infinity, -Infinity, -0, 0, 1, -1, 2, -2, 3];
    const passesOn = (share: number) => (testCase: Case, dtype: DType) => {
      const inputs = inputsFor(
        testCase,
        dtype,
        (u) => u < share ? specials[Math.floor(u * 10 / share)] : integers(u),
      );
      const actual = runPasses(kernelFor(testCase, dtype), testCase.N, inputs);
      assertSameBits(actual, runPasses(naiveAffine(testCase), testCase.N, inputs));
    };
    check(passesOn(0.05), 0.3);
    check(passesOn(0.005), 0.1, few);
  });

  it("writes zero gradients for an empty batch", () => {
    for (const dtype of dtypes) {
      const inputs = inputsFor({ N: 0, D: 3, M: 2 }, dtype, integers);
      const { dw, db } = runPasses(kernelFor({ N: 0, D: 3, M: 2 }, dtype), 0, inputs);
      assertEquals([...dw, ...db], Array(8).fill(0));
    }
  });

  it("writes nothing outside its regions", () => {
    const guarded = (testCase: Case, dtype: DType) => {
      const kernel = kernelFor(testCase, dtype);
      const inputs = inputsFor(testCase, dtype, integers);
      const bytes = new Uint8Array(scratch(dtype).buffer);
      const last = { name: "the end", start: bytes.length, end: bytes.length };
      let from = 0;
      for (const { start, end } of [...kernel.regions, last]) {
        bytes.fill(0x5a, from, start);
        from = end;
      }
      runPasses(kernel, testCase.N, inputs);
      from = 0;
      for (const { name, start, end } of [...kernel.regions, last]) {
        const touched = bytes.subarray(from, start).findIndex((byte) => byte !== 0x5a);
        assert(touched < 0, `wrote byte ${from + touched}, before ${name}`);
        from = end;
      }
    };
    check(guarded, 0.1);
    check(guarded, 0.05, few);
    for (const dtype of dtypes) {
      for (const testCase of [...large, ...lopsided]) guarded(testCase, dtype);
    }
  });
});

describe("simdTier", () => {
  it("answers for the fully-connected layers of a net", () => {
    for (const [dtype, tag] of [["float32", "f32"], ["float64", "f64"]] as const) {
      const { kernel } = ask(simdTier.affine, { D: 8192, M: 500 }, dtype);
      assertEquals(kernel?.name, `affine-8192x500-${tag}-simd`);
    }
  });
});
