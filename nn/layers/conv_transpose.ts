/**
 * Transposed convolution, which makes images larger: the gradient of a convolution's input, run
 * forward. That convolution is called the adjoint here; its kernels do all the work.
 *
 * Source: Zeiler et al., "Deconvolutional Networks" (2010); Dumoulin and Visin, "A guide to convolution
 * arithmetic for deep learning" (2016).
 *
 * @module
 */

import type { Epilogue } from "../../kernels/epilogue.ts";
import type { WeightedKernel } from "../../kernels/kernel.ts";
import type { ConvShape, ConvTransposeParams } from "../../kernels/shape.ts";
import type { DType, FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkDType, checkTensor, checkTensorShape, checkWhole } from "../../kernels/check.ts";
import { ArgumentRangeError } from "../../kernels/errors.ts";
import { NO_EPILOGUE } from "../../kernels/epilogue.ts";
import { naiveConv } from "../../kernels/naive/conv.ts";
import { convKernels } from "../../kernels/operations.ts";
import { explain, type Explanation, select } from "../../kernels/select.ts";
import { convTransposeParams, convTransposeShape } from "../../kernels/shape.ts";
import { dtypeOf, show, sizeOf } from "../../kernels/tensor.ts";
import { checkCache, option, readOptions, unchecked, whole } from "../checks.ts";
import { emptyLike } from "../tensor.ts";
import {
  type BackwardOptions,
  checkBiases,
  type Gradients,
  type OptionalDx,
  runBackward,
} from "./gradients.ts";
import { type ConvOptions, halfPad, WALK, withBiases, withKernel } from "./conv.ts";
import {
  imageShape,
  type LayerDefinition,
  layerOf,
  type LayerPlan,
  type ParameterPlan,
} from "./layer.ts";

/** What a transposed convolution's backward pass needs of its forward pass. */
export interface ConvTransposeCache<
  A extends FloatArray = FloatArray,
  B extends Tensor<A> | null = Tensor<A>,
> {
  /** Input, (N, C, H, W). */
  readonly x: Tensor<A>;
  /** Filters, (C, F / groups, KH, KW). */
  readonly w: Tensor<A>;
  /** Biases, (F), or null. */
  readonly b: B;
  /** Stride, padding, outputPad, dilation and groups, written out. */
  readonly convParam: ConvTransposeParams;
}

/** The kernel of the adjoint. */
type ConvPick = (shape: ConvShape, dtype: DType, epilogue?: Epilogue) => WeightedKernel;

const fast: ConvPick = (shape, dtype, epilogue) => select(convKernels, shape, dtype, epilogue);

/** A transposed convolution, of the kernel of its adjoint. */
function transposed(adjoint: WeightedKernel, { C, H, W }: ConvShape): WeightedKernel {
  return {
    ...adjoint,
    forward: adjoint.backwardData,
    backwardData(N, dout, w, dx, epilogue = NO_EPILOGUE) {
      adjoint.forward(N, dout, w, dx, epilogue);
    },
    backwardWeights(N, x, dout, dw, db) {
      adjoint.backwardWeights(N, dout, x, dw);
      if (db !== undefined) sumPlanes(N, C, H * W, dout, db);
    },
  };
}

/** db = the sums of dout's planes: in float64, rounded to the dtype once. */
function sumPlanes(N: number, F: number, P: number, dout: FloatArray, db: FloatArray): void {
  for (let f = 0; f < F; f++) {
    let sum = 0;
    for (let n = 0; n < N; n++) {
      const start = (n * F + f) * P;
      for (let i = start; i < start + P; i++) sum += dout[i];
    }
    db[f] = sum;
  }
}

function checkConvTranspose(
  x: unknown,
  w: unknown,
  b: unknown,
  convParam: ConvTransposeParams,
): ConvShape {
  checkTensor("x", x, 4);
  checkTensor("w", w, 4);
  const shape = convTransposeShape(x.shape, w.shape, convParam);
  const why = `one bias an output channel of w ${show(w.shape)} with groups ${shape.groups}`;
  checkBiases(b, { x, w }, shape.C, why);
  return shape;
}

/** Checks the arguments of a forward pass, runs the kernel, and keeps what backward needs. */
function runForward<A extends FloatArray, B extends Tensor<A> | null>(
  pick: ConvPick,
  x: Tensor<A>,
  w: Tensor<A>,
  b: B,
  convParam: ConvTransposeParams,
): { out: Tensor<A>; cache: ConvTransposeCache<A, B> } {
  const shape = checkConvTranspose(x, w, b, convParam);
  const N = x.shape[0];
  const out = emptyLike(x, [N, shape.C, shape.H, shape.W]);
  const epilogue = { bias: b?.data };
  const kernel = transposed(pick(shape, dtypeOf(x.data), epilogue), shape);
  kernel.forward(N, x.data, w.data, out.data, epilogue);
  return { out, cache: { x, w, b, convParam: convTransposeParams(shape) } };
}

function runConvTransposeBackward<A extends FloatArray, B extends Tensor<A> | null>(
  pick: ConvPick,
  dout: Tensor<A>,
  cache: ConvTransposeCache<A, B>,
  options: BackwardOptions,
): OptionalDx<Gradients<A, B>> {
  checkCache(cache, ["x", "w", "b", "convParam"]);
  const { x, w, b, convParam } = cache;
  const shape = checkConvTranspose(x, w, b, convParam);
  const outShape = [x.shape[0], shape.C, shape.H, shape.W];
  checkTensorShape("dout", dout, outShape, "the transposed convolution's output");
  const kernel = transposed(pick(shape, dtypeOf(x.data)), shape);
  return runBackward(kernel, dout, cache, options);
}

/**
 * Transposed convolution by the definition: each value of x is multiplied by every weight of its
 * channel and added to the values of out that a convolution with these weights and parameters would
 * have read for it.
 *
 * @example A bilinear enlargement by two
 * ```ts
 * import { convTransposeForwardNaive, full, tensor } from "@cnn-layers/cnn-layers";
 *
 * const row = [0.25, 0.75, 0.75, 0.25];
 * const w = tensor(Float64Array.from(row.flatMap((a) => row.map((b) => a * b))), [1, 1, 4, 4]);
 * const { out } = convTransposeForwardNaive(full([1, 1, 8, 8], 3), w, null, { stride: 2, pad: 1 });
 * console.log(out.shape, out.data[8 * 16 + 8]); // [1, 1, 16, 16] 3
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @param w Filters, (C, F / groups, KH, KW), as in PyTorch and ONNX.
 * @param b Biases, (F), or null for none.
 * @param convParam Stride (1), padding (0; numbers, "same" or "valid"), outputPad (0), dilation (1) and
 * groups (1), or nothing for these.
 * @returns `out` (N, F, H', W') with H' = (H - 1) * stride - padTop - padBottom + dilation * (KH - 1) +
 * outputPad + 1, or H * stride with "same" padding; and the cache.
 * @throws {TypeError} If a tensor has a wrong type, dtype or rank, or an option is unknown.
 * @throws {RangeError} If sizes do not fit each other, groups do not divide C, outputPad is not below the
 * stride, or the padding leaves nothing of the output.
 */
export function convTransposeForwardNaive<
  A extends FloatArray,
  B extends Tensor<A> | null = Tensor<A>,
>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: B,
  convParam: ConvTransposeParams = {},
): { out: Tensor<A>; cache: ConvTransposeCache<A, B> } {
  return runForward(naiveConv, x, w, b, convParam);
}

/**
 * Gradients of a transposed convolution by the definition: dx is its adjoint's output for dout.
 *
 * @example
 * ```ts
 * import {
 *   convTransposeBackwardNaive,
 *   convTransposeForwardNaive,
 *   RandomState,
 * } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([2, 3, 4, 4]), w = random.randn([3, 2, 3, 3]), b = random.randn([2]);
 * const { out, cache } = convTransposeForwardNaive(x, w, b, { stride: 2, pad: 1, outputPad: 1 });
 * const { dx, dw, db } = convTransposeBackwardNaive(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, F, H', W').
 * @param cache From the forward pass.
 * @param options `dx: false` leaves out dx.
 * @returns `dx` (N, C, H, W), `dw` (C, F / groups, KH, KW) and `db` (F), null if there were no biases.
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function convTransposeBackwardNaive<
  A extends FloatArray,
  B extends Tensor<A> | null = Tensor<A>,
>(
  dout: Tensor<A>,
  cache: ConvTransposeCache<A, B>,
  options?: { readonly dx?: true },
): Gradients<A, B>;
/** The same, with dx only if it is asked for. */
export function convTransposeBackwardNaive<
  A extends FloatArray,
  B extends Tensor<A> | null = Tensor<A>,
>(
  dout: Tensor<A>,
  cache: ConvTransposeCache<A, B>,
  options: BackwardOptions,
): OptionalDx<Gradients<A, B>>;
export function convTransposeBackwardNaive<
  A extends FloatArray,
  B extends Tensor<A> | null = Tensor<A>,
>(
  dout: Tensor<A>,
  cache: ConvTransposeCache<A, B>,
  options: BackwardOptions = {},
): OptionalDx<Gradients<A, B>> {
  return runConvTransposeBackward(naiveConv, dout, cache, options);
}

/**
 * Transposed convolution by the fastest kernel for its shape, with the values of
 * {@linkcode convTransposeForwardNaive}: equal on integers, to 1e-12 (float64) or 1e-5 (float32) relative
 * on others. {@linkcode explainConvTranspose} says which kernel runs.
 *
 * With "same" padding the output is the stride times the input, as ONNX specifies SAME_UPPER, for kernels
 * smaller than the stride too, where ONNX Runtime gives less.
 *
 * @example The first layer of a decoder
 * ```ts
 * import { convTransposeForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(0);
 * const x = random.randn([4, 32, 7, 7]), w = random.randn([32, 16, 4, 4]), b = random.randn([16]);
 * const { out } = convTransposeForward(x, w, b, { stride: 2, pad: 1 });
 * console.log(out.shape); // [4, 16, 14, 14]
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @param w Filters, (C, F / groups, KH, KW), as in PyTorch and ONNX.
 * @param b Biases, (F), or null for none.
 * @param convParam Stride (1), padding (0; numbers, "same" or "valid"), outputPad (0), dilation (1) and
 * groups (1), or nothing for these.
 * @returns `out` (N, F, H', W') with H' = (H - 1) * stride - padTop - padBottom + dilation * (KH - 1) +
 * outputPad + 1, or H * stride with "same" padding; and the cache.
 * @throws {TypeError} If a tensor has a wrong type, dtype or rank, or an option is unknown.
 * @throws {RangeError} If sizes do not fit each other, groups do not divide C, outputPad is not below the
 * stride, or the padding leaves nothing of the output.
 */
export function convTransposeForward<
  A extends FloatArray,
  B extends Tensor<A> | null = Tensor<A>,
>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: B,
  convParam: ConvTransposeParams = {},
): { out: Tensor<A>; cache: ConvTransposeCache<A, B> } {
  return runForward(fast, x, w, b, convParam);
}

/**
 * Gradients of a transposed convolution by the fastest kernel for its shape.
 *
 * @example
 * ```ts
 * import { convTransposeBackward, convTransposeForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(0);
 * const x = random.randn([4, 32, 7, 7]), w = random.randn([32, 16, 4, 4]), b = random.randn([16]);
 * const { out, cache } = convTransposeForward(x, w, b, { stride: 2, pad: 1 });
 * const { dx, dw, db } = convTransposeBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, F, H', W').
 * @param cache From the forward pass.
 * @param options `dx: false` leaves out dx.
 * @returns `dx` (N, C, H, W), `dw` (C, F / groups, KH, KW) and `db` (F), null if there were no biases.
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function convTransposeBackward<
  A extends FloatArray,
  B extends Tensor<A> | null = Tensor<A>,
>(
  dout: Tensor<A>,
  cache: ConvTransposeCache<A, B>,
  options?: { readonly dx?: true },
): Gradients<A, B>;
/** The same, with dx only if it is asked for. */
export function convTransposeBackward<
  A extends FloatArray,
  B extends Tensor<A> | null = Tensor<A>,
>(
  dout: Tensor<A>,
  cache: ConvTransposeCache<A, B>,
  options: BackwardOptions,
): OptionalDx<Gradients<A, B>>;
export function convTransposeBackward<
  A extends FloatArray,
  B extends Tensor<A> | null = Tensor<A>,
>(
  dout: Tensor<A>,
  cache: ConvTransposeCache<A, B>,
  options: BackwardOptions = {},
): OptionalDx<Gradients<A, B>> {
  return runConvTransposeBackward(fast, dout, cache, options);
}

/**
 * Which kernel {@linkcode convTransposeForward} and {@linkcode convTransposeBackward} run for a shape,
 * and why. The name is that of the convolution whose gradient of the input this is.
 *
 * @example
 * ```ts
 * import { explainConvTranspose } from "@cnn-layers/cnn-layers";
 *
 * const { name, reason } = explainConvTranspose([4, 8, 7, 7], [8, 4, 4, 4], { stride: 2, pad: 1 });
 * console.log(name, reason); // conv-4x14x14-8x4x4-s2p1-…
 * ```
 *
 * @param xShape Shape of the input, (N, C, H, W).
 * @param wShape Shape of the filters, (C, F / groups, KH, KW).
 * @param convParam As for convTransposeForward.
 * @param dtype Data type of the tensors.
 * @returns The kernel's name and tier, and the reason why each tier before it does not serve the shape.
 * @throws {TypeError} If a rank or a type is wrong, or an option unknown.
 * @throws {RangeError} If sizes do not fit each other.
 */
export function explainConvTranspose(
  xShape: readonly number[],
  wShape: readonly number[],
  convParam: ConvTransposeParams = {},
  dtype: DType = "float64",
): Explanation {
  return explain(convKernels, convTransposeShape(xShape, wShape, convParam), checkDType(dtype));
}

/** Options of a transposed convolution as a layer of a net. */
export interface ConvTransposeOptions extends ConvOptions {
  /** Rows and columns added at the bottom and right of the output, less than the stride. Default: 0. */
  readonly outputPad?: number | readonly [number, number];
}

const walkOptions = () => ({
  ...WALK,
  groups: option(whole(1), 1),
  outputPad: unchecked<ConvTransposeOptions["outputPad"]>,
});

/**
 * A transposed convolution as a layer of a net. Parameters: W (C, F / groups, KH, KW) and b (F).
 *
 * @example It doubles an image
 * ```ts
 * import { affine, convTranspose, Net } from "@cnn-layers/cnn-layers";
 *
 * const layers = [convTranspose(4, { kernel: 2, stride: 2 }), affine(10)];
 * const net = new Net({ inputDim: [3, 8, 8], layers });
 * console.log(net.params.W2.shape); // [1024, 10]
 * ```
 *
 * @param filters How many channels the output has, F.
 * @param options As for conv, and outputPad (0).
 * @returns The layer, from (C, H, W) to (F, H', W').
 * @throws {TypeError} If an option is unknown or has a wrong type.
 * @throws {RangeError} If a number is out of range.
 */
export function convTranspose(
  filters: number,
  options: ConvTransposeOptions = {},
): LayerDefinition {
  checkWhole("convTranspose.filters", filters, 1);
  options = withKernel("convTranspose", options);
  const { kernel, bias, ...walk } = readOptions("convTranspose", options, walkOptions());
  const { groups, stride, dilation, outputPad = 0, pad = halfPad(kernel, dilation) } = walk;
  return layerOf("convTranspose", [filters, options], (inShape, planner) => {
    const [C, H, W] = imageShape(inShape, planner);
    if (filters % groups !== 0) {
      throw new ArgumentRangeError(
        `groups must divide the filters: received ${groups} of ${filters}`,
      );
    }
    const wShape = [C, filters / groups, ...kernel];
    const convParam = { stride, pad, dilation, groups, outputPad };
    const adjoint = convTransposeShape([1, ...inShape], wShape, convParam);
    const written = convTransposeParams(adjoint);
    const forward: LayerPlan["forward"] = (x, { W, b = null }) => {
      const { out, cache } = convTransposeForward(x, W, b, written);
      return {
        out,
        backward(dout, options) {
          const { dx, dw, db } = convTransposeBackward(dout, cache, options);
          return { dx, grads: withBiases(dw, db) };
        },
      };
    };
    // Of how many products a value of the output is the sum.
    const fanIn = sizeOf(wShape) / wShape[1] / groups / (stride[0] * stride[1]);
    const weights = { shape: wShape, init: { fanIn } };
    return {
      outShape: [filters, adjoint.H, adjoint.W],
      params: withBiases<ParameterPlan>(weights, bias ? { shape: [filters], init: 0 } : null),
      multiplyAdds: sizeOf(wShape) * H * W,
      explain: () => explain(convKernels, adjoint, planner.dtype),
      ownsOut: true,
      ownsDx: true,
      forward,
    };
  });
}
