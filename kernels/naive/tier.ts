/**
 * The tier of the definitions: the reference and the last resort. It serves everything.
 *
 * @module
 */

import type { KernelTier } from "../tier.ts";
import { naiveAffine } from "./affine.ts";
import { naiveAveragePool } from "./average_pool.ts";
import { naiveConv } from "./conv.ts";
import { naiveMaxPool } from "./max_pool.ts";

const reason = "the generic loops serve every shape";
const dilation = ["dilationY", "dilationX"] as const;
const epilogue = ["bias", "relu"] as const;

/** The naive tier. */
export const naiveTier: KernelTier = {
  tier: "naive",
  operations: {
    conv: {
      fields: [...dilation, "groups"],
      epilogue,
      plan: (shape) => ({ kernel: naiveConv(shape), reason }),
    },
    maxPool: { fields: dilation, plan: (shape) => ({ kernel: naiveMaxPool(shape), reason }) },
    averagePool: {
      fields: ["countIncludePad"],
      plan: (shape) => ({ kernel: naiveAveragePool(shape), reason }),
    },
    affine: { epilogue, plan: (shape) => ({ kernel: naiveAffine(shape), reason }) },
  },
};
