/**
 * The epilogue of a sum: what follows it before it is stored.
 *
 * @module
 */

import type { FloatArray } from "./tensor.ts";

/** A bias, then relu. Tiers name the fields that they understand. */
export interface Epilogue {
  /** One value per output plane, added last, as in the course. Default: none. */
  readonly bias?: FloatArray;
  /** Whether negative sums become 0. */
  readonly relu?: boolean;
}

/** Nothing follows the sum. */
export const NO_EPILOGUE: Epilogue = {};

/** Applies an epilogue to one sum of an output plane: the definition. */
export function finish({ bias, relu }: Epilogue, sum: number, plane: number): number {
  const biased = bias === undefined ? sum : sum + bias[plane];
  return relu ? Math.max(0, biased) : biased;
}
