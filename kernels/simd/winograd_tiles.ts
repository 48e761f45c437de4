/**
 * Winograd's F(2x2, 3x3): the grid of tiles, and the code of the transforms.
 *
 * Tiles lie as 16 planes, one for each of a tile's 4x4 transformed numbers: a plane holds each channel's
 * tiles of one block, as many tiles a vector as it has lanes.
 *
 * @module
 */

import type { Assembly, Func, Local } from "./assembler.ts";
import type { Layout } from "./memory.ts";
import type { Planes } from "./planes.ts";
import {
  addTo,
  lowerAndUpper,
  noteFinite,
  pushSum,
  pushZero,
  type Vector,
  vectors,
} from "./vector.ts";

/** Transformed numbers of a tile: 4x4. */
export const PLANES = 16;

/** How the outputs are cut into tiles of 2x2. */
export interface TileGrid {
  /** Vectors of tiles in a row of tiles. */
  readonly vectors: number;
  /** Rows of tiles in a block. */
  readonly rows: number;
  /** Blocks of an image. */
  readonly blocks: number;
  /** Images that are worked on together: more than one where a block would be much shorter than wished. */
  readonly images: number;
  /** Bytes of a channel's tiles of one image's block, and of all images'. */
  readonly imageBytes: number;
  readonly blockBytes: number;
}

/** Cuts outputs into blocks of about so many vectors of tiles. */
export function tileGrid(
  { lanes }: Vector,
  OH: number,
  OW: number,
  together: number,
): TileGrid {
  const vectors = Math.ceil(OW / (2 * lanes));
  const tileRows = Math.ceil(OH / 2);
  const blocks = Math.ceil((tileRows * vectors) / together);
  const rows = Math.ceil(tileRows / Math.min(blocks, tileRows));
  const images = Math.max(1, Math.floor(together / (tileRows * vectors)));
  const imageBytes = vectors * rows * 16;
  return {
    vectors,
    rows,
    blocks: Math.ceil(tileRows / rows),
    images,
    imageBytes,
    blockBytes: images * imageBytes,
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
  { blockBytes }: TileGrid,
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
  grid: TileGrid,
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
    f.repeat(row, grid.rows, () => {
      f.get(rowAt).set(at);
      f.repeat(column, grid.vectors, () => {
        write(at);
        f.advance(at, planeStep).advance(transformedAt, 16);
      });
      f.advance(rowAt, 2 * planes.row);
    });
    f.advance(planeStart, planes.plane).advance(transformedAt, grid.blockBytes - grid.imageBytes);
    nextChannel();
  });
}

/**
 * What the transforms multiply a tile by from the left, and by its transpose from the right. A row's first
 * number that is not 0 is 1. The third of the transformed numbers has the other sign than Lavin and Gray's.
 */
const INPUT = [[1, 0, -1, 0], [0, 1, 1, 0], [0, 1, -1, 0], [0, 1, 0, -1]];
const OUTPUT = [[1, 1, -1, 0], [0, 1, 1, -1]];
const OUTPUT_GRADIENT = [[1, 0], [1, 1], [1, -1], [0, 1]];
/** Weights are scaled afterwards, and their gradients' sums before. */
const WEIGHTS = [[1, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 1]];
const WEIGHT_GRADIENT = [[1, 1, -1, 0], [0, 1, 1, 0], [0, 1, -1, -1]];
const SCALE = [1, 0.5, 0.5, 1];

/** Multiplies the float64 numbers on the stack by the scale of a transformed number. */
function writeScale(f: Func, row: number, column: number): void {
  const scale = SCALE[row] * SCALE[column];
  if (scale === 1) return;
  f.vector(new Uint8Array(Float64Array.of(scale, scale).buffer)).op("f64x2.mul");
}

/**
 * Writes the transform of one vector of tiles. Lines are rows where they are loaded and columns where they
 * are stored, or the other way round.
 *
 * @param f The function to write into.
 * @param vector The kind of vector.
 * @param matrix What to multiply by.
 * @param load Pushes a number of a line.
 * @param store Takes a result, which is in a local.
 */
function writeTransform(
  f: Func,
  vector: Vector,
  matrix: readonly (readonly number[])[],
  load: (line: number, place: number) => void,
  store: (line: number, place: number, result: Local) => void,
): void {
  const size = matrix[0].length;
  const loaded = f.locals("v128", size);
  const lines = matrix.map(() => f.locals("v128", size));
  const results = f.locals("v128", matrix.length);
  const multiply = (numbers: readonly Local[], results: readonly Local[]) => {
    for (const [i, factors] of matrix.entries()) {
      let some = false;
      for (const [k, factor] of factors.entries()) {
        if (factor === 0) continue;
        f.get(numbers[k]);
        if (some) f.op(factor > 0 ? vector.add : vector.sub);
        some = true;
      }
      f.set(results[i]);
    }
  };
  for (let line = 0; line < size; line++) {
    for (const [place, number] of loaded.entries()) {
      load(line, place);
      f.set(number);
    }
    multiply(loaded, lines.map((numbers) => numbers[line]));
  }
  for (const [line, numbers] of lines.entries()) {
    multiply(numbers, results);
    for (const [place, result] of results.entries()) store(line, place, result);
  }
}

/**
 * Writes the transform of a block's 4x4 tiles of one image; its parameters are where the block's first row
 * begins, and how far from the target's start.
 */
export function writeInputTransform(
  f: Func,
  vector: Vector,
  grid: TileGrid,
  channels: number,
  x: Planes,
  pitch: number,
  target: Transformed,
): void {
  const to = f.local("i32");
  const { bytes } = vector;
  // Columns 0 to 3 of a tile are two even and two odd ones of the split row.
  const columns = [0, pitch * bytes, bytes, (pitch + 1) * bytes];
  pushSum(f, target.start, 1).set(to);
  eachVector(f, grid, channels, 0, x, 16, to, (at) => {
    writeTransform(
      f,
      vector,
      INPUT,
      (row, k) => f.get(at).at("v128.load", row * x.row + columns[k]),
      (k, row, result) => f.get(to).get(result).at("v128.store", (row * 4 + k) * target.step),
    );
  });
}

/**
 * Writes the transform of a block's products of one image; its parameters are where the block's first
 * output row begins, and how far from the products' start.
 */
export function writeOutputTransform(
  f: Func,
  vector: Vector,
  grid: TileGrid,
  filters: number,
  products: Transformed,
  out: Planes,
  bias: number,
  check: number,
  relu: boolean,
): void {
  const [from, biasAt] = f.locals("i32", 2);
  const [even, biases, notFinite] = f.locals("v128", 3);
  pushSum(f, products.start, 1).set(from).const(bias).set(biasAt).const(check).at("v128.load");
  f.set(notFinite);
  const loadBias = () => f.get(biasAt).at(vector.loadSplat).set(biases);
  loadBias();
  const write = (at: Local) => {
    writeTransform(
      f,
      vector,
      OUTPUT,
      (k, row) => f.get(from).at("v128.load", (row * 4 + k) * products.step),
      (row, k, y) => {
        f.get(y).get(biases).op(vector.add).set(y);
        noteFinite(f, vector, y, notFinite);
        if (relu) {
          f.get(y);
          pushZero(f);
          f.op(vector.max).set(y);
        }
        if (k === 0) {
          f.get(y).set(even);
          return;
        }
        for (const [half, lanes] of lowerAndUpper(vector.lanes).entries()) {
          f.get(at).get(even).get(y).shuffle(lanes).at("v128.store", row * out.row + half * 16);
        }
      },
    );
  };
  eachVector(f, grid, filters, 0, out, 32, from, write, () => {
    f.advance(biasAt, vector.bytes);
    loadBias();
  });
  f.const(check).get(notFinite).at("v128.store");
}

/** Writes the transform of a block's 2x2 tiles of dout, with parameters like those of x. */
export function writeGradientTransform(
  f: Func,
  vector: Vector,
  grid: TileGrid,
  filters: number,
  dout: Planes,
  pitch: number,
  target: Transformed,
): void {
  const to = f.local("i32");
  pushSum(f, target.start, 1).set(to);
  eachVector(f, grid, filters, 0, dout, 16, to, (at) => {
    writeTransform(
      f,
      vector,
      OUTPUT_GRADIENT,
      (row, k) => f.get(at).at("v128.load", row * dout.row + k * pitch * vector.bytes),
      (k, row, result) => f.get(to).get(result).at("v128.store", (row * 4 + k) * target.step),
    );
  });
}

/**
 * Writes a function "transformWeights" for a filter's 3x3 kernels, which computes in float64. Its parameters
 * are where the first kernel is, where the first plane's numbers go, and the bytes from one channel to the
 * next here and there: so dx, where its planes are as large as out's, has the same code, compiled once.
 */
export function writeWeightTransform(
  assembly: Assembly,
  { bytes, loadSplat, storeLane }: Vector,
  channels: number,
  plane: number,
): void {
  const f = assembly.func("transformWeights", ["i32", "i32", "i32", "i32"]);
  const [from, to, fromStep, toStep] = [0, 1, 2, 3];
  f.repeat(f.local("i32"), channels, () => {
    writeTransform(
      f,
      vectors.float64,
      WEIGHTS,
      (row, k) => {
        f.get(from).at(loadSplat, (row * 3 + k) * bytes);
        if (bytes === 4) f.op("f64x2.promote_low_f32x4");
      },
      (k, row, result) => {
        f.get(to).get(result);
        writeScale(f, row, k);
        if (bytes === 4) f.op("f32x4.demote_f64x2_zero");
        f.laneAt(storeLane, 0, (row * 4 + k) * plane);
      },
    );
    addTo(f, from, fromStep);
    addTo(f, to, toStep);
  });
}

/** Writes a function "transformSums": from 16 planes of float64 sums to the 3x3 gradients of each kernel. */
export function writeSumTransform(
  assembly: Assembly,
  kernels: number,
  sums: number,
  gradients: number,
  check: number,
): void {
  const f = assembly.func("transformSums");
  const [from, to, kernel] = f.locals("i32", 3), notFinite = f.local("v128");
  f.const(sums).set(from).const(gradients).set(to);
  f.repeat(kernel, kernels, () => {
    writeTransform(
      f,
      vectors.float64,
      WEIGHT_GRADIENT,
      (k, row) => {
        f.get(from).at("v128.load64_splat", (row * 4 + k) * kernels * 8);
        writeScale(f, row, k);
      },
      (row, k, result) => {
        noteFinite(f, vectors.float64, result, notFinite);
        f.get(to).get(result).laneAt("v128.store64_lane", 0, (row * 3 + k) * 8);
      },
    );
    f.advance(from, 8).advance(to, 9 * 8);
  });
  f.const(check).get(notFinite).at("v128.store");
}
