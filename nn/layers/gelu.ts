/**
 * The Gaussian error linear unit.
 *
 * @module
 */

import { erf, exp } from "../elementary.ts";
import { elementwise } from "./elementwise.ts";
import type { LayerDefinition } from "./layer.ts";

/** The probability that a normal number is below x. */
const below = (x: number) => 0.5 * (1 + erf(x * Math.SQRT1_2));

/** 1 / sqrt(2 pi): how dense normal numbers are at 0. */
const DENSITY = 0.3989422804014327;

/**
 * The gelu as a layer of a net: x times the probability that a normal number is below x, by the error
 * function and not an approximation, with the same bits in every engine.
 *
 * Source: Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016).
 *
 * @example
 * ```ts
 * import { affine, gelu, Net } from "@cnn-layers/cnn-layers";
 *
 * const net = new Net({ inputDim: 4, layers: [affine(8), gelu(), affine(3)] });
 * ```
 *
 * @returns The layer.
 */
export function gelu(): LayerDefinition {
  const slope = (x: number) => below(x) + x * DENSITY * exp(-0.5 * x * x);
  return elementwise("gelu", [], (x) => x * below(x), slope);
}
