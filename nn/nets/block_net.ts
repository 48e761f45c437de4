/**
 * Nets whose description is a list of blocks, each a layer with weights and what follows it.
 *
 * @module
 */

import type { Pad } from "../../kernels/shape.ts";
import type { DType } from "../../kernels/tensor.ts";
import { checkType, isObject } from "../../kernels/check.ts";
import { ArgumentTypeError } from "../../kernels/errors.ts";
import { checkBoolean, option, readOptions, required, unchecked, whole } from "../checks.ts";
import { affine } from "../layers/affine.ts";
import { batchnorm } from "../layers/batchnorm.ts";
import { conv } from "../layers/conv.ts";
import { checkKeep, dropout } from "../layers/dropout.ts";
import { globalAverage } from "../layers/global_pool.ts";
import type { LayerDefinition } from "../layers/layer.ts";
import { layernorm } from "../layers/layernorm.ts";
import { maxPool } from "../layers/max_pool.ts";
import { relu } from "../layers/relu.ts";
import { LayeredNet, type NetOptions, netOptions, NUM_CLASSES } from "./layered_net.ts";

/** A convolution, then batch normalization if wanted, relu, and a max-pool and dropout if wanted. */
export interface ConvBlock
  extends Readonly<Partial<Record<"affine" | "globalAverage" | "layernorm", undefined>>> {
  /** How many filters. */
  readonly conv: number;
  /** Height and width of the filters. Default: 3. */
  readonly kernel?: number;
  /** Stride of the filters. Default: 1. */
  readonly stride?: number;
  /** Zeros around the input. Default: (kernel - 1) / 2, rounded down, which keeps the size at stride 1. */
  readonly pad?: Pad;
  /** Whether batch normalization comes before relu. Default: false. */
  readonly batchnorm?: boolean;
  /** Height, width and step of a max-pool after relu. Default: none. */
  readonly pool?: number;
  /** Probability that dropout keeps a value of the block's output. Default: 1, no dropout. */
  readonly dropout?: number;
}

/** A fully-connected layer, then one normalization if wanted, relu, and dropout if wanted. */
export type AffineBlock =
  & {
    /** How many outputs. */
    readonly affine: number;
    /** Probability that dropout keeps a value of the block's output. Default: 1, no dropout. */
    readonly dropout?: number;
  }
  & (
    | {
      /** Whether batch normalization comes before relu. Default: false. */
      readonly batchnorm?: boolean;
      readonly layernorm?: false;
    }
    | {
      readonly batchnorm?: false;
      /** Whether layer normalization comes before relu. Default: false. */
      readonly layernorm?: boolean;
    }
  )
  & Readonly<
    Partial<Record<"conv" | "globalAverage" | "kernel" | "stride" | "pad" | "pool", undefined>>
  >;

/** The mean of each channel over all positions: leaves one value per channel. */
export interface GlobalAverageBlock extends
  Readonly<
    Partial<
      Record<Exclude<keyof ConvBlock | keyof AffineBlock, "globalAverage">, undefined>
    >
  > {
  /** Always true: the block has no options. */
  readonly globalAverage: true;
}

/** One block of a net's description: the options of another kind of block are refused. */
export type Block = ConvBlock | AffineBlock | GlobalAverageBlock;

/** A net's description. */
export interface BlockNetOptions<D extends DType = DType> extends NetOptions<D> {
  /** Shape of one example: (C, H, W) for images, or how many values it has. */
  readonly inputDim: number | readonly number[];
  /** The blocks in order. A last fully-connected layer, to the scores of the classes, is added. */
  readonly blocks: readonly Block[];
  /** How many classes. Default: 10. */
  readonly numClasses?: number;
}

/** The options that blocks with weights have. Made where they are used, so that bundlers drop them elsewhere. */
const common = () => ({
  batchnorm: option(checkBoolean, false),
  dropout: option(checkKeep, 1),
});
const convOptions = () => ({
  ...common(),
  conv: required(whole(1)),
  kernel: option(whole(1), 3),
  stride: option(whole(1), 1),
  pad: unchecked<Pad | undefined>,
  pool: option(whole(1)),
});
const affineOptions = () => ({
  ...common(),
  affine: required(whole(1)),
  layernorm: option(checkBoolean, false),
});
const GLOBAL_AVERAGE = {
  globalAverage(name: string, value: unknown) {
    checkType(value === true, name, "be true", value);
  },
};

/** A layer, or none. */
const when = (wanted: boolean, layer: () => LayerDefinition) => wanted ? [layer()] : [];

/** The layers of a block. */
function layersOf(name: string, given: unknown): readonly LayerDefinition[] {
  checkType(isObject(given), name, "be a block", given);
  const block = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  );
  if ("affine" in block) {
    const read = readOptions(name, block, affineOptions());
    if (read.batchnorm && read.layernorm) {
      throw new ArgumentTypeError(`${name} must have batchnorm or layernorm, not both`);
    }
    return [
      affine(read.affine),
      ...when(read.batchnorm, batchnorm),
      ...when(read.layernorm, layernorm),
      relu(),
      ...when(read.dropout < 1, () => dropout(read.dropout)),
    ];
  }
  if ("conv" in block) {
    const { conv: filters, kernel, stride, pad, pool, ...then } = readOptions(
      name,
      block,
      convOptions(),
    );
    return [
      conv(filters, { kernel, stride, pad }),
      ...when(then.batchnorm, batchnorm),
      relu(),
      ...when(pool !== undefined, () => maxPool(pool!)),
      ...when(then.dropout < 1, () => dropout(then.dropout)),
    ];
  }
  checkType("globalAverage" in block, name, "have conv, affine or globalAverage", block);
  readOptions(name, block, GLOBAL_AVERAGE);
  return [globalAverage()];
}

/** The layers of a list of blocks, and of the scores after them. */
function layersOfBlocks(
  inputDim: readonly number[],
  blocks: unknown,
  numClasses: number,
): readonly LayerDefinition[] {
  checkType(Array.isArray(blocks), "blocks", "be an array of blocks", blocks);
  let isSpatial = inputDim.length === 3;
  const layers = blocks.flatMap((block, i) => {
    const layers = layersOf(`blocks[${i}]`, block);
    const [{ type }] = layers;
    if (type !== "affine" && !isSpatial) {
      throw new ArgumentTypeError(
        `blocks[${i}] needs an input of (C, H, W): it gets one of numbers`,
        "INVALID_RANK",
      );
    }
    isSpatial &&= type === "conv";
    return layers;
  });
  return [...layers, affine(numClasses)];
}

/**
 * A net made of blocks, then a fully-connected layer to the scores, with the softmax loss: a short way
 * to write a {@linkcode Net} that is a chain.
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
export class BlockNet<D extends DType = "float64"> extends LayeredNet<D> {
  /**
   * Makes a net with random weights, and with biases 0.
   *
   * @param options The description.
   * @throws {TypeError} If a type is wrong, an option unknown, or a block has none of its three kinds.
   * @throws {RangeError} If a number is out of range, or a window does not fit what it walks over.
   */
  constructor(options: BlockNetOptions<D>) {
    const { blocks, numClasses, ...rest } = readOptions("options", options, {
      ...netOptions("he"),
      ...NUM_CLASSES,
      blocks: unchecked,
    });
    const layers = layersOfBlocks(rest.inputDim, blocks, numClasses);
    super({ ...rest, dtype: options.dtype, layers });
  }
}
