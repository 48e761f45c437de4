/**
 * Nets of any layers, from their description in code or as data.
 *
 * @module
 */

import type { DType } from "../../kernels/tensor.ts";
import { checkOptions, checkType, isObject } from "../../kernels/check.ts";
import { checkKeys, option, readOptions, unchecked } from "../checks.ts";
import type { LayerDefinition } from "../layers/layer.ts";
import { affine } from "../layers/affine.ts";
import { averagePool } from "../layers/average_pool.ts";
import { batchnorm } from "../layers/batchnorm.ts";
import { conv } from "../layers/conv.ts";
import { convTranspose } from "../layers/conv_transpose.ts";
import { depthwiseConv } from "../layers/depthwise_conv.ts";
import { dropout } from "../layers/dropout.ts";
import { flatten } from "../layers/flatten.ts";
import { gelu } from "../layers/gelu.ts";
import { globalAverage, globalMax } from "../layers/global_pool.ts";
import { groupnorm } from "../layers/groupnorm.ts";
import { layernorm } from "../layers/layernorm.ts";
import { leakyRelu } from "../layers/leaky_relu.ts";
import { softmaxLoss, svmLoss } from "../layers/loss.ts";
import { maxPool } from "../layers/max_pool.ts";
import { relu } from "../layers/relu.ts";
import { sigmoid } from "../layers/sigmoid.ts";
import { tanh } from "../layers/tanh.ts";
import { checkRandom, type RandomState } from "../random/random_state.ts";
import { concat } from "./concat.ts";
import {
  LayeredNet,
  type LossFunction,
  type NamedLoss,
  type NetDescription,
  type NetOptions,
} from "./layered_net.ts";
import { residual } from "./residual.ts";
import { sequential } from "./sequence.ts";

/** A function that makes layers: what `Net.fromJSON` calls with the arguments it was called with. */
export type LayerFunction = (...args: never[]) => LayerDefinition;

/** Options of {@linkcode Net}. */
export interface ComposedNetOptions<D extends DType = DType> extends NetOptions<D> {
  /** Shape of one example: (C, H, W) for images, or how many values it has. */
  readonly inputDim: number | readonly number[];
  /** The layers in order; the last gives the scores, one per class. */
  readonly layers: readonly LayerDefinition[];
  /** The loss of scores and labels: "softmax", "svm" or a function. Default: "softmax". */
  readonly loss?: "softmax" | "svm" | LossFunction;
}

const fromJSONOptions = () => ({
  layers: unchecked<FromJSONOptions["layers"]>,
  loss: unchecked<LossFunction | undefined>,
  random: option(checkRandom),
  seed: unchecked<number | undefined>,
});

/** What {@linkcode Net.fromJSON} needs that is not data. */
export interface FromJSONOptions {
  /** Functions that make layers of your own, by the types of these. */
  readonly layers?: Readonly<Record<string, LayerFunction>>;
  /** The loss, if it is a function of your own. */
  readonly loss?: LossFunction;
  /** Draws the weights, W1 first, and dropout's masks. Default: a new RandomState(0). */
  readonly random?: RandomState;
  /** Makes dropout draw the same masks at every step. */
  readonly seed?: number;
}

/**
 * A net of any layers: chains, branches, residual blocks, layers of your own.
 *
 * Parameters have the course's names: W and b, gamma and beta, with the number of the layer with
 * weights, from 1, in the order of the description. A normalization has the number of the weights
 * before it.
 *
 * @example A residual net
 * ```ts
 * import {
 *   affine,
 *   batchnorm,
 *   conv,
 *   globalAverage,
 *   Net,
 *   RandomState,
 *   relu,
 *   residual,
 *   sequential,
 * } from "@cnn-layers/cnn-layers";
 *
 * const convBatchnorm = (filters: number) => sequential(conv(filters, { bias: false }), batchnorm());
 * const net = new Net({
 *   inputDim: [3, 8, 8],
 *   layers: [
 *     ...[convBatchnorm(8), relu()],
 *     ...[residual(sequential(convBatchnorm(8), relu(), convBatchnorm(8))), relu()],
 *     ...[globalAverage(), affine(10)],
 *   ],
 * });
 * console.log(net.summary());
 * const x = new RandomState(1).randn([4, 3, 8, 8]);
 * const { loss, grads } = net.loss(x, [0, 1, 2, 3]);
 * const scores = net.predict(x); // (4, 10)
 * ```
 */
export class Net<D extends DType = "float64"> extends LayeredNet<D> {
  /**
   * Makes a net with random weights, and with biases 0.
   *
   * @param options The description.
   * @throws {TypeError} If a type is wrong, an option unknown, or a layer's input has a wrong rank.
   * @throws {RangeError} If a number is out of range, or sizes do not fit each other.
   */
  constructor(options: ComposedNetOptions<D>) {
    checkOptions("options", options, Object.keys(options ?? {}));
    super({ ...options, loss: namedLoss(options.loss) });
  }

  /**
   * The net that a description is of, with new random weights.
   *
   * @example Through text, with the parameters beside it
   * ```ts
   * import { affine, Net, relu, zeros } from "@cnn-layers/cnn-layers";
   *
   * const net = new Net({ inputDim: 4, layers: [affine(8), relu(), affine(3)] });
   * const text = JSON.stringify(net);
   * const copy = Net.fromJSON(JSON.parse(text));
   * Object.assign(copy.params, net.params);
   * console.log(copy.loss(zeros([1, 4])).shape); // [1, 3]
   * ```
   *
   * @param description What {@linkcode LayeredNet.toJSON} gave, or JSON made of it.
   * @param options Functions for layers of your own, and where random numbers come from.
   * @returns The net.
   * @throws {TypeError} If it is not a description, or a layer's type is not known.
   * @throws {RangeError} If a number is out of range, or sizes do not fit each other.
   */
  static fromJSON(description: NetDescription, options: FromJSONOptions = {}): Net<DType> {
    const { layers: own = {}, loss: ownLoss, random, seed } = //
      readOptions("options", options, fromJSONOptions());
    const KEYS = ["inputDim", "layers", "reg", "weightScale", "dtype", "loss"];
    checkKeys("description", description, KEYS);
    const { layers, loss, ...rest } = description as NetDescription;
    checkType(Array.isArray(layers), "layers", "be an array of layers", layers);
    const known = { ...LAYERS, ...own };
    return new Net<DType>({
      ...rest,
      layers: layers.map((layer, i) => revive(layer, `layers[${i}]`, known)),
      loss: ownLoss ?? loss as "softmax",
      random,
      seed,
    });
  }
}

const LOSSES: Readonly<Record<string, LossFunction>> = { softmax: softmaxLoss, svm: svmLoss };

function namedLoss(loss: unknown = "softmax"): NamedLoss {
  if (typeof loss === "function") return { name: "own", of: loss as LossFunction };
  const isKnown = typeof loss === "string" && Object.hasOwn(LOSSES, loss);
  checkType(isKnown, "loss", `be a function or one of ${Object.keys(LOSSES).join(", ")}`, loss);
  return { name: loss, of: LOSSES[loss] };
}

/** The layers that descriptions may have, by type. */
export const LAYERS: Readonly<Record<string, LayerFunction>> = {
  affine,
  averagePool,
  batchnorm,
  concat,
  conv,
  convTranspose,
  depthwiseConv,
  dropout,
  flatten,
  gelu,
  globalAverage,
  globalMax,
  groupnorm,
  layernorm,
  leakyRelu,
  maxPool,
  relu,
  residual,
  sequential,
  sigmoid,
  tanh,
};

/** A layer that its description is of. */
function revive(
  value: unknown,
  path: string,
  known: Readonly<Record<string, LayerFunction>>,
): LayerDefinition {
  checkKeys(path, value, ["type", "args"]);
  const { type, args } = value;
  const isKnown = typeof type === "string" && Object.hasOwn(known, type);
  const what = "be a layer of this library or of options.layers";
  checkType(isKnown, `${path}.type`, what, type);
  checkType(Array.isArray(args), `${path}.args`, "be an array", args);
  const revived = args.map((arg: unknown, i: number) =>
    isObject(arg) && "type" in arg ? revive(arg, `${path}.args[${i}]`, known) : arg
  );
  return known[type](...revived as never[]);
}
