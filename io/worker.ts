/**
 * Training in a worker, so that a page or a server does its other work meanwhile. A separate entry
 * point, as it starts a file of its own: `@cnn-layers/cnn-layers/worker`.
 *
 * @example
 * ```ts
 * import { affine, Net, RandomState, relu } from "@cnn-layers/cnn-layers";
 * import { trainInWorker } from "@cnn-layers/cnn-layers/worker";
 *
 * const x = new RandomState(0).randn([200, 4]), y = Int32Array.from({ length: 200 }, (_, i) => i % 2);
 * using training = trainInWorker({
 *   net: new Net({ inputDim: 4, layers: [affine(8), relu(), affine(2)] }),
 *   data: { xTrain: x, yTrain: y, xVal: x, yVal: y },
 *   solver: { updateRule: "adam", batchSize: 50, numEpochs: 5 },
 *   threads: 1,
 * });
 * for await (const { iteration, iterations, loss } of training) {
 *   console.log(`${iteration} of ${iterations}: ${loss}`);
 * }
 * const { net, bestValAcc } = await training.done;
 * console.log(net.predict(x).shape, bestValAcc); // [200, 2] ...
 * ```
 *
 * **Bundlers.** Vite, webpack and others that know `new Worker(new URL(...), import.meta.url)` find the
 * worker's file. For others, such as esbuild, make a file that calls {@linkcode serveTraining}, bundle it
 * beside the page's, and start it: `worker: () => new Worker("training.js", { type: "module" })`.
 *
 * **Deno** asks for `--allow-read`, as it does for every file that a worker starts from.
 *
 * @module
 */

import { readStart, type WorkerTrainingOptions } from "./worker/options.ts";
import { WorkerTraining } from "./worker/training.ts";

export type { FloatArray, Tensor } from "../kernels/tensor.ts";
export type { AnyWorker } from "./worker/host.ts";
export type { Histories, WorkerProgress, WorkerState, WorkerThreads } from "./worker/messages.ts";
export type { TravellingNet, WorkerTrainingOptions } from "./worker/options.ts";
export { serveTraining } from "./worker/serve.ts";
export type {
  AverageDescription,
  ScheduleDescription,
  WorkerData,
  WorkerSolverOptions,
} from "./worker/setup.ts";
export type { WorkerResult, WorkerTraining } from "./worker/training.ts";

/**
 * Trains a net in a worker: as a {@linkcode Solver} does, to the same bits, while this thread goes on.
 *
 * @example Pause, ask, and continue elsewhere
 * ```ts
 * import { affine, Net, RandomState, relu } from "@cnn-layers/cnn-layers";
 * import { trainInWorker } from "@cnn-layers/cnn-layers/worker";
 *
 * const x = new RandomState(0).randn([100, 4]), y = Int32Array.from({ length: 100 }, (_, i) => i % 2);
 * const options = {
 *   net: new Net({ inputDim: 4, layers: [affine(8), relu(), affine(2)] }),
 *   data: { xTrain: x, yTrain: y, xVal: x, yVal: y },
 *   schedule: { type: "cosine" },
 *   solver: { optimConfig: { learningRate: 0.1 }, batchSize: 10 },
 *   threads: 1,
 * } as const;
 * using training = trainInWorker(options);
 * training.pause();
 * const scores = await training.predict(x); // (100, 2)
 * const checkpoint = await training.checkpoint(); // to a file, IndexedDB ...
 * training.stop();
 *
 * using continued = trainInWorker({ ...options, checkpoint });
 * const { lossHistory } = await continued.done;
 * console.log(scores.shape, lossHistory.length); // [100, 2] 100
 * ```
 *
 * @param options What is trained, on what, and how.
 * @returns The training run.
 * @throws {TypeError} If a type is wrong, an option is unknown, or something cannot travel to a worker.
 * @throws {RangeError} If a number is out of range, or sizes do not fit each other.
 */
export function trainInWorker(options: WorkerTrainingOptions): WorkerTraining {
  return new WorkerTraining(readStart(options));
}
