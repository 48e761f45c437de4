/**
 * Nets whose description is data: a list of blocks, each a layer with weights and what follows it.
 * All nets of this library are made so; see fc_net.ts and cnn.ts.
 *
 * @module
 */

import type { DType, FloatArray, Tensor } from "../kernels/tensor.ts";
import {
  checkNonEmpty,
  checkOptions,
  checkShape,
  checkTensor,
  checkTensorShape,
  checkType,
  checkWithin,
} from "../kernels/check.ts";
import { dtypeOf, show, sizeOf } from "../kernels/tensor.ts";
import {
  type Block,
  explainLayer,
  type Layer,
  type LayerExplanation,
  type Pass,
  planLayers,
  runLayer,
  type Setting,
} from "./blocks.ts";
import {
  checkTensorsLike,
  type Mode,
  option,
  readDType,
  readOptions,
  unchecked,
  whole,
  within,
} from "./checks.ts";
import type { BatchnormParams } from "./layers/batchnorm.ts";
import { checkLabels, softmaxLoss } from "./layers/loss.ts";
import type { Labels, LossAndGradients, Model, ModelState } from "./model.ts";
import { copyOf } from "./plain_data.ts";
import { checkRandom, RandomState } from "./random/random_state.ts";
import { type ArrayOf, full, zeros } from "./tensor.ts";

/** What every net can be told. */
export interface NetOptions<D extends DType = DType> {
  /** Strength of the L2 penalty: 0.5 * reg * the sum of the squares of all weights W. 0 if left out. */
  readonly reg?: number;
  /**
   * Standard deviation of the weights at the start, or "he" for sqrt(2 / inputs of the layer), which
   * keeps the size of the numbers through any depth of relus (He et al., 2015).
   */
  readonly weightScale?: number | "he";
  /** Number type of parameters, inputs and scores. "float64" if left out; "float32" is faster. */
  readonly dtype?: D;
  /** Draws the weights, W1 first, and dropout's masks. A new RandomState(0) if left out. */
  readonly random?: RandomState;
  /** Makes dropout draw the same masks at every step, which a numerical gradient needs. */
  readonly seed?: number;
}

function checkScale(name: string, value: unknown): asserts value is number | "he" {
  if (value !== "he") checkWithin(name, value, 0);
}

/**
 * The options that every net has.
 *
 * @param weightScale The standard deviation of the weights if it is left out.
 * @param inputDim The shape of an example if it is left out.
 * @returns Their readers.
 */
export function netOptions(weightScale: number | "he", inputDim?: readonly number[]) {
  return {
    inputDim: (name: string, value: unknown = inputDim) => {
      const shape = typeof value === "number" ? [value] : value;
      checkShape(name, shape);
      checkNonEmpty(name, shape, 0);
      return shape;
    },
    numClasses: option(whole(1), 10),
    reg: option(within(0), 0),
    weightScale: option(checkScale, weightScale),
    dtype: readDType,
    random: option(checkRandom),
    seed: option(whole(0)),
  };
}

/** A net's description. */
export interface BlockNetOptions<D extends DType = DType> extends NetOptions<D> {
  /** Shape of one example: (C, H, W) for pictures, or how many numbers it has. */
  readonly inputDim: number | readonly number[];
  /** The blocks in order. A last fully-connected layer, to the scores of the classes, is added. */
  readonly blocks: readonly Block[];
  /** How many classes. 10 if left out. */
  readonly numClasses?: number;
}

/**
 * A net made of blocks, then a fully-connected layer to the scores, with the softmax loss.
 *
 * Parameters have the course's names: W and b, and gamma and beta where there is normalisation, with
 * the number of the layer, from 1; layers without parameters are not counted.
 *
 * @example Two convolutions and a global average; another block is another line
 * ```ts
 * import { BlockNet, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const net = new BlockNet({
 *   inputDim: [3, 8, 8],
 *   blocks: [
 *     { conv: 8, batchnorm: true, pool: 2 },
 *     { conv: 16, batchnorm: true },
 *     { globalAverage: true },
 *   ],
 *   weightScale: "he",
 * });
 * const x = new RandomState(1).randn([4, 3, 8, 8]);
 * const { loss, grads } = net.loss(x, [0, 1, 2, 3]);
 * const scores = net.loss(x); // (4, 10)
 * ```
 */
export class BlockNet<D extends DType = "float64"> implements Model<ArrayOf<D>> {
  /** The learnable parameters by name. Replace or overwrite them to learn. */
  readonly params: Record<string, Tensor<ArrayOf<D>>> = {};
  /** Strength of the L2 penalty on the weights. */
  reg: number;
  readonly #inputShape: readonly number[];
  readonly #layers: readonly Layer[];
  readonly #numClasses: number;
  readonly #dtype: DType;
  readonly #setting: Setting<ArrayOf<D>>;

  /**
   * Makes a net with random weights, and with biases 0.
   *
   * @param options The description.
   * @throws {TypeError} If a type is wrong, an option unknown, or a block has none of its three kinds.
   * @throws {RangeError} If a number is out of range, or a window does not fit what it walks over.
   */
  constructor(options: BlockNetOptions<D>) {
    const {
      inputDim,
      blocks,
      numClasses,
      reg,
      weightScale,
      dtype,
      seed,
      random = new RandomState(0),
    } = readOptions("options", options, {
      ...netOptions("he"),
      blocks: unchecked,
    });
    this.#inputShape = inputDim;
    this.#dtype = dtype;
    this.#numClasses = numClasses;
    this.reg = reg;
    this.#layers = planLayers(this.#inputShape, blocks, numClasses);
    const bnParams = new Map<number, BatchnormParams<ArrayOf<D>>>();
    this.#setting = { params: this.params, bnParams, random, seed };
    for (const layer of this.#layers) {
      if (layer.kind !== "conv" && layer.kind !== "affine") continue;
      const { kind, id, wShape, norm } = layer;
      const outputs = kind === "conv" ? wShape[0] : wShape[1];
      const inputs = sizeOf(wShape) / outputs;
      const scale = weightScale === "he" ? Math.sqrt(2 / inputs) : weightScale;
      this.params[`W${id}`] = drawWeights(random, wShape, scale, dtype as D);
      this.params[`b${id}`] = zeros([outputs], dtype as D);
      if (norm === undefined) continue;
      this.params[`gamma${id}`] = full([outputs], 1, dtype as D);
      this.params[`beta${id}`] = zeros([outputs], dtype as D);
      if (norm === "layernorm") continue;
      const runningMean = zeros([outputs], dtype as D), runningVar = zeros([outputs], dtype as D);
      bnParams.set(id, { mode: "train", runningMean, runningVar });
    }
  }

  /**
   * The scores of a batch, (N, classes): running statistics, and no dropout.
   *
   * @param x The batch: (N, C, H, W), or (N, ...) if the first block is fully-connected.
   * @returns The scores.
   * @throws {TypeError} If x has a wrong type, dtype or rank.
   * @throws {RangeError} If its examples do not have the net's size.
   */
  loss(x: Tensor<ArrayOf<D>>): Tensor<ArrayOf<D>>;
  /**
   * The softmax loss of a batch, penalty included, and its gradient by every parameter.
   *
   * @param x The batch: (N, C, H, W), or (N, ...) if the first block is fully-connected.
   * @param y The N labels.
   * @returns The loss and the gradients.
   * @throws {TypeError} If x has a wrong type, dtype or rank, or y is no array of numbers.
   * @throws {RangeError} If examples do not have the net's size, N is 0, or a label is no class.
   */
  loss(x: Tensor<ArrayOf<D>>, y: Labels): LossAndGradients<ArrayOf<D>>;
  loss(
    x: Tensor<ArrayOf<D>>,
    y?: Labels,
  ): Tensor<ArrayOf<D>> | LossAndGradients<ArrayOf<D>> {
    this.#checkInput(x);
    if (y === undefined) return this.#forward(x, "test").scores;
    const [N] = x.shape;
    if (N === 0) throw new RangeError(`x must have an example or more: it has ${show(x.shape)}`);
    // Before the forward pass, which writes running statistics.
    checkLabels("y", y, N, this.#numClasses);
    const { scores, passes } = this.#forward(x, "train");
    const { loss, dx } = softmaxLoss(scores, y);
    const grads = this.#backward(dx, passes);
    return { loss: loss + penalize(this.reg, this.params, grads), grads };
  }

  /**
   * The kernels that run in this net, layer by layer.
   *
   * @example
   * ```ts
   * import { ThreeLayerConvNet } from "@cnn-layers/cnn-layers";
   *
   * const net = new ThreeLayerConvNet({ inputDim: [1, 28, 28], filterSize: 5, numFilters: 8 });
   * for (const { layer, name, tier } of net.explain()) console.log(layer, name, tier);
   * ```
   *
   * @returns For each convolution, pool and fully-connected layer its kernel, and why it is that one.
   */
  explain(): readonly LayerExplanation[] {
    return this.#layers.flatMap((layer) => explainLayer(layer, this.#dtype));
  }

  /**
   * A copy of what training writes beside the parameters: batch normalisation's running statistics,
   * and where dropout's random numbers stand.
   *
   * @returns The state, plain data.
   */
  getState(): ModelState {
    const statistics = copyOf(this.#statistics(), "statistics");
    return this.#drawsMasks()
      ? { statistics, random: this.#setting.random.getState() }
      : { statistics };
  }

  /**
   * Continues where {@linkcode BlockNet.getState} was called.
   *
   * @param state What getState returned, of a net with the same description.
   * @throws {TypeError} If it is no such state, or that of another net.
   * @throws {RangeError} If a size differs.
   */
  setState(state: ModelState): void {
    checkOptions("state", state, ["statistics", "random"]);
    const { statistics, random } = state;
    const own = this.#statistics();
    checkTensorsLike("state.statistics", statistics, own, "this net's");
    const draws = this.#drawsMasks();
    const expected = draws ? "be a RandomState's" : "be left out";
    checkType(draws === (random !== undefined), "state.random", expected, random);
    if (random !== undefined) this.#setting.random.setState(random);
    for (const [name, { data }] of Object.entries(own)) data.set(statistics[name].data);
  }

  /** The running mean and variance of each batch normalisation, by name. */
  #statistics(): Record<string, Tensor> {
    const statistics: Record<string, Tensor> = {};
    for (const [id, { runningMean, runningVar }] of this.#setting.bnParams) {
      statistics[`runningMean${id}`] = runningMean!;
      statistics[`runningVar${id}`] = runningVar!;
    }
    return statistics;
  }

  /** Whether dropout continues the stream of random numbers from step to step. */
  #drawsMasks(): boolean {
    if (this.#setting.seed !== undefined) return false;
    return this.#layers.some((layer) => layer.kind === "dropout");
  }

  #checkInput(x: unknown): asserts x is Tensor {
    checkTensor("x", x);
    const [N = 0, ...example] = x.shape;
    const shape = this.#inputShape;
    const why = `(N, ${shape.join(", ")}), the net's input`;
    // A fully-connected layer flattens its input, whatever the rank.
    const flat = this.#layers[0].kind === "affine" && sizeOf(example) === sizeOf(shape);
    if (x.shape.length < 2 || !flat) checkTensorShape("x", x, [N, ...shape], why);
    if (dtypeOf(x.data) !== this.#dtype) {
      throw new TypeError(
        `x must be ${this.#dtype}, as the net's parameters are: it is ${dtypeOf(x.data)}`,
      );
    }
  }

  #forward(x: Tensor<ArrayOf<D>>, mode: Mode): {
    scores: Tensor<ArrayOf<D>>;
    passes: Pass<ArrayOf<D>>[];
  } {
    const passes: Pass<ArrayOf<D>>[] = [];
    let scores = x;
    for (const layer of this.#layers) {
      const pass = runLayer(layer, this.#setting, mode, scores);
      scores = pass.out;
      // In use nobody goes back: what a pass keeps for that may be collected.
      if (mode === "train") passes.push(pass);
    }
    return { scores, passes };
  }

  #backward(
    dscores: Tensor<ArrayOf<D>>,
    passes: Pass<ArrayOf<D>>[],
  ): Record<string, Tensor<ArrayOf<D>>> {
    const grads: Record<string, Tensor<ArrayOf<D>>> = {};
    let dout = dscores;
    for (let i = passes.length - 1; i >= 0; i--) {
      // Popped, so that what a layer kept can be collected; the first layer's dx nobody needs.
      const { dx = dout, dw, db, dgamma, dbeta } = passes.pop()!.backward(dout, { dx: i > 0 });
      dout = dx;
      const layer = this.#layers[i];
      if (layer.kind !== "conv" && layer.kind !== "affine") continue;
      const named = { W: dw, b: db, gamma: dgamma, beta: dbeta };
      for (const [name, gradient] of Object.entries(named)) {
        if (gradient !== undefined) grads[`${name}${layer.id}`] = gradient;
      }
    }
    return grads;
  }
}

/**
 * The L2 penalty on all weights W, whose gradient it adds to theirs.
 *
 * @param reg The strength.
 * @param params The parameters by name.
 * @param grads Their gradients so far.
 * @returns 0.5 * reg * the sum of the squares of the weights.
 */
export function penalize(
  reg: number,
  params: Readonly<Record<string, Tensor>>,
  grads: Readonly<Record<string, Tensor>>,
): number {
  if (reg === 0) return 0;
  let squares = 0;
  for (const name of Object.keys(grads)) {
    if (!name.startsWith("W")) continue;
    const w = params[name].data, dw = grads[name].data;
    // Two sums: an addition need not wait for the one before it.
    let even = 0, odd = 0, i = 0;
    for (; i + 1 < w.length; i += 2) {
      const a = w[i], b = w[i + 1];
      even += a * a;
      odd += b * b;
      dw[i] += reg * a;
      dw[i + 1] += reg * b;
    }
    if (i < w.length) {
      even += w[i] * w[i];
      dw[i] += reg * w[i];
    }
    squares += even + odd;
  }
  return 0.5 * reg * squares;
}

/** Normal weights of a standard deviation: drawn in float64, rounded to the dtype once. */
function drawWeights<D extends DType>(
  random: RandomState,
  shape: readonly number[],
  scale: number,
  dtype: D | undefined,
): Tensor<ArrayOf<D>> {
  const weights = zeros(shape, dtype);
  const data: FloatArray = weights.data;
  for (let i = 0; i < data.length; i++) data[i] = scale * random.randn();
  return weights;
}
