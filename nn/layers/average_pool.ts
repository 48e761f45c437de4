/**
 * Average pooling: the naive definition, and the fast path that computes the same values.
 *
 * Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition" (1998).
 *
 * @module
 */

import type { AveragePoolKernel } from "../../kernels/kernel.ts";
import type { AveragePoolParams, AveragePoolShape } from "../../kernels/shape.ts";
import type { DType, FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkDType, checkTensor, checkTensorShape } from "../../kernels/check.ts";
import { naiveAveragePool } from "../../kernels/naive/average_pool.ts";
import { averagePoolKernels } from "../../kernels/operations.ts";
import { explain, type Explanation, select } from "../../kernels/select.ts";
import { averagePoolParams, averagePoolShape } from "../../kernels/shape.ts";
import { dtypeOf } from "../../kernels/tensor.ts";
import { checkBoolean, checkCache, option, readOptions } from "../checks.ts";
import { emptyLike } from "../tensor.ts";
import { imageShape, type LayerDefinition, layerOf, type Size } from "./layer.ts";
import { POOL, type PoolOptions, poolWindow } from "./max_pool.ts";

/** What an average pool's backward pass needs of its forward pass. */
export interface AveragePoolCache {
  /** Shape of the input, (N, C, H, W). */
  readonly shape: readonly number[];
  /** Window, stride, padding and what counts, written out. */
  readonly poolParam: AveragePoolParams;
}

type AveragePick = (shape: AveragePoolShape, dtype: DType) => AveragePoolKernel;

const fast: AveragePick = (shape, dtype) => select(averagePoolKernels, shape, dtype);

function runForward<A extends FloatArray>(
  pick: AveragePick,
  x: Tensor<A>,
  poolParam: AveragePoolParams,
): { out: Tensor<A>; cache: AveragePoolCache } {
  checkTensor("x", x, 4);
  const shape = averagePoolShape(x.shape, poolParam);
  const N = x.shape[0];
  const out = emptyLike(x, [N, shape.C, shape.OH, shape.OW]);
  pick(shape, dtypeOf(x.data)).forward(N, x.data, out.data);
  return { out, cache: { shape: [...x.shape], poolParam: averagePoolParams(shape) } };
}

function runBackward<A extends FloatArray>(
  pick: AveragePick,
  dout: Tensor<A>,
  cache: AveragePoolCache,
): Tensor<A> {
  checkCache(cache, ["shape", "poolParam"]);
  const shape = averagePoolShape(cache.shape, cache.poolParam);
  const N = cache.shape[0];
  checkTensorShape("dout", dout, [N, shape.C, shape.OH, shape.OW], "the pool's output");
  const dx = emptyLike(dout, cache.shape);
  pick(shape, dtypeOf(dout.data)).backward(N, dout.data, dx.data);
  return dx;
}

/**
 * Average pooling by the definition: loops over every window.
 *
 * The zeros of the padding are averaged too, unless `countIncludePad` is false. What hangs over the padded
 * input in ceil mode never counts.
 *
 * @example
 * ```ts
 * import { averagePoolForwardNaive, linspace } from "@cnn-layers/cnn-layers";
 *
 * const x = linspace(0, 15, [1, 1, 4, 4]);
 * const { out } = averagePoolForwardNaive(x, { poolHeight: 2, poolWidth: 2, stride: 2 });
 * if (out.data.join() !== "2.5,4.5,10.5,12.5") throw new Error("not the averages");
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @param poolParam Window, stride, padding (0), ceil mode (false), and whether padding counts (true).
 * @returns `out` (N, C, H', W') and the cache.
 * @throws {TypeError} If x has a wrong type or rank, or an option is unknown or of a wrong type.
 * @throws {RangeError} If the window is larger than the padded input, or the padding as large as the window.
 */
export function averagePoolForwardNaive<A extends FloatArray>(
  x: Tensor<A>,
  poolParam: AveragePoolParams,
): { out: Tensor<A>; cache: AveragePoolCache } {
  return runForward(naiveAveragePool, x, poolParam);
}

/**
 * Gradient of an average pool by the definition: each value of dout is shared out evenly over what its
 * window averaged.
 *
 * @example
 * ```ts
 * import { averagePoolBackwardNaive, averagePoolForwardNaive, full } from "@cnn-layers/cnn-layers";
 *
 * const poolParam = { poolHeight: 2, poolWidth: 2, stride: 2 };
 * const { out, cache } = averagePoolForwardNaive(full([1, 1, 2, 2], 8), poolParam);
 * const dx = averagePoolBackwardNaive(out, cache);
 * if (dx.data.join() !== "2,2,2,2") throw new Error("not a quarter each");
 * ```
 *
 * @param dout Gradient of the output, (N, C, H', W').
 * @param cache From the forward pass.
 * @returns dx, (N, C, H, W).
 * @throws {TypeError} If dout or the cache has a wrong type or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function averagePoolBackwardNaive<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AveragePoolCache,
): Tensor<A> {
  return runBackward(naiveAveragePool, dout, cache);
}

/**
 * Average pooling by the fastest kernel for its shape, with the values of
 * {@linkcode averagePoolForwardNaive}. {@linkcode explainAveragePool} says which kernel runs.
 *
 * Sizes in ceil mode are those of PyTorch, and of ONNX since its operator set 22. Padding counts unless
 * told otherwise, as in PyTorch; the default of ONNX's `count_include_pad` is 0.
 *
 * @example LeNet-5's subsampling
 * ```ts
 * import { averagePoolForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(0).randn([16, 6, 28, 28]);
 * const { out } = averagePoolForward(x, { poolHeight: 2, poolWidth: 2, stride: 2 });
 * console.log(out.shape); // [16, 6, 14, 14]
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @param poolParam Window, stride, padding (0), ceil mode (false), and whether padding counts (true).
 * @returns `out` (N, C, H', W') with H' = 1 + floor((H + padTop + padBottom - poolHeight) / stride), in
 * ceil mode rounded up as long as the last window does not start in the bottom or right padding; and the cache.
 * @throws {TypeError} If x has a wrong type or rank, or an option is unknown or of a wrong type.
 * @throws {RangeError} If the window is larger than the padded input, or the padding as large as the window.
 */
export function averagePoolForward<A extends FloatArray>(
  x: Tensor<A>,
  poolParam: AveragePoolParams,
): { out: Tensor<A>; cache: AveragePoolCache } {
  return runForward(fast, x, poolParam);
}

/**
 * Gradient of an average pool by the fastest kernel for its shape.
 *
 * @example
 * ```ts
 * import { averagePoolBackward, averagePoolForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(0).randn([16, 6, 28, 28]);
 * const { out, cache } = averagePoolForward(x, { poolHeight: 2, poolWidth: 2, stride: 2 });
 * const dx = averagePoolBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, C, H', W').
 * @param cache From the forward pass.
 * @returns dx, (N, C, H, W).
 * @throws {TypeError} If dout or the cache has a wrong type or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function averagePoolBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AveragePoolCache,
): Tensor<A> {
  return runBackward(fast, dout, cache);
}

/**
 * Which kernel {@linkcode averagePoolForward} and {@linkcode averagePoolBackward} run for a shape, and
 * why.
 *
 * @example
 * ```ts
 * import { explainAveragePool } from "@cnn-layers/cnn-layers";
 *
 * const { name } = explainAveragePool([16, 6, 28, 28], { poolHeight: 2, poolWidth: 2, stride: 2 });
 * console.log(name);
 * ```
 *
 * @param xShape Shape of the input, (N, C, H, W).
 * @param poolParam As for averagePoolForward.
 * @param dtype Data type of the tensors.
 * @returns The kernel's name and tier, and the reason why each tier before it does not serve the shape.
 * @throws {TypeError} If a rank or a type is wrong, or an option unknown.
 * @throws {RangeError} If the window is larger than the padded input, or the padding as large as the window.
 */
export function explainAveragePool(
  xShape: readonly number[],
  poolParam: AveragePoolParams,
  dtype: DType = "float64",
): Explanation {
  return explain(averagePoolKernels, averagePoolShape(xShape, poolParam), checkDType(dtype));
}

/** Options of an average pool as a layer of a net. */
export interface AveragePoolOptions extends PoolOptions {
  /** Whether the zeros of the padding are averaged too. Default: true. */
  readonly countIncludePad?: boolean;
}

/**
 * An average pool as a layer of a net.
 *
 * @example
 * ```ts
 * import { affine, averagePool, conv, Net, tanh } from "@cnn-layers/cnn-layers";
 *
 * const layers = [conv(6, { kernel: 5, pad: 2 }), tanh(), averagePool(2), affine(10)];
 * const net = new Net({ inputDim: [1, 28, 28], layers });
 * ```
 *
 * @param size Height and width of the window.
 * @param options Stride (size), padding (0), ceil mode (false) and whether padding counts (true).
 * @returns The layer, from (C, H, W) to (C, H', W').
 * @throws {TypeError} If an option is unknown or has a wrong type.
 * @throws {RangeError} If a number is out of range.
 */
export function averagePool(size: Size, options: AveragePoolOptions = {}): LayerDefinition {
  const { stride, ...walk } = readOptions("averagePool", options, {
    ...POOL,
    countIncludePad: option(checkBoolean, true),
  });
  const window = poolWindow("averagePool.size", size, stride);
  return layerOf("averagePool", [size, options], (inShape, planner) => {
    const [C] = imageShape(inShape, planner);
    const shape = averagePoolShape([1, ...inShape], { ...window, ...walk });
    const poolParam = averagePoolParams(shape);
    return {
      outShape: [C, shape.OH, shape.OW],
      explain: () => explain(averagePoolKernels, shape, planner.dtype),
      ownsOut: true,
      ownsDx: true,
      forward(x) {
        const { out, cache } = averagePoolForward(x, poolParam);
        return { out, backward: (dout) => ({ dx: averagePoolBackward(dout, cache) }) };
      },
    };
  });
}
