/**
 * What takes the place of tier.ts in a bundle of the npm package without the generated tier: a bundler that
 * is told the condition "no-generated-kernels" resolves to it.
 *
 * @module
 */

import type { Offer } from "../tier.ts";
import type * as tier from "./tier.ts";

/** No operation has an offer. */
export const conv: Offer<"conv"> | undefined = undefined;
export const maxPool: Offer<"maxPool"> | undefined = undefined;
export const averagePool: Offer<"averagePool"> | undefined = undefined;
export const affine: Offer<"affine"> | undefined = undefined;

/** There are no kernels. */
export const generatedNames: typeof tier.generatedNames = () => [];

/** Nothing could drive them. */
export const addKernels: typeof tier.addKernels = () => {
  throw new Error("Cannot register kernels: the bundle leaves the generated tier out");
};
