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

/** Up to here the probability is 0.5 + x * DENSITY, to the last bit. */
const SMALL = 1e-8;

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
  // y / x is that probability, where x is not so small that y has lost its last bits.
  const slope = (x: number, y: number) =>
    (Math.abs(x) < SMALL ? 0.5 + x * DENSITY : y / x) + x * DENSITY * exp(-0.5 * x * x);
  return elementwise("gelu", [], (x) => x * below(x), slope);
}
