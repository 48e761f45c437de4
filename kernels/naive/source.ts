/**
 * The naive tier: generic loops that serve every shape, the reference and the last resort.
 *
 * @module
 */

import type { KernelSource } from "../kernel.ts";
import { naiveAffine } from "./affine.ts";
import { naiveConv } from "./conv.ts";
import { naiveMaxPool } from "./pool.ts";

const reason = "the generic loops serve every shape";

/** The tier that always answers. */
export const naiveSource: KernelSource = {
  tier: "naive",
  conv: (shape) => ({ kernel: naiveConv(shape), reason }),
  maxPool: (shape) => ({ kernel: naiveMaxPool(shape), reason }),
  affine: (shape) => ({ kernel: naiveAffine(shape), reason }),
};
