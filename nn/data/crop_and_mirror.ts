/**
 * Augmentation: pictures shifted and mirrored at random.
 *
 * @module
 */

import { checkTensor } from "../../kernels/check.ts";
import { dtypeOf } from "../../kernels/tensor.ts";
import { checkBoolean, option, readOptions, whole } from "../checks.ts";
import type { RandomState } from "../random/random_state.ts";
import { type FloatArray, newArray, type Tensor } from "../tensor.ts";
import type { Augment } from "../training/solver_options.ts";

/** How {@linkcode cropAndMirror} changes pictures. */
export interface CropAndMirrorOptions {
  /** How many pixels a picture is shifted at most, up, down, left and right. 4 if left out. */
  readonly pad?: number;
  /** Whether half of the pictures are mirrored left to right. True if left out. */
  readonly mirror?: boolean;
}

/**
 * Augmentation for a solver: each picture of a batch is padded with zeros and cropped to its size at a
 * random place, and mirrored left to right at random. Source: section 4.2 of He et al., "Deep Residual
 * Learning" (2016).
 *
 * @example
 * ```ts
 * import { cropAndMirror, RandomState, zeros } from "@cnn-layers/cnn-layers";
 *
 * const augment = cropAndMirror({ pad: 4, mirror: true });
 * augment(zeros([50, 3, 32, 32]), new RandomState(0)); // as the solver does for every batch
 * ```
 *
 * @param options How far to shift, and whether to mirror.
 * @returns A function that changes a batch (N, C, H, W) in place.
 * @throws {TypeError} If an option is unknown, or has a wrong type.
 * @throws {RangeError} If pad is negative or not whole.
 */
export function cropAndMirror(options: CropAndMirrorOptions = {}): Augment {
  const { pad, mirror } = readOptions("options", options, {
    pad: option(whole(0), 4),
    mirror: option(checkBoolean, true),
  });
  let picture = newArray(0, "float64");
  return (x: Tensor, random: RandomState) => {
    checkTensor("x", x, 4);
    const [N, C, H, W] = x.shape;
    const size = C * H * W;
    if (picture.length !== size || dtypeOf(picture) !== dtypeOf(x.data)) {
      picture = newArray(size, dtypeOf(x.data));
    }
    for (let n = 0; n < N; n++) {
      const dy = pad > 0 ? random.randint(-pad, pad + 1) : 0;
      const dx = pad > 0 ? random.randint(-pad, pad + 1) : 0;
      const mirrored = mirror && random.randint(2) === 1;
      if (dy === 0 && dx === 0 && !mirrored) continue;
      const target = x.data.subarray(n * size, (n + 1) * size);
      picture.set(target);
      shift(picture, target, [C, H, W], dy, dx, mirrored);
    }
  };
}

/** to[y][x] = from[y + dy][x + dx], read from right to left if mirrored; zero outside. */
function shift(
  from: FloatArray,
  to: FloatArray,
  [C, H, W]: readonly [number, number, number],
  dy: number,
  dx: number,
  mirrored: boolean,
): void {
  for (let c = 0; c < C; c++) {
    for (let y = 0; y < H; y++) {
      const row = (c * H + y) * W, source = row + dy * W;
      const rowInside = y + dy >= 0 && y + dy < H;
      for (let x = 0; x < W; x++) {
        const column = (mirrored ? W - 1 - x : x) + dx;
        to[row + x] = rowInside && column >= 0 && column < W ? from[source + column] : 0;
      }
    }
  }
}
