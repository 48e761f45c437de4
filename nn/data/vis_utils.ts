/**
 * Grids of many small images.
 *
 * Source: cs231n/vis_utils.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import {
  checkNonEmpty,
  checkNumber,
  checkTensor,
  checkType,
  checkWhole,
} from "../../kernels/check.ts";
import { type FloatArray, type Tensor, zerosLike } from "../tensor.ts";

/** The order of an image tensor's dimensions: the course's visualize_grid takes NHWC, its nets NCHW. */
export type ImageLayout = "NHWC" | "NCHW";

/**
 * Puts images side by side in a square grid, each stretched over the whole range of brightness, so that
 * filters can be looked at. An image of one brightness becomes black.
 *
 * Source: visualize_grid in cs231n/vis_utils.py.
 *
 * @example The filters of a first layer
 * ```ts
 * import { RandomState, visualizeGrid } from "@cnn-layers/cnn-layers";
 *
 * const w1 = new RandomState(0).randn([32, 3, 7, 7]);
 * const grid = visualizeGrid(w1, 255, 1, "NCHW");
 * console.log(grid.shape); // [47, 47, 3]
 * ```
 *
 * @param xs The images, (N, H, W, C) or (N, C, H, W) as the layout says.
 * @param ubound The brightest value of the result.
 * @param padding Black pixels between the images.
 * @param layout The order of the dimensions of xs.
 * @returns The grid, (height, width, C), with values from 0 to ubound.
 * @throws {TypeError} If xs is not a tensor of four dimensions, or another argument has a wrong type.
 * @throws {RangeError} If there are no images, they have no pixels, or padding is negative or not whole.
 */
export function visualizeGrid<A extends FloatArray>(
  xs: Tensor<A>,
  ubound = 255,
  padding = 1,
  layout: ImageLayout = "NHWC",
): Tensor<A> {
  checkTensor("xs", xs, 4);
  checkNumber("ubound", ubound);
  checkWhole("padding", padding, 0);
  checkType(layout === "NHWC" || layout === "NCHW", "layout", 'be "NHWC" or "NCHW"', layout);
  const [N, H, W, C] = layout === "NHWC" ? xs.shape : [0, 2, 3, 1].map((i) => xs.shape[i]);
  const size = H * W * C;
  checkNonEmpty("xs", xs.shape, 0);
  const side = Math.ceil(Math.sqrt(N));
  const height = H * side + padding * (side - 1);
  const width = W * side + padding * (side - 1);
  const grid = zerosLike(xs, [height, width, C]);
  const [pixelStep, channelStep] = layout === "NHWC" ? [C, 1] : [1, H * W];
  for (let n = 0; n < N; n++) {
    const image = xs.data.subarray(n * size, (n + 1) * size);
    let low = Infinity, high = -Infinity;
    for (const value of image) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const range = high === low ? 1 : high - low;
    const top = Math.floor(n / side) * (H + padding), left = (n % side) * (W + padding);
    for (let y = 0; y < H; y++) {
      for (let x = 0; x < W; x++) {
        const from = (y * W + x) * pixelStep, to = ((top + y) * width + left + x) * C;
        for (let c = 0; c < C; c++) {
          grid.data[to + c] = ubound * (image[from + c * channelStep] - low) / range;
        }
      }
    }
  }
  return grid;
}
