/**
 * The generated tier: finds a generated kernel for a shape, the library's own or a user's.
 *
 * @module
 */

import { checkType, isObject } from "../check.ts";
import type { KernelInfo } from "../kernel.ts";
import {
  type AveragePoolShape,
  convLabel,
  familyLabel,
  hangsOver,
  poolLabel,
  type PoolShape,
} from "../shape.ts";
import type { Answer, Offer } from "../tier.ts";
import { driveAffine, driveConv, EXAMPLES } from "./driver.ts";
import type { GeneratedAveragePool, GeneratedConv, GeneratedPool } from "./kernel.ts";
import { generatedAveragePools, generatedConvs, generatedPools } from "./kernels/index.ts";
import { driveAveragePool, driveMaxPool } from "./pool_driver.ts";
import { isDepthwise, MAX_NUMBERS, stagedNumbers } from "./staging.ts";

const byName = <G extends { readonly name: string }>(kernels: readonly G[]) =>
  new Map(kernels.map((kernel) => [kernel.name, kernel]));
// A bundle holds the kernels of the operations that it uses.
const convs = /* @__PURE__ */ byName(generatedConvs);
const pools = /* @__PURE__ */ byName(generatedPools);
const averagePools = /* @__PURE__ */ byName(generatedAveragePools);

/** What kernels of a kind must have: a name that some shape or family asks for, and functions. */
interface Kind {
  readonly name: RegExp;
  readonly example: string;
  readonly passes: readonly string[];
}

/** A kind of kernels. Made when it is needed: what registers none carries no expressions. */
function kindOf(
  word: string,
  plane: string,
  exactEnd: string,
  familyEnd: string,
  example: string,
  passes: readonly string[],
): Kind {
  const stride = "s\\d+(x\\d+)?", pad = "(p\\d+(x\\d+(x\\d+x\\d+)?)?)?";
  const dilation = "(d\\d+(x\\d+)?)?";
  const exact = `${plane}-${stride}${pad}${dilation}o?${exactEnd}`;
  const family = `\\d+x\\d+-${stride}${dilation}${familyEnd}`;
  return {
    name: RegExp(`^${word}-(${exact}|${family})-generated$`),
    example: `${word}-${example}-generated or ${word}-2x2-s2-generated`,
    passes,
  };
}

const convKind = (): Kind =>
  kindOf(
    "conv",
    "(\\d+x){2}\\d+-(\\d+x){2}\\d+",
    "(g\\d+)?",
    "(-depthwise)?",
    "3x31x31-25x3x3-s2p1",
    [
      "forward",
      "backwardData",
      "backwardWeights",
    ],
  );
const poolKind = (word: string): Kind =>
  kindOf(word, "\\d+x\\d+-\\d+x\\d+", "", "", "32x32-2x2-s2", ["forward", "backward"]);

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
  moreAveragePools: readonly GeneratedAveragePool[],
): void {
  checkKernels("convs", moreConvs, convKind());
  checkKernels("pools", morePools, poolKind("maxpool"));
  checkKernels("averagePools", moreAveragePools, poolKind("averagepool"));
  for (const kernel of moreConvs) convs.set(kernel.name, kernel);
  for (const kernel of morePools) pools.set(kernel.name, kernel);
  for (const kernel of moreAveragePools) averagePools.set(kernel.name, kernel);
}

/** The names of all generated kernels. */
export function generatedNames(): string[] {
  return [...convs.keys(), ...pools.keys(), ...averagePools.keys()];
}

/** An exact kernel, or one of the first of the families that has one, or none. */
function find<G>(
  kernels: ReadonlyMap<string, G>,
  kind: string,
  exact: string,
  ...families: readonly string[]
): { readonly found?: G; readonly label?: string; readonly reason: string } {
  for (const label of [exact, ...families]) {
    const found = kernels.get(`${kind}-${label}-generated`);
    const what = label === exact ? "exactly" : "the family";
    if (found) return { found, label, reason: `generated for ${what} ${label}` };
  }
  return { reason: `none is generated for ${exact} or the family ${families.join(" or ")}` };
}

const tooLarge = { reason: "its arrays are too large" };

/** Whether as many values count in every window. */
function countsAlike(s: AveragePoolShape): boolean {
  const padding = s.padTop + s.padLeft + s.padBottom + s.padRight;
  return (s.countIncludePad || padding === 0) && !hangsOver(s);
}

/** A pool of either kind, by its generated kernel. */
function planPool<G, K extends KernelInfo>(
  kernels: ReadonlyMap<string, G>,
  kind: string,
  shape: PoolShape,
  drive: (generated: G, shape: PoolShape) => K,
): Answer<K> {
  if (stagedNumbers(shape) >= MAX_NUMBERS) return tooLarge;
  const { found, reason } = find(kernels, kind, poolLabel(shape), familyLabel(shape));
  return { kernel: found && drive(found, shape), reason };
}

/** Convolutions. */
export const conv: Offer<"conv"> = {
  // Kernels are found by labels that say dilation; a group is a convolution of its own.
  fields: ["dilationY", "dilationX", "groups"],
  epilogue: ["bias", "relu"],
  plan(shape) {
    if (stagedNumbers(shape) >= MAX_NUMBERS) return tooLarge;
    const family = familyLabel(shape), depthwise = isDepthwise(shape);
    const families = depthwise ? [`${family}-depthwise`, family] : [family];
    const { found, label, reason } = find(convs, "conv", convLabel(shape), ...families);
    const kernel = found && driveConv(found, shape, depthwise && label !== family);
    return { kernel, reason };
  },
};

/** Max-pools. */
export const maxPool: Offer<"maxPool"> = {
  fields: ["dilationY", "dilationX"],
  plan: (shape) => planPool(pools, "maxpool", shape, driveMaxPool),
};

/** Average pools. */
export const averagePool: Offer<"averagePool"> = {
  fields: ["countIncludePad"],
  plan: (shape) =>
    countsAlike(shape)
      ? planPool(averagePools, "averagepool", shape, driveAveragePool)
      : { reason: "its windows average different counts" },
};

/** Fully-connected layers. */
export const affine: Offer<"affine"> = {
  epilogue: ["bias", "relu"],
  plan(shape) {
    const pointwise = convs.get("conv-1x1-s1-generated");
    if (pointwise === undefined) return { reason: "no 1x1 kernel is generated" };
    if (EXAMPLES * shape.M >= MAX_NUMBERS) return tooLarge;
    return { kernel: driveAffine(pointwise, shape), reason: "by the generated 1x1 convolution" };
  },
};
