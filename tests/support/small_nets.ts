/**
 * Small nets with little data, for tests of the solver.
 *
 * @module
 */

import {
  affineBackward,
  affineForward,
  batchnormBackward,
  batchnormForward,
  type BatchnormParams,
  dropoutBackward,
  dropoutForward,
  full,
  type Labels,
  type Model,
  type ModelState,
  RandomState,
  reluBackward,
  reluForward,
  softmaxLoss,
  type SolverData,
  type SolverOptions,
  type Tensor,
  tensor,
  zeros,
} from "../../mod.ts";

type Params = Record<string, Tensor<Float64Array>>;
export type Result = { loss: number; grads: Params };

/** Scores = x W + b: the simplest net there is. */
export class LinearNet implements Model<Float64Array> {
  readonly params: Params;

  constructor(W: Tensor<Float64Array>) {
    this.params = { W, b: zeros([W.shape[1]]) };
  }

  loss(x: Tensor<Float64Array>): Tensor<Float64Array>;
  loss(x: Tensor<Float64Array>, y: Labels): Result;
  loss(x: Tensor<Float64Array>, y?: Labels): Tensor<Float64Array> | Result {
    const { out, cache } = affineForward(x, this.params.W, this.params.b);
    if (y === undefined) return out;
    const { loss, dx } = softmaxLoss(out, y);
    const { dw, db } = affineBackward(dx, cache);
    return { loss, grads: { W: dw, b: db } };
  }
}

/** affine - batchnorm - relu - dropout - affine: a net with all that a resumed training can lose. */
export class NoisyNet implements Model<Float64Array> {
  readonly params: Params;
  #bnParam: BatchnormParams<Float64Array> = {
    mode: "train",
    runningMean: zeros([6]),
    runningVar: zeros([6]),
  };
  #random: RandomState;
  /** Called at every measurement of accuracies. */
  onScores = () => {};

  constructor(masks = new RandomState(7)) {
    this.#random = masks;
    const random = new RandomState(1);
    this.params = {
      W1: random.randn([4, 6]),
      b1: zeros([6]),
      gamma1: full([6], 1),
      beta1: zeros([6]),
      W2: random.randn([6, 3]),
      b2: zeros([3]),
    };
  }

  loss(x: Tensor<Float64Array>): Tensor<Float64Array>;
  loss(x: Tensor<Float64Array>, y: Labels): Result;
  loss(x: Tensor<Float64Array>, y?: Labels): Tensor<Float64Array> | Result {
    const mode = this.#bnParam.mode = y === undefined ? "test" : "train";
    if (mode === "test") this.onScores();
    const { W1, b1, gamma1, beta1, W2, b2 } = this.params;
    const affine1 = affineForward(x, W1, b1);
    const norm = batchnormForward(affine1.out, gamma1, beta1, this.#bnParam);
    const relu = reluForward(norm.out);
    const dropout = dropoutForward(relu.out, { mode, p: 0.8, random: this.#random });
    const affine2 = affineForward(dropout.out, W2, b2);
    if (y === undefined) return affine2.out;
    const { loss, dx } = softmaxLoss(affine2.out, y);
    const back2 = affineBackward(dx, affine2.cache);
    const dRelu = dropoutBackward(back2.dx, dropout.cache);
    const dNorm = batchnormBackward(reluBackward(dRelu, relu.cache), norm.cache);
    const back1 = affineBackward(dNorm.dx, affine1.cache);
    const { dgamma: gamma, dbeta: beta } = dNorm;
    return {
      loss,
      grads: {
        W1: back1.dw,
        b1: back1.db,
        gamma1: gamma,
        beta1: beta,
        W2: back2.dw,
        b2: back2.db,
      },
    };
  }

  getState(): ModelState {
    const copy = ({ data, shape }: Tensor) => tensor(data.slice(), shape);
    const { runningMean, runningVar } = this.#bnParam;
    return {
      statistics: { mean: copy(runningMean!), variance: copy(runningVar!) },
      random: this.#random.getState(),
    };
  }

  setState({ statistics: { mean, variance }, random }: ModelState): void {
    this.#bnParam.runningMean = mean as Tensor<Float64Array>;
    this.#bnParam.runningVar = variance as Tensor<Float64Array>;
    this.#random.setState(random!);
  }
}

/** Points around three centers, so that there is something to learn. */
export function points(count: number, seed: number): { x: Tensor<Float64Array>; y: number[] } {
  const random = new RandomState(seed), x = random.randn([count, 4]);
  const y = Array.from({ length: count }, (_, i) => i % 3);
  for (let i = 0; i < count; i++) x.data[i * 4 + y[i]] += 2;
  return { x, y };
}

export const train = points(60, 10), val = points(30, 11);
export const data: SolverData = { xTrain: train.x, yTrain: train.y, xVal: val.x, yVal: val.y };
export const linear = () => new LinearNet(new RandomState(0).randn([4, 3]));
export const quiet: SolverOptions = {
  verbose: false,
  numEpochs: 4,
  batchSize: 10,
  numTrainSamples: 25,
};
export const noisy: SolverOptions = {
  ...quiet,
  updateRule: "adam",
  optimConfig: { learningRate: 0.02 },
  lrDecay: 0.9,
};
export const numbers = (params: Model["params"]) =>
  Object.fromEntries(Object.entries(params).map(([name, { data }]) => [name, [...data]]));
