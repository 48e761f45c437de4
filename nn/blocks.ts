/**
 * Blocks: what a net is described by. A description is planned into layers with all their sizes, then
 * run layer by layer.
 *
 * @module
 */

import type { DType, FloatArray, Tensor } from "../kernels/tensor.ts";
import type { ConvParams, Pad, PoolParams } from "../kernels/shape.ts";
import { checkType, isObject } from "../kernels/check.ts";
import { convParams, convShape, poolShape } from "../kernels/shape.ts";
import { show, sizeOf } from "../kernels/tensor.ts";
import { explain, type Explanation } from "../kernels/select.ts";
import {
  checkBoolean,
  type Mode,
  option,
  readOptions,
  required,
  unchecked,
  whole,
} from "./checks.ts";
import {
  convBatchnormReluBackward,
  convBatchnormReluForward,
  convBatchnormReluPoolBackward,
  convBatchnormReluPoolForward,
  convReluBackward,
  convReluForward,
  convReluPoolBackward,
  convReluPoolForward,
} from "./conv_layer_utils.ts";
import {
  affineBatchnormReluBackward,
  affineBatchnormReluForward,
  affineLayernormReluBackward,
  affineLayernormReluForward,
  affineReluBackward,
  affineReluForward,
  type NormedGradients,
} from "./layer_utils.ts";
import { affineBackward, affineForward } from "./layers/affine.ts";
import type { BatchnormParams } from "./layers/batchnorm.ts";
import { checkKeep, dropoutBackward, dropoutForward } from "./layers/dropout.ts";
import { globalAverageBackward, globalAverageForward } from "./layers/global_pool.ts";
import type { BackwardOptions } from "./layers/gradients.ts";
import type { RandomState } from "./random/random_state.ts";

/** A convolution, then batch normalisation if wanted, relu, and a max-pool and dropout if wanted. */
export interface ConvBlock {
  /** How many filters. */
  readonly conv: number;
  /** Height and width of the filters. 3 if left out. */
  readonly kernel?: number;
  /** Step of the filters. 1 if left out. */
  readonly stride?: number;
  /** Zeros around the input. (kernel - 1) / 2, rounded down, if left out: stride 1 keeps an odd kernel's size. */
  readonly pad?: Pad;
  /** Whether batch normalisation comes before relu. False if left out. */
  readonly batchnorm?: boolean;
  /** Height, width and step of a max-pool after relu. None if left out. */
  readonly pool?: number;
  /** Probability that dropout keeps a number of the block's output. 1, no dropout, if left out. */
  readonly dropout?: number;
}

/** A fully-connected layer, then normalisation if wanted, relu, and dropout if wanted. */
export interface AffineBlock {
  /** How many numbers come out. */
  readonly affine: number;
  /** Whether batch normalisation comes before relu. False if left out. */
  readonly batchnorm?: boolean;
  /** Whether layer normalisation comes before relu. False if left out. */
  readonly layernorm?: boolean;
  /** Probability that dropout keeps a number of the block's output. 1, no dropout, if left out. */
  readonly dropout?: number;
}

/** The mean of each channel over all positions: leaves one number a channel. */
export interface GlobalAverageBlock {
  /** Always true: the block has no options. */
  readonly globalAverage: true;
}

/** One block of a net's description. */
export type Block = ConvBlock | AffineBlock | GlobalAverageBlock;

/** Which kernel a layer of a net runs, and why. */
export interface LayerExplanation extends Explanation {
  /** The layer: its kind, and the number that its parameters have. */
  readonly layer: string;
}

/** A convolution with all its sizes, and what follows it. */
export interface ConvLayer {
  readonly kind: "conv";
  /** The number that the parameters have. */
  readonly id: number;
  readonly xShape: readonly number[];
  readonly wShape: readonly [F: number, C: number, KH: number, KW: number];
  readonly convParam: ConvParams;
  readonly norm?: "batchnorm";
  /** Shape of the convolution's output, before the pool. */
  readonly outShape: readonly number[];
  readonly poolParam?: PoolParams;
}

/** A fully-connected layer with all its sizes, and what follows it. */
export interface AffineLayer {
  readonly kind: "affine";
  /** The number that the parameters have. */
  readonly id: number;
  readonly wShape: readonly [D: number, M: number];
  readonly norm?: "batchnorm" | "layernorm";
  /** False for the last layer alone. */
  readonly relu: boolean;
}

/** One step of a net. */
export type Layer =
  | ConvLayer
  | AffineLayer
  | { readonly kind: "average" }
  | { readonly kind: "dropout"; readonly keep: number };

/** What the layers of a net run with. */
export interface Setting<A extends FloatArray> {
  /** The net's parameters by name. */
  readonly params: Readonly<Record<string, Tensor<A>>>;
  /** What batch normalisation needs, by the layer's number. */
  readonly bnParams: ReadonlyMap<number, BatchnormParams<A>>;
  /** Where dropout's masks are drawn from, if there is no seed. */
  readonly random: RandomState;
  /** Makes every mask start from here. */
  readonly seed: number | undefined;
}

/** What a layer did forward, and how to go back. */
export interface Pass<A extends FloatArray> {
  /** The output. */
  readonly out: Tensor<A>;
  /** From the gradient of the output to that of the input and of the layer's parameters. */
  backward(dout: Tensor<A>, options: BackwardOptions): Partial<NormedGradients<A>>;
}

/** The options of each kind of block. */
const CONV = {
  conv: required(whole(1)),
  kernel: option(whole(1), 3),
  stride: option(whole(1), 1),
  pad: unchecked<Pad | undefined>,
  batchnorm: option(checkBoolean, false),
  pool: option(whole(1)),
  dropout: option(checkKeep, 1),
};
const AFFINE = {
  affine: required(whole(1)),
  batchnorm: option(checkBoolean, false),
  layernorm: option(checkBoolean, false),
  dropout: option(checkKeep, 1),
};
const GLOBAL_AVERAGE = {
  globalAverage(name: string, value: unknown) {
    checkType(value === true, name, "be true", value);
  },
};

/** The layers of a description, checked; nothing is drawn or written yet. */
export function planLayers(
  inputShape: readonly number[],
  blocks: unknown,
  numClasses: number,
): readonly Layer[] {
  checkType(Array.isArray(blocks), "blocks", "be an array of blocks", blocks);
  const layers: Layer[] = [];
  let shape = inputShape, id = 1;

  function planConv(name: string, block: object): void {
    const {
      conv: F,
      kernel,
      stride,
      pad = Math.floor((kernel - 1) / 2),
      batchnorm,
      pool,
      dropout,
    } = readOptions(name, block, CONV);
    const xShape = shape, wShape = [F, xShape[0], kernel, kernel] as const;
    const conv = convShape([1, ...xShape], wShape, { stride, pad });
    const convParam = convParams(conv);
    const outShape = shape = [F, conv.OH, conv.OW];
    const norm = batchnorm ? "batchnorm" : undefined;
    const layer = { kind: "conv", id: id++, xShape, wShape, convParam, norm, outShape } as const;
    if (pool === undefined) layers.push(layer);
    else {
      const poolParam = { poolHeight: pool, poolWidth: pool, stride: pool };
      const pooled = poolShape([1, ...outShape], poolParam);
      layers.push({ ...layer, poolParam });
      shape = [F, pooled.OH, pooled.OW];
    }
    planDropout(dropout);
  }

  function planAffine(name: string, block: object): void {
    const { affine: M, batchnorm, layernorm, dropout } = readOptions(name, block, AFFINE);
    if (batchnorm && layernorm) {
      throw new TypeError(`${name} must have batchnorm or layernorm, not both`);
    }
    const norm = batchnorm ? "batchnorm" : layernorm ? "layernorm" : undefined;
    layers.push({ kind: "affine", id: id++, wShape: [sizeOf(shape), M], norm, relu: true });
    shape = [M];
    planDropout(dropout);
  }

  /** The dropout at the end of a block: one layer, or none. */
  function planDropout(keep: number): void {
    if (keep < 1) layers.push({ kind: "dropout", keep });
  }

  for (const [i, block] of blocks.entries()) {
    const name = `blocks[${i}]`;
    checkType(isObject(block), name, "be a block", block);
    if ("affine" in block) {
      planAffine(name, block);
      continue;
    }
    const isSpatial = "conv" in block || "globalAverage" in block;
    checkType(isSpatial, name, "have conv, affine or globalAverage", block);
    if (shape.length !== 3) {
      throw new TypeError(`${name} needs an input of (C, H, W): it gets ${show(shape)}`);
    }
    if ("conv" in block) planConv(name, block);
    else {
      readOptions(name, block, GLOBAL_AVERAGE);
      layers.push({ kind: "average" });
      shape = [shape[0]];
    }
  }
  layers.push({ kind: "affine", id, wShape: [sizeOf(shape), numClasses], relu: false });
  return layers;
}

/** The kernels of a layer, with their reasons. */
export function explainLayer(layer: Layer, dtype: DType): readonly LayerExplanation[] {
  if (layer.kind === "affine") {
    const [D, M] = layer.wShape;
    return [{ layer: `affine${layer.id}`, ...explain("affine", { D, M }, dtype) }];
  }
  if (layer.kind !== "conv") return [];
  const { id, xShape, wShape, convParam, outShape, poolParam } = layer;
  const shape = convShape([1, ...xShape], wShape, convParam);
  const conv = { layer: `conv${id}`, ...explain("conv", shape, dtype) };
  if (poolParam === undefined) return [conv];
  const pool = explain("maxPool", poolShape([1, ...outShape], poolParam), dtype);
  return [conv, { layer: `pool${id}`, ...pool }];
}

/** The pass of a layer that ran forward, and its function for the way back. */
function passOf<A extends FloatArray, C>(
  { out, cache }: { readonly out: Tensor<A>; readonly cache: C },
  backward: (dout: Tensor<A>, cache: C, options: BackwardOptions) => Partial<NormedGradients<A>>,
): Pass<A> {
  return { out, backward: (dout, options) => backward(dout, cache, options) };
}

/** Runs a layer forward. */
export function runLayer<A extends FloatArray>(
  layer: Layer,
  { params, bnParams, random, seed }: Setting<A>,
  mode: Mode,
  x: Tensor<A>,
): Pass<A> {
  if (layer.kind === "average") {
    return passOf(globalAverageForward(x), (dout, cache) => ({
      dx: globalAverageBackward(dout, cache),
    }));
  }
  if (layer.kind === "dropout") {
    const source = seed === undefined ? { random } : { seed };
    return passOf(dropoutForward(x, { mode, p: layer.keep, ...source }), (dout, cache) => ({
      dx: dropoutBackward(dout, cache),
    }));
  }
  const { id } = layer;
  const [w, b, gamma, beta] = ["W", "b", "gamma", "beta"].map((name) => params[`${name}${id}`]);
  const bnParam = bnParams.get(id);
  if (bnParam !== undefined) bnParam.mode = mode;
  if (layer.kind === "affine") {
    if (!layer.relu) return passOf(affineForward(x, w, b), affineBackward<A>);
    if (bnParam !== undefined) {
      const pass = affineBatchnormReluForward(x, w, b, gamma, beta, bnParam);
      return passOf(pass, affineBatchnormReluBackward<A>);
    }
    return layer.norm === "layernorm"
      ? passOf(affineLayernormReluForward(x, w, b, gamma, beta), affineLayernormReluBackward<A>)
      : passOf(affineReluForward(x, w, b), affineReluBackward<A>);
  }
  const { convParam, poolParam } = layer;
  if (bnParam === undefined) {
    return poolParam === undefined
      ? passOf(convReluForward(x, w, b, convParam), convReluBackward<A>)
      : passOf(convReluPoolForward(x, w, b, convParam, poolParam), convReluPoolBackward<A>);
  }
  if (poolParam === undefined) {
    const pass = convBatchnormReluForward(x, w, b, gamma, beta, convParam, bnParam);
    return passOf(pass, convBatchnormReluBackward<A>);
  }
  const pass = convBatchnormReluPoolForward(x, w, b, gamma, beta, convParam, bnParam, poolParam);
  return passOf(pass, convBatchnormReluPoolBackward<A>);
}
