import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  type Average,
  type Checkpoint,
  decodeCheckpoint,
  encodeCheckpoint,
  exponentialAverage,
  lookahead,
  Solver,
  type SolverOptions,
} from "../../../mod.ts";
import { assertSameBits } from "../../support/bits.ts";
import { data, linear, noisy, NoisyNet, numbers, quiet } from "../../support/small_nets.ts";

/** What an average is after it followed some numbers, and what became of these. */
function follow(average: Average, values: readonly number[], iterations = values.length) {
  const model = linear(), { data } = model.params.b;
  const averages = average.start(model);
  return values.map((value, i) => {
    data[0] = value;
    average.follow(averages, model, { iteration: i + 1, iterations });
    return [averages.params.b.data[0], data[0]];
  });
}

describe("exponentialAverage()", () => {
  it("follows slowly, and faster in the beginning", () => {
    const steps = follow(exponentialAverage({ decay: 0.25 }), [1, 1, 2]);
    // The decays are 2 / 11, 3 / 12 and 0.25.
    const first = 9 / 11, second = 0.25 * first + 0.75;
    for (const [i, value] of [first, second, 0.25 * second + 1.5].entries()) {
      assertAlmostEquals(steps[i][0], value, 1e-15);
    }
    assertEquals(steps.map(([, current]) => current), [1, 1, 2]);
  });

  it("refuses a decay above 1", () => {
    assertThrows(() => exponentialAverage({ decay: 1.5 }), RangeError, "decay must be");
  });
});

describe("lookahead()", () => {
  it("goes back every few iterations, and to the average as it is in the last", () => {
    const steps = follow(lookahead({ every: 2, decay: 0.5 }), [1, 4, 8, 8, 100]);
    const first = (1 - 0.5 * 0.4 ** 3) * 4, second = first + (1 - 0.5 * 0.8 ** 3) * (8 - first);
    const expected = [[0, 1], [first, first], [first, 8], [second, second], [second, second]];
    for (const [i, [average, current]] of expected.entries()) {
      assertAlmostEquals(steps[i][0], average, 1e-14);
      assertAlmostEquals(steps[i][1], current, 1e-14);
    }
  });
});

describe("A solver with an average", () => {
  it("measures the averages and gives them to the model, and trains on with the parameters", () => {
    const options: SolverOptions = { ...quiet, optimConfig: { learningRate: 0.5 } };
    const plain = new Solver(linear(), data, { ...options, restoreBest: false });
    plain.train();
    const average = exponentialAverage({ decay: 0.9 });
    const solver = new Solver(linear(), data, { ...options, restoreBest: false, average });
    solver.train();
    assertSameBits(solver.lossHistory, plain.lossHistory);
    const { params, averages } = solver.checkpoint();
    assertSameBits(params, plain.checkpoint().params);
    assertSameBits(numbers(solver.model.params), numbers(averages!.params));
    assert(params.W.data.some((w, i) => w !== averages!.params.W.data[i]));
    // The last measurement was of the averages, which the model has now.
    assertEquals(solver.checkAccuracy(data.xVal, data.yVal), solver.valAccHistory.at(-1));
  });

  it("lets them follow after every update", () => {
    const average = exponentialAverage({ decay: 0.75 }), net = new NoisyNet();
    const own = average.start(net);
    const solver = new Solver(new NoisyNet(), data, { ...noisy, average });
    solver.train({
      onProgress: ({ iteration, iterations }) => {
        const { params, modelState, averages } = solver.checkpoint();
        Object.assign(net.params, params);
        net.setState(modelState!);
        average.follow(own, net, { iteration, iterations });
        assertSameBits(averages, own);
      },
    });
    assertEquals(solver.iteration, 24);
  });

  it("keeps the best averages, with the averages of the running statistics", () => {
    const solver = new Solver(new NoisyNet(), data, {
      ...noisy,
      average: exponentialAverage({ decay: 0.8 }),
    });
    solver.train();
    assertSameBits(numbers(solver.model.params), numbers(solver.bestParams!));
    const { bestModelState, modelState } = solver.checkpoint();
    assertSameBits(solver.model.getState!().statistics, bestModelState!.statistics);
    assert(modelState!.statistics.mean.data[0] !== bestModelState!.statistics.mean.data[0]);
    assertEquals(solver.checkAccuracy(data.xVal, data.yVal), solver.bestValAcc);
  });

  for (const [name, average] of Object.entries({ ema: exponentialAverage(), back: lookahead() })) {
    it(`resumes bit for bit from every iteration: ${name}`, () => {
      const options: SolverOptions = { ...noisy, average, shuffle: true, accumulate: 2 };
      const whole = new Solver(new NoisyNet(), data, options);
      const kept: Checkpoint[] = [decodeCheckpoint(encodeCheckpoint(whole.checkpoint()))];
      whole.train({
        onProgress: () => void kept.push(decodeCheckpoint(encodeCheckpoint(whole.checkpoint()))),
      });
      assertEquals(kept.length, 13);
      for (const checkpoint of kept) {
        const second = new Solver(new NoisyNet(), data, options);
        second.resume(checkpoint);
        second.train();
        assertSameBits(second.checkpoint(), whole.checkpoint());
        assertSameBits(numbers(second.model.params), numbers(whole.model.params));
      }
    });
  }

  it("takes a checkpoint in the middle of a measurement from the training run, not the averages", async () => {
    const net = new NoisyNet(), checkpoints: Checkpoint[] = [];
    const options: SolverOptions = { ...noisy, average: exponentialAverage({ decay: 0.5 }) };
    const solver: Solver<Float64Array> = new Solver(net, data, options);
    net.onScores = () => void checkpoints.push(solver.checkpoint());
    await solver.trainAsync();
    const whole = solver.checkpoint();
    assert(checkpoints.length > 4);
    for (const checkpoint of checkpoints) {
      const second = new Solver(new NoisyNet(), data, options);
      second.resume(checkpoint);
      second.train();
      assertSameBits(second.checkpoint(), whole);
    }
  });

  it("refuses checkpoints without averages, and one without it those with", () => {
    const average = exponentialAverage(), options = { ...quiet, average };
    const [without, withThem] = [quiet, options].map((options) => {
      const solver = new Solver(linear(), data, options);
      solver.train();
      return solver.checkpoint();
    });
    assertThrows(
      () => new Solver(linear(), data, options).resume(without),
      TypeError,
      "checkpoint.averages must be there if, and only if, the solver's option asks: received null",
    );
    assertThrows(
      () => new Solver(linear(), data, quiet).resume(withThem),
      TypeError,
      "checkpoint.averages must be there if, and only if, the solver's option asks",
    );
    const wrong = { ...withThem, averages: { params: {}, statistics: {} } };
    assertThrows(
      () => new Solver(linear(), data, options).resume(wrong),
      TypeError,
      "checkpoint.averages.params",
    );
  });
});

describe("restoreBest", () => {
  it("is true by default; if false, the model has the last parameters", () => {
    const options: SolverOptions = { ...quiet, optimConfig: { learningRate: 30 }, seed: 3 };
    const best = new Solver(linear(), data, options),
      last = new Solver(linear(), data, {
        ...options,
        restoreBest: false,
      });
    best.train();
    last.train();
    assertSameBits(numbers(best.model.params), numbers(best.bestParams!));
    assertSameBits(numbers(last.model.params), numbers(last.checkpoint().params));
    assertSameBits(best.checkpoint(), last.checkpoint());
    assert(best.bestValAcc > best.valAccHistory.at(-1)!, `${best.valAccHistory}`);
  });
});
