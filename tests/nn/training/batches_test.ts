/** Where a solver's batches come from: shuffled, accumulated, mixed, and read from elsewhere. */

import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  affine,
  type BatchInfo,
  batchnorm,
  type Examples,
  type Labels,
  type LossAndGradients,
  mixup,
  type Model,
  Net,
  RandomState,
  relu,
  Solver,
  type SolverOptions,
  type Targets,
  type Tensor,
  tensor,
} from "../../../mod.ts";
import { assertSameBits } from "../../support/bits.ts";
import { data, linear, numbers, quiet, train } from "../../support/small_nets.ts";

/** A net that keeps what it is shown. */
class Witness implements Model<Float64Array> {
  params: Record<string, Tensor<Float64Array>> = { W: tensor(Float64Array.of(1), [1]) };
  readonly seen: number[][] = [];
  readonly targets: Targets[] = [];
  loss(x: Tensor<Float64Array>): Tensor<Float64Array>;
  loss(x: Tensor<Float64Array>, y: Targets): LossAndGradients<Float64Array>;
  loss(
    x: Tensor<Float64Array>,
    y?: Targets,
  ): Tensor<Float64Array> | LossAndGradients<Float64Array> {
    const [N] = x.shape;
    if (y === undefined) return tensor(new Float64Array(N), [N, 1]);
    this.seen.push([...x.data]);
    this.targets.push("data" in y ? y : [...Array.from(y as Labels)]);
    return { loss: 1, grads: { W: tensor(Float64Array.of(x.data[0]), [1]) } };
  }
}

const count = 10;
const x = tensor(Float64Array.from({ length: count }, (_, n) => n), [count, 1]);
const y = Array<number>(count).fill(0);
const numbered = { xTrain: x, yTrain: y, xVal: x, yVal: y };
const shown = (options: SolverOptions) => {
  const model = new Witness();
  new Solver(model, numbered, { verbose: false, numEpochs: 3, batchSize: 3, ...options }).train();
  return model;
};

describe("shuffle", () => {
  it("shows each example at most once an epoch, in an order that changes", () => {
    const { seen } = shown({ shuffle: true });
    assertEquals(seen.length, 9);
    const epochs = [0, 3, 6].map((first) => seen.slice(first, first + 3).flat());
    for (const epoch of epochs) assertEquals(new Set(epoch).size, 9);
    assert(epochs[0].join() !== epochs[1].join() && epochs[1].join() !== epochs[2].join());
    assertEquals(shown({ shuffle: true }).seen, seen);
    assert(shown({ shuffle: true, seed: 1 }).seen.join() !== seen.join());
  });

  it("draws with replacement by default", () => {
    assertEquals(shown({}).seen[0], [...new RandomState(0).choice(10, 3)]);
  });

  it("begins again within a batch that is larger than all", () => {
    const [batch] = shown({ shuffle: true, batchSize: 20, numEpochs: 1 }).seen;
    for (let n = 0; n < count; n++) assertEquals(batch.filter((seen) => seen === n).length, 2);
  });

  it("refuses a checkpoint of a training run that did not shuffle", () => {
    const plain = new Solver(linear(), data, quiet);
    plain.train();
    assertThrows(
      () => new Solver(linear(), data, { ...quiet, shuffle: true }).resume(plain.checkpoint()),
      TypeError,
      "checkpoint.shuffleSeed must be there if, and only if, the solver's option asks: received null",
    );
  });
});

describe("accumulate", () => {
  it("makes one update of several batches, that of one large batch", () => {
    const options: SolverOptions = { ...quiet, shuffle: true, restoreBest: false };
    const parts = new Solver(linear(), data, { ...options, batchSize: 5, accumulate: 4 });
    const whole = new Solver(linear(), data, { ...options, batchSize: 20 });
    assertEquals(parts.iterations, whole.iterations);
    parts.train();
    whole.train();
    for (const [i, loss] of whole.lossHistory.entries()) {
      assertAlmostEquals(parts.lossHistory[i], loss, 1e-14);
    }
    for (const [i, w] of whole.model.params.W.data.entries()) {
      assertAlmostEquals(parts.model.params.W.data[i], w, 1e-14);
    }
  });

  it("keeps the mean of running statistics, each of which begins where all begin", () => {
    const model = new Net({ inputDim: 4, layers: [batchnorm(), affine(3)] });
    const solver = new Solver(model, data, {
      ...quiet,
      ...{ shuffle: true, batchSize: 20, accumulate: 3, numEpochs: 1, restoreBest: false },
    });
    solver.train();
    const { runningMean1: mean } = model.getState().statistics;
    for (let c = 0; c < 4; c++) {
      const values = Array.from({ length: 60 }, (_, i) => train.x.data[4 * i + c]);
      const sum = values.reduce((sum, value) => sum + value);
      assertAlmostEquals(mean.data[c], 0.1 * sum / 60, 1e-15);
    }
  });

  it("makes one update as of one large batch with synchronized batch normalization", () => {
    const made = () =>
      new Net({
        ...{ inputDim: 4, random: new RandomState(3), reg: 0.01 },
        layers: [affine(6), batchnorm(), relu(), affine(3)],
      });
    const options: SolverOptions = { ...quiet, shuffle: true, restoreBest: false };
    const parts = made(), whole = made();
    const large = new Solver(whole, data, { ...options, batchSize: 20 });
    const small = new Solver(parts, data, {
      ...options,
      ...{ batchSize: 5, accumulate: 4, synchronizeBatchnorm: true },
    });
    large.train();
    small.train();
    for (const [i, loss] of large.lossHistory.entries()) {
      assertAlmostEquals(small.lossHistory[i], loss, 1e-12);
    }
    const { runningVar1: expected } = whole.getState().statistics;
    const { runningVar1: variance } = parts.getState().statistics;
    for (const [i, value] of expected.data.entries()) {
      assertAlmostEquals(variance.data[i], value, 1e-12);
    }
  });

  it("refuses synchronized batch normalization for a model that cannot do it", () => {
    assertThrows(
      () => new Solver(linear(), data, { ...quiet, synchronizeBatchnorm: true }),
      TypeError,
      "synchronizeBatchnorm must be false, as the model has no losses()",
    );
  });

  it("counts an epoch by updates", () => {
    assertEquals(shown({ accumulate: 2 }).seen.length, 3 * 1 * 2);
  });

  it("refuses a checkpoint of another number of examples an update", () => {
    const one = new Solver(linear(), data, quiet);
    assertThrows(
      () => new Solver(linear(), data, { ...quiet, accumulate: 2 }).resume(one.checkpoint()),
      RangeError,
      "checkpoint must be of batchSize 20: it is of batchSize 10",
    );
  });
});

describe("augment", () => {
  it("is told which examples the batch has, their labels, and the epoch", () => {
    const infos: BatchInfo[] = [];
    const { seen } = shown({
      augment: (_x, _random, { picks, y, epoch }) => {
        infos.push({ picks: picks.slice(), y: y.slice(), epoch });
      },
    });
    assertEquals(infos.map(({ picks }) => [...picks]), seen);
    assertEquals(infos.map(({ epoch }) => epoch), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    assertEquals([...infos[0].y], [0, 0, 0]);
  });

  it("may return probabilities in place of the labels", () => {
    const { targets } = shown({ augment: mixup({ classes: 2 }) });
    for (const rows of targets) {
      assertEquals((rows as Tensor).shape, [3, 2]);
    }
    assertThrows(
      () => shown({ augment: () => tensor(new Float64Array(3), [3]) }),
      TypeError,
      "What augment returns must have 2 dimensions",
    );
  });
});

describe("Examples that are read batch by batch", () => {
  const read = ({ data, shape }: Tensor): Examples => {
    const size = data.length / shape[0];
    return {
      shape,
      read: (picks, to) =>
        picks.forEach((n, i) => to.set(data.subarray(n * size, (n + 1) * size), i * size)),
    };
  };

  it("train like tensors, to the last bit", () => {
    const tensors = new Solver(linear(), data, quiet),
      streamed = new Solver(linear(), {
        ...data,
        xTrain: read(data.xTrain),
        xVal: read(data.xVal),
      }, quiet);
    tensors.train();
    streamed.train();
    assertSameBits(streamed.checkpoint(), tensors.checkpoint());
    assertSameBits(numbers(streamed.model.params), numbers(tensors.model.params));
    const accuracy = streamed.checkAccuracy(read(data.xVal), data.yVal);
    assertEquals(accuracy, tensors.checkAccuracy(data.xVal, data.yVal));
  });

  it("must have a shape of examples, and a function that reads", () => {
    const solver = (xTrain: unknown) => () =>
      new Solver(linear(), { ...data, xTrain } as never, quiet);
    assertThrows(solver({ shape: [60, 4], read: 3 }), TypeError, "xTrain.read must be a function");
    assertThrows(solver({ shape: [60], read() {} }), TypeError, "xTrain.shape must have 2");
    assertThrows(solver({ shape: [0, 4], read() {} }), RangeError, "[0,4]");
    assertThrows(solver({ shape: [60, 5], read() {} }), RangeError, "examples of one shape");
  });
});
