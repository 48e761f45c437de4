/**
 * The generated tier: finds a generated kernel for a shape, the library's own or a user's.
 *
 * @module
 */

import { checkType, isObject } from "../check.ts";
import { convLabel, type Family, familyLabel, poolLabel } from "../shape.ts";
import type { KernelTier } from "../tier.ts";
import { driveAffine, driveConv, driveMaxPool } from "./driver.ts";
import type { GeneratedConv, GeneratedPool } from "./kernel.ts";
import { generatedConvs, generatedPools } from "./kernels/index.ts";

const convs = new Map(generatedConvs.map((kernel) => [kernel.name, kernel]));
const pools = new Map(generatedPools.map((kernel) => [kernel.name, kernel]));

/** What kernels of a kind must have: a name that some shape or family asks for, and functions. */
interface Kind {
  readonly name: RegExp;
  readonly example: string;
  readonly passes: readonly string[];
}

const stride = "s\\d+(x\\d+)?", pad = "(p\\d+(x\\d+(x\\d+x\\d+)?)?)?";
const dilation = "(d\\d+(x\\d+)?)?", family = `\\d+x\\d+-${stride}${dilation}`;
const exact = `${stride}${pad}${dilation}o?`;
const CONV: Kind = {
  name: RegExp(`^conv-((\\d+x){2}\\d+-(\\d+x){2}\\d+-${exact}(g\\d+)?|${family})-generated$`),
  example: "conv-3x31x31-25x3x3-s2p1-generated or conv-3x3-s2-generated",
  passes: ["forward", "backwardData", "backwardWeights"],
};
const POOL: Kind = {
  name: RegExp(`^maxpool-(\\d+x\\d+-\\d+x\\d+-${exact}|${family})-generated$`),
  example: "maxpool-32x32-2x2-s2-generated or maxpool-2x2-s2-generated",
  passes: ["forward", "backward"],
};

function checkKernels(list: string, kernels: unknown, { name, example, passes }: Kind): void {
  checkType(Array.isArray(kernels), list, "be an array of generated kernels", kernels);
  for (const [i, kernel] of kernels.entries()) {
    const what = `${list}[${i}]`;
    checkType(isObject(kernel), what, "be a generated kernel", kernel);
    const given = kernel as Readonly<Record<string, unknown>>;
    const isName = typeof given.name === "string" && name.test(given.name);
    checkType(isName, `${what}.name`, `be like ${example}`, given.name);
    for (const pass of passes) {
      const isFunction = typeof given[pass] === "function";
      checkType(isFunction, `${what}.${pass}`, "be a function", given[pass]);
    }
  }
}

/** Adds kernels to the tier; one of the same name takes the place of the one that was there. */
export function addKernels(
  moreConvs: readonly GeneratedConv[],
  morePools: readonly GeneratedPool[],
): void {
  checkKernels("convs", moreConvs, CONV);
  checkKernels("pools", morePools, POOL);
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
  shape: Family,
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
export const generatedTier: KernelTier = {
  tier: "generated",
  operations: {
    conv: {
      // Kernels are found by labels that say dilation; a group is a convolution of its own.
      fields: ["dilationY", "dilationX", "groups"],
      epilogue: ["bias", "relu"],
      plan(shape) {
        const { found, reason } = find(convs, "conv", convLabel(shape), shape);
        return { kernel: found && driveConv(found, shape), reason };
      },
    },
    maxPool: {
      plan(shape) {
        const { found, reason } = find(pools, "maxpool", poolLabel(shape), shape);
        return { kernel: found && driveMaxPool(found, shape), reason };
      },
    },
    affine: {
      epilogue: ["bias", "relu"],
      plan(shape) {
        const pointwise = convs.get("conv-1x1-s1-generated");
        if (pointwise === undefined) return { reason: "no 1x1 kernel is generated" };
        return {
          kernel: driveAffine(pointwise, shape),
          reason: "by the generated 1x1 convolution",
        };
      },
    },
  },
};
