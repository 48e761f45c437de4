import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type ByteTensor,
  channelStatistics,
  cropAndMirror,
  decodeCheckpoint,
  encodeCheckpoint,
  type ExampleSource,
  findLearningRate,
  normalize,
  normalizedExamples,
  RandomState,
  Solver,
  type SolverData,
  type SolverOptions,
  splitData,
  tensor,
  testTimeScores,
  ThreeLayerConvNet,
} from "../../../mod.ts";
import { assertSameBits } from "../../support/bits.ts";

const shape = [24, 2, 6, 6], count = 24 * 72;
const random = new RandomState(3);
const images: ByteTensor = {
  data: Uint8Array.from({ length: count }, () => random.randint(256)),
  shape,
};
const floats = tensor(Float32Array.from(images.data), shape);
const y = Array.from({ length: 24 }, (_, i) => i % 3);
const statistics = channelStatistics(images);

const makeNet = () =>
  new ThreeLayerConvNet({
    inputDim: [2, 6, 6],
    ...{ numFilters: 2, filterSize: 3, hiddenDim: 5, numClasses: 3 },
    ...{ weightScale: "he", dtype: "float32", batchnorm: true },
  });
const options: SolverOptions = {
  ...{ updateRule: "adam", optimConfig: { learningRate: 1e-2 }, batchSize: 6, numEpochs: 3 },
  ...{ shuffle: true, verbose: false, seed: 4 },
};

/** Data of one source, for training and validation. */
function dataOf<X extends ExampleSource>(x: X): SolverData<X> {
  return { xTrain: x, yTrain: y, xVal: x, yVal: y };
}

/** A solver that has trained. */
function trained(x: ExampleSource, more: SolverOptions = {}): Solver<Float32Array> {
  const solver = new Solver<Float32Array>(makeNet(), dataOf(x), { ...options, ...more });
  solver.train();
  return solver;
}

describe("Images as bytes", () => {
  it("train a net to the bits that the same numbers in float32 do", () => {
    const before = images.data.slice();
    const [bytes, single] = [trained(images), trained(floats)];
    assertSameBits(bytes.checkpoint(), single.checkpoint());
    assertEquals(images.data, before);
  });
  it("do so with augmentation, which changes a batch and not the bytes", () => {
    const augment = cropAndMirror({ pad: 1, mirror: "alternate" });
    const before = images.data.slice();
    assertSameBits(
      trained(images, { augment }).checkpoint(),
      trained(floats, { augment }).checkpoint(),
    );
    assertEquals(images.data, before);
  });
  it("are brought to mean 0 and deviation 1 batch by batch, to the same bits as all at once", () => {
    const normalized = normalize(tensor(floats.data.slice(), shape), statistics);
    const read = normalizedExamples(images, statistics);
    assertSameBits(trained(read).checkpoint(), trained(normalized).checkpoint());
    const batch = new Float32Array(2 * 72);
    read.read(Int32Array.of(5, 0), batch);
    assertEquals(batch.subarray(0, 72), normalized.data.subarray(5 * 72, 6 * 72));
    assertEquals(batch.subarray(72), normalized.data.subarray(0, 72));
  });
  it("are resumed from a checkpoint, and take one of float32", () => {
    const x = normalizedExamples(images, statistics), whole = trained(x);
    const first = new Solver<Float32Array>(makeNet(), dataOf(x), options);
    const stop = new AbortController();
    first.train({
      signal: stop.signal,
      onProgress: ({ iteration }) => iteration === 5 && stop.abort(),
    });
    const checkpoint = decodeCheckpoint(encodeCheckpoint(first.checkpoint()));
    const second = new Solver<Float32Array>(makeNet(), dataOf(x), options);
    second.resume(checkpoint);
    second.train();
    assertSameBits(second.checkpoint(), whole.checkpoint());
  });
  it("are measured, predicted and tried for a learning rate", () => {
    const solver = trained(images), net = solver.model as ThreeLayerConvNet<"float32">;
    assertEquals(solver.checkAccuracy(images, y), solver.checkAccuracy(floats, y));
    const views = { mirror: true, shift: 1, batchSize: 7 };
    assertSameBits(testTimeScores(net, images, views), testTimeScores(net, floats, views));
    assertSameBits(testTimeScores(net, images, { mirror: false }), net.predict(floats));
    const range = { iterations: 5 }, rates = { batchSize: 6 };
    assertEquals(
      findLearningRate(makeNet(), dataOf(images), range, rates),
      findLearningRate(makeNet(), dataOf(floats), range, rates),
    );
  });
  it("are split by copy, and their statistics are exact", () => {
    const split = splitData(images, y, { validation: 4 });
    const single = splitData(floats, y, { validation: 4 });
    assert(split.xTrain.data instanceof Uint8Array);
    assertEquals([...split.xTrain.data], [...single.xTrain.data]);
    assertEquals([split.xVal.shape, split.yVal], [[4, 2, 6, 6], single.yVal]);
    assertEquals(statistics, channelStatistics(floats));
  });
  it("are refused where their sizes do not fit", () => {
    const attempt = (x: ByteTensor) => () => new Solver(makeNet(), dataOf(x));
    assertThrows(
      attempt({ data: images.data, shape: [24, 2, 6, 5] }),
      RangeError,
      "The data of xTrain must hold 1440 bytes, the product of its shape [24,2,6,5]: it holds 1728",
    );
    assertThrows(attempt({ data: images.data, shape: [count] }), TypeError, "2 dimensions or more");
    assertThrows(attempt({ data: new Uint8Array(0), shape: [0, 2, 6, 6] }), RangeError, "no empty");
    const signed = { data: new Int8Array(count), shape } as unknown as ByteTensor;
    assertThrows(attempt(signed), TypeError, "Float32Array or a Float64Array");
    const few = { mean: [1], deviation: [1] };
    assertThrows(() => normalizedExamples(images, few), RangeError, "one value per channel");
    const wrong = { mean: 1, deviation: [1, 1] } as unknown as typeof few;
    assertThrows(() => normalizedExamples(images, wrong), TypeError, "mean must be an array");
  });
});
