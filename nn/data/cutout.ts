/**
 * Augmentation: a square of each image is cut out.
 *
 * @module
 */

import { checkTensor } from "../../kernels/check.ts";
import { readOptions, required, whole } from "../checks.ts";
import type { RandomState } from "../random/random_state.ts";
import type { Tensor } from "../tensor.ts";

/** Options of {@linkcode cutout}. */
export interface CutoutOptions {
  /** Height and width of the square, in pixels. */
  readonly size: number;
}

/**
 * Augmentation for a solver: a square at a random place of each image becomes zeros. Its center may
 * be any pixel, so that part of it may lie outside.
 *
 * Source: DeVries and Taylor, "Improved Regularization of CNNs with Cutout" (2017).
 *
 * @example
 * ```ts
 * import { cutout, full, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const augment = cutout({ size: 8 });
 * augment(full([50, 3, 32, 32], 1), new RandomState(0)); // as the solver does for every batch
 * ```
 *
 * @param options How large the square is.
 * @returns A function that changes a batch (N, C, H, W) in place.
 * @throws {TypeError} If an option is unknown, or not a number.
 * @throws {RangeError} If the size is not whole, or below 1.
 */
export function cutout(options: CutoutOptions): (x: Tensor, random: RandomState) => void {
  const { size } = readOptions("options", options, { size: required(whole(1)) });
  const before = Math.floor(size / 2);
  return (x, random) => {
    checkTensor("x", x, 4);
    const [N, C, H, W] = x.shape;
    for (let n = 0; n < N; n++) {
      const top = random.randint(H) - before, left = random.randint(W) - before;
      const from = Math.max(left, 0), to = Math.min(left + size, W);
      for (let c = 0; c < C; c++) {
        for (let y = Math.max(top, 0); y < Math.min(top + size, H); y++) {
          const row = ((n * C + c) * H + y) * W;
          x.data.fill(0, row + from, row + to);
        }
      }
    }
  };
}
