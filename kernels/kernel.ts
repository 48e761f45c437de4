/**
 * What a kernel is: a function for one layer and one direction, with a name and a tier.
 *
 * Kernels read and write plain arrays in row-major order. They check nothing: shape.ts has done so.
 *
 * @module
 */

import type {
  AffineShape,
  ConvShape,
  DType,
  FloatArray,
  PassSizes,
  PoolShape,
  PoolSizes,
} from "./shape.ts";

export type { PassSizes, PoolSizes } from "./shape.ts";

/** The kind of a kernel, most special first. */
export type Tier = "simd" | "generated" | "naive";

/** What every kernel says of itself. */
export interface KernelInfo {
  /** Shape and tier, for example `conv-3x31x31-25x3x3-s2p1-generated`. */
  readonly name: string;
  /** The tier it belongs to. */
  readonly tier: Tier;
}

/** A convolution for one geometry and any batch size N. */
export interface ConvKernel extends KernelInfo {
  /** out (N,F,OH,OW) = x (N,C,H,W) convolved with w (F,C,KH,KW), plus b (F); then relu if asked. */
  forward(
    N: number,
    x: FloatArray,
    w: FloatArray,
    b: FloatArray,
    out: FloatArray,
    relu?: boolean,
  ): void;
  /** dx (N,C,H,W) from dout (N,F,OH,OW) and w (F,C,KH,KW). */
  backwardData(N: number, dout: FloatArray, w: FloatArray, dx: FloatArray): void;
  /** dw (F,C,KH,KW) and db (F) from x (N,C,H,W) and dout (N,F,OH,OW). */
  backwardWeights(
    N: number,
    x: FloatArray,
    dout: FloatArray,
    dw: FloatArray,
    db: FloatArray,
  ): void;
}

/** A max-pool for one geometry and any batch size N. */
export interface PoolKernel extends KernelInfo {
  /** out (N,C,OH,OW) = the maximum of each window of x (N,C,H,W). */
  forward(N: number, x: FloatArray, out: FloatArray): void;
  /** dx (N,C,H,W): each number of dout (N,C,OH,OW) goes to the first maximum of its window of x. */
  backward(N: number, x: FloatArray, dout: FloatArray, dx: FloatArray): void;
}

/** A fully-connected layer for one geometry and any batch size N. */
export interface AffineKernel extends KernelInfo {
  /** out (N,M) = x (N,D) times w (D,M), plus b (M); then relu if asked. */
  forward(
    N: number,
    x: FloatArray,
    w: FloatArray,
    b: FloatArray,
    out: FloatArray,
    relu?: boolean,
  ): void;
  /** dx (N,D) = dout (N,M) times the transpose of w (D,M). */
  backwardData(N: number, dout: FloatArray, w: FloatArray, dx: FloatArray): void;
  /** dw (D,M) = the transpose of x (N,D) times dout (N,M); db (M) = the sums of dout's columns. */
  backwardWeights(
    N: number,
    x: FloatArray,
    dout: FloatArray,
    dw: FloatArray,
    db: FloatArray,
  ): void;
}

/** A tier's answer for one shape: a kernel, or none, and why. */
export interface Answer<K extends KernelInfo> {
  /** The kernel; undefined if the tier does not serve this shape. */
  readonly kernel?: K;
  /** Why this kernel, or why none. */
  readonly reason: string;
}

/** One tier: asked in order by select.ts. */
export interface KernelSource {
  /** The tier's name. */
  readonly tier: Tier;
  /** A convolution for this geometry and dtype. */
  conv(shape: ConvShape, dtype: DType): Answer<ConvKernel>;
  /** A max-pool for this geometry and dtype. */
  maxPool(shape: PoolShape, dtype: DType): Answer<PoolKernel>;
  /** A fully-connected layer for this geometry and dtype. */
  affine(shape: AffineShape, dtype: DType): Answer<AffineKernel>;
}

/** What a generated function sees: float64 numbers alone, tensors' own or scratch. */
export type Numbers = Float64Array;

/** A generated inner function: it adds products to `sums`, which the caller has filled. */
export type GeneratedPass = (
  x: Numbers,
  other: Numbers,
  sums: Numbers,
  sizes: PassSizes,
) => void;

/** What a generated convolution file exports. The functions see float64 scratch alone. */
export interface GeneratedConv {
  /** `conv-3x31x31-25x3x3-s2p1-generated`, or `conv-3x3-s2-generated` for a family. */
  readonly name: string;
  /** y += x convolved with w. */
  readonly forward: GeneratedPass;
  /** y += the gradient of the input, from x = the gradient of the output, and w. */
  readonly backwardData: GeneratedPass;
  /** dw += the gradient of the filters, from x and y = the gradient of the output. */
  readonly backwardWeights: GeneratedPass;
}

/** What a generated max-pool file exports. The functions see float64 arrays alone. */
export interface GeneratedPool {
  /** `maxpool-32x32-2x2-s2-generated`, or `maxpool-2x2-s2-generated` for a family. */
  readonly name: string;
  /** y = the maximum of each window of x. */
  readonly forward: (x: Numbers, y: Numbers, sizes: PoolSizes) => void;
  /** dx += each number of dy, at the first maximum of its window of x. */
  readonly backward: (
    x: Numbers,
    dy: Numbers,
    dx: Numbers,
    sizes: PoolSizes,
  ) => void;
}
