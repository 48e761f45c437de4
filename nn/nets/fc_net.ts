/**
 * Fully-connected nets.
 *
 * Source: nndl/fc_net.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import { checkType, checkWhole } from "../../kernels/check.ts";
import type { DType } from "../../kernels/tensor.ts";
import { option, readOptions, whole } from "../checks.ts";
import { affine } from "../layers/affine.ts";
import { batchnorm } from "../layers/batchnorm.ts";
import { checkKeep, dropout as drop } from "../layers/dropout.ts";
import { layernorm } from "../layers/layernorm.ts";
import { relu } from "../layers/relu.ts";
import { LayeredNet, type NetOptions, netOptions, NUM_CLASSES } from "./layered_net.ts";

/** Options of {@linkcode TwoLayerNet}. */
export interface TwoLayerNetOptions<D extends DType = DType> extends NetOptions<D> {
  /** Size of one example, or its shape. Default: 3 * 32 * 32. */
  readonly inputDim?: number | readonly number[];
  /** Size of the hidden layer. Default: 100. */
  readonly hiddenDim?: number;
  /** How many classes. Default: 10. */
  readonly numClasses?: number;
}

/**
 * The course's first net: affine - relu - affine - softmax. The default weightScale is 1e-3.
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
export class TwoLayerNet<D extends DType = "float64"> extends LayeredNet<D> {
  /**
   * Makes the net.
   *
   * @param options Sizes, and the options of every net.
   * @throws {TypeError} If a type is wrong, or an option unknown.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(options: TwoLayerNetOptions<D> = {}) {
    const { hiddenDim, numClasses, ...rest } = readOptions("options", options, {
      ...netOptions(1e-3, [3 * 32 * 32]),
      ...NUM_CLASSES,
      hiddenDim: option(whole(1), 100),
    });
    const layers = [affine(hiddenDim), relu(), affine(numClasses)];
    super({ ...rest, dtype: options.dtype, layers });
  }
}

/** Options of {@linkcode FullyConnectedNet}. */
export interface FullyConnectedNetOptions<D extends DType = DType> extends NetOptions<D> {
  /** Size of one example, or its shape. Default: 3 * 32 * 32. */
  readonly inputDim?: number | readonly number[];
  /** How many classes. Default: 10. */
  readonly numClasses?: number;
  /** Probability that dropout keeps a value of a hidden layer. Default: 1, no dropout. */
  readonly dropout?: number;
  /** Which normalization comes before each relu. Default: none. */
  readonly normalization?: "batchnorm" | "layernorm";
}

/**
 * A fully-connected net of any depth: {affine - [normalization] - relu - [dropout]} x L - affine -
 * softmax. The default weightScale is 1e-2.
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
export class FullyConnectedNet<D extends DType = "float64"> extends LayeredNet<D> {
  /**
   * Makes the net.
   *
   * @param hiddenDims Numbers that come out of each hidden layer.
   * @param options Other sizes, dropout, normalization, and the options of every net.
   * @throws {TypeError} If a type is wrong, or an option unknown.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(hiddenDims: readonly number[], options: FullyConnectedNetOptions<D> = {}) {
    const { dropout, normalization, numClasses, ...rest } = readOptions("options", options, {
      ...netOptions(1e-2, [3 * 32 * 32]),
      ...NUM_CLASSES,
      dropout: option(checkKeep, 1),
      normalization: option<Normalization>(checkNormalization),
    });
    checkType(Array.isArray(hiddenDims), "hiddenDims", "be an array of sizes", hiddenDims);
    for (const [i, size] of hiddenDims.entries()) checkWhole(`hiddenDims[${i}]`, size, 1);
    const norms = { batchnorm, layernorm };
    const hidden = hiddenDims.flatMap((size) => [
      affine(size),
      ...normalization === undefined ? [] : [norms[normalization]()],
      relu(),
      ...dropout < 1 ? [drop(dropout)] : [],
    ]);
    super({ ...rest, dtype: options.dtype, layers: [...hidden, affine(numClasses)] });
  }
}

type Normalization = "batchnorm" | "layernorm";

function checkNormalization(
  name: string,
  value: unknown,
): asserts value is Normalization {
  const known = value === "batchnorm" || value === "layernorm";
  checkType(known, name, 'be "batchnorm" or "layernorm"', value);
}
