import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import { forwardPass } from "../../../kernels/passes.ts";
import { naiveConv } from "../../../kernels/naive/conv.ts";
import { type ConvShape, convShape } from "../../../kernels/shape.ts";
import { planBatched } from "../../../kernels/simd/batched.ts";
import { planDirect } from "../../../kernels/simd/direct.ts";
import { features } from "../../../kernels/simd/features.ts";
import { planGemm } from "../../../kernels/simd/gemm.ts";
import { lastingWeights, type Plan, scratch, WEIGHTS_START } from "../../../kernels/simd/memory.ts";
import { type ImageProgram, preparedRun } from "../../../kernels/simd/program.ts";
import { immediate, type Queue } from "../../../kernels/simd/queue.ts";
import { scheduleConv } from "../../../kernels/simd/schedule.ts";
import { memoryOf, weightsArray } from "../../../kernels/simd/shared_copies.ts";
import { vectors } from "../../../kernels/simd/vector.ts";
import { planWinograd } from "../../../kernels/simd/winograd.ts";
import type { DType, FloatArray } from "../../../kernels/tensor.ts";
import { made } from "../../support/kernels.ts";

const shape = convShape([8, 12, 9, 9], [10, 12, 3, 3], { pad: 1 });

/** A pass by every algorithm that packs weights. */
function plansOf(shape: ConvShape, dtype: DType): Record<string, () => Plan<ImageProgram>> {
  const pass = forwardPass(shape), vector = vectors[dtype], { fused } = features();
  const { forward } = scheduleConv(shape, vector, features());
  return {
    direct: () => planDirect(pass, vector, fused, forward),
    winograd: () => planWinograd(pass, vector, fused, forward),
    gemm: () => planGemm(pass, vector, fused),
    batched: () => planBatched(pass, vector, fused),
  };
}

describe("A program with weights that are packed already", () => {
  for (const [name, plan] of Object.entries(plansOf(shape, "float32"))) {
    it(`packs none and reads none of the others, ${name}`, () => {
      const program = plan().make({});
      const w = made(10 * 12 * 9, "float32", "integers"),
        x = made(8 * 12 * 81, "float32", "integers");
      const outs = [0, 1].map(() => made(8 * 10 * 81, "float32", "integers").fill(NaN));
      const run = preparedRun(
        (inPlace) => {
          assert(!inPlace, "so few weights are copied");
          return program;
        },
        w,
        {},
      );
      assertEquals(run(8, x, w, outs[0], {}), 8);

      const calls: string[] = [], loads: ArrayLike<number>[] = [];
      const recording: Queue = {
        ...immediate,
        call(name, ...args) {
          calls.push(name);
          immediate.call(name, ...args);
        },
        load(at, array, first, end) {
          loads.push(array);
          immediate.load(at, array, first, end);
        },
      };
      const { at, length } = program.packed!;
      assert(program.prepare(recording, w, {}));
      assert(calls.length > 0, "weights are packed by functions");
      assert(loads.includes(w));
      const packed = new Float32Array(length).fill(NaN);
      calls.length = loads.length = 0;
      assert(program.prepare(recording, w, {}, packed));
      assertEquals(calls, []);
      assert(loads.includes(packed) && !loads.includes(w), `${at}`);

      assertEquals(run(8, x, w, outs[1], {}), 8);
      assertEquals(outs[1], outs[0]);
    });
  }
});

describe("A program that reads packed weights in place", () => {
  for (const dtype of ["float32", "float64"] as const) {
    for (const groups of [1, 2]) {
      const shape = convShape([3, 72, 9, 9], [128, 72 / groups, 3, 3], { pad: 1, groups });
      for (const [name, plan] of Object.entries(plansOf(shape, dtype))) {
        if (name === "winograd" && groups > 1) continue;
        it(`gives the definition's numbers, ${name}, ${groups} groups, ${dtype}`, () => {
          const { layout, make } = plan();
          const w = made(128 * 72 / groups * 9, dtype, "integers");
          const x = made(3 * 72 * 81, dtype, "integers"), bias = made(128, dtype, "integers");
          const expected = made(3 * 128 * 81, dtype, "integers");
          naiveConv(shape).forward(3, x, w, expected, { bias, relu: true });
          const out = expected.slice().fill(NaN);
          const epilogue = { bias, relu: true }, asked: boolean[] = [];
          const run = preparedRun(
            (inPlace) => {
              asked.push(inPlace);
              return make(epilogue, inPlace);
            },
            w,
            epilogue,
          );
          for (let call = 0; call < 2; call++) {
            assertEquals(run(3, x, w, out.fill(NaN), epilogue), 3);
            assertEquals(out, expected);
            // Neither call finds weights in the memory of all.
            const weights = layout.regions.filter(({ name }) => /weights/.test(name));
            assertEquals(weights.length, 2);
            for (const { start, end } of weights) {
              new Uint8Array(scratch("float32").buffer).fill(0xff, start, end);
            }
          }
          assertEquals(asked, [false, true]);
        });
      }
    }
  }

  it("loads neither weights nor what they were packed from", () => {
    const program = plansOf(shape, "float32").gemm().make({}, true);
    const { length } = program.packed!;
    const packed = weightsArray("float32", 1 << 16, WEIGHTS_START, 128)!.subarray(0, length);
    const loads: FloatArray[] = [], used: (FloatArray | undefined)[] = [];
    const recording: Queue = {
      ...immediate,
      use: (module, weights) => {
        used.push(weights?.[0]);
        immediate.use(module, weights);
      },
      load: (_, array) => loads.push(array),
      call: (name) => assert(!name.startsWith("pack"), name),
    };
    assert(program.prepare(recording, packed, {}, packed));
    assertEquals(used, [packed]);
    assert(!loads.includes(packed));
  });

  it("is for weights of some size alone, where modules can have two memories", () => {
    assertEquals(lastingWeights("float32", 1000), undefined);
    const weights = lastingWeights("float64", 20_000)!;
    assertEquals([weights.length, weights.byteOffset], [20_000, WEIGHTS_START]);
    assertEquals(memoryOf(weights.buffer)!.buffer, weights.buffer);
  });
});
