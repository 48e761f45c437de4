/**
 * The SIMD tier: kernels for any shape, assembled at run time where WebAssembly allows, and interpreted
 * elsewhere if results must be reproducible. It answers wherever WebAssembly has vectors, and everywhere
 * under reproducible arithmetic.
 *
 * @module
 */

import type { KernelInfo } from "../kernel.ts";
import type { Answer, Offer } from "../tier.ts";
import { simdAffine } from "./affine.ts";
import { simdConv } from "./conv.ts";
import { type Features, features } from "./features.ts";
import { simdAveragePool } from "./average_pool.ts";
import { simdMap } from "./map.ts";
import { simdMaxPool } from "./max_pool.ts";
import { simdNorm } from "./norm.ts";

/** The answer of a maker of kernels, if the host has vectors. */
function ifAvailable<K extends KernelInfo>(plan: (available: Features) => Answer<K>): Answer<K> {
  const available = features();
  return available.simd ? plan(available) : { reason: available.reason };
}

/** Convolutions. */
export const conv: Offer<"conv"> = {
  fields: ["dilationY", "dilationX", "groups"],
  epilogue: ["bias", "relu"],
  plan: (shape, dtype) => ifAvailable((available) => simdConv(shape, dtype, available)),
};

/** Max-pools. */
export const maxPool: Offer<"maxPool"> = {
  plan: (shape, dtype) => ifAvailable((available) => simdMaxPool(shape, dtype, available)),
};

/** Average pools. */
export const averagePool: Offer<"averagePool"> = {
  fields: ["countIncludePad"],
  plan: (shape, dtype) => ifAvailable((available) => simdAveragePool(shape, dtype, available)),
};

/** Fully-connected layers. */
export const affine: Offer<"affine"> = {
  epilogue: ["bias", "relu"],
  plan: (shape, dtype) => ifAvailable((available) => simdAffine(shape, dtype, available)),
};

/** What normalizations need of planes. */
export const norm: Offer<"norm"> = {
  fields: ["P"],
  plan: (shape, dtype) => ifAvailable((available) => simdNorm(shape, dtype, available)),
};

/** Operations element by element. */
export const map: Offer<"map"> = {
  fields: ["map", "number"],
  plan: (shape, dtype) => ifAvailable((available) => simdMap(shape, dtype, available)),
};
