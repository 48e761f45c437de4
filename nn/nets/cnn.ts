/**
 * Convolutional nets.
 *
 * Source: nndl/cnn.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import type { DType } from "../../kernels/tensor.ts";
import { checkBoolean, option, readOptions, unchecked, whole } from "../checks.ts";
import { affine } from "../layers/affine.ts";
import { batchnorm as normalize } from "../layers/batchnorm.ts";
import { conv } from "../layers/conv.ts";
import { maxPool } from "../layers/max_pool.ts";
import { relu } from "../layers/relu.ts";
import { type Block, BlockNet } from "./block_net.ts";
import { LayeredNet, type NetOptions, netOptions, NUM_CLASSES } from "./layered_net.ts";

/** Options of {@linkcode ThreeLayerConvNet}. */
export interface ThreeLayerConvNetOptions<D extends DType = DType> extends NetOptions<D> {
  /** Shape of one image, (C, H, W). Default: [3, 32, 32]. */
  readonly inputDim?: readonly number[];
  /** How many filters the convolution has. Default: 32. */
  readonly numFilters?: number;
  /** Height and width of the filters. Default: 7. */
  readonly filterSize?: number;
  /** Size of the hidden layer. Default: 100. */
  readonly hiddenDim?: number;
  /** How many classes. Default: 10. */
  readonly numClasses?: number;
  /** Whether batch normalization comes before both relus. Default: false. */
  readonly batchnorm?: boolean;
}

/**
 * The course's convolutional net: conv - relu - 2x2 max pool - affine - relu - affine - softmax.
 * The convolution keeps the size of the images. The default weightScale is 1e-3.
 *
 * Source: ThreeLayerConvNet in nndl/cnn.py. Parameters: W1 (F, C, K, K), b1, W2, b2, W3, b3.
 *
 * @example
 * ```ts
 * import { RandomState, ThreeLayerConvNet } from "@cnn-layers/cnn-layers";
 *
 * const net = new ThreeLayerConvNet({ inputDim: [3, 8, 8], numFilters: 4, filterSize: 3 });
 * const x = new RandomState(231).randn([2, 3, 8, 8]);
 * const { loss, grads } = net.loss(x, [0, 9]);
 * const scores = net.loss(x);
 * ```
 */
export class ThreeLayerConvNet<D extends DType = "float64"> extends LayeredNet<D> {
  /**
   * Makes the net.
   *
   * @param options Sizes, batch normalization, and the options of every net.
   * @throws {TypeError} If a type is wrong, or an option unknown.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(options: ThreeLayerConvNetOptions<D> = {}) {
    const { numFilters, filterSize, hiddenDim, batchnorm, numClasses, ...rest } = readOptions(
      "options",
      options,
      {
        ...netOptions(1e-3, [3, 32, 32]),
        ...NUM_CLASSES,
        numFilters: option(whole(1), 32),
        filterSize: option(whole(1), 7),
        hiddenDim: option(whole(1), 100),
        batchnorm: option(checkBoolean, false),
      },
    );
    const norm = batchnorm ? [normalize()] : [];
    const layers = [
      ...[conv(numFilters, { kernel: filterSize }), ...norm, relu(), maxPool(2)],
      ...[affine(hiddenDim), ...norm, relu()],
      affine(numClasses),
    ];
    super({ ...rest, dtype: options.dtype, layers });
  }
}

/** Options of {@linkcode ConvNet}. */
export interface ConvNetOptions<D extends DType = DType> extends NetOptions<D> {
  /** Shape of one image, (C, H, W). Default: [3, 32, 32]. */
  readonly inputDim?: readonly number[];
  /** The blocks in order. Default: those of {@linkcode convNetBlocks}. */
  readonly blocks?: readonly Block[];
  /** How many classes. Default: 10. */
  readonly numClasses?: number;
}

/** A {@linkcode ConvNet}'s default blocks: five convolutions of 3 x 3, a global average. */
export const convNetBlocks: readonly Block[] = [
  { conv: 32, batchnorm: true },
  { conv: 32, batchnorm: true, pool: 2 },
  { conv: 64, batchnorm: true },
  { conv: 64, batchnorm: true, pool: 2 },
  { conv: 128, batchnorm: true },
  { globalAverage: true },
];

/**
 * A deeper convolutional net, in as many lines as it has layers: a {@linkcode BlockNet} for the
 * images of CIFAR-10. The default weightScale is "he".
 *
 * @example
 * ```ts
 * import { ConvNet } from "@cnn-layers/cnn-layers";
 *
 * const net = new ConvNet({
 *   blocks: [
 *     { conv: 16, batchnorm: true, pool: 2 },
 *     { conv: 32, kernel: 5, batchnorm: true, pool: 2 },
 *     { affine: 64, dropout: 0.5 },
 *   ],
 *   dtype: "float32",
 * });
 * console.log(Object.keys(net.params)); // W1, b1, gamma1, beta1, W2 ...
 * ```
 */
export class ConvNet<D extends DType = "float64"> extends BlockNet<D> {
  /**
   * Makes the net.
   *
   * @param options The description.
   * @throws {TypeError} If a type is wrong, an option unknown, or a block has none of its three kinds.
   * @throws {RangeError} If a number is out of range, or a window does not fit what it walks over.
   */
  constructor(options: ConvNetOptions<D> = {}) {
    const { blocks = convNetBlocks, ...rest } = readOptions("options", options, {
      ...netOptions("he", [3, 32, 32]),
      ...NUM_CLASSES,
      blocks: unchecked<readonly Block[] | undefined>,
    });
    super({ ...rest, dtype: options.dtype, blocks });
  }
}
