/**
 * Blocks: what a net is described by. A description is planned into layers with all their sizes, then
 * run layer by layer.
 *
 * @module
 */

import type { DType, FloatArray, Pad, PoolParams, Tensor } from "../kernels/shape.ts";
import {
  checkOptions,
  checkWhole,
  convShape,
  describe,
  poolShape,
  show,
  sizeOf,
} from "../kernels/shape.ts";
import type { KernelInfo } from "../kernels/kernel.ts";
import { type Explanation, selectAffine, selectConv, selectMaxPool } from "../kernels/select.ts";
import { checkBoolean, type Mode } from "./checks.ts";
import type { BackwardOptions } from "./conv_layers.ts";
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
import {
  affineBackward,
  affineForward,
  checkKeep,
  dropoutBackward,
  dropoutForward,
  globalAverageBackward,
  globalAverageForward,
} from "./layers.ts";
import type { BatchnormParams } from "./normalization.ts";
import type { RandomState } from "./random.ts";

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
  readonly convParam: { readonly stride: number; readonly pad: Pad };
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

/** The layers of a description, checked; nothing is drawn or written yet. */
export function planLayers(
  inputShape: readonly number[],
  blocks: unknown,
  numClasses: number,
): readonly Layer[] {
  if (!Array.isArray(blocks)) {
    throw new TypeError(`blocks must be an array of blocks: received ${describe(blocks)}`);
  }
  const layers: Layer[] = [];
  let shape = inputShape, id = 1;
  for (const [i, block] of blocks.entries()) {
    const name = `blocks[${i}]`;
    if (typeof block !== "object" || block === null) {
      throw new TypeError(`${name} must be a block: received ${describe(block)}`);
    }
    if ("affine" in block) {
      const layer = planAffine(name, block, id++, sizeOf(shape));
      layers.push(layer, ...planDropout(name, block));
      shape = [layer.wShape[1]];
      continue;
    }
    if (!("conv" in block || "globalAverage" in block)) {
      throw new TypeError(
        `${name} must have conv, affine or globalAverage: received ${describe(block)}`,
      );
    }
    if (shape.length !== 3) {
      throw new TypeError(`${name} needs an input of (C, H, W): it gets ${show(shape)}`);
    }
    if ("conv" in block) {
      const { layer, outShape } = planConv(name, block, id++, shape);
      layers.push(layer, ...planDropout(name, block));
      shape = outShape;
    } else {
      checkOptions(name, block, ["globalAverage"]);
      if (block.globalAverage !== true) {
        throw new TypeError(
          `${name}.globalAverage must be true: received ${describe(block.globalAverage)}`,
        );
      }
      layers.push({ kind: "average" });
      shape = [shape[0]];
    }
  }
  layers.push({ kind: "affine", id, wShape: [sizeOf(shape), numClasses], relu: false });
  return layers;
}

function planConv(
  name: string,
  block: object,
  id: number,
  xShape: readonly number[],
): { layer: ConvLayer; outShape: readonly number[] } {
  checkOptions(name, block, [
    "conv",
    "kernel",
    "stride",
    "pad",
    "batchnorm",
    "pool",
    "dropout",
  ]);
  const { conv: F, kernel = 3, stride = 1, batchnorm = false, pool } = block;
  checkWhole(`${name}.conv`, F, 1);
  checkWhole(`${name}.kernel`, kernel, 1);
  checkWhole(`${name}.stride`, stride, 1);
  checkBoolean(`${name}.batchnorm`, batchnorm);
  const { pad = Math.floor((kernel - 1) / 2) } = block;
  const convParam = { stride, pad: pad as Pad };
  const wShape = [F, xShape[0], kernel, kernel] as const;
  const { OH, OW } = convShape([1, ...xShape], wShape, convParam);
  const outShape = [F, OH, OW];
  const norm = batchnorm ? "batchnorm" as const : undefined;
  const layer = { kind: "conv", id, xShape, wShape, convParam, norm, outShape } as const;
  if (pool === undefined) return { layer, outShape };
  checkWhole(`${name}.pool`, pool, 1);
  const poolParam = { poolHeight: pool, poolWidth: pool, stride: pool };
  const pooled = poolShape([1, ...outShape], poolParam);
  return { layer: { ...layer, poolParam }, outShape: [F, pooled.OH, pooled.OW] };
}

function planAffine(name: string, block: object, id: number, D: number): AffineLayer {
  checkOptions(name, block, ["affine", "batchnorm", "layernorm", "dropout"]);
  const { affine: M, batchnorm = false, layernorm = false } = block;
  checkWhole(`${name}.affine`, M, 1);
  checkBoolean(`${name}.batchnorm`, batchnorm);
  checkBoolean(`${name}.layernorm`, layernorm);
  if (batchnorm && layernorm) {
    throw new TypeError(`${name} must have batchnorm or layernorm, not both`);
  }
  const norm = batchnorm ? "batchnorm" : layernorm ? "layernorm" : undefined;
  return { kind: "affine", id, wShape: [D, M], norm, relu: true };
}

/** The dropout at the end of a block: one layer, or none. */
function planDropout(name: string, { dropout = 1 }: { dropout?: unknown }): readonly Layer[] {
  checkKeep(`${name}.dropout`, dropout);
  return dropout < 1 ? [{ kind: "dropout", keep: dropout }] : [];
}

/** The kernels of a layer, with their reasons. */
export function explainLayer(layer: Layer, dtype: DType): readonly LayerExplanation[] {
  if (layer.kind === "affine") {
    const [D, M] = layer.wShape;
    return [explanation(`affine${layer.id}`, selectAffine({ D, M }, dtype))];
  }
  if (layer.kind !== "conv") return [];
  const { id, xShape, wShape, convParam, outShape, poolParam } = layer;
  const conv = selectConv(convShape([1, ...xShape], wShape, convParam), dtype);
  if (poolParam === undefined) return [explanation(`conv${id}`, conv)];
  const pool = selectMaxPool(poolShape([1, ...outShape], poolParam), dtype);
  return [explanation(`conv${id}`, conv), explanation(`pool${id}`, pool)];
}

function explanation(
  layer: string,
  { kernel: { name, tier }, reason }: { readonly kernel: KernelInfo; readonly reason: string },
): LayerExplanation {
  return { layer, name, tier, reason };
}

/** Runs a layer forward. */
export function runLayer<A extends FloatArray>(
  layer: Layer,
  { params, bnParams, random, seed }: Setting<A>,
  mode: Mode,
  x: Tensor<A>,
): Pass<A> {
  if (layer.kind === "average") {
    const { out, cache } = globalAverageForward(x);
    return { out, backward: (dout) => ({ dx: globalAverageBackward(dout, cache) }) };
  }
  if (layer.kind === "dropout") {
    const source = seed === undefined ? { random } : { seed };
    const { out, cache } = dropoutForward(x, { mode, p: layer.keep, ...source });
    return { out, backward: (dout) => ({ dx: dropoutBackward(dout, cache) }) };
  }
  const bnParam = bnParams.get(layer.id);
  if (bnParam !== undefined) bnParam.mode = mode;
  return layer.kind === "conv"
    ? runConv(layer, params, bnParam, x)
    : runAffine(layer, params, bnParam, x);
}

/** Runs a convolutional layer forward. */
function runConv<A extends FloatArray>(
  { id, convParam, poolParam }: ConvLayer,
  params: Readonly<Record<string, Tensor<A>>>,
  bnParam: BatchnormParams<A> | undefined,
  x: Tensor<A>,
): Pass<A> {
  const w = params[`W${id}`], b = params[`b${id}`];
  const gamma = params[`gamma${id}`], beta = params[`beta${id}`];
  if (bnParam === undefined && poolParam === undefined) {
    const { out, cache } = convReluForward(x, w, b, convParam);
    return { out, backward: (dout, options) => convReluBackward(dout, cache, options) };
  }
  if (bnParam === undefined) {
    const { out, cache } = convReluPoolForward(x, w, b, convParam, poolParam!);
    return { out, backward: (dout, options) => convReluPoolBackward(dout, cache, options) };
  }
  if (poolParam === undefined) {
    const { out, cache } = convBatchnormReluForward(x, w, b, gamma, beta, convParam, bnParam);
    return { out, backward: (dout, options) => convBatchnormReluBackward(dout, cache, options) };
  }
  const { out, cache } = //
    convBatchnormReluPoolForward(x, w, b, gamma, beta, convParam, bnParam, poolParam);
  return { out, backward: (dout, options) => convBatchnormReluPoolBackward(dout, cache, options) };
}

/** Runs a fully-connected layer forward. */
function runAffine<A extends FloatArray>(
  { id, norm, relu }: AffineLayer,
  params: Readonly<Record<string, Tensor<A>>>,
  bnParam: BatchnormParams<A> | undefined,
  x: Tensor<A>,
): Pass<A> {
  const w = params[`W${id}`], b = params[`b${id}`];
  const gamma = params[`gamma${id}`], beta = params[`beta${id}`];
  if (!relu) {
    const { out, cache } = affineForward(x, w, b);
    return { out, backward: (dout, options) => affineBackward(dout, cache, options) };
  }
  if (bnParam !== undefined) {
    const { out, cache } = affineBatchnormReluForward(x, w, b, gamma, beta, bnParam);
    return { out, backward: (dout, options) => affineBatchnormReluBackward(dout, cache, options) };
  }
  if (norm === "layernorm") {
    const { out, cache } = affineLayernormReluForward(x, w, b, gamma, beta);
    return { out, backward: (dout, options) => affineLayernormReluBackward(dout, cache, options) };
  }
  const { out, cache } = affineReluForward(x, w, b);
  return { out, backward: (dout, options) => affineReluBackward(dout, cache, options) };
}
