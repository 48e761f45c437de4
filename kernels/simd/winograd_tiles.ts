/**
 * Whether Winograd's F(2x2, 3x3) is for a pass, and how it cuts outputs into tiles and kernels into windows.
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

import type { Pass } from "../passes.ts";
import type { Layout } from "./memory.ts";
import { lanesTogether, type Vector } from "./vector.ts";

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
  // Tiles of several images can follow each other if none needs its neighbors.
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

/** The four values of a window, but for their scale: how much of each tap. */
const COMPONENTS = [[1, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 1]] as const;

/** A value of a window, along one direction. */
export interface Part {
  /** Which of the four. */
  readonly component: number;
  readonly window: number;
  /** How much of each tap of the kernel. */
  readonly factors: readonly number[];
}

/** The window of a tap and its place there: even taps, which two windows share, go to them by turns. */
function placeOf(tap: number, taps: number): { window: number; place: number } {
  if (tap % 2 === 1) return { window: (tap - 1) / 2, place: 1 };
  const leads = tap === 0 || (tap % 4 === 0 && tap < taps - 1);
  return leads ? { window: tap / 2, place: 0 } : { window: tap / 2 - 1, place: 2 };
}

/** How many windows three taps, five or seven are cut into. */
function windowCount(taps: number): number {
  return Math.floor(taps / 2);
}

/** Every value of every window of some taps: by component, then by window. */
export function partsOf(taps: number): Part[] {
  const places = Array.from({ length: taps }, (_, tap) => placeOf(tap, taps));
  return COMPONENTS.flatMap((factors, component) =>
    Array.from({ length: windowCount(taps) }, (_, window) => ({
      component,
      window,
      factors: places.map((it) => it.window === window ? factors[it.place] : 0),
    })).filter(({ factors }) => factors.some((factor) => factor !== 0))
  );
}

/** One of the 16 planes of transformed numbers: the windows that its tiles are multiplied for. */
export interface WindowPlane {
  /** Windows in tiles down and to the right: every one of `rows` with every one of `columns`. */
  readonly rows: readonly number[];
  readonly columns: readonly number[];
  /** Their products for each filter and channel, and those of the planes before. */
  readonly products: number;
  readonly before: number;
}

/** The 16 planes of a kernel, row by row of a tile. */
export function windowPlanes(KH: number, KW: number): WindowPlane[] {
  const [rows, columns] = [KH, KW].map((taps) => {
    const windows: number[][] = COMPONENTS.map(() => []);
    for (const { component, window } of partsOf(taps)) windows[component].push(window);
    return windows;
  });
  let before = 0;
  return Array.from({ length: PLANES }, (_, plane) => {
    const products = rows[plane >> 2].length * columns[plane & 3].length;
    before += products;
    return {
      rows: rows[plane >> 2],
      columns: columns[plane & 3],
      products,
      before: before - products,
    };
  });
}

/** Products of all planes for each filter and channel: half as many again as taps, each way. */
export function tileProducts(KH: number, KW: number): number {
  return Math.floor(1.5 * KH) * Math.floor(1.5 * KW);
}

/** Where the product of a part of the rows and a part of the columns is: the plane, the place in it. */
export function placeOfProduct(
  planes: readonly WindowPlane[],
  row: Part,
  column: Part,
): { readonly plane: WindowPlane; readonly place: number } {
  const plane = planes[4 * row.component + column.component];
  const { rows, columns } = plane;
  const place = rows.indexOf(row.window) * columns.length + columns.indexOf(column.window);
  return { plane, place };
}

/** Vectors of tiles that are worked on together: forward for kernels of one window and of several. */
const VECTORS = 8;
const MOST_VECTORS = 32;
const MANY_WEIGHTS = 1 << 16;
const MANY_SUMS = 1 << 14;
const WINDOW_VECTORS = 16;
const WEIGHT_VECTORS = 16;

/** What the transforms cost for each plane of inputs and outputs, in multiplications of vectors. */
const TRANSFORM_COST = 40;

/** Rows and columns of kernels that the algorithm is for; the last window of an even size would be padded. */
const SIZES: readonly number[] = [3, 5, 7];

/** Rows and columns of the kernel, and of an output plane. */
export function sizesOf(
  { rows, columns }: Pass,
): { KH: number; KW: number; OH: number; OW: number } {
  return {
    KH: rows.taps.length,
    KW: columns.taps.length,
    OH: rows.target.size,
    OW: columns.target.size,
  };
}

/** Vectors of tiles of a whole image. */
export function imageVectors({ lanes }: Vector, pass: Pass): number {
  const { OH, OW } = sizesOf(pass);
  return Math.ceil(OH / 2) * Math.ceil(OW / (2 * lanes));
}

/** Vectors of tiles of a block: more, up to a whole image, where many weights come with each block. */
function vectorsTogether(vector: Vector, pass: Pass): number {
  const { KH, KW } = sizesOf(pass);
  if (Math.max(KH, KW) > SIZES[0]) return WINDOW_VECTORS;
  const most = pass.inputs * pass.outputs >= MANY_WEIGHTS ? MOST_VECTORS : VECTORS;
  return Math.max(VECTORS, Math.min(most, imageVectors(vector, pass)));
}

/** The grid of a forward pass, of blocks of so many vectors if that is given. */
export function forwardGrid(
  vector: Vector,
  pass: Pass,
  together: number = vectorsTogether(vector, pass),
): TileGrid {
  const { KH, KW, OH, OW } = sizesOf(pass);
  return tileGrid(vector, OH, OW, KH, KW, together);
}

/** The grid of a weight gradient, of blocks of so many vectors if that is given. */
export function weightGrid(
  vector: Vector,
  pass: Pass,
  together: number = pass.inputs * pass.outputs >= MANY_SUMS ? MOST_VECTORS : WEIGHT_VECTORS,
): TileGrid {
  const { KH, KW, OH, OW } = sizesOf(pass);
  return tileGrid(vector, OH, OW, KH, KW, together);
}

/** What an image costs, in multiplications of vectors. */
export function winogradCost(vector: Vector, pass: Pass): number {
  const { inputs: channels, outputs: filters } = pass;
  const { KH, KW } = sizesOf(pass);
  const { outputs, inputs, blocks } = forwardGrid(vector, pass);
  const products = tileProducts(KH, KW) * filters * channels;
  const multiply = products * vector.lanes / lanesTogether(vector);
  const cost = outputs.rows * outputs.vectors * (multiply + TRANSFORM_COST * filters) +
    inputs.rows * inputs.vectors * TRANSFORM_COST * channels;
  return blocks * cost;
}

/** Whether Winograd's algorithm should be at least 15 % faster than direct sums. */
export function winogradPays(vector: Vector, pass: Pass): boolean {
  const { inputs: channels, outputs: filters } = pass;
  const { KH, KW, OH, OW } = sizesOf(pass);
  const direct = KH * KW * filters * channels * OH * Math.ceil(OW / lanesTogether(vector, OW));
  return 1.15 * winogradCost(vector, pass) < direct;
}

/** Whether a pass is one that the algorithm is for: at stride 1, without dilation or groups. */
export function winogradServes({ rows, columns, groups }: Pass): boolean {
  return groups === 1 &&
    [rows, columns].every(({ sourceStep, targetStep, taps, source }) =>
      sourceStep * targetStep === 1 && SIZES.includes(taps.length) && source.lead >= 0 &&
      Math.abs(taps[1].from - taps[0].from) === 1
    );
}

/**
 * Whether the algorithm is for a forward pass's weight gradient too: every tap must meet an input
 * somewhere. The gradient of one that meets padding alone is exactly 0, which sums that mix taps need not
 * give.
 */
export function winogradServesWeights({ rows, columns }: Pass): boolean {
  return [rows, columns].every(({ source: { lead, size }, target, taps }) =>
    lead < target.size && taps.length - lead <= size
  );
}
