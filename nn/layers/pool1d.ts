/**
 * Pools of sequences (N, C, L): thin forms of those of images, whose kernels they run.
 *
 * @module
 */

import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkSameDType, checkShape, checkTensor, checkTensorShape } from "../../kernels/check.ts";
import { averagePoolShape, poolShape } from "../../kernels/shape.ts";
import { checkBoolean, checkCache, readOptions } from "../checks.ts";
import { averagePoolBackward, averagePoolForward } from "./average_pool.ts";
import { maxPoolBackward, maxPoolForward } from "./max_pool.ts";
import {
  asRow,
  asSequence,
  type Pad1d,
  readPad1d,
  readSize,
  readStep,
  rowPad,
  rowShape,
} from "./sequence.ts";

/** How a max-pool walks over a sequence. */
export interface MaxPool1dParams {
  /** Size of the window. */
  readonly poolSize: number;
  /** Stride of the windows. */
  readonly stride: number;
  /** Padding before and after the sequence, less than the window; it never wins. Default: 0. */
  readonly pad?: Pad1d;
  /** Step between the taps of a window. Default: 1. */
  readonly dilation?: number;
  /**
   * Whether a window that hangs over the end counts, as long as it does not start in the padding there.
   * Default: false.
   */
  readonly ceilMode?: boolean;
}

/** How an average pool walks over a sequence. */
export interface AveragePool1dParams extends Omit<MaxPool1dParams, "dilation"> {
  /** Whether the zeros of the padding are averaged too. Default: true, as in PyTorch; ONNX has false. */
  readonly countIncludePad?: boolean;
}

/** What a 1-d max-pool's backward pass needs of its forward pass. */
export interface MaxPool1dCache<A extends FloatArray = FloatArray> {
  /** Input, (N, C, L). */
  readonly x: Tensor<A>;
  /** The parameters, written out. */
  readonly poolParam: MaxPool1dParams;
}

/** What a 1-d average pool's backward pass needs of its forward pass. */
export interface AveragePool1dCache {
  /** Shape of the input, (N, C, L). */
  readonly shape: readonly number[];
  /** The parameters, written out. */
  readonly poolParam: AveragePool1dParams;
}

function readCeilMode(name: string, value: unknown = false): boolean {
  checkBoolean(name, value);
  return value;
}

function readCountIncludePad(name: string, value: unknown = true): boolean {
  checkBoolean(name, value);
  return value;
}

const POOL1D = { poolSize: readSize, stride: readSize, pad: readPad1d, ceilMode: readCeilMode };

/** A window over sequences as one over images of one row. */
function asWindow({ poolSize, stride, pad }: MaxPool1dParams) {
  return { poolHeight: 1, poolWidth: poolSize, stride: [1, stride], pad: rowPad(pad!) } as const;
}

/** The parameters of a max-pool of images, and those given, written out. */
function asMaxPool(given: MaxPool1dParams) {
  const written = readOptions("poolParam", given, { ...POOL1D, dilation: readStep });
  const { dilation, ceilMode } = written;
  return {
    poolParam: { ...asWindow(written), dilation: [1, dilation], ceilMode },
    written,
  } as const;
}

/** The parameters of an average pool of images, and those given, written out. */
function asAveragePool(given: AveragePool1dParams) {
  const readers = { ...POOL1D, countIncludePad: readCountIncludePad };
  const written = readOptions("poolParam", given, readers);
  const { ceilMode, countIncludePad } = written;
  return { poolParam: { ...asWindow(written), ceilMode, countIncludePad }, written } as const;
}

/**
 * Max-pooling of sequences, by the fastest kernel for the shape: that of {@linkcode maxPoolForward} for
 * images of one row.
 *
 * @example
 * ```ts
 * import { linspace, maxPool1dForward } from "@cnn-layers/cnn-layers";
 *
 * const { out } = maxPool1dForward(linspace(1, 6, [1, 1, 6]), { poolSize: 2, stride: 2 });
 * if (out.data.join() !== "2,4,6") throw new Error("not the largest");
 * ```
 *
 * @param x Input, (N, C, L).
 * @param poolParam Window, stride, padding (0), dilation (1) and ceil mode (false).
 * @returns `out` (N, C, L') and the cache.
 * @throws {TypeError} If x has a wrong type or rank, or an option is unknown or of a wrong type.
 * @throws {RangeError} If the window is larger than the padded input, the padding as large as the window, or
 * a window holds only padding.
 */
export function maxPool1dForward<A extends FloatArray>(
  x: Tensor<A>,
  poolParam: MaxPool1dParams,
): { out: Tensor<A>; cache: MaxPool1dCache<A> } {
  checkTensor("x", x, 3);
  const pool = asMaxPool(poolParam);
  const { out } = maxPoolForward(asRow(x), pool.poolParam);
  return { out: asSequence(out), cache: { x, poolParam: pool.written } };
}

/**
 * Gradient of a 1-d max-pool: each value of dout goes to the first that is largest in its window.
 *
 * @example
 * ```ts
 * import { linspace, maxPool1dBackward, maxPool1dForward } from "@cnn-layers/cnn-layers";
 *
 * const { out, cache } = maxPool1dForward(linspace(1, 4, [1, 1, 4]), { poolSize: 2, stride: 2 });
 * const dx = maxPool1dBackward(out, cache);
 * if (dx.data.join() !== "0,2,0,4") throw new Error("not to the largest");
 * ```
 *
 * @param dout Gradient of the output, (N, C, L').
 * @param cache From the forward pass.
 * @returns dx, (N, C, L).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function maxPool1dBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: MaxPool1dCache<A>,
): Tensor<A> {
  checkCache(cache, ["x", "poolParam"]);
  checkTensor("cache.x", cache.x, 3);
  const { poolParam } = asMaxPool(cache.poolParam);
  const x = asRow(cache.x);
  const { C, OW } = poolShape(x.shape, poolParam);
  checkTensorShape("dout", dout, [x.shape[0], C, OW], "the pool's output");
  checkSameDType({ dout, x: cache.x });
  return asSequence(maxPoolBackward(asRow(dout), { x, poolParam }));
}

/**
 * Average pooling of sequences, by the fastest kernel for the shape: that of
 * {@linkcode averagePoolForward} for images of one row.
 *
 * @example
 * ```ts
 * import { averagePool1dForward, linspace } from "@cnn-layers/cnn-layers";
 *
 * const { out } = averagePool1dForward(linspace(1, 6, [1, 1, 6]), { poolSize: 2, stride: 2 });
 * if (out.data.join() !== "1.5,3.5,5.5") throw new Error("not the averages");
 * ```
 *
 * @param x Input, (N, C, L).
 * @param poolParam Window, stride, padding (0), ceil mode (false), and whether padding counts (true).
 * @returns `out` (N, C, L') and the cache.
 * @throws {TypeError} If x has a wrong type or rank, or an option is unknown or of a wrong type.
 * @throws {RangeError} If the window is larger than the padded input, or the padding as large as the window.
 */
export function averagePool1dForward<A extends FloatArray>(
  x: Tensor<A>,
  poolParam: AveragePool1dParams,
): { out: Tensor<A>; cache: AveragePool1dCache } {
  checkTensor("x", x, 3);
  const pool = asAveragePool(poolParam);
  const { out } = averagePoolForward(asRow(x), pool.poolParam);
  return { out: asSequence(out), cache: { shape: [...x.shape], poolParam: pool.written } };
}

/**
 * Gradient of a 1-d average pool: each value of dout is shared out evenly over what its window averaged.
 *
 * @example
 * ```ts
 * import { averagePool1dBackward, averagePool1dForward, full } from "@cnn-layers/cnn-layers";
 *
 * const { out, cache } = averagePool1dForward(full([1, 1, 4], 8), { poolSize: 2, stride: 2 });
 * const dx = averagePool1dBackward(out, cache);
 * if (dx.data.join() !== "4,4,4,4") throw new Error("not a half each");
 * ```
 *
 * @param dout Gradient of the output, (N, C, L').
 * @param cache From the forward pass.
 * @returns dx, (N, C, L).
 * @throws {TypeError} If dout or the cache has a wrong type or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function averagePool1dBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AveragePool1dCache,
): Tensor<A> {
  checkCache(cache, ["shape", "poolParam"]);
  checkShape("cache.shape", cache.shape, 3);
  const { poolParam } = asAveragePool(cache.poolParam);
  const shape = rowShape(cache.shape);
  const { C, OW } = averagePoolShape(shape, poolParam);
  checkTensorShape("dout", dout, [shape[0], C, OW], "the pool's output");
  return asSequence(averagePoolBackward(asRow(dout), { shape, poolParam }));
}
