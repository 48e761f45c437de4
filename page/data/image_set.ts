/**
 * Images to learn from, as the page holds them: bytes, in memory that a worker shares if it may.
 *
 * @module
 */

import type { ByteTensor, ChannelStatistics, Tensor } from "../../mod.ts";

/** A set of images, split. */
export interface ImageSet {
  /** What the page calls it: that of a bundled set, or "own". */
  readonly id: string;
  /** What people call it. */
  readonly name: string;
  /** The names of the classes, by label. */
  readonly classes: readonly string[];
  /** The shape of an image, (C, H, W). */
  readonly shape: readonly [C: number, H: number, W: number];
  /** Mean and standard deviation of each channel, on the scale of bytes. */
  readonly statistics: ChannelStatistics;
  /** Images to train on. */
  readonly xTrain: ByteTensor;
  /** Their labels. */
  readonly yTrain: Uint8Array;
  /** Images to validate on. */
  readonly xVal: ByteTensor;
  /** Their labels. */
  readonly yVal: Uint8Array;
}

/** An array of bytes that workers share, if this page may. */
export function sharedBytes(length: number): Uint8Array<ArrayBufferLike> {
  const { crossOriginIsolated = false } = globalThis as { crossOriginIsolated?: boolean };
  return crossOriginIsolated
    ? new Uint8Array(new SharedArrayBuffer(length))
    : new Uint8Array(length);
}

/** The bytes of one image. */
export function imageAt({ data, shape: [N] }: ByteTensor, n: number): Uint8Array {
  const size = data.length / N;
  return data.subarray(n * size, (n + 1) * size);
}

/** Some images in a row, without a copy. */
export function range({ data, shape: [N, ...rest] }: ByteTensor, from: number, to: number) {
  const size = data.length / N, end = Math.min(to, N);
  return { data: data.subarray(from * size, end * size), shape: [end - from, ...rest] };
}

/** Images as a net takes them: each channel of mean 0 and deviation 1. */
export function normalizedTensor(
  { data, shape }: ByteTensor,
  { mean, deviation }: ChannelStatistics,
): Tensor<Float32Array> {
  const [, C, H, W] = shape, plane = H * W, out = new Float32Array(data.length);
  for (let i = 0; i < out.length; i++) {
    const c = Math.floor(i / plane) % C;
    out[i] = (data[i] - mean[c]) / (deviation[c] || 1);
  }
  return { data: out, shape: [...shape] };
}
