import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import type { Epilogue } from "../../../kernels/epilogue.ts";
import { naiveConv } from "../../../kernels/naive/conv.ts";
import { type ConvShape, convShape } from "../../../kernels/shape.ts";
import type { WeightRun } from "../../../kernels/runner.ts";
import type { DType, FloatArray } from "../../../kernels/tensor.ts";
import { forwardPass, gradientPass } from "../../../kernels/passes.ts";
import { Assembly, WEIGHTS } from "../../../kernels/simd/assembler.ts";
import { planBatched } from "../../../kernels/simd/batched.ts";
import { planBatchedWeights } from "../../../kernels/simd/batched_weights.ts";
import { planDepthwise } from "../../../kernels/simd/depthwise.ts";
import { planDirect } from "../../../kernels/simd/direct.ts";
import { planDirectWeights } from "../../../kernels/simd/direct_weights.ts";
import { writeConv } from "../../../kernels/simd/emit_conv.ts";
import { features } from "../../../kernels/simd/features.ts";
import {
  compile,
  Layout,
  MEMORY_LIMIT,
  type Plan,
  reserve,
  scratch,
  WEIGHTS_START,
} from "../../../kernels/simd/memory.ts";
import {
  type ImageProgram,
  imageRun,
  type WeightProgram,
  weightRun,
} from "../../../kernels/simd/program.ts";
import * as simdTier from "../../../kernels/simd/tier.ts";
import { convTiles } from "../../../kernels/simd/tiles.ts";
import { vectors, vectorsIn } from "../../../kernels/simd/vector.ts";
import { scheduleConv } from "../../../kernels/simd/schedule.ts";
import { winogradServes } from "../../../kernels/simd/winograd_tiles.ts";
import { planGemm } from "../../../kernels/simd/gemm.ts";
import { gemmServesWeights, planGemmWeights } from "../../../kernels/simd/gemm_weights.ts";
import { planWinogradWeights } from "../../../kernels/simd/winograd_weights.ts";
import { planWinograd } from "../../../kernels/simd/winograd.ts";
import { ask } from "../../../kernels/tier.ts";

const SEED = Number(Deno.env.get("SIMD_SEED") ?? Date.now() % 2 ** 31);
const SHAPES = Number(Deno.env.get("SIMD_SHAPES") ?? 10_000);

const shapes: fc.Arbitrary<ConvShape> = fc.record({
  groups: fc.integer({ min: 1, max: 5 }),
  C: fc.integer({ min: 1, max: 4 }),
  H: fc.integer({ min: 5, max: 9 }),
  W: fc.integer({ min: 5, max: 17 }),
  F: fc.integer({ min: 1, max: 7 }),
  kernel: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  stride: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  pad: fc.tuple(fc.nat(2), fc.nat(2), fc.nat(2), fc.nat(2)),
  dilation: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
}).map(({ C, H, W, F, groups, kernel, ...params }) =>
  convShape([1, C * groups, H, W], [F * groups, C, ...kernel], { ...params, groups })
);

function ramp(length: number, dtype: DType): FloatArray {
  const array = dtype === "float32" ? new Float32Array(length) : new Float64Array(length);
  return array.map((_, i) => (i * 7) % 11 - 5);
}

/**
 * Runs a pass in a memory that is full of NaN: whatever it relies on it must set up, and the bytes
 * outside its regions must be as they were.
 */
function inDirtyMemory(layout: Layout, pass: () => void): void {
  const missing = reserve(layout.size);
  if (missing !== undefined) throw new Error(missing);
  const behind = Math.min(layout.size + 4096, scratch("float32").byteLength);
  const bytes = new Uint8Array(scratch("float32").buffer, 0, behind).fill(0xff);
  pass();
  let from = 0;
  for (const { name, start, end } of [...layout.regions, { name: "end", start: behind, end: 0 }]) {
    assert(start - from >= 64, `no gap before ${name}`);
    const gap = bytes.subarray(from, start);
    const hit = gap.findIndex((byte) => byte !== 0xff);
    assert(hit < 0, `byte ${from + hit}, ${start - from - hit} before ${name}, was overwritten`);
    from = end;
  }
}

describe(`SIMD kernels in the shared memory, seed ${SEED}`, () => {
  for (
    const [dtype, pairs] of [
      ["float32", false],
      ["float32", true],
      ["float64", false],
      ["float64", true],
    ] as const
  ) {
    const how = `${dtype}${pairs ? " in pairs" : ""}`;
    it(`rely on nothing and write nothing outside their regions, ${how}`, () => {
      const vector = vectorsIn(dtype, pairs);
      let winogradRuns = 0, depthwiseRuns = 0;
      const check = (shape: ConvShape) => {
        const { C, H, W, F, KH, KW, OH, OW, groups } = shape;
        const x = ramp(C * H * W, dtype), w = ramp(F * C / groups * KH * KW, dtype);
        const dout = ramp(F * OH * OW, dtype), bias = ramp(F, dtype);
        const naive = naiveConv(shape);
        const { fused } = features();
        const schedule = scheduleConv(shape, vector, { ...features(), pairs });
        const forward = forwardPass(shape), gradient = gradientPass(shape);
        const empty = (like: FloatArray) => like.slice().fill(NaN);

        const expectedOut = empty(dout), expectedDx = empty(x), expectedDw = empty(w);
        const expectedDb = empty(bias), db = empty(bias), dw = empty(w);
        naive.forward(1, x, w, expectedOut, { bias });
        naive.backwardData(1, dout, w, expectedDx);
        naive.backwardWeights(1, x, dout, expectedDw, expectedDb);

        const run = (
          { layout, make }: Plan<ImageProgram>,
          source: FloatArray,
          expected: FloatArray,
          epilogue: Epilogue,
        ) => {
          const target = empty(expected);
          inDirtyMemory(layout, () => imageRun(make(epilogue))(1, source, w, target, epilogue));
          assertEquals(target, expected);
        };
        const checkWeights = (layout: Layout, make: () => WeightRun) => {
          inDirtyMemory(layout, () => assert(make()(1, x, dout, dw.fill(NaN), db.fill(NaN))));
          assertEquals(dw, expectedDw);
          assertEquals(db, expectedDb);
        };
        const runWeights = ({ layout, make }: Plan<WeightProgram>) =>
          checkWeights(layout, () => weightRun(make({})));
        if (schedule.forward.algorithm === "depthwise") {
          depthwiseRuns++;
          run(planDepthwise(forward, vector, fused), x, expectedOut, { bias });
          run(planDepthwise(gradient, vector, fused), dout, expectedDx, {});
        }
        run(planDirect(forward, vector, fused, schedule.forward), x, expectedOut, { bias });
        run(planDirect(gradient, vector, fused, schedule.dx), dout, expectedDx, {});
        runWeights(planDirectWeights(forward, vector, fused, schedule.dw));
        run(planGemm(forward, vector, fused), x, expectedOut, { bias });
        run(planGemm(gradient, vector, fused), dout, expectedDx, {});
        if (gemmServesWeights(forward)) {
          const { layout, make } = planGemmWeights(forward, vector, fused);
          checkWeights(layout, make);
        }
        run(planBatched(forward, vector, fused), x, expectedOut, { bias });
        run(planBatched(gradient, vector, fused), dout, expectedDx, {});
        runWeights(planBatchedWeights(forward, vector, fused));
        if (!winogradServes(forward) || schedule.dw.algorithm !== "winograd") return;
        run(planWinograd(forward, vector, fused, schedule.forward), x, expectedOut, { bias });
        runWeights(planWinogradWeights(forward, vector, fused, schedule.dw));
        winogradRuns++;
        if (schedule.dx.algorithm !== "winograd") return;
        run(planWinograd(gradient, vector, fused, schedule.dx), dout, expectedDx, {});
      };
      const forWinograd = shapes.map(({ C, H, W, F, KH, KW }) => {
        const kernel = [3 + 2 * ((KH + KW) % 3), 1 + 2 * KW] as const;
        return convShape([1, C + 12, H + 5, W + 14], [F + 12, C + 12, ...kernel], {
          pad: [1, 0, 2, 1],
        });
      });
      const depthwise = shapes.map(({ H, W, F, KH, KW, strideY, strideX, padTop, padLeft }) => {
        const size = [1, F + 1, H + 8, 2 * W], kernel = [F + 1, 1, KH, KW];
        const stride = [strideY, strideX] as const, pad = [padTop, padLeft] as const;
        return convShape(size, kernel, { stride, pad, groups: F + 1 });
      });
      const aligned = shapes.map(({ C, F, KH, KW, strideY, padTop }) =>
        convShape([1, C + 8, 16, 32], [F + 8, C + 8, KH, KW], { stride: strideY, pad: padTop })
      );
      fc.assert(fc.property(shapes, check), { numRuns: 100, seed: SEED });
      fc.assert(fc.property(aligned, check), { numRuns: 10, seed: SEED });
      fc.assert(fc.property(depthwise, check), { numRuns: 100, seed: SEED });
      fc.assert(fc.property(forWinograd, check), { numRuns: 30, seed: SEED });
      assert(depthwiseRuns >= 100, `Depthwise kernels ran ${depthwiseRuns} times`);
      assert(winogradRuns > 5, `Winograd's algorithm ran ${winogradRuns} times`);
    });
  }

  it(`do not add up: ${SHAPES} shapes need no more than the largest of them`, () => {
    let largest = 0;
    const before = reserve(0) ?? scratch("float32").byteLength;
    for (let i = 0; i < SHAPES; i++) {
      const shape = convShape([1, 1 + i % 3, 4 + i % 61, 4 + (i >> 4) % 67], [
        1 + i % 5,
        1 + i % 3,
        3,
        3,
      ], {
        pad: 1,
      });
      const { kernel, reason } = ask(simdTier.conv, shape, i % 2 === 0 ? "float32" : "float64");
      if (kernel === undefined) throw new Error(reason);
      const { C, H, W, F, OH, OW } = shape;
      const array = (length: number) =>
        i % 2 === 0 ? new Float32Array(length) : new Float64Array(length);
      kernel.forward(1, array(C * H * W), array(F * C * 9), array(F * OH * OW), {});
      largest = Math.max(largest, scratch("float32").byteLength);
    }
    assertEquals(largest, before);
  });

  it("are refused, with the reason, where an image needs more than the memory's limit", () => {
    const shape = convShape([1, 64, 2048, 2048], [64, 64, 3, 3], { pad: 1 });
    const { kernel, reason } = ask(simdTier.conv, shape, "float64");
    assertEquals(kernel, undefined);
    assert(reason.includes(`more than ${MEMORY_LIMIT / 2 ** 20} MB`), reason);
  });
});

describe("Layout", () => {
  const layout = new Layout();
  const a = layout.region("a", 1000), b = layout.region("b", 1000);

  /** A module of one function that stores, and says what it touches. */
  function storing(access: "reads" | "writes", start: number, end: number): Assembly {
    const assembly = new Assembly();
    const f = assembly.func("store")[access](start, end - start);
    f.const(start).vector(new Uint8Array(16)).at("v128.store");
    return assembly;
  }

  it("lets functions write up to the end of a region, and read less than a gap further", () => {
    for (const start of [a, b, a + 999]) {
      const end = (start < b ? a : b) + 1000;
      compile(storing("writes", start, end), layout);
      compile(storing("reads", start, end + 127), layout);
    }
  });

  it("refuses functions that write or read further, before they are compiled", () => {
    const refused = (assembly: Assembly, message: string) =>
      assertThrows(() => compile(assembly, layout), Error, message);
    refused(storing("writes", a, a + 1001), `store writes bytes ${a} to ${a + 1001} of a`);
    refused(storing("writes", b, b + 1001), "of b");
    refused(storing("reads", a, a + 1128), `store reads bytes ${a} to ${a + 1128} of a`);
    refused(storing("writes", a - 8, a + 8), "of no region");
    refused(storing("writes", a + 1008, a + 1016), "of a");
    refused(storing("writes", a, b + 8), "of a");
  });

  it("refuses functions that do not say what they touch, unless those that call them do", () => {
    const assembly = new Assembly();
    const part = assembly.func("part").const(a).vector(new Uint8Array(16)).at("v128.store");
    const message = "part does not say which bytes it touches";
    assertThrows(() => compile(assembly, layout), Error, message);
    assembly.func("whole").writes(a, 16).call(part);
    compile(assembly, layout);
  });

  it("refuses functions that read beyond weights in a memory of their own, or do not say what", () => {
    const weights = new Layout();
    const start = weights.region("weights", 1000);
    const reading = (from: number, bytes: number) => {
      const assembly = new Assembly();
      const f = assembly.func("read").reads(from, bytes, WEIGHTS);
      f.const(from).at("v128.load", 0, WEIGHTS).op("drop");
      return assembly;
    };
    assertEquals(start, WEIGHTS_START);
    compile(reading(start, 1127), layout, weights);
    const message = `read reads bytes ${start} to ${start + 1128} of weights`;
    assertThrows(() => compile(reading(start, 1128), layout, weights), Error, message);
    assertThrows(() => compile(reading(start - 1, 16), layout, weights), Error, "of no region");
    assertThrows(() => compile(reading(start, 16), layout), Error, "of no region");
    const silent = new Assembly();
    silent.func("read").reads(a, 16).const(start).at("v128.load", 0, WEIGHTS).op("drop");
    const says = "read does not say which bytes it touches";
    assertThrows(() => compile(silent, layout, weights), Error, says);
  });

  it("refuses passes whose regions are smaller than what they compute", () => {
    for (const dtype of ["float32", "float64"] as const) {
      const vector = vectors[dtype], { bytes } = vector;
      const compileConv = (input: number, output: number, weights: number) => {
        const layout = new Layout();
        const assembly = new Assembly();
        writeConv(assembly, "conv", {
          vector,
          fused: false,
          channels: 3,
          tiles: convTiles(4, 5, 9, vector),
          input: {
            start: layout.region("in", input * bytes),
            plane: 7 * 11 * bytes,
            row: 11 * bytes,
          },
          output: {
            start: layout.region("out", output * bytes),
            plane: 45 * bytes,
            row: 9 * bytes,
          },
          taps: [0, 1, 2].map((tap) => tap * bytes),
          tapRows: { times: 3, step: 11 * bytes },
          weights: layout.region("weights", weights * bytes),
          relu: false,
        });
        compile(assembly, layout);
      };
      const sizes = [3 * 7 * 11, 4 * 5 * 9, 4 * 3 * 9] as const;
      compileConv(...sizes);
      const far = 128 / bytes;
      assertThrows(() => compileConv(sizes[0] - far, sizes[1], sizes[2]), Error, "of in");
      assertThrows(() => compileConv(sizes[0], sizes[1] - 1, sizes[2]), Error, "of out");
      assertThrows(() => compileConv(sizes[0], sizes[1], sizes[2] - far), Error, "of weights");
    }
  });
});
