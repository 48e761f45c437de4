/**
 * What a page does that trains in a worker: a program for browsers.
 *
 * @module
 */

import { affine, conv, maxPool, Net, RandomState, relu, Solver, type Tensor } from "../../mod.ts";
import { trainInWorker, type WorkerProgress } from "../../io/worker.ts";

/** What was seen. */
export interface PageReport {
  /** Milliseconds of an iteration in the worker. */
  readonly iteration: number;
  /** The last report. */
  readonly progress: WorkerProgress;
  /** The longest task of the page's main thread, in milliseconds, from the start of the training run on. */
  readonly longest: number;
  /** Frames that the page has drawn meanwhile, and milliseconds. */
  readonly frames: number;
  readonly time: number;
  /** Whether a short training run has the bits of a solver in the page itself. */
  readonly isSame: boolean;
}

const random = new RandomState(0);

function makeNet(filters: number) {
  const layers = [conv(filters), relu(), maxPool(2), affine(10)];
  return new Net({ inputDim: [3, 32, 32], layers, dtype: "float32", random: new RandomState(1) });
}

function makeData(N: number) {
  const xTrain = { data: Uint8Array.from({ length: N * 3072 }, () => random.randint(256)) };
  const x = { ...xTrain, shape: [N, 3, 32, 32] };
  const y = Array.from({ length: N }, (_, i) => i % 10);
  return { xTrain: x, yTrain: y, xVal: x, yVal: y };
}

const worker = () => new Worker("/training.js", { type: "module" });

const { requestAnimationFrame } = globalThis as unknown as {
  requestAnimationFrame(callback: () => void): void;
};

/** Trains in a worker, slowly, and watches the page meanwhile. */
export async function trainInPage(): Promise<PageReport> {
  const solver = { batchSize: 600, numEpochs: 1000, numTrainSamples: 10, numValSamples: 10 };
  const data = makeData(600), net = makeNet(64);
  let longest = 0, frames = 0;
  // Tasks before the training run are the page's own.
  await new Promise((resolve) => setTimeout(resolve, 200));
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
  });
  using training = trainInWorker({ net, data, solver, worker, threads: 1 });
  let progress: WorkerProgress | undefined;
  // After the first report, as the start copies the data.
  for await (progress of training) break;
  observer.observe({ type: "longtask" });
  const start = performance.now();
  const frame = () => {
    frames++;
    if (performance.now() - start < 4000) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  for await (progress of training) if (performance.now() - start > 4000) break;
  const time = performance.now() - start;
  observer.disconnect();
  training.stop();
  await training.done;
  const iteration = 1000 * solver.batchSize / progress!.imagesPerSecond;
  return { iteration, progress: progress!, longest, frames, time, isSame: await isSame() };
}

async function isSame(): Promise<boolean> {
  const data = makeData(40), solver = { batchSize: 10, numEpochs: 3, verbose: false };
  const own = makeNet(4);
  new Solver(own, data, solver).train();
  using training = trainInWorker({ net: makeNet(4), data, solver, worker });
  const { net } = await training.done;
  const numbers = (params: Readonly<Record<string, Tensor>>) =>
    Object.values(params).map(({ data }) => data.join()).join();
  return numbers(net.params) === numbers(own.params);
}
