/**
 * Runs operations element by element on tensors.
 *
 * @module
 */

import type { MapShape } from "../../kernels/map.ts";
import { mapKernels } from "../../kernels/operations.ts";
import { select } from "../../kernels/select.ts";
import { dtypeOf, type Tensor } from "../../kernels/tensor.ts";

/**
 * Runs a map by the kernel that serves it.
 *
 * @param map The map.
 * @param tensors Its arrays, of one dtype and size.
 * @param settings Its settings. Default: none.
 * @returns Its sums.
 */
export function runMap(
  map: MapShape,
  tensors: readonly Tensor[],
  settings?: readonly number[],
): readonly number[] {
  const arrays = tensors.map(({ data }) => data);
  return select(mapKernels, map, dtypeOf(arrays[0])).run(arrays, settings);
}
