/**
 * One call of a kernel: its attempts in order, until every image is done.
 *
 * An attempt may leave images to the next, for example those with non-finite values. The last
 * one, the naive loops or a kernel that serves everything, leaves none.
 *
 * @module
 */

import type { Epilogue } from "./epilogue.ts";
import type { FloatArray } from "./tensor.ts";

/**
 * Runs images from the first on.
 *
 * @returns How many it did before one that it leaves to the next attempt.
 */
export type ImageRun = (
  N: number,
  source: FloatArray,
  w: FloatArray,
  target: FloatArray,
  epilogue: Epilogue,
) => number;

/** Computes gradients of weights and biases; returns false if it leaves them to the next attempt. */
export type WeightRun = (
  N: number,
  x: FloatArray,
  dout: FloatArray,
  dw: FloatArray,
  db: FloatArray | undefined,
) => boolean;

/**
 * Runs images by the first attempt that does them.
 *
 * @param attempts The attempts in order; the last does every image.
 * @param sizes Numbers of an image of the source and of the target.
 */
export function runImages(
  attempts: readonly ImageRun[],
  sizes: { readonly source: number; readonly target: number },
  N: number,
  source: FloatArray,
  w: FloatArray,
  target: FloatArray,
  epilogue: Epilogue,
): void {
  let done = 0;
  for (const attempt of attempts) {
    if (done === N) return;
    const from = done === 0 ? source : source.subarray(done * sizes.source);
    const to = done === 0 ? target : target.subarray(done * sizes.target);
    done += attempt(N - done, from, w, to, epilogue);
  }
}

/** Computes gradients of weights and biases by the first attempt that does them. */
export function runWeights(
  attempts: readonly WeightRun[],
  ...args: Parameters<WeightRun>
): void {
  for (const attempt of attempts) if (attempt(...args)) return;
}
