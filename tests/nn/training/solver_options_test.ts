/** What a solver's options and checkpoints do, seen from outside: the model counts its examples. */

import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import {
  decodeCheckpoint,
  encodeCheckpoint,
  type Labels,
  type LossAndGradients,
  type Model,
  RandomState,
  Solver,
  type SolverOptions,
  type Tensor,
  tensor,
} from "../../../mod.ts";
import { assertSameBits } from "../../support/bits.ts";

/** A net of one weight that learns nothing to speak of, and keeps what it is shown. */
class Witness implements Model<Float64Array> {
  params: Record<string, Tensor<Float64Array>> = { W: tensor(Float64Array.of(1, 2), [2]) };
  /** The examples of each batch that scores were asked of, or a loss. */
  readonly scored: number[][] = [];
  readonly trained: number[][] = [];
  /** Called for every batch: "loss" or "scores". */
  onCall: (what: "loss" | "scores") => void = () => {};

  loss(x: Tensor<Float64Array>): Tensor<Float64Array>;
  loss(x: Tensor<Float64Array>, y: Labels): LossAndGradients<Float64Array>;
  loss(
    x: Tensor<Float64Array>,
    y?: Labels,
  ): Tensor<Float64Array> | LossAndGradients<Float64Array> {
    (y === undefined ? this.scored : this.trained).push([...x.data]);
    this.onCall(y === undefined ? "scores" : "loss");
    const [N] = x.shape;
    if (y === undefined) return tensor(new Float64Array(2 * N), [N, 2]);
    const W = tensor(Float64Array.of(x.data[0] + 1, -0.5), [2]);
    return { loss: x.data[0], grads: { W } };
  }
}

/** Example n is the number n; validation examples are negative. */
const numbered = (count: number, sign: number) => ({
  x: tensor(Float64Array.from({ length: count }, (_, n) => sign * (n + 1)), [count, 1]),
  y: Array<number>(count).fill(0),
});
const train = numbered(40, 1), val = numbered(30, -1);
const data = { xTrain: train.x, yTrain: train.y, xVal: val.x, yVal: val.y };
const base: SolverOptions = { verbose: false, batchSize: 10, numEpochs: 2 };

function trained(options: SolverOptions, model = new Witness()): Witness {
  new Solver(model, data, { ...base, ...options }).train();
  return model;
}

describe("numTrainSamples and numValSamples", () => {
  /** How many examples of each set were scored in each measurement: there are three. */
  const counts = (options: SolverOptions) => {
    const all = trained(options).scored.flat();
    return [all.filter((n) => n > 0).length / 3, all.filter((n) => n < 0).length / 3];
  };

  it("say on how many examples accuracies are measured", () => {
    assertEquals(counts({ numTrainSamples: 7, numValSamples: 5 }), [7, 5]);
    assertEquals(counts({ numTrainSamples: 7 }), [7, 30]);
    assertEquals(counts({ numValSamples: 29 }), [40, 29]);
  });

  it("are all if null, or as many as there are or more", () => {
    assertEquals(counts({}), [40, 30]);
    assertEquals(counts({ numTrainSamples: null, numValSamples: null }), [40, 30]);
    assertEquals(counts({ numTrainSamples: 40, numValSamples: 31 }), [40, 30]);
    const { scored } = trained({ numTrainSamples: null });
    assertEquals(scored[0], [...train.x.data]);
  });
});

describe("A solver's seed", () => {
  it("decides which batches are drawn: 0 by default", () => {
    const batches = (options: SolverOptions) => trained(options).trained;
    assertEquals(batches({ seed: 5 }), batches({ seed: 5 }));
    assertNotEquals(batches({ seed: 5 }), batches({ seed: 6 }));
    assertEquals(batches({}), batches({ seed: 0 }));
    assertEquals(batches({ seed: 5 }), batches({ random: new RandomState(5) }));
    const picks = new RandomState(5).choice(40, 10);
    assertEquals(batches({ seed: 5 })[0], [...picks].map((pick) => pick + 1));
  });
});

describe("secondsLeft", () => {
  /** The estimate after an iteration, by a clock that stands still but for the model's work. */
  function estimate(at: number, milliseconds: { loss: number; scores: number }): number {
    const model = new Witness(), { now } = performance;
    let clock = 1000, seconds = NaN;
    model.onCall = (what) => clock += milliseconds[what];
    performance.now = () => clock;
    try {
      new Solver(model, data, { ...base, numEpochs: 5 }).train({
        onProgress: ({ iteration, secondsLeft }) => {
          if (iteration === at) seconds = secondsLeft;
        },
      });
    } finally {
      performance.now = now;
    }
    return seconds;
  }

  it("is what an iteration took so far, times those that are left", () => {
    // There are 20 iterations.
    assertAlmostEquals(estimate(5, { loss: 8, scores: 0 }), 15 * 0.008, 1e-12);
    assertAlmostEquals(estimate(19, { loss: 8, scores: 0 }), 0.008, 1e-12);
    assertEquals(estimate(20, { loss: 8, scores: 0 }), 0);
  });

  it("counts the accuracies of the epochs to come", () => {
    // Two calls for scores a measurement, after iterations 1, 4, 8 ...: at 5 there were two of them.
    assertAlmostEquals(estimate(5, { loss: 0, scores: 16 }), 4 * 2 * 0.016, 1e-12);
    assertAlmostEquals(estimate(6, { loss: 8, scores: 16 }), 14 * 0.008 + 4 * 0.032, 1e-12);
    assertAlmostEquals(estimate(17, { loss: 0, scores: 16 }), 0.032, 1e-12);
  });
});

describe("A checkpoint keeps each update rule's memory", () => {
  for (
    const [updateRule, memory] of [
      ["sgdMomentum", "velocity"],
      ["sgdNesterovMomentum", "velocity"],
      ["adagrad", "cache"],
      ["rmsprop", "cache"],
      ["adam", "v"],
      ["adamw", "m"],
    ] as const
  ) {
    it(`of ${updateRule}, so that training continues as if it had not been interrupted`, () => {
      const options = { ...base, updateRule, optimConfig: { learningRate: 0.1 } };
      const whole = new Solver(new Witness(), data, options);
      whole.train();
      const first = new Solver(new Witness(), data, options);
      let bytes = encodeCheckpoint(first.checkpoint());
      first.train({
        onProgress: ({ iteration }) => {
          if (iteration === 3) bytes = encodeCheckpoint(first.checkpoint());
        },
      });
      const checkpoint = decodeCheckpoint(bytes), config = checkpoint.optimConfigs.W;
      assert(config[memory]!.data.some((value) => value !== 0), `${memory} is empty`);
      const second = new Solver(new Witness(), data, options);
      second.resume(checkpoint);
      second.train();
      assertEquals(second.iteration, 8);
      const last = (solver: Solver<Float64Array>) => solver.checkpoint().params;
      assertSameBits(last(second), last(whole));
      assertSameBits(second.checkpoint().optimConfigs, whole.checkpoint().optimConfigs);
    });
  }
});
