/**
 * Winograd's F(2x2, 3x3): the grid of tiles, and the code of their three transforms.
 *
 * Tiles lie as 16 planes, one for each of a tile's 4x4 transformed numbers: a plane holds each channel's
 * tiles of one block, as many tiles a vector as it has lanes.
 *
 * @module
 */

import type { Func, Local } from "./assembler.ts";
import type { Layout } from "./memory.ts";
import type { Planes } from "./planes.ts";
import { lowerAndUpper, noteFinite, pushSum, pushZero, type Vector } from "./vector.ts";
import { windowCount } from "./winograd_windows.ts";

/** Transformed numbers of a tile: 4x4. */
export const PLANES = 16;

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

/**
 * Writes a loop over channels, rows of tiles and vectors of tiles of one image. The plain planes have two
 * rows a tile; the pointer into the transformed ones goes on by itself.
 */
function eachVector(
  f: Func,
  patch: Patch,
  channels: number,
  planeStart: Local,
  planes: Planes,
  planeStep: number,
  transformedAt: Local,
  write: (at: Local) => void,
  nextChannel: () => void = () => {},
): void {
  const [channel, row, column, rowAt, at] = f.locals("i32", 5);
  f.repeat(channel, channels, () => {
    f.get(planeStart).set(rowAt);
    f.repeat(row, patch.rows, () => {
      f.get(rowAt).set(at);
      f.repeat(column, patch.vectors, () => {
        write(at);
        f.advance(at, planeStep).advance(transformedAt, 16);
      });
      f.advance(rowAt, 2 * planes.row);
    });
    f.advance(planeStart, planes.plane).advance(transformedAt, patch.blockBytes - patch.imageBytes);
    nextChannel();
  });
}

/** Four vectors a, b, c, d become a - c, b + c, c - b, b - d. */
function writeInputStep(
  f: Func,
  vector: Vector,
  [a, b, c, d]: readonly Local[],
  results: (() => void)[],
): void {
  f.get(a).get(c).op(vector.sub);
  results[0]();
  f.get(b).get(c).op(vector.add);
  results[1]();
  f.get(c).get(b).op(vector.sub);
  results[2]();
  f.get(b).get(d).op(vector.sub);
  results[3]();
}

/**
 * Writes the transform of a block's 4x4 tiles of one image; its parameters are where the block's first row
 * begins, and how far from the target's start.
 */
export function writeInputTransform(
  f: Func,
  vector: Vector,
  patch: Patch,
  channels: number,
  x: Planes,
  pitch: number,
  target: Transformed,
): void {
  const to = f.local("i32");
  const column = f.locals("v128", 4);
  const t = Array.from({ length: 4 }, () => f.locals("v128", 4));
  const { bytes } = vector;
  // Columns 0 to 3 of a tile are two even and two odd ones of the split row.
  const columns = [0, pitch * bytes, bytes, (pitch + 1) * bytes];
  pushSum(f, target.start, 1).set(to);
  eachVector(f, patch, channels, 0, x, 16, to, (at) => {
    for (let r = 0; r < 4; r++) {
      for (let k = 0; k < 4; k++) {
        f.get(at).at("v128.load", r * x.row + columns[k]).set(column[k]);
      }
      writeInputStep(f, vector, column, t[r].map((local) => () => f.set(local)));
    }
    for (let k = 0; k < 4; k++) {
      // The address goes below the value: so each result is stored through a local.
      const results = [0, 1, 2, 3].map((r) => () => {
        f.set(column[0]).get(to).get(column[0]).at("v128.store", (r * 4 + k) * target.step);
      });
      writeInputStep(f, vector, t.map((row) => row[k]), results);
    }
  });
}

/** Two sums of four vectors: a + b + c, and b - c - d. */
function writeOutputStep(
  f: Func,
  vector: Vector,
  [a, b, c, d]: readonly Local[],
  sum: Local,
  rest: Local,
): void {
  f.get(a).get(b).op(vector.add).get(c).op(vector.add).set(sum);
  f.get(b).get(c).op(vector.sub).get(d).op(vector.sub).set(rest);
}

/**
 * Writes the transform of a block's products of one image; its parameters are where the block's first
 * output row begins, and how far from the products' start.
 */
export function writeOutputTransform(
  f: Func,
  vector: Vector,
  patch: Patch,
  filters: number,
  products: Transformed,
  out: Planes,
  bias: number,
  check: number,
  relu: boolean,
): void {
  const [from, biasAt] = f.locals("i32", 2);
  const m = f.locals("v128", 4), s = f.locals("v128", 4), r = f.locals("v128", 4);
  const [even, odd, biases, notFinite] = f.locals("v128", 4);
  pushSum(f, products.start, 1).set(from).const(bias).set(biasAt).const(check).at("v128.load");
  f.set(notFinite);
  const loadBias = () => f.get(biasAt).at(vector.loadSplat).set(biases);
  loadBias();
  const write = (at: Local) => {
    for (let k = 0; k < 4; k++) {
      for (let row = 0; row < 4; row++) {
        f.get(from).at("v128.load", (row * 4 + k) * products.step).set(m[row]);
      }
      writeOutputStep(f, vector, m, s[k], r[k]);
    }
    for (const [row, sums] of [s, r].entries()) {
      writeOutputStep(f, vector, sums, even, odd);
      for (const y of [even, odd]) {
        f.get(y).get(biases).op(vector.add).set(y);
        noteFinite(f, vector, y, notFinite);
        if (!relu) continue;
        f.get(y);
        pushZero(f);
        f.op(vector.max).set(y);
      }
      for (const [half, lanes] of lowerAndUpper(vector.lanes).entries()) {
        f.get(at).get(even).get(odd).shuffle(lanes).at("v128.store", row * out.row + half * 16);
      }
    }
  };
  eachVector(f, patch, filters, 0, out, 32, from, write, () => {
    f.advance(biasAt, vector.bytes);
    loadBias();
  });
  f.const(check).get(notFinite).at("v128.store");
}

/**
 * Writes the transform of a block's 2x2 tiles of dout, with parameters like those of x: rows a, b become a,
 * a + b, a - b, b; then columns.
 */
export function writeGradientTransform(
  f: Func,
  vector: Vector,
  patch: Patch,
  filters: number,
  dout: Planes,
  pitch: number,
  target: Transformed,
): void {
  const to = f.local("i32");
  const [a, b] = f.locals("v128", 2);
  const t = [f.locals("v128", 4), f.locals("v128", 4)];
  pushSum(f, target.start, 1).set(to);
  const store = (plane: number) => f.at("v128.store", plane * target.step);
  eachVector(f, patch, filters, 0, dout, 16, to, (at) => {
    for (const [row, columns] of t.entries()) {
      f.get(at).at("v128.load", row * dout.row).set(a);
      f.get(at).at("v128.load", row * dout.row + pitch * vector.bytes).set(b);
      f.get(a).set(columns[0]).get(b).set(columns[3]);
      f.get(a).get(b).op(vector.add).set(columns[1]);
      f.get(a).get(b).op(vector.sub).set(columns[2]);
    }
    for (let k = 0; k < 4; k++) {
      const upper = t[0][k], lower = t[1][k];
      f.get(to).get(upper);
      store(k);
      f.get(to).get(upper).get(lower).op(vector.add);
      store(4 + k);
      f.get(to).get(upper).get(lower).op(vector.sub);
      store(8 + k);
      f.get(to).get(lower);
      store(12 + k);
    }
  });
}
