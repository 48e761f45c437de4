/**
 * A net that training can lose much of, and data, for tests of training runs in workers.
 *
 * @module
 */

import {
  affine,
  batchnorm,
  channelStatistics,
  clipGlobalNorm,
  conv,
  cosineSchedule,
  cropAndMirror,
  dropout,
  exponentialAverage,
  Net,
  normalizedExamples,
  RandomState,
  relu,
  Solver,
  type SolverOptions,
} from "../../mod.ts";
import type { WorkerTrainingOptions } from "../../io/worker.ts";

/** A net with running statistics and random masks. */
export function makeNet() {
  return new Net({
    inputDim: [1, 8, 8],
    layers: [conv(4), batchnorm(), relu(), dropout(0.8), affine(3)],
    dtype: "float32",
    random: new RandomState(3),
  });
}

const random = new RandomState(1);
const images = (N: number) => ({
  data: Uint8Array.from({ length: N * 64 }, () => random.randint(256)),
  shape: [N, 1, 8, 8],
});
const labels = (N: number) => Array.from({ length: N }, () => random.randint(3));

/** Images as bytes. */
export const data = {
  xTrain: images(60),
  yTrain: labels(60),
  xVal: images(20),
  yVal: labels(20),
};

const normalize = channelStatistics(data.xTrain);

/** A training run of 400 iterations with all that can be described. */
export const options = {
  data,
  normalize,
  solver: {
    updateRule: "adam",
    optimConfig: { learningRate: 1e-2 },
    paramGroups: [{ params: /^b/, learningRate: 2e-2 }],
    batchSize: 15,
    numEpochs: 100,
    shuffle: true,
    lrDecay: 0.99,
    clip: 1,
    average: { type: "exponential", decay: 0.9 },
  },
  augment: { pad: 1, mirror: "alternate" },
  schedule: { type: "cosine", warmup: 0.2 },
  seed: 5,
  threads: 1,
} as const satisfies Omit<WorkerTrainingOptions, "net">;

/** The same on this thread. */
export function makeSolver(net = makeNet(), more: SolverOptions = {}): Solver<Float32Array> {
  const { clip, average: { decay }, ...solver } = options.solver;
  const { pad, mirror } = options.augment;
  return new Solver(net, {
    ...data,
    xTrain: normalizedExamples(data.xTrain, normalize),
    xVal: normalizedExamples(data.xVal, normalize),
  }, {
    ...solver,
    verbose: false,
    recordUpdates: true,
    transformGradients: clipGlobalNorm(clip),
    average: exponentialAverage({ decay }),
    augment: cropAndMirror({ pad, mirror }),
    schedule: cosineSchedule({ warmup: options.schedule.warmup }),
    seed: options.seed,
    ...more,
  });
}
