/**
 * Where non-finite values come from.
 *
 * @module
 */

import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import type { Model } from "../model.ts";

/**
 * Says where the numbers began that made a loss NaN or infinite.
 *
 * @param model The model, with the parameters that gave that loss.
 * @param x The batch.
 * @returns The examples, a parameter, or the output of a layer; undefined if all of these are finite or
 * the model cannot tell.
 */
export function describeStart<A extends FloatArray>(
  model: Model<A>,
  x: Tensor<A>,
): string | undefined {
  if (!isFinite(x)) return "the examples of the batch";
  const wrong = Object.entries(model.params).find(([, param]) => !isFinite(param));
  if (wrong !== undefined) return `the parameter ${wrong[0]}`;
  const layer = model.findNonFinite?.(x);
  return layer === undefined ? undefined : `the output of ${layer}`;
}

/** Whether all values of a tensor are finite. */
export function isFinite({ data }: Tensor): boolean {
  // 0 times a number is 0, unless that is NaN or infinite.
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += 0 * data[i];
  return sum === 0;
}
