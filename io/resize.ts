/**
 * Images of another size.
 *
 * @module
 */

import type { DecodedPicture } from "./pictures.ts";

/** What one value of the result is made of: values of the source from `first` on, with their weights. */
interface Mix {
  readonly first: number;
  readonly weights: readonly number[];
}

/**
 * An image in another size. Its middle is kept, as large as the proportions allow, and resampled by a
 * triangle filter as wide as a pixel of the smaller of the two: linear interpolation where the image
 * grows, without aliasing where it shrinks.
 *
 * @param image The image.
 * @param size Height and width of the result.
 * @returns The result; the image itself if it has that size.
 */
export function resized(
  image: DecodedPicture,
  [height, width]: readonly [height: number, width: number],
): DecodedPicture {
  if (image.height === height && image.width === width) return image;
  const { channels, data } = image;
  const scale = Math.min(image.height / height, image.width / width);
  const rows = mixes(image.height, height, scale), columns = mixes(image.width, width, scale);
  const few = mixAlong(data, 1, image.height, image.width * channels, rows);
  const values = mixAlong(few, height, image.width, channels, columns);
  // Rounds, and keeps within 0 and 255.
  const bytes = new Uint8Array(Uint8ClampedArray.from(values).buffer);
  return { height, width, channels, data: bytes };
}

/** How the middle of an axis of `size` values becomes `count` values, each of `scale` of them. */
function mixes(size: number, count: number, scale: number): readonly Mix[] {
  const start = (size - scale * count) / 2, reach = Math.max(1, scale);
  return Array.from({ length: count }, (_, i) => {
    // In the middle between two values lie the borders of pixels.
    const center = start + (i + 0.5) * scale - 0.5;
    const first = Math.max(0, Math.floor(center - reach) + 1);
    const end = Math.min(size, Math.ceil(center + reach));
    const weights = Array.from(
      { length: end - first },
      (_, k) => 1 - Math.abs(first + k - center) / reach,
    );
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** Mixes values along the second of three axes, (outer, size, inner). */
function mixAlong(
  data: Uint8Array | Float32Array,
  outer: number,
  size: number,
  inner: number,
  mixes: readonly Mix[],
): Float32Array {
  const out = new Float32Array(outer * mixes.length * inner);
  for (let o = 0; o < outer; o++) {
    for (const [i, { first, weights }] of mixes.entries()) {
      const to = (o * mixes.length + i) * inner;
      for (const [w, weight] of weights.entries()) {
        const from = (o * size + first + w) * inner;
        for (let k = 0; k < inner; k++) out[to + k] += weight * data[from + k];
      }
    }
  }
  return out;
}
