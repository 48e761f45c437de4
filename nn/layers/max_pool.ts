/**
 * Max-pooling: the naive definition, and the fast path that computes the same values.
 *
 * Source: nndl/conv_layers.py and cs231n/fast_layers.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import type { PoolKernel } from "../../kernels/kernel.ts";
import type { Pad, PoolParams, PoolShape } from "../../kernels/shape.ts";
import type { DType, FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkDType, checkSameDType, checkTensor, checkTensorShape } from "../../kernels/check.ts";
import { naiveMaxPool } from "../../kernels/naive/max_pool.ts";
import { maxPoolKernels } from "../../kernels/operations.ts";
import { explain, type Explanation, select } from "../../kernels/select.ts";
import { poolParams, poolShape } from "../../kernels/shape.ts";
import { dtypeOf } from "../../kernels/tensor.ts";
import { checkBoolean, checkCache, option, readOptions, unchecked } from "../checks.ts";
import { emptyLike } from "../tensor.ts";
import { imageShape, type LayerDefinition, layerOf, readSize, type Size } from "./layer.ts";

/** What a max-pool's backward pass needs of its forward pass. */
export interface PoolCache<A extends FloatArray = FloatArray> {
  /** Input, (N, C, H, W). */
  readonly x: Tensor<A>;
  /** Window, stride, padding, dilation and ceil mode, written out. */
  readonly poolParam: PoolParams;
}

type PoolPick = (shape: PoolShape, dtype: DType) => PoolKernel;

const fastPool: PoolPick = (shape, dtype) => select(maxPoolKernels, shape, dtype);

function runPoolForward<A extends FloatArray>(
  pick: PoolPick,
  x: Tensor<A>,
  poolParam: PoolParams,
): { out: Tensor<A>; cache: PoolCache<A> } {
  checkTensor("x", x, 4);
  const shape = poolShape(x.shape, poolParam);
  const N = x.shape[0];
  const out = emptyLike(x, [N, shape.C, shape.OH, shape.OW]);
  pick(shape, dtypeOf(x.data)).forward(N, x.data, out.data);
  return { out, cache: { x, poolParam: poolParams(shape) } };
}

function runPoolBackward<A extends FloatArray>(
  pick: PoolPick,
  dout: Tensor<A>,
  cache: PoolCache<A>,
): Tensor<A> {
  checkCache(cache, ["x", "poolParam"]);
  const { x, poolParam } = cache;
  checkTensor("x", x, 4);
  const shape = poolShape(x.shape, poolParam);
  const N = x.shape[0];
  checkTensorShape("dout", dout, [N, shape.C, shape.OH, shape.OW], "the pool's output");
  checkSameDType({ dout, x });
  const dx = emptyLike(x);
  pick(shape, dtypeOf(x.data)).backward(N, x.data, dout.data, dx.data);
  return dx;
}

/**
 * Max-pooling by the definition: loops over every window. The first maximum in row-major order wins,
 * and a NaN wins over any value; padding, which counts as minus infinity, never wins.
 *
 * Source: max_pool_forward_naive in nndl/conv_layers.py.
 *
 * @example
 * ```ts
 * import { linspace, maxPoolForwardNaive } from "@cnn-layers/cnn-layers";
 *
 * const x = linspace(-0.3, 0.4, [2, 3, 4, 4]);
 * const { out } = maxPoolForwardNaive(x, { poolHeight: 2, poolWidth: 2, stride: 2 });
 * if (out.data[23] !== 0.4) throw new Error("not the notebook's number");
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @param poolParam Window, stride, padding (0), dilation (1) and ceil mode (false).
 * @returns `out` (N, C, H', W') with H' = 1 + floor((H + padTop + padBottom - dilation * (poolHeight - 1) -
 * 1) / stride), in ceil mode rounded up as long as the last window does not start in the bottom or right
 * padding; and the cache.
 * @throws {TypeError} If x has a wrong type or rank, or an option is unknown or of a wrong type.
 * @throws {RangeError} If the window is larger than the padded input, the padding as large as the window, or
 * a window holds only padding.
 */
export function maxPoolForwardNaive<A extends FloatArray>(
  x: Tensor<A>,
  poolParam: PoolParams,
): { out: Tensor<A>; cache: PoolCache<A> } {
  return runPoolForward(naiveMaxPool, x, poolParam);
}

/**
 * Gradient of a max-pool by the definition: each value of dout goes to the one that won its window.
 * Source: max_pool_backward_naive in nndl/conv_layers.py.
 *
 * @example
 * ```ts
 * import { maxPoolBackwardNaive, maxPoolForwardNaive, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(231).randn([3, 2, 8, 8]);
 * const { out, cache } = maxPoolForwardNaive(x, { poolHeight: 2, poolWidth: 2, stride: 2 });
 * const dx = maxPoolBackwardNaive(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, C, H', W').
 * @param cache From the forward pass.
 * @returns dx, (N, C, H, W).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function maxPoolBackwardNaive<A extends FloatArray>(
  dout: Tensor<A>,
  cache: PoolCache<A>,
): Tensor<A> {
  return runPoolBackward(naiveMaxPool, dout, cache);
}

/**
 * Max-pooling by the fastest kernel for its shape: the course's max_pool_forward_fast, with the
 * results of {@linkcode maxPoolForwardNaive} for ties and NaN too.
 *
 * Sizes in ceil mode are those of PyTorch, and of ONNX since its operator set 22.
 *
 * @example
 * ```ts
 * import { maxPoolForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(0).randn([100, 3, 32, 32]);
 * const { out } = maxPoolForward(x, { poolHeight: 2, poolWidth: 2, stride: 2 });
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @param poolParam Window, stride, padding (0), dilation (1) and ceil mode (false).
 * @returns `out` (N, C, H', W') with H' = 1 + floor((H + padTop + padBottom - dilation * (poolHeight - 1) -
 * 1) / stride), in ceil mode rounded up as long as the last window does not start in the bottom or right
 * padding; and the cache.
 * @throws {TypeError} If x has a wrong type or rank, or an option is unknown or of a wrong type.
 * @throws {RangeError} If the window is larger than the padded input, the padding as large as the window, or
 * a window holds only padding.
 */
export function maxPoolForward<A extends FloatArray>(
  x: Tensor<A>,
  poolParam: PoolParams,
): { out: Tensor<A>; cache: PoolCache<A> } {
  return runPoolForward(fastPool, x, poolParam);
}

/**
 * Gradient of a max-pool by the fastest kernel for its shape: the course's max_pool_backward_fast.
 *
 * @example
 * ```ts
 * import { maxPoolBackward, maxPoolForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(0).randn([100, 3, 32, 32]);
 * const { out, cache } = maxPoolForward(x, { poolHeight: 2, poolWidth: 2, stride: 2 });
 * const dx = maxPoolBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, C, H', W').
 * @param cache From the forward pass.
 * @returns dx, (N, C, H, W).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function maxPoolBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: PoolCache<A>,
): Tensor<A> {
  return runPoolBackward(fastPool, dout, cache);
}

/**
 * Which kernel {@linkcode maxPoolForward} and {@linkcode maxPoolBackward} run for a shape, and why.
 *
 * @example
 * ```ts
 * import { explainMaxPool } from "@cnn-layers/cnn-layers";
 *
 * const { name } = explainMaxPool([100, 3, 32, 32], { poolHeight: 2, poolWidth: 2, stride: 2 });
 * console.log(name);
 * ```
 *
 * @param xShape Shape of the input, (N, C, H, W).
 * @param poolParam As for maxPoolForward.
 * @param dtype Data type of the tensors.
 * @returns The kernel's name and tier, and the reason why each tier before it does not serve the shape.
 * @throws {TypeError} If a rank or a type is wrong, or an option unknown.
 * @throws {RangeError} If the window is larger than the padded input.
 */
export function explainMaxPool(
  xShape: readonly number[],
  poolParam: PoolParams,
  dtype: DType = "float64",
): Explanation {
  return explain(maxPoolKernels, poolShape(xShape, poolParam), checkDType(dtype));
}

/** Options of pools as layers of a net. */
export interface PoolOptions {
  /** Stride of the windows. Default: the window's size. */
  readonly stride?: Size;
  /** Rows and columns around the input, or "same" or "valid". Default: 0. */
  readonly pad?: Pad;
  /** Whether a window may hang over the bottom or right edge. Default: false. */
  readonly ceilMode?: boolean;
}

/** Options of a max-pool as a layer of a net. */
export interface MaxPoolOptions extends PoolOptions {
  /** Step between the taps of a window. Default: 1. */
  readonly dilation?: Size;
}

/** The options that pools of both kinds have. */
export const POOL = {
  stride: (name: string, value: unknown) => value === undefined ? value : readSize(name, value),
  pad: unchecked<Pad | undefined>,
  ceilMode: option(checkBoolean, false),
};

/** A window's size and its step. */
export function poolWindow(
  name: string,
  size: Size,
  stride: Size | undefined,
): Pick<PoolParams, "poolHeight" | "poolWidth" | "stride"> {
  const [poolHeight, poolWidth] = readSize(name, size);
  return { poolHeight, poolWidth, stride: stride ?? [poolHeight, poolWidth] };
}

/**
 * A max-pool as a layer of a net.
 *
 * @example
 * ```ts
 * import { affine, conv, maxPool, Net, relu } from "@cnn-layers/cnn-layers";
 *
 * const layers = [conv(8), relu(), maxPool(3, { stride: 2, pad: 1 }), affine(10)];
 * const net = new Net({ inputDim: [3, 16, 16], layers });
 * console.log(net.params.W2.shape); // [512, 10]
 * ```
 *
 * @param size Height and width of the window.
 * @param options Stride (size), padding (0), dilation (1) and ceil mode (false).
 * @returns The layer, from (C, H, W) to (C, H', W').
 * @throws {TypeError} If an option is unknown or has a wrong type.
 * @throws {RangeError} If a number is out of range.
 */
export function maxPool(size: Size, options: MaxPoolOptions = {}): LayerDefinition {
  const { stride, ...walk } = readOptions("maxPool", options, {
    ...POOL,
    dilation: (name: string, value: unknown = 1) => readSize(name, value),
  });
  const window = poolWindow("maxPool.size", size, stride);
  return layerOf("maxPool", [size, options], (inShape, planner) => {
    const [C] = imageShape(inShape, planner);
    const shape = poolShape([1, ...inShape], { ...window, ...walk });
    const poolParam = poolParams(shape);
    return {
      outShape: [C, shape.OH, shape.OW],
      name: "pool",
      explain: () => explain(maxPoolKernels, shape, planner.dtype),
      ownsOut: true,
      ownsDx: true,
      selects: true,
      forward(x) {
        const { out, cache } = maxPoolForward(x, poolParam);
        return { out, backward: (dout) => ({ dx: maxPoolBackward(dout, cache) }) };
      },
    };
  });
}
