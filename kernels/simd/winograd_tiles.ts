/**
 * How Winograd's F(2x2, 3x3) cuts outputs into tiles and kernels into windows.
 *
 * Tiles lie as 16 planes, one for each of a tile's 4x4 transformed numbers: a plane holds each channel's
 * tiles of one block, as many tiles a vector as it has lanes.
 *
 * Along each direction a kernel is cut into windows of three taps that start two apart, so that all of them
 * meet the same tiles of inputs, each window one tile further than the window before. The taps a, b, c of
 * a window become the four numbers a, (a + b + c) / 2, (a - b + c) / 2 and c. Windows overlap by a tap,
 * which belongs to one of the two; a window without a tap needs fewer than four numbers. So 3, 5 and 7 taps
 * take 4, 7 and 10 products for two outputs, where the definition takes 6, 10 and 14.
 *
 * @module
 */

import type { Layout } from "./memory.ts";
import type { Vector } from "./vector.ts";

/** Transformed numbers of a tile: 4x4. */
const PLANES = 16;

/** Tiles of a block of one image: rows of vectors. */
export interface Patch {
  readonly rows: number;
  readonly vectors: number;
  /** Bytes of a row of tiles, of a channel's tiles, and of those of all images. */
  readonly rowBytes: number;
  readonly imageBytes: number;
  readonly blockBytes: number;
}

/** How the outputs are cut into tiles of 2x2. */
export interface TileGrid {
  readonly outputs: Patch;
  /** The tiles of inputs that these need: more, where a kernel has several windows. */
  readonly inputs: Patch;
  /** Blocks of an image. */
  readonly blocks: number;
  /** Images that are worked on together: more than one where a block would be much shorter than wished. */
  readonly images: number;
}

/** Cuts outputs into blocks of about so many vectors of tiles. */
export function tileGrid(
  { lanes }: Vector,
  OH: number,
  OW: number,
  KH: number,
  KW: number,
  together: number,
): TileGrid {
  const vectors = Math.ceil(OW / (2 * lanes));
  const tileRows = Math.ceil(OH / 2);
  const most = Math.ceil((tileRows * vectors) / together);
  const rows = Math.ceil(tileRows / Math.min(most, tileRows));
  const down = windowCount(KH) - 1, right = windowCount(KW) - 1;
  // Tiles of several images can follow each other if none needs its neighbours.
  const images = down + right > 0 ? 1 : Math.max(1, Math.floor(together / (tileRows * vectors)));
  const patch = (rows: number, vectors: number): Patch => {
    const rowBytes = vectors * 16, imageBytes = rows * rowBytes;
    return { rows, vectors, rowBytes, imageBytes, blockBytes: images * imageBytes };
  };
  return {
    outputs: patch(rows, vectors),
    inputs: patch(rows + down, vectors + Math.ceil(right / lanes)),
    blocks: Math.ceil(tileRows / rows),
    images,
  };
}

/** The 16 planes of transformed numbers: each holds some channels' tiles. */
export interface Transformed {
  readonly start: number;
  /** Bytes from one plane to the next. */
  readonly step: number;
}

/** Lays out the planes for some channels' tiles of a block. */
export function transformed(
  layout: Layout,
  name: string,
  channels: number,
  { blockBytes }: Patch,
): Transformed {
  // Planes a multiple of 4 KB apart would share their places in the first-level cache.
  const step = channels * blockBytes + 64;
  return { start: layout.region(name, PLANES * step), step };
}

/** The four numbers of a window: how much of each tap. */
const TRANSFORM = [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]] as const;

/** A number of a window, along one direction: a sum of taps. */
export interface Part {
  /** Which of the four. */
  readonly component: number;
  readonly window: number;
  readonly terms: readonly { readonly tap: number; readonly scale: number }[];
}

/** The window of a tap and its place there: even taps, which two windows share, go to them by turns. */
function placeOf(tap: number, taps: number): { window: number; place: number } {
  if (tap % 2 === 1) return { window: (tap - 1) / 2, place: 1 };
  const leads = tap === 0 || (tap % 4 === 0 && tap < taps - 1);
  return leads ? { window: tap / 2, place: 0 } : { window: tap / 2 - 1, place: 2 };
}

/** How many windows three or more taps are cut into. */
export function windowCount(taps: number): number {
  return Math.floor(taps / 2);
}

/** Every number of every window: by component, then by window. */
function partsOf(taps: number): Part[] {
  const places = Array.from({ length: taps }, (_, tap) => ({ tap, ...placeOf(tap, taps) }));
  return TRANSFORM.flatMap((scales, component) =>
    Array.from({ length: windowCount(taps) }, (_, window) => ({
      component,
      window,
      terms: places.filter((it) => it.window === window && scales[it.place] !== 0)
        .map(({ tap, place }) => ({ tap, scale: scales[place] })),
    })).filter(({ terms }) => terms.length > 0)
  );
}

/** One of the 16 planes of transformed numbers: what its tiles are multiplied with. */
export interface WindowPlane {
  readonly y: readonly Part[];
  readonly x: readonly Part[];
  /** Products of the planes before it. Its own are those of each part of y with each part of x. */
  readonly before: number;
}

/** The 16 planes of a kernel, row by row of a tile. */
export function windowPlanes(KH: number, KW: number): WindowPlane[] {
  const ys = partsOf(KH), xs = partsOf(KW);
  let before = 0;
  return TRANSFORM.flatMap((_, row) =>
    TRANSFORM.map((_, column) => {
      const y = ys.filter(({ component }) => component === row);
      const x = xs.filter(({ component }) => component === column);
      const plane = { y, x, before };
      before += y.length * x.length;
      return plane;
    })
  );
}

/** Products of a plane for each filter and channel. */
export function planeProducts({ y, x }: WindowPlane): number {
  return y.length * x.length;
}

/** Products of all planes for each filter and channel: of a tile of 2x2 outputs. */
export function tileProducts(planes: readonly WindowPlane[]): number {
  return planes.reduce((sum, plane) => sum + planeProducts(plane), 0);
}
