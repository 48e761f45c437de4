import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  clipGlobalNorm,
  cosineSchedule,
  decodeCheckpoint,
  encodeCheckpoint,
  type Model,
  RandomState,
  Solver,
  type SolverOptions,
  tensor,
  type TransformGradients,
} from "../../../mod.ts";
import { globalNorm } from "../../../nn/training/clip.ts";
import { assertSameBits } from "../../support/bits.ts";
import { data, linear, quiet } from "../../support/small_nets.ts";

/** A solver that records. */
function recording(options: SolverOptions = {}): Solver {
  return new Solver(linear() as Model, data, { ...quiet, recordUpdates: true, ...options });
}

describe("globalNorm()", () => {
  it("is the root of the sum of all squares, whatever the lengths", () => {
    for (let length = 0; length < 20; length++) {
      const a = new RandomState(length).randn([length + 1]);
      const b = tensor(Float32Array.of(3, 4), [2]);
      const expected = Math.sqrt(25 + a.data.reduce((sum, value) => sum + value * value, 0));
      assertAlmostEquals(globalNorm({ a, b }), expected, 1e-12);
    }
    assertEquals(globalNorm({}), 0);
    assert(Number.isNaN(globalNorm({ a: tensor(Float64Array.of(0, 0, 0, 0, NaN), [5]) })));
  });
});

describe("recordUpdates", () => {
  it("records the norm of the gradients as they come, and the learning rate of each update", () => {
    const norms: number[] = [], clip = clipGlobalNorm(0.05);
    const transformGradients: TransformGradients = (grads) => {
      const all = Object.values(grads).flatMap(({ data }) => [...data]);
      norms.push(Math.sqrt(all.reduce((sum, value) => sum + value * value, 0)));
      clip(grads);
    };
    const solver = recording({
      ...{ optimConfig: { learningRate: 0.2 }, schedule: cosineSchedule(), lrDecay: 0.5 },
      transformGradients,
    });
    solver.train();
    assertEquals(solver.gradNormHistory.length, solver.iterations);
    for (const [i, norm] of solver.gradNormHistory.entries()) {
      assertAlmostEquals(norm, norms[i], 1e-12);
    }
    const { iterations } = solver, perEpoch = iterations / 4;
    const schedule = cosineSchedule();
    const rates = Array.from({ length: iterations }, (_, i) => {
      return 0.2 * 0.5 ** Math.floor(i / perEpoch) * schedule(i / iterations);
    });
    assertEquals(solver.learningRateHistory.length, iterations);
    for (const [i, rate] of rates.entries()) {
      assertAlmostEquals(solver.learningRateHistory[i], rate, 1e-12);
    }
  });

  it("knows a rule's default, and the rate of the first parameter that learns", () => {
    const byDefault = recording({ optimConfig: {}, updateRule: "adam" });
    byDefault.train();
    assertEquals(new Set(byDefault.learningRateHistory), new Set([1e-3]));
    const frozen = recording({
      ...{ frozen: ["W"], optimConfig: { learningRate: 1 } },
      paramGroups: [{ params: "b", learningRate: 0.25 }],
    });
    frozen.train();
    assertEquals(new Set(frozen.learningRateHistory), new Set([0.25]));
  });

  it("changes nothing in the training run, and records nothing by default", () => {
    const plain = new Solver(linear() as Model, data, quiet), solver = recording();
    plain.train();
    solver.train();
    assertSameBits(solver.lossHistory, plain.lossHistory);
    assertSameBits(solver.model.params, plain.model.params);
    assertEquals([plain.gradNormHistory, plain.learningRateHistory], [[], []]);
    assertEquals(plain.checkpoint().gradNormHistory, null);
  });

  it("has NaN for an iteration whose loss is not finite", () => {
    const model = linear() as Model;
    const solver = new Solver(model, data, { ...quiet, recordUpdates: true });
    solver.train({
      onProgress: ({ iteration }) => iteration === 2 && model.params.W.data.fill(NaN),
    });
    assertEquals([solver.gradNormHistory.length, solver.lossHistory.length], [3, 3]);
    assert(Number.isFinite(solver.gradNormHistory[1]));
    assertEquals([solver.gradNormHistory[2], solver.learningRateHistory[2]], [NaN, NaN]);
  });

  it("is resumed with what was recorded", () => {
    const whole = recording();
    whole.train();
    const kept = (options: SolverOptions) => {
      const solver = recording(options);
      let bytes = new Uint8Array();
      solver.train({
        onProgress: ({ iteration }) => {
          if (iteration === 5) bytes = encodeCheckpoint(solver.checkpoint());
        },
      });
      return decodeCheckpoint(bytes);
    };
    // A run with records goes on recording, whether asked or not.
    for (const recordUpdates of [true, false]) {
      const second = recording({ recordUpdates });
      second.resume(kept({}));
      second.train();
      assertSameBits(second.gradNormHistory, whole.gradNormHistory);
      assertSameBits(second.learningRateHistory, whole.learningRateHistory);
    }
    const late = recording();
    late.resume(kept({ recordUpdates: false }));
    late.train();
    assertSameBits(late.gradNormHistory.slice(5), whole.gradNormHistory.slice(5));
    assertEquals(late.gradNormHistory.slice(0, 5), Array(5).fill(NaN));
    assertEquals(late.learningRateHistory.slice(0, 5), Array(5).fill(NaN));
    // One of an earlier version has no such parts.
    const { gradNormHistory: _, learningRateHistory: __, ...earlier } = kept({});
    const third = recording();
    third.resume(earlier);
    assertEquals(third.gradNormHistory, Array(5).fill(NaN));
  });

  it("refuses records that do not fit", () => {
    const solver = recording();
    const taken: ReturnType<Solver["checkpoint"]>[] = [];
    solver.train({ onProgress: () => taken.push(solver.checkpoint()) });
    const refused = (change: object, message: string) =>
      assertThrows(() => recording().resume({ ...taken[3], ...change }), Error, message);
    refused({ gradNormHistory: [1] }, "checkpoint.gradNormHistory must hold 4 values: it holds 1");
    refused(
      { learningRateHistory: "1" },
      "checkpoint.learningRateHistory must be an array of numbers",
    );
    assertThrows(() => recording({ recordUpdates: 1 as never }), TypeError, "recordUpdates");
  });
});
