/**
 * Depthwise convolution: filters that see one channel each.
 *
 * @module
 */

import { option, readOptions, whole } from "../checks.ts";
import { type ConvOptions, planConv, WALK, withKernel } from "./conv.ts";
import { imageShape, type LayerDefinition, layerOf } from "./layer.ts";

/** Options of a depthwise convolution. */
export interface DepthwiseConvOptions extends Omit<ConvOptions, "groups"> {
  /** How many filters each channel has. Default: 1. */
  readonly multiplier?: number;
}

/**
 * A depthwise convolution as a layer of a net: each channel has filters of its own. Parameters:
 * W (C * multiplier, 1, KH, KW) and b (C * multiplier).
 *
 * Source: Howard et al., "MobileNets" (2017).
 *
 * @example A depthwise-separable convolution
 * ```ts
 * import { batchnorm, conv, depthwiseConv, relu, sequential } from "@cnn-layers/cnn-layers";
 *
 * const block = (filters: number, stride = 1) =>
 *   sequential(
 *     ...[depthwiseConv({ stride, bias: false }), batchnorm(), relu()],
 *     ...[conv(filters, { kernel: 1, bias: false }), batchnorm(), relu()],
 *   );
 * console.log(block(16, 2).type); // sequential
 * ```
 *
 * @param options As for conv, but for groups; and the filters of a channel (1).
 * @returns The layer, from (C, H, W) to (C * multiplier, H', W').
 * @throws {TypeError} If an option is unknown or has a wrong type.
 * @throws {RangeError} If a number is out of range.
 */
export function depthwiseConv(options: DepthwiseConvOptions = {}): LayerDefinition {
  options = withKernel("depthwiseConv", options);
  const MULTIPLIER = { multiplier: option(whole(1), 1) };
  const { multiplier, ...walk } = readOptions("depthwiseConv", options, { ...WALK, ...MULTIPLIER });
  return layerOf("depthwiseConv", [options], (inShape, planner) => {
    const [C] = imageShape(inShape, planner);
    return planConv(inShape, planner, C * multiplier, C, walk);
  });
}
