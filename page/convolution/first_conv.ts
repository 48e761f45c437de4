/**
 * The first convolution of a net, and what it computes of an image.
 *
 * @module
 */

import { convForward, type ConvParams, type FloatArray, type Net, type Tensor } from "../../mod.ts";

/** A convolution with its numbers. */
export interface FirstConv {
  /** Filters, (F, C, KH, KW). */
  readonly w: Tensor;
  /** Biases, (F), or null. */
  readonly b: Tensor | null;
  /** Stride and zeros around the input. */
  readonly params: ConvParams;
}

/** The net's first layer, if it is a convolution of all channels. */
export function firstConv({ layers, params }: Net<"float32">): FirstConv | undefined {
  const [first] = layers;
  if (first?.layer.type !== "conv") return undefined;
  const { kernel = 3, stride = 1, pad, dilation = 1, groups = 1 } = //
    (first.layer.args?.[1] ?? {}) as Record<string, unknown>;
  if (typeof kernel !== "number" || typeof stride !== "number" || dilation !== 1 || groups !== 1) {
    return undefined;
  }
  // The layer's own default.
  const zeros = pad ?? Math.floor((kernel - 1) / 2);
  const w = params[first.names.W], b = first.names.b === undefined ? null : params[first.names.b];
  return { w, b, params: { stride, pad: zeros as ConvParams["pad"] } };
}

/** One number of a window, and what becomes of it. */
export interface Product {
  readonly value: number;
  readonly weight: number;
  readonly product: number;
  /** Whether the value is a zero beside the input. */
  readonly isPadding: boolean;
}

/** How an output comes about. */
export interface OutputParts {
  /** For each channel the window, row by row. */
  readonly channels: readonly (readonly (readonly Product[])[])[];
  readonly bias: number;
  /** The sum of all products and the bias. */
  readonly sum: number;
}

/** A convolution of one image. */
export interface ConvStage {
  /** The image, (1, C, H, W). */
  readonly x: Tensor;
  readonly conv: FirstConv;
  /** The outputs, (1, F, OH, OW). */
  readonly out: Tensor;
  readonly stride: number;
  /** Zeros above and left of the image. */
  readonly pad: readonly [top: number, left: number];
}

/** Computes a convolution of one image. */
export function stageOf<A extends FloatArray>(x: Tensor<A>, conv: FirstConv): ConvStage {
  const { out, cache } = convForward(x, conv.w as Tensor<A>, conv.b as Tensor<A>, conv.params);
  const { stride, pad } = cache.convParam;
  return { x, conv, out, stride: first(stride), pad: topLeft(pad) };
}

/** A number that may stand for two of the same. */
function first(value: unknown): number {
  return Array.isArray(value) ? value[0] : value as number;
}

/** The padding above and to the left, of a padding that is written out. */
function topLeft(pad: unknown): readonly [number, number] {
  if (!Array.isArray(pad)) return [pad as number, pad as number];
  const [y, x] = pad as readonly unknown[];
  return [first(y), first(x)];
}

/** How an output comes about: what is multiplied with what. */
export function partsOf(
  { x, conv, stride, pad }: ConvStage,
  filter: number,
  row: number,
  column: number,
): OutputParts {
  const [, C, H, W] = x.shape, [, , KH, KW] = conv.w.shape;
  let sum = 0;
  const channels = Array.from(
    { length: C },
    (_, c) =>
      Array.from({ length: KH }, (_, i) =>
        Array.from({ length: KW }, (_, j): Product => {
          const y = row * stride - pad[0] + i, z = column * stride - pad[1] + j;
          const isPadding = y < 0 || y >= H || z < 0 || z >= W;
          const value = isPadding ? 0 : x.data[(c * H + y) * W + z];
          const weight = conv.w.data[((filter * C + c) * KH + i) * KW + j],
            product = value * weight;
          sum += product;
          return { value, weight, product, isPadding };
        })),
  );
  const bias = conv.b?.data[filter] ?? 0;
  return { channels, bias, sum: sum + bias };
}
