/**
 * Every operation with the offers of the tiers. Each is a value of its own: a bundle holds the kernels of
 * the operations that its program calls.
 *
 * @module
 */

import * as generated from "./generated/tier.ts";
import * as naive from "./naive/tier.ts";
import * as simd from "./simd/tier.ts";
import type { Offers } from "./tier.ts";

/** Convolutions, transposed ones included. */
export const convKernels: Offers<"conv"> = {
  operation: "conv",
  simd: simd.conv,
  generated: generated.conv,
  naive: naive.conv,
};

/** Max-pools. */
export const maxPoolKernels: Offers<"maxPool"> = {
  operation: "maxPool",
  simd: simd.maxPool,
  generated: generated.maxPool,
  naive: naive.maxPool,
};

/** Average pools. */
export const averagePoolKernels: Offers<"averagePool"> = {
  operation: "averagePool",
  simd: simd.averagePool,
  generated: generated.averagePool,
  naive: naive.averagePool,
};

/** Fully-connected layers. */
export const affineKernels: Offers<"affine"> = {
  operation: "affine",
  simd: simd.affine,
  generated: generated.affine,
  naive: naive.affine,
};

/** What normalizations need of planes. */
export const normKernels: Offers<"norm"> = {
  operation: "norm",
  simd: simd.norm,
  naive: naive.norm,
};

/** Operations element by element. */
export const mapKernels: Offers<"map"> = { operation: "map", simd: simd.map, naive: naive.map };
