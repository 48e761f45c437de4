import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { naiveMaxPool } from "../../../kernels/naive/max_pool.ts";
import type { DType, FloatArray } from "../../../kernels/tensor.ts";
import { poolLabel, type PoolShape, poolShape } from "../../../kernels/shape.ts";
import { scratch } from "../../../kernels/simd/memory.ts";
import { simdMaxPool } from "../../../kernels/simd/max_pool.ts";
import * as simdTier from "../../../kernels/simd/tier.ts";
import { assertMaxPool, GEOMETRIES, numbers, SEED } from "../../support/kernels.ts";
import { assertSameBits } from "../../support/bits.ts";
import { ask } from "../../../kernels/tier.ts";

const dtypes: readonly DType[] = ["float32", "float64"];

interface Case {
  readonly N: number;
  readonly shape: PoolShape;
  readonly seed: number;
}

const stride = fc.integer({ min: 1, max: 4 });
const window = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom([2, 2], [3, 3]) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })),
  },
);

/** Any geometry that is small enough to compute by the definition. */
const geometries: fc.Arbitrary<Case> = fc.record({
  N: fc.integer({ min: 0, max: 3 }),
  C: fc.integer({ min: 1, max: 5 }),
  H: fc.integer({ min: 1, max: 13 }),
  W: fc.oneof(fc.integer({ min: 1, max: 13 }), fc.integer({ min: 14, max: 70 })),
  window,
  stride: fc.oneof(stride.map((s): [number, number] => [s, s]), fc.tuple(stride, stride)),
  pad: fc.oneof(
    fc.constant([0, 0, 0, 0]),
    fc.tuple(fc.nat(4), fc.nat(4), fc.nat(4), fc.nat(4)),
  ),
  seed: fc.nat(),
}).map(({ N, C, H, W, window, stride, pad, seed }) => {
  const size = (k: number, side: number, before: number, after: number) => {
    // Padding is smaller than the window, and the window fits into the padded input.
    const [p, q] = [Math.min(before, k - 1), Math.min(after, k - 1)];
    const fits = Math.min(k, side + p + q);
    return [fits, Math.min(p, fits - 1), Math.min(q, fits - 1)];
  };
  const [KH, top, bottom] = size(window[0], H, pad[0], pad[2]);
  const [KW, left, right] = size(window[1], W, pad[1], pad[3]);
  const shape = poolShape([N, C, H, W], {
    poolHeight: Math.min(KH, H + top + bottom),
    poolWidth: Math.min(KW, W + left + right),
    stride,
    pad: [top, left, bottom, right],
  });
  return { N, shape, seed };
});

const integers = (u: number) => Math.floor(u * 17) - 8;
const specials = [NaN, -0, 0, Infinity, -Infinity, 1, 1, -1, 5e-324, Number.MAX_VALUE];
const anything = (u: number) => specials[Math.floor(u * specials.length)];
/** One number in ten is a NaN or a zero of either sign. */
const fewSpecials = (u: number) => u < 0.1 ? specials[Math.floor(u * 30)] : integers(u);

interface Results {
  readonly out: FloatArray;
  readonly dx: FloatArray;
}

type Pass = Pick<ReturnType<typeof naiveMaxPool>, "forward" | "backward">;

/** Both directions; outputs start as NaN, so that a number left out shows. */
function run(kernel: Pass, { N, shape: s }: Case, x: FloatArray, dout: FloatArray): Results {
  const out = dout.slice().fill(NaN), dx = x.slice().fill(NaN);
  kernel.forward(N, x, out);
  kernel.backward(N, x, dout, dx);
  assertEquals(out.length, N * s.C * s.OH * s.OW);
  return { out, dx };
}

/** The SIMD kernel for a case, which must exist and say its name. */
function kernelFor({ shape }: Case, dtype: DType) {
  const { kernel, reason } = simdMaxPool(shape, dtype);
  if (kernel === undefined) throw new Error(reason);
  assertEquals(kernel.name, `maxpool-${poolLabel(shape)}-${dtype.replace("loat", "")}-simd`);
  return kernel;
}

/** Checks a property on random geometries, the seed in the message of a failure. */
function check(property: (testCase: Case, dtype: DType) => void, share = 1): void {
  console.log(`seed ${SEED}`);
  for (const dtype of dtypes) {
    fc.assert(fc.property(geometries, (testCase) => property(testCase, dtype)), {
      seed: SEED,
      numRuns: Math.ceil(GEOMETRIES * share),
    });
  }
}

/** Compares with the definition, the signs of zeros and the places of NaNs included. */
function compare(testCase: Case, dtype: DType, x: FloatArray, dout: FloatArray): void {
  const actual = run(kernelFor(testCase, dtype), testCase, x, dout);
  const expected = run(naiveMaxPool(testCase.shape), testCase, x, dout);
  assertSameBits(actual, expected);
}

function inputs({ N, shape: s, seed }: Case, dtype: DType, next: (u: number) => number) {
  return {
    x: numbers(N * s.C * s.H * s.W, dtype, seed, next),
    dout: numbers(N * s.C * s.OH * s.OW, dtype, seed + 1, integers),
  };
}

describe("simdMaxPool()", () => {
  it("equals the naive loops on integers, where ties abound", () => {
    check((testCase, dtype) => {
      const { x, dout } = inputs(testCase, dtype, integers);
      compare(testCase, dtype, x, dout);
    });
  });

  it("reads nothing after the memory where rows are short and windows far apart", () => {
    for (const dtype of dtypes) {
      for (const step of [3, 17, 40, 64]) {
        for (const pad of [[0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1]] as const) {
          const options = { poolHeight: 2, poolWidth: 2, stride: [2, step], pad } as const;
          const testCase = { N: 2, shape: poolShape([2, 3, 50, 3], options), seed: step };
          const { x, dout } = inputs(testCase, dtype, integers);
          compare(testCase, dtype, x, dout);
        }
      }
    }
  });

  it("never leaves finite numbers to the naive loops, whatever lay in the memory", () => {
    check((testCase, dtype) => {
      const { x, dout } = inputs(testCase, dtype, integers);
      const kernel = kernelFor(testCase, dtype);
      const { start } = kernel.regions.find(({ name }) => name === "needs fallback")!;
      const { buffer } = scratch("float32");
      const { N } = testCase;
      const passes = [
        () => kernel.forward(N, x, dout.slice()),
        () => kernel.backward(N, x, dout, x.slice()),
      ];
      for (const pass of passes) {
        new Uint8Array(buffer).fill(0xff, 0, start);
        new Uint8Array(buffer).fill(0xff, start + 16);
        pass();
        // Of the last planes; the others have been told the same way.
        const doubts = new Uint32Array(buffer, start, 4);
        assertEquals([...doubts], N === 0 ? [...doubts] : [0, 0, 0, 0]);
      }
    }, 0.2);
  });

  it("equals the naive loops on NaN, infinities and zeros of both signs", () => {
    check((testCase, dtype) => {
      for (const next of [anything, fewSpecials]) {
        const { x, dout } = inputs(testCase, dtype, next);
        compare(testCase, dtype, x, dout);
      }
    }, 0.5);
  });

  it("looks at rows once that windows of 3x3 share at a stride of 2, zeros of both signs too", () => {
    const zeros = (u: number) => u < 0.5 ? -0 : u < 0.9 ? 0 : u < 0.95 ? -1 : 1;
    const paddings = [
      ...[[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0], [0, 1, 0, 0], [1, 2, 1, 0]] as const,
    ];
    const served = new Set<string>();
    for (const dtype of dtypes) {
      for (const pad of paddings) {
        for (let W = 4; W < 40; W += dtype === "float32" ? 1 : 3) {
          const H = 3 + W % 5, options = { poolHeight: 3, poolWidth: 3, stride: 2, pad };
          const shape = poolShape([1, 2, H, W], options);
          const testCase = { N: 2, shape, seed: W };
          const { regions } = kernelFor(testCase, dtype);
          if (regions.some(({ name }) => name === "line")) served.add(`${dtype}, ${pad}`);
          for (const next of [integers, zeros, fewSpecials]) {
            const { x, dout } = inputs(testCase, dtype, next);
            compare(testCase, dtype, x, dout);
          }
          // A NaN in any place is seen, at the edges too.
          const { x, dout } = inputs(testCase, dtype, integers);
          for (let i = 0; i < H * W; i += W < 12 ? 1 : 7) {
            const nan = x.slice();
            nan[i] = NaN;
            compare(testCase, dtype, nan, dout);
          }
        }
      }
    }
    const pads = ["0,0,0,0", "1,1,1,1", "1,0,0,0", "0,1,0,0"];
    const expected = dtypes.flatMap((dtype) => pads.map((pad) => `${dtype}, ${pad}`));
    assertEquals([...served].sort(), expected.sort());
  });

  it("passes on gradients that are not numbers or infinite", () => {
    check((testCase, dtype) => {
      const { x } = inputs(testCase, dtype, integers);
      const dout = inputs(testCase, dtype, integers).dout.map((d, i) => i % 5 === 0 ? NaN : d);
      compare(testCase, dtype, x, dout);
    }, 0.1);
  });

  it("agrees with the naive loops where real gradients overlap", () => {
    for (const dtype of dtypes) {
      for (const stride of [1, 2]) {
        const shape = poolShape([2, 3, 17, 19], { poolHeight: 3, poolWidth: 3, stride, pad: 1 });
        const testCase = { N: 2, shape, seed: 1 };
        assertMaxPool(kernelFor(testCase, dtype), shape, testCase.N, dtype, "reals");
      }
    }
  });

  it("runs planes in several chunks", () => {
    for (const dtype of dtypes) {
      const shape = poolShape([3, 20, 50, 50], { poolHeight: 2, poolWidth: 2, stride: 2 });
      const testCase = { N: 3, shape, seed: 7 };
      const { x, dout } = inputs(testCase, dtype, integers);
      compare(testCase, dtype, x, dout);
    }
  });

  it("writes nothing outside its regions", () => {
    check((testCase, dtype) => {
      const kernel = kernelFor(testCase, dtype);
      const { x, dout } = inputs(testCase, dtype, integers);
      for (const direction of ["forward", "backward"] as const) {
        const bytes = new Uint8Array(scratch(dtype).buffer);
        bytes.fill(0x5a);
        if (direction === "forward") kernel.forward(testCase.N, x, dout.slice());
        else kernel.backward(testCase.N, x, dout, x.slice());
        let from = 0;
        for (
          const { start, end, name } of [...kernel.regions, {
            start: bytes.length,
            end: bytes.length,
            name: "the end",
          }]
        ) {
          const touched = bytes.subarray(from, start).findIndex((byte) => byte !== 0x5a);
          assert(touched < 0, `${direction} wrote byte ${from + touched}, before ${name}`);
          from = end;
        }
      }
    }, 0.02);
  });

  it("serves windows of up to 25 numbers", () => {
    const shape = poolShape([1, 1, 9, 9], { poolHeight: 6, poolWidth: 5, stride: 1 });
    const { kernel, reason } = simdMaxPool(shape, "float64");
    assertEquals(kernel, undefined);
    assertMatch(reason, /window of 6x5/);
  });
});

describe("simdTier", () => {
  it("answers for the pools of the table", () => {
    const shape = poolShape([100, 32, 32, 32], { poolHeight: 2, poolWidth: 2, stride: 2 });
    assertEquals(
      ask(simdTier.maxPool, shape, "float32").kernel?.name,
      "maxpool-32x32-2x2-s2-f32-simd",
    );
    assertEquals(
      ask(simdTier.maxPool, shape, "float64").kernel?.name,
      "maxpool-32x32-2x2-s2-f64-simd",
    );
  });
});
