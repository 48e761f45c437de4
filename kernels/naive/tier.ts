/**
 * The tier of the definitions: the reference and the last resort. It serves everything.
 *
 * @module
 */

import type { Offer } from "../tier.ts";
import { naiveAffine } from "./affine.ts";
import { naiveAveragePool } from "./average_pool.ts";
import { naiveConv } from "./conv.ts";
import { naiveMap } from "./map.ts";
import { naiveMaxPool } from "./max_pool.ts";
import { naiveNorm } from "./norm.ts";

const reason = "the generic loops serve every shape";
const dilation = ["dilationY", "dilationX"] as const;
const epilogue = ["bias", "relu"] as const;

/** Convolutions. */
export const conv: Offer<"conv"> = {
  fields: [...dilation, "groups"],
  epilogue,
  plan: (shape) => ({ kernel: naiveConv(shape), reason }),
};

/** Max-pools. */
export const maxPool: Offer<"maxPool"> = {
  fields: dilation,
  plan: (shape) => ({ kernel: naiveMaxPool(shape), reason }),
};

/** Average pools. */
export const averagePool: Offer<"averagePool"> = {
  fields: ["countIncludePad"],
  plan: (shape) => ({ kernel: naiveAveragePool(shape), reason }),
};

/** Fully-connected layers. */
export const affine: Offer<"affine"> = {
  epilogue,
  plan: (shape) => ({ kernel: naiveAffine(shape), reason }),
};

/** What normalizations need of planes. */
export const norm: Offer<"norm"> = {
  fields: ["P"],
  plan: (shape) => ({ kernel: naiveNorm(shape), reason }),
};

/** Operations element by element. */
export const map: Offer<"map"> = {
  fields: ["map", "number"],
  plan: (shape) => ({ kernel: naiveMap(shape), reason }),
};
