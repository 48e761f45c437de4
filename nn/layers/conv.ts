/**
 * Convolution: the naive definition, and the fast path that computes the same values.
 *
 * Source: nndl/conv_layers.py and cs231n/fast_layers.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import type { Epilogue } from "../../kernels/epilogue.ts";
import type { WeightedKernel } from "../../kernels/kernel.ts";
import type { ConvParams, ConvShape, Pad } from "../../kernels/shape.ts";
import type { DType, FloatArray, Tensor } from "../../kernels/tensor.ts";
import {
  checkDType,
  checkTensor,
  checkTensorShape,
  checkType,
  checkWhole,
  isObject,
} from "../../kernels/check.ts";
import { naiveConv } from "../../kernels/naive/conv.ts";
import { convKernels } from "../../kernels/operations.ts";
import { explain, type Explanation, select } from "../../kernels/select.ts";
import { convParams, convShape } from "../../kernels/shape.ts";
import { dtypeOf, show, sizeOf } from "../../kernels/tensor.ts";
import { checkBoolean, checkCache, option, readOptions, unchecked, whole } from "../checks.ts";
import { emptyLike } from "../tensor.ts";
import { bindConv, preparedPass } from "./bound_kernel.ts";
import {
  type BackwardOptions,
  checkBiases,
  type Gradients,
  type OptionalDx,
  runBackward,
} from "./gradients.ts";
import {
  imageShape,
  type LayerDefinition,
  layerOf,
  type LayerPlan,
  type ParameterPlan,
  type PlannedLayer,
  type Planner,
  readSize,
  type Scales,
  type Size,
} from "./layer.ts";

/** What a convolution's backward pass needs of its forward pass. */
export interface ConvCache<
  A extends FloatArray = FloatArray,
  B extends Tensor<A> | null = Tensor<A>,
> {
  /** Input, (N, C, H, W). */
  readonly x: Tensor<A>;
  /** Filters, (F, C / groups, KH, KW). */
  readonly w: Tensor<A>;
  /** Biases, (F), or null. */
  readonly b: B;
  /** Stride, padding, dilation and groups, written out. */
  readonly convParam: ConvParams;
}

type ConvPick = (shape: ConvShape, dtype: DType, epilogue?: Epilogue) => WeightedKernel;

const fastConv: ConvPick = (shape, dtype, epilogue) => select(convKernels, shape, dtype, epilogue);

/** Checks the arguments of a forward pass, runs the kernel, and keeps what backward needs. */
function runConvForward<A extends FloatArray, B extends Tensor<A> | null>(
  pick: ConvPick,
  x: Tensor<A>,
  w: Tensor<A>,
  b: B,
  convParam: ConvParams,
  relu: boolean,
): { out: Tensor<A>; cache: ConvCache<A, B> } {
  const shape = checkConv(x, w, b, convParam);
  const N = x.shape[0];
  const out = emptyLike(x, [N, shape.F, shape.OH, shape.OW]);
  const epilogue = { bias: b?.data, relu };
  pick(shape, dtypeOf(x.data), epilogue).forward(N, x.data, w.data, out.data, epilogue);
  return { out, cache: { x, w, b, convParam: convParams(shape) } };
}

function checkConv(x: unknown, w: unknown, b: unknown, convParam: ConvParams): ConvShape {
  checkTensor("x", x, 4);
  checkTensor("w", w, 4);
  const shape = convShape(x.shape, w.shape, convParam);
  checkBiases(b, { x, w }, shape.F, `one bias a filter of w ${show(w.shape)}`);
  return shape;
}

function runConvBackward<A extends FloatArray, B extends Tensor<A> | null>(
  pick: ConvPick,
  dout: Tensor<A>,
  cache: ConvCache<A, B>,
  options: BackwardOptions,
): OptionalDx<Gradients<A, B>> {
  checkCache(cache, ["x", "w", "b", "convParam"]);
  const { x, w, b, convParam } = cache;
  const shape = checkConv(x, w, b, convParam);
  const outShape = [x.shape[0], shape.F, shape.OH, shape.OW];
  checkTensorShape("dout", dout, outShape, "the convolution's output");
  return runBackward(pick(shape, dtypeOf(x.data)), dout, cache, options);
}

/**
 * Convolution by the definition: loops over every image, filter, position and tap.
 *
 * Cross-correlation, no flip: out[n,f,y,x] = b[f] + sum of
 * x[n,c,y*stride+ky*dilation-pad,x*stride+kx*dilation-pad] * w[f,c,ky,kx]. With groups, a filter sees only
 * the channels of its own group; groups of one channel are a depthwise convolution.
 *
 * Source: conv_forward_naive in nndl/conv_layers.py; dilation: Yu and Koltun, "Multi-Scale Context
 * Aggregation by Dilated Convolutions" (2016); groups: Krizhevsky et al., "ImageNet Classification with
 * Deep Convolutional Neural Networks" (2012).
 *
 * @example The notebook's first cell
 * ```ts
 * import { convForwardNaive, linspace } from "@cnn-layers/cnn-layers";
 *
 * const x = linspace(-0.1, 0.5, [2, 3, 4, 4]);
 * const w = linspace(-0.2, 0.3, [3, 3, 4, 4]);
 * const b = linspace(-0.1, 0.2, [3]);
 * const { out } = convForwardNaive(x, w, b, { stride: 2, pad: 1 });
 * if (Math.abs(out.data[0] - -0.08759809) > 1e-8) throw new Error("not the notebook's number");
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @param w Filters, (F, C / groups, KH, KW).
 * @param b Biases, (F), or null for none.
 * @param convParam Stride (1), padding (0; numbers, "same" or "valid"), dilation (1) and groups (1), or
 * nothing for these.
 * @returns `out` (N, F, H', W') with H' = 1 + floor((H + padTop + padBottom - dilation * (KH - 1) - 1) /
 * stride), and the cache.
 * @throws {TypeError} If a tensor has a wrong type, dtype or rank, or an option is unknown.
 * @throws {RangeError} If sizes do not fit each other, groups do not divide C and F, or the kernel is larger
 * than the padded input.
 */
export function convForwardNaive<
  A extends FloatArray,
  B extends Tensor<A> | null = Tensor<A>,
>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: B,
  convParam: ConvParams = {},
): { out: Tensor<A>; cache: ConvCache<A, B> } {
  return runConvForward(naiveConv, x, w, b, convParam, false);
}

/**
 * Gradients of a convolution by the definition. Source: conv_backward_naive in nndl/conv_layers.py.
 *
 * @example
 * ```ts
 * import { convBackwardNaive, convForwardNaive, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([4, 3, 5, 5]), w = random.randn([2, 3, 3, 3]), b = random.randn([2]);
 * const { out, cache } = convForwardNaive(x, w, b, { stride: 1, pad: 1 });
 * const { dx, dw, db } = convBackwardNaive(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, F, H', W').
 * @param cache From the forward pass.
 * @param options `dx: false` leaves out dx.
 * @returns `dx` (N, C, H, W), `dw` (F, C / groups, KH, KW) and `db` (F), null if there were no biases.
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function convBackwardNaive<A extends FloatArray, B extends Tensor<A> | null = Tensor<A>>(
  dout: Tensor<A>,
  cache: ConvCache<A, B>,
  options?: { readonly dx?: true },
): Gradients<A, B>;
/** The same, with dx only if it is asked for. */
export function convBackwardNaive<A extends FloatArray, B extends Tensor<A> | null = Tensor<A>>(
  dout: Tensor<A>,
  cache: ConvCache<A, B>,
  options: BackwardOptions,
): OptionalDx<Gradients<A, B>>;
export function convBackwardNaive<A extends FloatArray, B extends Tensor<A> | null = Tensor<A>>(
  dout: Tensor<A>,
  cache: ConvCache<A, B>,
  options: BackwardOptions = {},
): OptionalDx<Gradients<A, B>> {
  return runConvBackward(naiveConv, dout, cache, options);
}

/**
 * Convolution by the fastest kernel for its shape: the course's conv_forward_fast. The values are
 * those of {@linkcode convForwardNaive}: equal on integers, to 1e-12 (float64) or 1e-5 (float32)
 * relative on others. {@linkcode explainConv} says which kernel runs.
 *
 * @example
 * ```ts
 * import { convForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(0);
 * const x = random.randn([100, 3, 32, 32]), w = random.randn([32, 3, 7, 7]), b = random.randn([32]);
 * const { out, cache } = convForward(x, w, b, { stride: 1, pad: 3 });
 * ```
 *
 * @example A depthwise convolution without biases, then one of 1x1
 * ```ts
 * import { convForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(0);
 * const x = random.randn([2, 8, 16, 16]), w = random.randn([8, 1, 3, 3]);
 * const depthwise = convForward(x, w, null, { stride: 2, pad: "same", groups: 8 });
 * const { out } = convForward(depthwise.out, random.randn([16, 8, 1, 1]), null, {});
 * console.log(out.shape); // [2, 16, 8, 8]
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @param w Filters, (F, C / groups, KH, KW).
 * @param b Biases, (F), or null for none.
 * @param convParam Stride (1), padding (0; numbers, "same" or "valid"), dilation (1) and groups (1), or
 * nothing for these.
 * @returns `out` (N, F, H', W') with H' = 1 + floor((H + padTop + padBottom - dilation * (KH - 1) - 1) /
 * stride), and the cache.
 * @throws {TypeError} If a tensor has a wrong type, dtype or rank, or an option is unknown.
 * @throws {RangeError} If sizes do not fit each other, groups do not divide C and F, or the kernel is larger
 * than the padded input.
 */
export function convForward<
  A extends FloatArray,
  B extends Tensor<A> | null = Tensor<A>,
>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: B,
  convParam: ConvParams = {},
): { out: Tensor<A>; cache: ConvCache<A, B> } {
  return runConvForward(fastConv, x, w, b, convParam, false);
}

/** {@linkcode convForward} and relu in one pass over the output: for the cascaded layers. */
export function convForwardFusedRelu<
  A extends FloatArray,
  B extends Tensor<A> | null = Tensor<A>,
>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: B,
  convParam: ConvParams,
): { out: Tensor<A>; cache: ConvCache<A, B> } {
  return runConvForward(fastConv, x, w, b, convParam, true);
}

/**
 * Gradients of a convolution by the fastest kernel for its shape: the course's conv_backward_fast.
 *
 * @example The first layer of a net needs no dx
 * ```ts
 * import { convBackward, convForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(0);
 * const x = random.randn([8, 3, 32, 32]), w = random.randn([32, 3, 7, 7]), b = random.randn([32]);
 * const { out, cache } = convForward(x, w, b, { stride: 1, pad: 3 });
 * const { dw, db } = convBackward(out, cache, { dx: false });
 * ```
 *
 * @param dout Gradient of the output, (N, F, H', W').
 * @param cache From the forward pass.
 * @param options `dx: false` leaves out dx.
 * @returns `dx` (N, C, H, W), `dw` (F, C / groups, KH, KW) and `db` (F), null if there were no biases.
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function convBackward<A extends FloatArray, B extends Tensor<A> | null = Tensor<A>>(
  dout: Tensor<A>,
  cache: ConvCache<A, B>,
  options?: { readonly dx?: true },
): Gradients<A, B>;
/** The same, with dx only if it is asked for. */
export function convBackward<A extends FloatArray, B extends Tensor<A> | null = Tensor<A>>(
  dout: Tensor<A>,
  cache: ConvCache<A, B>,
  options: BackwardOptions,
): OptionalDx<Gradients<A, B>>;
export function convBackward<A extends FloatArray, B extends Tensor<A> | null = Tensor<A>>(
  dout: Tensor<A>,
  cache: ConvCache<A, B>,
  options: BackwardOptions = {},
): OptionalDx<Gradients<A, B>> {
  return runConvBackward(fastConv, dout, cache, options);
}

/**
 * Which kernel {@linkcode convForward} and {@linkcode convBackward} run for a shape, and why.
 *
 * @example
 * ```ts
 * import { explainConv } from "@cnn-layers/cnn-layers";
 *
 * const { name, tier, reason } = explainConv([100, 3, 31, 31], [25, 3, 3, 3], { stride: 2, pad: 1 });
 * console.log(name, tier, reason);
 * ```
 *
 * @param xShape Shape of the input, (N, C, H, W).
 * @param wShape Shape of the filters, (F, C / groups, KH, KW).
 * @param convParam As for convForward.
 * @param dtype Data type of the tensors.
 * @returns The kernel's name and tier, and the reason why each tier before it does not serve the shape.
 * @throws {TypeError} If a rank or a type is wrong, or an option unknown.
 * @throws {RangeError} If sizes do not fit each other, or the kernel is larger than the padded input.
 */
export function explainConv(
  xShape: readonly number[],
  wShape: readonly number[],
  convParam: ConvParams = {},
  dtype: DType = "float64",
): Explanation {
  return explain(convKernels, convShape(xShape, wShape, convParam), checkDType(dtype));
}

/** Options of a convolution as a layer of a net. */
export interface ConvOptions {
  /** Height and width of the filters. Default: 3. */
  readonly kernel?: Size;
  /** Another name of `kernel`, as in PyTorch and TensorFlow.js. */
  readonly kernelSize?: Size;
  /** Stride of the filters. Default: 1. */
  readonly stride?: Size;
  /**
   * Zeros around the input, or "same" or "valid". Default: half of what the kernel covers,
   * rounded down, so that an odd kernel keeps the size at stride 1.
   */
  readonly pad?: Pad;
  /** Step between the taps of a filter. Default: 1. */
  readonly dilation?: Size;
  /** Groups of channels, each with filters of its own. Default: 1. */
  readonly groups?: number;
  /** Whether each filter has a bias. Default: true. Not needed before a normalization. */
  readonly bias?: boolean;
}

const STEP = (name: string, value: unknown = 1) => readSize(name, value);

/** The options that convolutions of all kinds have. */
export const WALK = {
  kernel: (name: string, value: unknown = 3) => readSize(name, value),
  stride: STEP,
  pad: unchecked<Pad | undefined>,
  dilation: STEP,
  bias: option(checkBoolean, true),
};

/** Options with `kernelSize` under its other name. */
export function withKernel<O extends ConvOptions>(name: string, options: O): O {
  if (!isObject(options) || options.kernelSize === undefined) return options;
  const { kernelSize, kernel = kernelSize, ...rest } = options as ConvOptions;
  checkType(kernel === kernelSize, `${name}.kernel`, "be left out beside kernelSize", kernel);
  return { ...rest, kernel } as O;
}

/** The default padding of a kernel. */
export function halfPad(
  [KH, KW]: readonly [number, number],
  [y, x]: readonly [number, number],
): readonly [number, number] {
  return [Math.floor(y * (KH - 1) / 2), Math.floor(x * (KW - 1) / 2)];
}

/** What belongs to weights, and to biases if there are any, by their short names. */
export function withBiases<T>(W: T, b: T | null): Readonly<Record<string, T>> {
  if (b === null) return { W };
  return { W, b };
}

/** Weights and biases that scale and shift each filter's sums, too. */
function scaled(
  w: FloatArray,
  b: FloatArray | undefined,
  scales: Scales | undefined,
): [w: FloatArray, b: FloatArray | undefined] {
  if (scales === undefined) return [w, b];
  const { scale, shift } = scales, size = w.length / scale.length;
  const bias = w.slice(0, scale.length);
  for (const [f, value] of scale.entries()) bias[f] = shift[f] + value * (b?.[f] ?? 0);
  return [w.map((value, i) => value * scale[Math.floor(i / size)]), bias];
}

/** Plans a convolution with this many filters and groups. */
export function planConv(
  inShape: readonly number[],
  { dtype }: Planner,
  filters: number,
  groups: number,
  { kernel, stride, dilation, pad = halfPad(kernel, dilation), bias }: {
    readonly kernel: readonly [number, number];
    readonly stride: readonly [number, number];
    readonly dilation: readonly [number, number];
    readonly pad?: Pad;
    readonly bias: boolean;
  },
): LayerPlan {
  const wShape = [filters, Math.max(1, Math.floor(inShape[0] / groups)), ...kernel];
  const shape = convShape([1, ...inShape], wShape, { stride, pad, dilation, groups });
  const convParam = convParams(shape), { OH, OW } = shape;
  const fanIn = sizeOf(wShape) / filters;
  const forward =
    (relu: boolean, scalesOf?: PlannedLayer["scalesOf"]): LayerPlan["forward"] =>
    (x, { W, b = null }, run) => {
      const { prepared } = run;
      if (prepared !== undefined) {
        return preparedPass(prepared, x, W, () => {
          const [w, bias] = scaled(W.data, b?.data, scalesOf?.(run));
          return bindConv(shape, w, { bias, relu });
        });
      }
      const { out, cache } = runConvForward(fastConv, x, W, b, convParam, relu);
      return {
        out,
        backward(dout, options) {
          const { dx, dw, db } = runConvBackward(fastConv, dout, cache, options);
          return { dx, grads: withBiases(dw, db) };
        },
      };
    };
  const W = { shape: wShape, init: { fanIn } };
  return {
    outShape: [filters, OH, OW],
    params: withBiases<ParameterPlan>(W, bias ? { shape: [filters], init: 0 } : null),
    multiplyAdds: sizeOf(wShape) * OH * OW,
    explain: () => explain(convKernels, shape, dtype),
    ownsOut: true,
    ownsDx: true,
    withEpilogue: ({ relu = false }) => forward(relu),
    withScales: (scalesOf, { relu = false }) => forward(relu, scalesOf),
    forward: forward(false),
  };
}

/**
 * A convolution as a layer of a net. Parameters: W (F, C / groups, KH, KW) and b (F).
 *
 * @example
 * ```ts
 * import { affine, conv, Net, relu } from "@cnn-layers/cnn-layers";
 *
 * const net = new Net({
 *   inputDim: [3, 16, 16],
 *   layers: [conv(8, { kernel: 5, stride: 2 }), relu(), affine(10)],
 * });
 * console.log(net.params.W1.shape); // [8, 3, 5, 5]
 * ```
 *
 * @param filters How many filters, F.
 * @param options Kernel size (3), stride (1), padding, dilation (1), groups (1), and whether it has biases.
 * @returns The layer, from (C, H, W) to (F, H', W').
 * @throws {TypeError} If an option is unknown or has a wrong type.
 * @throws {RangeError} If a number is out of range.
 */
export function conv(filters: number, options: ConvOptions = {}): LayerDefinition {
  checkWhole("conv.filters", filters, 1);
  options = withKernel("conv", options);
  const { groups, ...walk } = readOptions("conv", options, {
    ...WALK,
    groups: option(whole(1), 1),
  });
  return layerOf("conv", [filters, options], (inShape, planner) => {
    imageShape(inShape, planner);
    return planConv(inShape, planner, filters, groups, walk);
  });
}
