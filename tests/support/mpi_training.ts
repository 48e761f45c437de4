/**
 * A training run with all that could depend on the number of ranks.
 *
 * @module
 */

import { createHash } from "node:crypto";
import {
  affine,
  batchnorm,
  type Checkpoint,
  conv,
  dropout,
  type DType,
  encodeCheckpoint,
  exponentialAverage,
  flatten,
  type FloatArray,
  maxPool,
  Net,
  type Parallel,
  RandomState,
  relu,
  residual,
  Solver,
  type SolverOptions,
} from "../../mod.ts";

/** Micro-batches of an update: not a power of two, so that sums have a rest. */
export const MICRO_BATCHES = 7;

const EXAMPLES = 300, VALIDATION = 130;

function examples(count: number, seed: number) {
  const random = new RandomState(seed), x = random.randn([count, 2, 6, 6]);
  const y = Array.from({ length: count }, (_, i) => i % 3);
  for (let i = 0; i < count; i++) x.data[i * 72 + 5 * y[i]] += 2;
  return { x, y };
}

/** What differs between training runs. */
export interface TrainingOptions {
  readonly dtype?: DType;
  readonly parallel?: Parallel;
  readonly options?: SolverOptions;
  /** Starts it with other weights, which must not matter on other ranks than 0. */
  readonly seed?: number;
}

/** The solver of the training run. */
export function makeSolver(
  { dtype = "float32", parallel, options, seed = 0 }: TrainingOptions,
): Solver<FloatArray> {
  const random = new RandomState(seed);
  const net = new Net({
    inputDim: [2, 6, 6],
    layers: [
      conv(4, { bias: false }),
      batchnorm(),
      relu(),
      residual(conv(4)),
      maxPool(2),
      dropout(0.8),
      flatten(),
      affine(3),
    ],
    reg: 1e-3,
    dtype,
    random,
  });
  const train = examples(EXAMPLES, 1), val = examples(VALIDATION, 2);
  return new Solver<FloatArray>(
    net,
    { xTrain: train.x, yTrain: train.y, xVal: val.x, yVal: val.y },
    {
      updateRule: "adam",
      optimConfig: { learningRate: 0.01 },
      batchSize: 4,
      accumulate: MICRO_BATCHES,
      shuffle: true,
      numEpochs: 4,
      numTrainSamples: 120,
      average: exponentialAverage({ decay: 0.9 }),
      augment: ({ data }, random) => {
        for (let i = 0; i < data.length; i++) data[i] += 0.1 * random.randn();
      },
      verbose: false,
      recordUpdates: true,
      random,
      parallel,
      ...options,
    },
  );
}

/** A checkpoint in one short line: the hash of its bytes, as mpirun mixes long lines of several ranks. */
export function hashOf(checkpoint: Checkpoint): string {
  return createHash("sha256").update(encodeCheckpoint(checkpoint)).digest("hex");
}
