/**
 * The generated tier: finds a generated kernel for a shape, the library's own or a user's.
 *
 * @module
 */

import { generatedConvs, generatedPools } from "./generated/index.ts";
import type { GeneratedConv, GeneratedPool, KernelSource } from "./kernel.ts";
import { convLabel, familyLabel, poolLabel, type WindowShape } from "./shape.ts";
import { walkAffine, walkConv, walkMaxPool } from "./walk.ts";

const convs = new Map(generatedConvs.map((kernel) => [kernel.name, kernel]));
const pools = new Map(generatedPools.map((kernel) => [kernel.name, kernel]));

/** Adds kernels to the tier; one of the same name takes the place of the one that was there. */
export function addKernels(
  moreConvs: readonly GeneratedConv[],
  morePools: readonly GeneratedPool[],
): void {
  for (const kernel of moreConvs) convs.set(kernel.name, kernel);
  for (const kernel of morePools) pools.set(kernel.name, kernel);
}

/** The names of all generated kernels. */
export function generatedNames(): string[] {
  return [...convs.keys(), ...pools.keys()];
}

/** An exact kernel for the shape, or one of its family, or none. */
function find<G>(
  kernels: ReadonlyMap<string, G>,
  kind: string,
  exact: string,
  shape: WindowShape,
): { found?: G; reason: string } {
  const own = kernels.get(`${kind}-${exact}-generated`);
  if (own !== undefined) return { found: own, reason: `generated for exactly ${exact}` };
  const family = familyLabel(shape);
  const found = kernels.get(`${kind}-${family}-generated`);
  if (found !== undefined) {
    return { found, reason: `generated for the family ${family}, none for exactly ${exact}` };
  }
  return { reason: `none is generated for ${exact} or the family ${family}` };
}

/** The generated tier. */
export const generatedSource: KernelSource = {
  tier: "generated",
  conv(shape) {
    const { found, reason } = find(convs, "conv", convLabel(shape), shape);
    return { kernel: found && walkConv(found, shape), reason };
  },
  maxPool(shape) {
    const { found, reason } = find(pools, "maxpool", poolLabel(shape), shape);
    return { kernel: found && walkMaxPool(found, shape), reason };
  },
  affine(shape) {
    const pointwise = convs.get("conv-1x1-s1-generated");
    if (pointwise === undefined) return { reason: "no 1x1 kernel is generated" };
    return { kernel: walkAffine(pointwise, shape), reason: "by the generated 1x1 convolution" };
  },
};
