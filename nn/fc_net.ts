/**
 * Fully-connected nets.
 *
 * Source: nndl/fc_net.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import { checkWhole, describe, type DType } from "../kernels/shape.ts";
import { BlockNet, checkNetOptions, type NetOptions } from "./block_net.ts";
import { checkKeep } from "./layers.ts";

/** What a {@linkcode TwoLayerNet} can be told. */
export interface TwoLayerNetOptions<D extends DType = DType> extends NetOptions<D> {
  /** Numbers in one example. 3 * 32 * 32 if left out. */
  readonly inputDim?: number;
  /** Numbers between the two layers. 100 if left out. */
  readonly hiddenDim?: number;
  /** How many classes. 10 if left out. */
  readonly numClasses?: number;
}

/**
 * The course's first net: affine - relu - affine - softmax, weightScale 1e-3 if left out.
 *
 * Source: TwoLayerNet in nndl/fc_net.py. Parameters: W1 (D, H), b1 (H), W2 (H, C), b2 (C).
 *
 * @example
 * ```ts
 * import { RandomState, TwoLayerNet } from "@cnn-layers/cnn-layers";
 *
 * const net = new TwoLayerNet({ inputDim: 5, hiddenDim: 50, numClasses: 7 });
 * const { loss, grads } = net.loss(new RandomState(231).randn([3, 5]), [0, 5, 1]);
 * console.log(loss, grads.W1.shape);
 * ```
 */
export class TwoLayerNet<D extends DType = "float64"> extends BlockNet<D> {
  /**
   * Makes the net.
   *
   * @param options Sizes, and what every net can be told.
   * @throws {TypeError} If a type is wrong, or an option unknown.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(options: TwoLayerNetOptions<D> = {}) {
    checkNetOptions(options, ["inputDim", "hiddenDim", "numClasses"]);
    const { inputDim = 3 * 32 * 32, hiddenDim = 100, weightScale = 1e-3, ...rest } = options;
    checkWhole("hiddenDim", hiddenDim, 1);
    super({ ...rest, inputDim, blocks: [{ affine: hiddenDim }], weightScale });
  }
}

/** What a {@linkcode FullyConnectedNet} can be told. */
export interface FullyConnectedNetOptions<D extends DType = DType> extends NetOptions<D> {
  /** Numbers in one example. 3 * 32 * 32 if left out. */
  readonly inputDim?: number;
  /** How many classes. 10 if left out. */
  readonly numClasses?: number;
  /** Probability that dropout keeps a number of a hidden layer. 1, no dropout, if left out. */
  readonly dropout?: number;
  /** Which normalisation comes before each relu. None if left out. */
  readonly normalization?: "batchnorm" | "layernorm";
}

/**
 * A fully-connected net of any depth: {affine - [normalisation] - relu - [dropout]} x L - affine -
 * softmax, weightScale 1e-2 if left out.
 *
 * Source: FullyConnectedNet in nndl/fc_net.py. Parameters: W1, b1, gamma1, beta1, W2 and so on.
 *
 * @example
 * ```ts
 * import { FullyConnectedNet, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const net = new FullyConnectedNet([20, 30], { inputDim: 15, normalization: "batchnorm" });
 * const { loss } = net.loss(new RandomState(231).randn([2, 15]), [0, 7]);
 * ```
 */
export class FullyConnectedNet<D extends DType = "float64"> extends BlockNet<D> {
  /**
   * Makes the net.
   *
   * @param hiddenDims Numbers that come out of each hidden layer.
   * @param options Other sizes, dropout, normalisation, and what every net can be told.
   * @throws {TypeError} If a type is wrong, or an option unknown.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(hiddenDims: readonly number[], options: FullyConnectedNetOptions<D> = {}) {
    checkNetOptions(options, ["inputDim", "numClasses", "dropout", "normalization"]);
    if (!Array.isArray(hiddenDims)) {
      throw new TypeError(`hiddenDims must be an array of sizes: received ${describe(hiddenDims)}`);
    }
    for (const [i, size] of hiddenDims.entries()) checkWhole(`hiddenDims[${i}]`, size, 1);
    const { inputDim = 3 * 32 * 32, dropout = 1, normalization, weightScale = 1e-2, ...rest } =
      options;
    checkKeep("dropout", dropout);
    if (![undefined, "batchnorm", "layernorm"].includes(normalization)) {
      throw new TypeError(
        `normalization must be "batchnorm" or "layernorm": received ${describe(normalization)}`,
      );
    }
    const blocks = hiddenDims.map((affine: number) => ({
      affine,
      batchnorm: normalization === "batchnorm",
      layernorm: normalization === "layernorm",
      dropout,
    }));
    super({ ...rest, inputDim, blocks, weightScale });
  }
}
