/**
 * The SIMD tier: kernels for any shape, assembled at run time where WebAssembly allows.
 *
 * @module
 */

import type { KernelSource } from "../kernel.ts";
import { simdAffine } from "./affine.ts";
import { simdConv } from "./conv.ts";
import { features } from "./features.ts";
import { simdMaxPool } from "./pool.ts";

/** The tier that answers wherever WebAssembly has vectors. */
export const simdSource: KernelSource = {
  tier: "simd",
  conv(shape, dtype) {
    const available = features();
    return available.simd ? simdConv(shape, dtype, available) : { reason: available.reason };
  },
  maxPool(shape, dtype) {
    const available = features();
    return available.simd ? simdMaxPool(shape, dtype) : { reason: available.reason };
  },
  affine(shape, dtype) {
    const available = features();
    return available.simd ? simdAffine(shape, dtype, available) : { reason: available.reason };
  },
};
