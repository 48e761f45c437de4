import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import type { WeightedKernel } from "../../../kernels/kernel.ts";
import { naiveConv } from "../../../kernels/naive/conv.ts";
import { useArithmetic } from "../../../kernels/select.ts";
import { type ConvShape, convShape } from "../../../kernels/shape.ts";
import type { DType, FloatArray } from "../../../kernels/tensor.ts";
import { forwardPass, gradientPass } from "../../../kernels/passes.ts";
import { planDirect } from "../../../kernels/simd/direct.ts";
import { features } from "../../../kernels/simd/features.ts";
import { simdConv } from "../../../kernels/simd/conv.ts";
import { imageRun } from "../../../kernels/simd/program.ts";
import {
  areBatched,
  batchedCount,
  type ConvSchedule,
  scheduleConv,
} from "../../../kernels/simd/schedule.ts";
import { convTiles, type Tile } from "../../../kernels/simd/tiles.ts";
import * as simdTier from "../../../kernels/simd/tier.ts";
import { vectors } from "../../../kernels/simd/vector.ts";
import { winogradPays } from "../../../kernels/simd/winograd_tiles.ts";
import {
  assertConv,
  GEOMETRIES,
  type Inputs,
  numbers,
  runPasses,
  SEED,
} from "../../support/kernels.ts";
import { ask } from "../../../kernels/tier.ts";
import {
  alignedGeometries,
  batchedGeometries,
  type Case,
  geometries,
  groupedGeometries,
  wideGeometries,
  winogradGeometries,
} from "../../support/conv_cases.ts";
import { kernelOfMany, rescheduled } from "../../support/simd.ts";

const dtypes: readonly DType[] = ["float32", "float64"];

/** The same, where the algorithm pays for every pass. */
const winogradCases = (dtype: DType) =>
  winogradGeometries.filter(({ shape }) =>
    winogradPays(vectors[dtype], forwardPass(shape)) &&
    winogradPays(vectors[dtype], gradientPass(shape))
  );

function inputsFor({ N, shape }: Case, dtype: DType, next: (u: number) => number): Inputs {
  const { C, H, W, F, KH, KW, OH, OW, groups } = shape;
  return {
    x: numbers(N * C * H * W, dtype, 1, next),
    w: numbers(F * C / groups * KH * KW, dtype, 2, next),
    b: numbers(F, dtype, 3, next),
    dout: numbers(N * F * OH * OW, dtype, 4, next),
  };
}

function simdKernel(shape: ConvShape, dtype: DType): WeightedKernel {
  const { kernel, reason } = ask(simdTier.conv, shape, dtype);
  if (kernel === undefined) throw new Error(reason);
  assertEquals(kernel.tier, "simd");
  const name = new RegExp(
    `^conv-.*-${
      dtype === "float32" ? "f32" : "f64"
    }(-batched)?(-depthwise|(-gemm)?(-winograd)?)-simd$`,
  );
  assertMatch(kernel.name, name);
  return kernel;
}

const directions = ["out", "relu", "dx", "dw", "db"] as const;

/** Checks every direction on whole numbers, where no sum is rounded. */
function checkExact({ N, shape }: Case, dtype: DType, kernelOf = simdKernel): void {
  const inputs = inputsFor({ N, shape }, dtype, (u) => Math.floor(u * 17) - 8);
  const kernel = kernelOf(shape, dtype);
  const fast = runPasses(kernel, N, inputs);
  const naive = runPasses(naiveConv(shape), N, inputs);
  for (const name of directions) assertEquals(fast[name], naive[name], name);
}

/** Checks every direction on numbers between -1 and 1. */
function checkClose({ N, shape }: Case, dtype: DType, kernelOf = simdKernel): void {
  const tolerance = dtype === "float32" ? 1e-5 : 1e-12;
  const inputs = inputsFor({ N, shape }, dtype, (u) => u * 2 - 1);
  const absolute = (array: FloatArray) => array.map(Math.abs);
  const { x, w, b, dout } = inputs;
  const kernel = kernelOf(shape, dtype), taps = shape.KH * shape.KW;
  const fast = runPasses(kernel, N, inputs);
  const naive = runPasses(naiveConv(shape), N, inputs);
  // The sums of the terms' sizes: what an error is small against.
  const scale = runPasses(naiveConv(shape), N, {
    x: absolute(x),
    w: absolute(w),
    b: absolute(b),
    dout: absolute(dout),
  });
  // Winograd's weight gradient mixes the taps of a kernel: its error is small against the largest of them.
  const mixed = kernel.name.includes("winograd");
  for (const name of directions) {
    fast[name].forEach((value, i) => {
      const error = Math.abs(value - naive[name][i]);
      const first = i - i % taps;
      const size = mixed && name === "dw"
        ? Math.max(...scale.dw.subarray(first, first + taps))
        : scale[name][i];
      assert(error <= tolerance * size, `${name}[${i}]: ${value}, off by ${error}`);
    });
  }
}

describe(`SIMD convolution over ${GEOMETRIES} geometries, seed ${SEED}`, () => {
  for (const dtype of dtypes) {
    it(`equals the definition on whole numbers, ${dtype}`, () => {
      const property = fc.property(geometries, (it) => checkExact(it, dtype));
      fc.assert(property, { numRuns: GEOMETRIES / 2, seed: SEED });
    });

    it(`is as close to the definition as rounding allows, ${dtype}`, () => {
      const property = fc.property(geometries, (it) => checkClose(it, dtype));
      fc.assert(property, { numRuns: GEOMETRIES / 4, seed: SEED });
    });

    it(`does both without relaxed instructions, ${dtype}`, () => {
      using _ = useArithmetic("reproducible");
      const property = fc.property(geometries, (it) => {
        checkExact(it, dtype);
        checkClose(it, dtype);
      });
      fc.assert(property, { numRuns: Math.ceil(GEOMETRIES / 20), seed: SEED });
    });
  }
});

describe(`SIMD convolution of wide rows over ${GEOMETRIES / 10} geometries, seed ${SEED}`, () => {
  for (const dtype of dtypes) {
    it(`equals the definition on whole numbers, ${dtype}`, () => {
      const property = fc.property(wideGeometries, (it) => checkExact(it, dtype));
      fc.assert(property, { numRuns: Math.ceil(GEOMETRIES / 20), seed: SEED });
    });
  }

  it("serves the kernels of well-known nets' first layers", () => {
    const first: readonly Case[] = [
      { N: 1, shape: convShape([1, 3, 67, 67], [8, 3, 11, 11], { stride: 4, pad: 2 }) },
      { N: 1, shape: convShape([1, 3, 48, 48], [9, 3, 16, 16], { stride: 16 }) },
      { N: 1, shape: convShape([1, 3, 64, 64], [8, 3, 7, 7], { stride: 2, pad: 3 }) },
      { N: 1, shape: convShape([1, 2, 3, 100], [3, 2, 1, 64], { pad: [0, 20] }) },
      { N: 2, shape: convShape([2, 40, 4, 4], [37, 40, 3, 3], { pad: 1 }) },
      { N: 19, shape: convShape([19, 3, 4, 4], [4, 3, 3, 3], { pad: 1 }) },
      { N: 0, shape: convShape([0, 3, 4, 4], [4, 3, 3, 3], { pad: 1 }) },
    ];
    for (const it of first) for (const dtype of dtypes) checkExact(it, dtype);
  });

  it("leaves very wide kernels to the next tier", () => {
    const shape = convShape([1, 1, 1, 200], [1, 1, 1, 65], {});
    const { kernel, reason } = ask(simdTier.conv, shape, "float32");
    assertEquals(kernel, undefined);
    assertMatch(reason, /wider than 64/);
  });
});

describe(`Winograd's algorithm over ${GEOMETRIES / 4} geometries, seed ${SEED}`, () => {
  for (const dtype of dtypes) {
    it(`equals the definition on whole numbers, ${dtype}`, () => {
      const property = fc.property(winogradCases(dtype), (it) => {
        assertMatch(kernelOfMany(it.shape, dtype).name, /-winograd-simd$/);
        checkExact(it, dtype, kernelOfMany);
      });
      fc.assert(property, { numRuns: Math.ceil(GEOMETRIES / 16), seed: SEED });
    });

    it(`is as close to the definition as rounding allows, ${dtype}`, () => {
      const property = fc.property(
        winogradCases(dtype),
        (it) => checkClose(it, dtype, kernelOfMany),
      );
      fc.assert(property, { numRuns: Math.ceil(GEOMETRIES / 16), seed: SEED });
    });

    for (const K of [3, 5, 7]) {
      it(`rounds no worse than the direct kernel, ${K}x${K} ${dtype}`, () => {
        const shape = convShape([1, 16, 8, 8], [16, 16, K, K], { pad: (K - 1) / 2 });
        // Whole multiples of a unit, so that big integers give the exact sums.
        const unit = dtype === "float32" ? 2 ** -24 : 2 ** -52;
        const { x, w, dout } = inputsFor({ N: 1, shape }, dtype, (u) => {
          return Math.round(Math.sin(1000 * u) / unit) * unit;
        });
        const b = dout.slice(0, 16).fill(0);
        const [winograd, direct] = [dout.slice(), dout.slice()];
        assertMatch(simdKernel(shape, dtype).name, /-winograd-simd$/);
        kernelOfMany(shape, dtype).forward(1, x, w, winograd, { bias: b });
        const { forward } = scheduleConv(shape, vectors[dtype], features());
        const plan = planDirect(forwardPass(shape), vectors[dtype], features().fused, forward);
        imageRun(plan.make({}))(1, x, w, direct, {});

        const whole = (array: FloatArray) => Array.from(array, (value) => BigInt(value / unit));
        const xs = whole(x), ws = whole(w), taps = 16 * K * K;
        const errors = { winograd: 0, direct: 0 };
        for (let at = 0; at < winograd.length; at++) {
          const f = at >> 6, y = (at >> 3) & 7, column = at & 7;
          let sum = 0n;
          for (let tap = 0; tap < taps; tap++) {
            const c = Math.floor(tap / (K * K)), row = y + Math.floor(tap / K) % K - (K - 1) / 2;
            const place = column + tap % K - (K - 1) / 2;
            if (row < 0 || row > 7 || place < 0 || place > 7) continue;
            sum += xs[(c * 8 + row) * 8 + place] * ws[f * taps + tap];
          }
          const error = (value: number) => Number(sum - BigInt(value / unit / unit)) ** 2;
          errors.winograd += error(winograd[at]);
          errors.direct += error(direct[at]);
        }
        assert(errors.winograd <= errors.direct, JSON.stringify(errors));
      });
    }

    it(`leaves images to the direct kernel that only this has the memory for, ${dtype}`, () => {
      const side = dtype === "float32" ? 521 : 369;
      const shape = (size: number) => convShape([1, 64, size, size], [64, 64, 3, 3], { pad: 1 });
      assertMatch(simdKernel(shape(16), dtype).name, /-winograd-simd$/);
      assertMatch(simdKernel(shape(side), dtype).name, /3x3-s1p1-f(32|64)-simd$/);
    });

    it(`leaves weights whose taps meet padding alone to the direct kernel, ${dtype}`, () => {
      // Each side in turn: the pads, and the taps of the kernel that never meet an input.
      const cases = [
        { W: 6, KW: 7, pad: [1, 0, 1, 6], alone: (_: number, kx: number) => kx === 6 },
        { W: 6, KW: 7, pad: [1, 6, 1, 0], alone: (_: number, kx: number) => kx === 0 },
        { W: 16, KW: 3, pad: [0, 1, 2, 1], alone: (ky: number) => ky === 2 },
        { W: 16, KW: 3, pad: [2, 1, 0, 1], alone: (ky: number) => ky === 0 },
      ] as const;
      for (const { W, KW, pad, alone } of cases) {
        const H = KW === 7 ? 12 : 2;
        const shape = convShape([1, 16, H, W], [16, 16, 3, KW], { pad });
        assertMatch(simdKernel(shape, dtype).name, /-winograd-simd$/);
        const { x, w, b, dout } = inputsFor({ N: 1, shape }, dtype, (u) => u * 2 - 1);
        const dw = w.fill(NaN);
        kernelOfMany(shape, dtype).backwardWeights(1, x, dout, dw, b);
        dw.forEach((value, i) => {
          if (alone(Math.floor(i / KW) % 3, i % KW)) assertEquals(value, 0, `dw[${i}]`);
          else assertNotEquals(value, 0, `dw[${i}]`);
        });
        checkClose({ N: 1, shape }, dtype, kernelOfMany);
      }
    });

    it(`is not used when arithmetic must be reproducible, ${dtype}`, () => {
      const shape = convShape([1, 16, 8, 8], [16, 16, 3, 3], { pad: 1 });
      assertMatch(simdKernel(shape, dtype).name, /-winograd-simd$/);
      using _ = useArithmetic("reproducible");
      assertMatch(simdKernel(shape, dtype).name, /3x3-s1p1-f(32|64)(-batched|-gemm)*-simd$/);
    });
  }
});

describe(`SIMD convolution with groups and dilation over ${GEOMETRIES} geometries, seed ${SEED}`, () => {
  for (const dtype of dtypes) {
    it(`gives the definition's numbers on whole numbers, ${dtype}`, () => {
      const property = fc.property(groupedGeometries, ({ N, shape }) => {
        assertConv(simdKernel(shape, dtype), shape, N, dtype, "integers");
      });
      fc.assert(property, { numRuns: GEOMETRIES, seed: SEED });
    });

    it(`runs depthwise kernels of their own, ${dtype}`, () => {
      for (const K of [3, 5]) {
        for (const stride of [1, 2]) {
          const params = { stride, pad: (K - 1) / 2, groups: 20 };
          const shape = convShape([1, 20, 15, 17], [20, 1, K, K], params);
          assertMatch(simdKernel(shape, dtype).name, /-depthwise-simd$/);
          for (const fill of ["integers", "reals"] as const) {
            assertConv(simdKernel(shape, dtype), shape, 2, dtype, fill);
          }
        }
      }
    });
  }
});

describe(`images in the lanes, over ${GEOMETRIES / 10} geometries, seed ${SEED}`, () => {
  /** A kernel whose every pass lays images in the lanes. */
  function batchedKernel(shape: ConvShape, dtype: DType): WeightedKernel {
    const kernel = rescheduled(shape, dtype, { algorithm: "direct", batched: 1, few: undefined });
    assertMatch(kernel.name, /-batched-simd$/);
    return kernel;
  }

  for (const dtype of dtypes) {
    it(`give the definition's numbers, ${dtype}`, () => {
      const fill = fc.constantFrom("integers" as const, "reals" as const);
      const property = fc.property(batchedGeometries, fill, ({ N, shape }, fill) => {
        assertConv(batchedKernel(shape, dtype), shape, N, dtype, fill);
      });
      fc.assert(property, { numRuns: Math.ceil(GEOMETRIES / 20), seed: SEED });
    });

    it(`give the same without relaxed instructions, ${dtype}`, () => {
      using _ = useArithmetic("reproducible");
      const property = fc.property(batchedGeometries, ({ N, shape }) => {
        assertConv(batchedKernel(shape, dtype), shape, N, dtype, "integers");
      });
      fc.assert(property, { numRuns: Math.ceil(GEOMETRIES / 50), seed: SEED });
    });

    it(`meet padding with weights and gradients that are not finite, ${dtype}`, () => {
      // Padding times them is NaN by the definition, forward and in dw, and no term of dx.
      const N = 8, shape = convShape([N, 2, 3, 3], [3, 2, 3, 3], { pad: 1 });
      for (const wrong of ["x", "w", "dout"] as const) {
        const inputs = inputsFor({ N, shape }, dtype, (u) => Math.floor(u * 17) - 8);
        inputs[wrong][4] = Infinity;
        const actual = runPasses(batchedKernel(shape, dtype), N, inputs);
        const expected = runPasses(naiveConv(shape), N, inputs);
        for (const name of directions) assertEquals(actual[name], expected[name], name);
      }
    });
  }

  it("are whole panels, and rests that are worth one", () => {
    const choice = { algorithm: "gemm", batched: 6, batchedRest: 5 } as const;
    const counts = [0, 5, 6, 8, 12, 13, 16, 17].map((N) => batchedCount(N, choice, 8));
    assertEquals(counts, [0, 0, 6, 8, 8, 13, 16, 16]);
    // Weight gradients take all images or none: those of a last panel may make up for its lanes.
    const takenWhole = [0, 5, 6, 9, 10, 15, 17].filter((N) => areBatched(N, choice, 8));
    assertEquals(takenWhole, [6, 10, 15, 17]);
    assert(!areBatched(100, { algorithm: "gemm" }, 8));
    assertEquals(batchedCount(100, { algorithm: "gemm" }, 8), 0);
  });

  it("never leave more than half of the lanes empty where products of matrices serve as well", () => {
    const shape = convShape([1, 256, 14, 14], [512, 256, 3, 3], { stride: 2, pad: 1 });
    for (const dtype of dtypes) {
      const { forward, dx } = scheduleConv(shape, vectors[dtype], features());
      for (const { batched = Infinity, batchedRest = Infinity } of [forward, dx]) {
        assert(Math.min(batched, batchedRest) > vectors[dtype].lanes, `${batched}, ${batchedRest}`);
      }
    }
  });

  it("are chosen for narrow maps, and only where many images come", () => {
    const shape = convShape([1, 64, 3, 3], [64, 64, 3, 3], { pad: 1 });
    assertMatch(simdKernel(shape, "float32").name, /-batched-/);
    const { forward } = scheduleConv(shape, vectors.float32, features());
    assert(forward.batched! >= 4, `from ${forward.batched} images on`);
    const wide = convShape([1, 64, 32, 32], [64, 64, 3, 3], { pad: 1 });
    assertEquals(scheduleConv(wide, vectors.float32, features()).forward.batched, undefined);
  });
});

describe(`products of matrices, over ${GEOMETRIES / 5} geometries, seed ${SEED}`, () => {
  /** A kernel whose passes are products of matrices. */
  function gemmKernel(shape: ConvShape, dtype: DType): WeightedKernel {
    const gemm = {
      algorithm: "gemm",
      batched: undefined,
      few: undefined,
      fewBy: undefined,
    } as const;
    const kernel = rescheduled(shape, dtype, gemm);
    assertMatch(kernel.name, /-gemm-simd$/);
    return kernel;
  }

  for (const dtype of dtypes) {
    for (const arithmetic of ["fast", "reproducible"] as const) {
      it(`give the definition's numbers, ${dtype}, ${arithmetic} arithmetic`, () => {
        using _ = useArithmetic(arithmetic);
        const cases = fc.oneof(geometries, wideGeometries, groupedGeometries);
        const fill = fc.constantFrom("integers" as const, "reals" as const);
        const property = fc.property(cases, fill, ({ N, shape }, fill) => {
          assertConv(gemmKernel(shape, dtype), shape, N, dtype, fill);
        });
        fc.assert(property, { numRuns: Math.ceil(GEOMETRIES / 20), seed: SEED });
      });
    }

    it(`are cut into blocks of channels and of positions, ${dtype}`, () => {
      const cases: readonly Case[] = [
        { N: 1, shape: convShape([1, 150, 5, 5], [13, 150, 3, 3], { pad: 1 }) },
        { N: 2, shape: convShape([2, 3, 37, 41], [9, 3, 7, 7], { stride: 2, pad: 3 }) },
        { N: 1, shape: convShape([1, 600, 7, 7], [17, 600, 1, 1], {}) },
        { N: 1, shape: convShape([1, 5, 2, 400], [3, 5, 2, 3], { dilation: [1, 2] }) },
        // Blocks of channels of a weight gradient, and more positions than a sum may have terms.
        { N: 2, shape: convShape([2, 60, 8, 8], [151, 60, 3, 3], { stride: 2, pad: 1 }) },
        { N: 5, shape: convShape([5, 3, 32, 32], [7, 3, 3, 3], { pad: 1 }) },
      ];
      for (const { N, shape } of cases) {
        for (const fill of ["integers", "reals"] as const) {
          assertConv(gemmKernel(shape, dtype), shape, N, dtype, fill);
        }
      }
    });

    it(`pass non-finite values as the definition does, ${dtype}`, () => {
      const N = 2, shape = convShape([N, 2, 5, 5], [3, 2, 3, 3], { pad: 1 });
      for (const wrong of ["x", "w", "dout"] as const) {
        const inputs = inputsFor({ N, shape }, dtype, (u) => Math.floor(u * 17) - 8);
        inputs[wrong][7] = -Infinity;
        const actual = runPasses(gemmKernel(shape, dtype), N, inputs);
        const expected = runPasses(naiveConv(shape), N, inputs);
        for (const name of directions) assertEquals(actual[name], expected[name], name);
      }
    });
  }

  it("are chosen for narrow maps of many channels, and for few images where they begin sooner", () => {
    const narrow = convShape([1, 64, 7, 7], [256, 64, 1, 1], {});
    assertMatch(simdKernel(narrow, "float32").name, /-gemm-simd$/);
    const wide = convShape([1, 64, 56, 56], [64, 64, 1, 1], {});
    assertMatch(simdKernel(wide, "float32").name, /1x1-s1-f32-simd$/);
    const { forward } = scheduleConv(
      convShape([1, 256, 7, 7], [256, 256, 3, 3], { pad: 1 }),
      vectors.float32,
      features(),
    );
    assertEquals(forward.algorithm, "winograd");
    assert(forward.few! >= 1, `for at most ${forward.few} images`);
    // Four rows of a vector are no reason for direct sums if their weights take longer to pack.
    const rows = convShape([1, 512, 4, 4], [512, 512, 3, 3], { pad: 1 });
    const { few = 0, algorithm } = scheduleConv(rows, vectors.float32, features()).forward;
    assertEquals(algorithm, "direct");
    assert(few >= 1, `for at most ${few} images`);
    // Gradients of weights: for few positions, and for few images.
    const dw = (...[C, size, F, K]: [number, number, number, number]) =>
      scheduleConv(
        convShape([1, C, size, size], [F, C, K, K], { pad: K >> 1 }),
        vectors.float32,
        features(),
      ).dw;
    assertEquals(dw(256, 7, 512, 1).algorithm, "gemm");
    assertEquals(dw(256, 14, 256, 3).fewBy, "gemm");
    assertEquals(dw(3, 28, 16, 3).fewBy, undefined);
    assertEquals(dw(64, 56, 64, 1).algorithm, "direct");
  });
});

describe(`schedules handed in, over ${GEOMETRIES / 10} geometries, seed ${SEED}`, () => {
  const tiles = fc.record({
    filters: fc.integer({ min: 1, max: 8 }),
    width: fc.integer({ min: 1, max: 5 }),
  });

  /** The schedule of a shape with another tile, other unrolling and other images together. */
  function withTile(
    shape: ConvShape,
    dtype: DType,
    tile: Tile,
    unrolledTaps: number,
  ): ConvSchedule {
    const { forward, dx, dw } = scheduleConv(shape, vectors[dtype], features());
    const more = { tile, unrolledTaps, imageBatch: tile.width };
    return { forward: { ...forward, ...more }, dx: { ...dx, ...more }, dw: { ...dw, ...more } };
  }

  for (const dtype of dtypes) {
    it(`give the definition's numbers on whole numbers, ${dtype}`, () => {
      const cases = fc.oneof(geometries, wideGeometries, winogradGeometries);
      const unrolled = fc.constantFrom(1, 9, 16);
      const property = fc.property(cases, tiles, unrolled, (it, tile, unrolledTaps) => {
        const schedule = withTile(it.shape, dtype, tile, unrolledTaps);
        const { kernel, reason } = simdConv(it.shape, dtype, features(), schedule);
        assert(kernel, reason);
        assertConv(kernel!, it.shape, it.N, dtype, "integers");
      });
      fc.assert(property, { numRuns: Math.ceil(GEOMETRIES / 20), seed: SEED });
    });
  }

  for (const algorithm of ["direct", "gemm", "winograd"] as const) {
    it(`give the definition's numbers where planes would be a multiple of 2 KB apart, ${algorithm}`, () => {
      const property = fc.property(alignedGeometries, fc.constantFrom(...dtypes), (it, dtype) => {
        const change = { algorithm, batched: undefined, few: undefined, fewBy: undefined };
        checkExact(it, dtype, (shape) => {
          const { groups, KH, KW, strideX } = shape;
          const serves = algorithm !== "winograd" || groups === 1 && KH * KW === 9 && strideX === 1;
          return rescheduled(shape, dtype, serves ? change : {});
        });
      });
      fc.assert(property, { numRuns: Math.ceil(GEOMETRIES / 40), seed: SEED });
    });
  }

  for (const algorithm of ["direct", "winograd"] as const) {
    it(`run few images as products of matrices, more of them otherwise, ${algorithm}`, () => {
      const shape = convShape([1, 16, 8, 8], [16, 16, 3, 3], { pad: 1 });
      for (const dtype of dtypes) {
        const change = {
          algorithm,
          few: 1,
          fewPrepared: 0,
          fewBy: "gemm",
          batched: undefined,
        } as const;
        const kernel = rescheduled(shape, dtype, change);
        assertMatch(kernel.name, algorithm === "direct" ? /-gemm-simd$/ : /-gemm-winograd-simd$/);
        for (const N of [1, 2, 1]) assertConv(kernel, shape, N, dtype, "integers");
      }
    });
  }

  it("run the algorithm that they say", () => {
    const shape = convShape([1, 16, 8, 8], [16, 16, 3, 3], { pad: 1 });
    const schedule = scheduleConv(shape, vectors.float32, features());
    assertEquals(schedule.forward.algorithm, "winograd");
    const direct = { ...schedule.forward, algorithm: "direct", few: undefined } as const;
    const { kernel } = simdConv(shape, "float32", features(), {
      forward: direct,
      dx: direct,
      dw: direct,
    });
    assertMatch(kernel!.name, /3x3-s1p1-f32-simd$/);
    assertConv(kernel!, shape, 2, "float32", "integers");
  });

  it("change the tiles", () => {
    const tiles = convTiles(6, 9, 9, vectors.float64, { filters: 2, width: 3 });
    assertEquals(tiles.map(({ size, times }) => ({ size, times })), [{ size: 2, times: 3 }]);
    assertNotEquals(tiles, convTiles(6, 9, 9, vectors.float64));
  });
});
