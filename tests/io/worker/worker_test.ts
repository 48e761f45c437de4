import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  affine,
  ArgumentRangeError,
  decodeCheckpoint,
  lookahead,
  Net,
  RandomState,
  relu,
  Solver,
  stepSchedule,
  type Tensor,
  ThreeLayerConvNet,
  triangularSchedule,
  useKernels,
} from "../../../mod.ts";
import { trainInWorker, type WorkerProgress } from "../../../io/worker.ts";
import { data, makeNet, makeSolver, options } from "../../support/worker_training.ts";

/** What a whole training run gives on this thread. */
const expected = (() => {
  const net = makeNet(), solver = makeSolver(net);
  solver.train();
  const { lossHistory, trainAccHistory, valAccHistory, bestValAcc } = solver;
  const { gradNormHistory, learningRateHistory } = solver;
  const accuracies = { trainAccHistory, valAccHistory, bestValAcc };
  return { net, histories: { lossHistory, ...accuracies, gradNormHistory, learningRateHistory } };
})();

/** The bits of tensors, comparable. */
function bitsOf(tensors: Readonly<Record<string, Tensor>>) {
  const entries = Object.entries(tensors).map(([name, { data, shape }]) => [
    name,
    { shape, bits: [...new Uint8Array(data.slice().buffer)] },
  ]);
  return Object.fromEntries(entries);
}

/** A training run that is long enough for whatever is done meanwhile. */
function makeLong() {
  const x = new RandomState(0).randn([400, 1, 8, 8]);
  const y = Int32Array.from({ length: 400 }, (_, i) => i % 3);
  const net = new ThreeLayerConvNet({
    inputDim: [1, 8, 8],
    numFilters: 8,
    filterSize: 3,
    hiddenDim: 20,
    numClasses: 3,
  });
  return {
    net,
    data: { xTrain: x, yTrain: y, xVal: x, yVal: y },
    solver: { batchSize: 40, numEpochs: 1000, numValSamples: 20, numTrainSamples: 20 },
    threads: 1,
  };
}

describe("trainInWorker()", () => {
  it("gives the bits of a solver on this thread", async () => {
    const net = makeNet(), before = bitsOf(net.state());
    using training = trainInWorker({ ...options, net });
    const { net: trained, stopped, end, ...histories } = await training.done;
    assertEquals({ stopped, end }, { stopped: false, end: "done" });
    assertEquals(histories, expected.histories);
    assertEquals(bitsOf(trained.state()), bitsOf(expected.net.state()));
    assertEquals(trained.getState(), expected.net.getState());
    assert(trained instanceof Net);
    // What came in stays as it was.
    assertEquals(bitsOf(net.state()), before);
    assert(data.xTrain.data.length > 0);
  });

  it("takes a description, tensors, and the defaults of the solver", async () => {
    const { net: model, data, solver } = makeLong(),
      few = { ...solver, numEpochs: 2, verbose: false };
    const own = Net.fromJSON(model.toJSON()), onThread = new Solver(own, data, few);
    onThread.train();
    using training = trainInWorker({ net: model.toJSON(), data, solver: few });
    const { net, lossHistory } = await training.done;
    assertEquals(lossHistory, onThread.lossHistory);
    assertEquals(bitsOf(net.state()), bitsOf(own.state()));
  });

  it("takes every option of the solver that is plain data", async () => {
    const solver = {
      updateRule: "sgd_momentum",
      optimConfig: { learningRate: 1e-2, momentum: 0.8 },
      frozen: ["W1", /^gamma/],
      ...{ batchSize: 10, accumulate: 3, synchronizeBatchnorm: true, numEpochs: 6, patience: 2 },
      ...{ numTrainSamples: 7, numValSamples: null, restoreBest: false, verbose: false },
    } as const;
    const net = makeNet(), random = new RandomState(4);
    const images = (N: number) => random.randn([N, 1, 8, 8]);
    const own = { ...data, xTrain: images(60), xVal: images(20) };
    const onThread = new Solver(net, own, { ...solver, seed: 3 });
    onThread.train();
    using training = trainInWorker({ net: makeNet(), data: own, solver, seed: 3, threads: 1 });
    const { net: trained, lossHistory, valAccHistory } = await training.done;
    assertEquals([lossHistory, valAccHistory], [onThread.lossHistory, onThread.valAccHistory]);
    assertEquals(bitsOf(trained.state()), bitsOf(net.state()));
  });

  it("makes schedules and averages of their descriptions", async () => {
    const [step, triangular] = [{ at: [0.3], factor: 0.2 }, { start: 0.3, peak: 0.4 }];
    const described = [
      [{ type: "step", ...step } as const, stepSchedule(step)],
      [{ type: "triangular", ...triangular } as const, triangularSchedule(triangular)],
    ] as const;
    const few = {
      ...options.solver,
      numEpochs: 4,
      average: { type: "lookahead", every: 3 },
    } as const;
    for (const [schedule, own] of described) {
      const average = lookahead({ every: 3 }), net = makeNet();
      const solver = makeSolver(net, { numEpochs: 4, schedule: own, average });
      solver.train();
      using training = trainInWorker({ ...options, net: makeNet(), schedule, solver: few });
      const { net: trained, learningRateHistory } = await training.done;
      assertEquals(learningRateHistory, solver.learningRateHistory);
      assertEquals(bitsOf(trained.state()), bitsOf(net.state()));
    }
  });

  it("reports progress, the last iteration included, until the training run ends", async () => {
    const reports: WorkerProgress[] = [], heard: WorkerProgress[] = [];
    const start = performance.now();
    using training = trainInWorker({ ...options, net: makeNet() });
    training.onprogress = (progress) => heard.push(progress);
    for await (const progress of training) reports.push(progress);
    const last = reports.at(-1)!;
    const { iteration, iterations, epoch, epochs, loss, threads, kernels, trainAcc, valAcc } = last;
    const { lossHistory, trainAccHistory, valAccHistory } = expected.histories;
    assertEquals({ iteration, iterations, epoch, epochs, threads, kernels }, {
      ...{ iteration: 400, iterations: 400, epoch: 100, epochs: 100 },
      ...{ threads: 1, kernels: "auto" },
    });
    assertEquals(
      [loss, trainAcc, valAcc],
      [lossHistory, trainAccHistory, valAccHistory]
        .map((history) => history.at(-1)),
    );
    assert(last.imagesPerSecond > 0);
    assert(heard.length >= reports.length);
    // Ten a second at most, and the last one.
    assert(heard.length <= (performance.now() - start) / 100 + 2, `${heard.length}`);
    const { gradNormHistory, learningRateHistory } = expected.histories;
    for (const { iteration, learningRate, gradientNorm, loss } of heard) {
      const of = (history: readonly number[]) => history[iteration - 1];
      assertEquals(loss, of(lossHistory));
      assertEquals(learningRate, of(learningRateHistory));
      assertEquals(gradientNorm, of(gradNormHistory));
    }
    // The first has accuracies already.
    assertEquals([heard[0].iteration, heard[0].trainAcc], [1, trainAccHistory[0]]);
  });

  it("pauses and goes on to the same bits", async () => {
    using training = trainInWorker({ ...options, net: makeNet() });
    training.pause();
    const { histories, params } = await training.state();
    const again = await training.state();
    assertEquals(again.histories, histories);
    assertEquals(bitsOf(again.params), bitsOf(params));
    training.resume();
    assertEquals((await training.done).lossHistory, expected.histories.lossHistory);
  });

  it("pauses in the middle, and stops there", async () => {
    using training = trainInWorker({ ...makeLong(), net: makeLong().net });
    for await (const { iteration } of training) {
      if (iteration < 10) continue;
      training.pause();
      break;
    }
    // Asked until the iteration that was under way is done.
    let length = -1;
    for (let state = await training.state(); state.histories.lossHistory.length !== length;) {
      length = state.histories.lossHistory.length;
      await new Promise((resolve) => setTimeout(resolve, 100));
      state = await training.state();
    }
    training.stop();
    const { stopped, end, lossHistory } = await training.done;
    assertEquals({ stopped, end, length: lossHistory.length }, {
      stopped: true,
      end: "stopped",
      length,
    });
    assert(length < 10_000);
  });

  it("continues from a checkpoint in another worker and on this thread, bit for bit", async () => {
    using first = trainInWorker({ ...options, net: makeNet() });
    first.pause();
    // What follows a resume at once is heard some iterations later, but long before the end.
    for (let done = 0; done === 0;) {
      first.resume();
      first.pause();
      done = (await first.state()).histories.lossHistory.length;
    }
    const checkpoint = await first.checkpoint();
    const { iteration } = decodeCheckpoint(checkpoint);
    assert(iteration > 0 && iteration < 400, `${iteration}`);
    first.stop();
    assert((await first.done).stopped);
    using second = trainInWorker({ ...options, net: makeNet(), checkpoint });
    const { net, stopped: _, end, ...histories } = await second.done;
    assertEquals(end, "done");
    assertEquals(histories, expected.histories);
    assertEquals(bitsOf(net.state()), bitsOf(expected.net.state()));
    const own = makeNet(), solver = makeSolver(own);
    solver.resume(decodeCheckpoint(checkpoint));
    solver.train();
    assertEquals(bitsOf(own.state()), bitsOf(expected.net.state()));
  });

  it("predicts and shows its parameters while it trains and afterwards", async () => {
    using training = trainInWorker({ ...options, net: makeNet() });
    training.pause();
    const x = { data: data.xVal.data, shape: [20, 1, 8, 8] };
    const scores = await training.predict(x);
    const { params, statistics } = await training.state();
    const net = makeNet();
    net.loadState({ ...params, ...statistics });
    const { mean: [mean], deviation: [deviation] } = options.normalize;
    const scaled = { data: Float32Array.from(x.data), shape: x.shape };
    for (let i = 0; i < scaled.data.length; i++) {
      scaled.data[i] = (scaled.data[i] - mean) / deviation;
    }
    assertEquals(scores, net.predict(scaled));
    training.resume();
    const { net: trained } = await training.done;
    assertEquals(await training.predict(x), trained.predict(scaled));
    const many = { data: new Uint8Array(250 * 64).fill(7), shape: [250, 1, 8, 8] };
    const { data: numbers, shape } = await training.predict(many);
    assertEquals(shape, [250, 3]);
    assertEquals(numbers.slice(0, 300), numbers.slice(300, 600));
    assert(numbers[749] !== 0);
  });

  it("switches kernels and threads while it trains", async () => {
    const long = makeLong(), solver = { ...long.solver, numEpochs: 3 };
    using training = trainInWorker({ ...long, solver });
    training.pause();
    await training.setKernels("naive");
    const { count, reason } = await training.setThreads(2);
    assertEquals({ count, reason }, { count: 2, reason: undefined });
    training.resume();
    let last: WorkerProgress | undefined;
    for await (const progress of training) last = progress;
    assertEquals([last?.kernels, last?.threads], ["naive", 2]);
    using alone = trainInWorker({ ...long, solver, kernels: "naive" });
    using _ = useKernels("naive");
    const onThread = new Solver(long.net, long.data, { ...solver, verbose: false });
    onThread.train();
    assertEquals((await alone.done).lossHistory, onThread.lossHistory);
    await assertRejects(() => training.setKernels("fast" as "auto"), TypeError, "kernels must be");
    await assertRejects(() => training.setThreads(0), RangeError, "count must be");
  });

  it("gives the same bits on two threads", async () => {
    using training = trainInWorker({ ...options, net: makeNet(), threads: 2 });
    const { net, lossHistory } = await training.done;
    assertEquals(lossHistory, expected.histories.lossHistory);
    assertEquals(bitsOf(net.state()), bitsOf(expected.net.state()));
  });

  it("moves the data if it may", async () => {
    const xTrain = structuredClone(data.xTrain);
    using training = trainInWorker({
      ...options,
      net: makeNet(),
      data: { ...data, xTrain, xVal: structuredClone(data.xVal) },
      transfer: true,
    });
    assertEquals(xTrain.data.length, 0);
    assertEquals((await training.done).lossHistory, expected.histories.lossHistory);
  });

  it("sends the data once", async () => {
    const sizes: number[] = [];
    using training = trainInWorker({
      ...options,
      net: makeNet(),
      worker: () => {
        const url = new URL("../../../io/worker/training_worker.ts", import.meta.url);
        const worker = new Worker(url, { type: "module" });
        const postMessage = (message: unknown, transfer: Transferable[]) => {
          const arrays = JSON.stringify(
            message,
            (_, value) => ArrayBuffer.isView(value) ? { bytes: value.byteLength } : value,
          );
          const bytes = [...arrays.matchAll(/"bytes":(\d+)/g)].map(([, bytes]) => Number(bytes));
          sizes.push(bytes.reduce((sum, size) => sum + size, 0));
          Worker.prototype.postMessage.call(worker, message, { transfer });
        };
        return Object.assign(worker, { postMessage });
      },
    });
    training.pause();
    await training.state();
    training.resume();
    await training.done;
    const dataBytes = 80 * (64 + 4);
    assert(sizes[0] >= dataBytes);
    assertEquals(sizes.slice(1), [0, 0, 0]);
  });

  it("rejects with the library's error what fails in the worker", async () => {
    using training = trainInWorker({
      ...options,
      net: makeNet(),
      // A class that the net does not have: only its loss can tell.
      data: { ...data, yTrain: data.yTrain.map((y) => y + 1) },
    });
    const error = await assertRejects(() => training.done, ArgumentRangeError, "y[");
    assertEquals((error as ArgumentRangeError).code, "OUT_OF_RANGE");
    await assertRejects(() => training.state(), ArgumentRangeError, "y[");
    using looped = trainInWorker({
      ...options,
      net: makeNet(),
      data: { ...data, yTrain: data.yTrain.map((y) => y + 1) },
    });
    await assertRejects(
      async () => {
        for await (const _ of looped);
      },
      ArgumentRangeError,
      "y[",
    );
  });

  it("rejects a wrong question, and trains on", async () => {
    using training = trainInWorker({ ...options, net: makeNet() });
    training.pause();
    const wrong = { data: new Uint8Array(50), shape: [1, 2, 5, 5] };
    await assertRejects(() => training.predict(wrong), RangeError);
    training.resume();
    assertEquals((await training.done).lossHistory, expected.histories.lossHistory);
  });

  it("says that training has diverged, and what may help", async () => {
    const x = new RandomState(0).randn([20, 4]), y = Array.from({ length: 20 }, (_, i) => i % 2);
    using training = trainInWorker({
      net: new Net({ inputDim: 4, layers: [affine(8), relu(), affine(2)], loss: "svm" }),
      data: { xTrain: x, yTrain: y, xVal: x, yVal: y },
      solver: { optimConfig: { learningRate: 1e200 }, batchSize: 10 },
      threads: 1,
    });
    const { end, hint, stopped } = await training.done;
    assertEquals({ end, stopped }, { end: "diverged", stopped: false });
    assert(hint?.includes("lower learning rate"), hint);
  });

  it("ends the worker when it is disposed of", async () => {
    const training = trainInWorker(makeLong()), state = training.state();
    training[Symbol.dispose]();
    training[Symbol.dispose]();
    for (const promise of [training.done, state, training.checkpoint()]) {
      await assertRejects(() => promise, Error, "disposed of");
    }
    training.stop();
  });
});
