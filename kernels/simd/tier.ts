/**
 * The SIMD tier: kernels for any shape, assembled at run time where WebAssembly allows, and interpreted
 * elsewhere if results must be reproducible.
 *
 * @module
 */

import type { KernelInfo } from "../kernel.ts";
import type { Answer, KernelTier } from "../tier.ts";
import { simdAffine } from "./affine.ts";
import { simdConv } from "./conv.ts";
import { type Features, features } from "./features.ts";
import { simdAveragePool } from "./average_pool.ts";
import { simdMaxPool } from "./max_pool.ts";

/** The answer of a maker of kernels, if the host has vectors. */
function ifAvailable<K extends KernelInfo>(plan: (available: Features) => Answer<K>): Answer<K> {
  const available = features();
  return available.simd ? plan(available) : { reason: available.reason };
}

/** The tier that answers wherever WebAssembly has vectors, and everywhere under reproducible arithmetic. */
export const simdTier: KernelTier = {
  tier: "simd",
  operations: {
    conv: {
      fields: ["dilationY", "dilationX", "groups"],
      epilogue: ["bias", "relu"],
      plan: (shape, dtype) => ifAvailable((available) => simdConv(shape, dtype, available)),
    },
    maxPool: {
      plan: (shape, dtype) => ifAvailable((available) => simdMaxPool(shape, dtype, available)),
    },
    averagePool: {
      fields: ["countIncludePad"],
      plan: (shape, dtype) => ifAvailable((available) => simdAveragePool(shape, dtype, available)),
    },
    affine: {
      epilogue: ["bias", "relu"],
      plan: (shape, dtype) => ifAvailable((available) => simdAffine(shape, dtype, available)),
    },
  },
};
