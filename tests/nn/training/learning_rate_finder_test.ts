import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { findLearningRate, RandomState, Solver, tensor } from "../../../mod.ts";
import { assertSameBits } from "../../support/bits.ts";
import { data, linear, NoisyNet, numbers } from "../../support/small_nets.ts";

describe("findLearningRate()", () => {
  const options = { batchSize: 20 };

  it("raises the learning rate by one factor, until the loss blows up", () => {
    const { rates, losses, steepest } = findLearningRate(linear(), data, {
      from: 1e-3,
      to: 1e3,
      iterations: 61,
    }, options);
    for (const [i, rate] of rates.entries()) {
      assertAlmostEquals(rate / (1e-3 * 10 ** (i / 10)), 1, 1e-12);
    }
    assert(rates.length > 20 && rates.length < 61, `${rates.length}`);
    assertEquals(losses.length, rates.length);
    assert(losses.at(-1)! > 4 * Math.min(...losses), `${losses}`);
    assert(steepest > 1e-2 && steepest < 10, `${steepest}`);
  });

  it("trains with the rate that it tells", () => {
    const { losses } = findLearningRate(
      linear(),
      data,
      { from: 0.5, to: 1, iterations: 2 },
      options,
    );
    const solver = new Solver(linear(), data, {
      ...options,
      verbose: false,
      optimConfig: { learningRate: 0.5 },
      numTrainSamples: 1,
      numValSamples: 1,
    });
    solver.train();
    const [first, second] = solver.lossHistory;
    assertAlmostEquals(losses[0], first, 1e-12);
    assertAlmostEquals(losses[1], (0.9 * 0.1 * first + 0.1 * second) / 0.19, 1e-12);
  });

  it("leaves the model and the random numbers as they were", () => {
    const model = new NoisyNet(), random = new RandomState(5);
    const before = [numbers(model.params), model.getState(), random.getState()];
    findLearningRate(model, data, { iterations: 30 }, { ...options, updateRule: "adam", random });
    assertSameBits([numbers(model.params), model.getState(), random.getState()], before);
    const wrong = { ...data, xTrain: tensor(data.xTrain.data.map(() => NaN), data.xTrain.shape) };
    const { losses, steepest } = findLearningRate(model, wrong, {}, options);
    assertEquals([losses.length, steepest], [1, NaN]);
    assertSameBits([numbers(model.params), model.getState()], before.slice(0, 2));
  });

  it("refuses a range that does not rise", () => {
    const find = (range: object) => () => findLearningRate(linear(), data, range);
    assertThrows(
      find({ from: 1, to: 1 }),
      RangeError,
      "range.to must be above range.from, 1: it is 1",
    );
    assertThrows(find({ from: 0 }), RangeError, "range.from must be above 0");
    assertThrows(find({ iterations: 1 }), RangeError, "range.iterations must be");
    assertThrows(find({ steps: 1 }), TypeError, '"steps"');
  });
});
