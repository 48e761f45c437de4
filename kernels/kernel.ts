/**
 * What a kernel is: a function for one layer and one direction, with a name and a tier.
 *
 * Kernels read and write plain arrays in row-major order. They check nothing: shape.ts has done so.
 *
 * @module
 */

import type { Epilogue } from "./epilogue.ts";
import type { FloatArray } from "./tensor.ts";

/** The kind of a kernel, most special first. */
export type Tier = "simd" | "generated" | "naive";

/** What every kernel says of itself. */
export interface KernelInfo {
  /** Shape and tier, for example `conv-3x31x31-25x3x3-s2p1-generated`. */
  readonly name: string;
  /** The tier it belongs to. */
  readonly tier: Tier;
}

/**
 * A layer with weights for one geometry and any batch size N: a convolution, whose x is (N,C,H,W), w
 * (F,C/groups,KH,KW) and out (N,F,OH,OW), or a fully-connected layer, whose x is (N,D), w (D,M) and out
 * (N,M).
 */
export interface WeightedKernel extends KernelInfo {
  /** out from x and w, finished by the epilogue. */
  forward(
    N: number,
    x: FloatArray,
    w: FloatArray,
    out: FloatArray,
    epilogue: Epilogue,
  ): void;
  /**
   * A forward pass with weights packed once, if the kernel can keep them: w and the epilogue must not be
   * written to from then on.
   */
  prepare?(
    w: FloatArray,
    epilogue: Epilogue,
  ): (N: number, x: FloatArray, out: FloatArray) => void;
  /** dx from dout and w; the epilogue is a transposed convolution's, whose output dx is. */
  backwardData(
    N: number,
    dout: FloatArray,
    w: FloatArray,
    dx: FloatArray,
    epilogue?: Epilogue,
  ): void;
  /** dw, and db = the sums of dout's planes unless it is left out, from x and dout. */
  backwardWeights(
    N: number,
    x: FloatArray,
    dout: FloatArray,
    dw: FloatArray,
    db?: FloatArray,
  ): void;
}

/** An operation element by element, on arrays of one length. */
export interface MapKernel extends KernelInfo {
  /**
   * Computes the arrays that the map writes, and returns its sums. An array may be written over one that is
   * read.
   */
  run(arrays: readonly FloatArray[], settings?: readonly number[]): readonly number[];
}

/**
 * What normalizations need of planes of P values. The other arrays have one value per plane; sums have
 * the same order in every tier.
 */
export interface NormKernel extends KernelInfo {
  /** sums = the sum of each plane of x. */
  sum(x: FloatArray, sums: Float64Array): void;
  /**
   * sums = the sum of each plane of x, squares = that of its squares: left out where the variance must not come
   * from them, as it would lose digits. In float64 sums of float32 values it loses none that x has.
   */
  moments?(x: FloatArray, sums: Float64Array, squares: Float64Array): void;
  /** Batch normalization as a whole, where that is faster. */
  readonly channels?: ChannelNorm;
  /** sums = the sum of each plane's squares of x - mean. */
  squares(x: FloatArray, mean: Float64Array, sums: Float64Array): void;
  /** out = (x - mean) * scale + shift, or 0 if relu says so where that is negative. */
  scale(
    x: FloatArray,
    mean: Float64Array,
    scale: Float64Array,
    shift: Float64Array,
    out: FloatArray,
    relu: boolean,
  ): void;
  /** sums = the sum of each plane of dout, products = the sum of its (x - mean) * dout. */
  products(
    x: FloatArray,
    dout: FloatArray,
    mean: Float64Array,
    sums: Float64Array,
    products: Float64Array,
  ): void;
  /** dx = dout * scale - (x - mean) * slope - shift. */
  gradient(
    x: FloatArray,
    dout: FloatArray,
    mean: Float64Array,
    scale: Float64Array,
    slope: Float64Array,
    shift: Float64Array,
    dx: FloatArray,
  ): void;
}

/** Batch normalization of images (N, C, P), whose channels gamma tells. */
export interface ChannelNorm {
  /** Whether it serves arrays. */
  serves(arrays: readonly FloatArray[]): boolean;
  /**
   * Computes statistics, each channel's mean, variance and 1 / deviation, and then out.
   *
   * @returns Whether all statistics are finite: if not, it is another kernel's turn.
   */
  forward(
    x: FloatArray,
    gamma: Float64Array,
    beta: Float64Array,
    eps: number,
    relu: boolean,
    out: FloatArray,
    statistics: readonly [mean: Float64Array, variance: Float64Array, inverseStd: Float64Array],
  ): boolean;
  /**
   * Computes the gradients of gamma and beta, and then dx, which may be dout.
   *
   * @param count Values that share statistics; Infinity if they do not depend on x.
   */
  backward(
    x: FloatArray,
    dout: FloatArray,
    mean: Float64Array,
    inverseStd: Float64Array,
    gamma: Float64Array,
    count: number,
    dx: FloatArray,
    gradients: readonly [gamma: Float64Array, beta: Float64Array],
  ): void;
}

/** A max-pool for one geometry and any batch size N. */
export interface PoolKernel extends KernelInfo {
  /** out (N,C,OH,OW) = the maximum of each window of x (N,C,H,W). */
  forward(N: number, x: FloatArray, out: FloatArray): void;
  /** dx (N,C,H,W): each value of dout (N,C,OH,OW) goes to the first maximum of its window of x. */
  backward(N: number, x: FloatArray, dout: FloatArray, dx: FloatArray): void;
}

/** An average pool for one geometry and any batch size N. */
export interface AveragePoolKernel extends KernelInfo {
  /** out (N,C,OH,OW) = the average of each window of x (N,C,H,W). */
  forward(N: number, x: FloatArray, out: FloatArray): void;
  /** dx (N,C,H,W): each value of dout (N,C,OH,OW) is shared out evenly over its window. */
  backward(N: number, dout: FloatArray, dx: FloatArray): void;
}
