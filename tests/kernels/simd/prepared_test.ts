import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import { forwardPass } from "../../../kernels/passes.ts";
import { convShape } from "../../../kernels/shape.ts";
import { planBatched } from "../../../kernels/simd/batched.ts";
import { planDirect } from "../../../kernels/simd/direct.ts";
import { features } from "../../../kernels/simd/features.ts";
import { planGemm } from "../../../kernels/simd/gemm.ts";
import type { Plan } from "../../../kernels/simd/memory.ts";
import { type ImageProgram, preparedRun } from "../../../kernels/simd/program.ts";
import { immediate, type Queue } from "../../../kernels/simd/queue.ts";
import { scheduleConv } from "../../../kernels/simd/schedule.ts";
import { vectors } from "../../../kernels/simd/vector.ts";
import { planWinograd } from "../../../kernels/simd/winograd.ts";
import { made } from "../../support/kernels.ts";

const shape = convShape([8, 12, 9, 9], [10, 12, 3, 3], { pad: 1 });
const pass = forwardPass(shape), vector = vectors.float32, { fused } = features();
const { forward } = scheduleConv(shape, vector, features());

const plans: Readonly<Record<string, () => Plan<ImageProgram>>> = {
  direct: () => planDirect(pass, vector, fused, forward),
  winograd: () => planWinograd(pass, vector, fused, forward),
  gemm: () => planGemm(pass, vector, fused),
  batched: () => planBatched(pass, vector, fused),
};

describe("A program with weights that are packed already", () => {
  for (const [name, plan] of Object.entries(plans)) {
    it(`packs none and reads none of the others, ${name}`, () => {
      const program = plan().make({});
      const w = made(10 * 12 * 9, "float32", "integers"),
        x = made(8 * 12 * 81, "float32", "integers");
      const outs = [0, 1].map(() => made(8 * 10 * 81, "float32", "integers").fill(NaN));
      const run = preparedRun(program, w, {});
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
