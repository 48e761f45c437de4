/**
 * Winograd's F(2x2, 3x3): the grid of tiles, and the code of the three transforms.
 *
 * Tiles lie as 16 planes, one for each of a tile's 4x4 transformed numbers: a plane holds each channel's
 * tiles of one block, as many tiles a vector as it has lanes.
 *
 * @module
 */

import type { Func, Local } from "./assembler.ts";
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
  grid: TileGrid,
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
  eachVector(f, grid, channels, 0, x, 16, to, (at) => {
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
  grid: TileGrid,
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
  eachVector(f, grid, filters, 0, out, 32, from, write, () => {
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
  grid: TileGrid,
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
  eachVector(f, grid, filters, 0, dout, 16, to, (at) => {
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

const halves = new Uint8Array(Float64Array.of(0.5, 0.5).buffer);

/** Pushes a * 0.5 where a is on the stack: in float64, as all sums of weights are. */
function halve(f: Func): void {
  f.vector(halves).op("f64x2.mul");
}

/**
 * Writes the transform of a filter's 3x3 kernels, one channel after the other: rows a, b, c become a,
 * (a + b + c) / 2, (a - b + c) / 2, c; then columns. Its parameters are where the first tap is, where the
 * first plane's numbers go, the bytes from one channel to the next here and there, and those from one tap
 * to the next: so that passes whose planes are alike have the same code, which engines compile once.
 */
export function writeWeightTransform(
  f: Func,
  { bytes, loadSplat, storeLane }: Vector,
  channels: number,
  plane: number,
): void {
  const [from, to, fromStep, toStep, tapStep] = [0, 1, 2, 3, 4];
  const [channel, at] = f.locals("i32", 2);
  const taps = Array.from({ length: 3 }, () => f.locals("v128", 3));
  const rows = Array.from({ length: 4 }, () => f.locals("v128", 3));
  const [mean, half] = f.locals("v128", 2);
  /** Calls back four times, with the new number on the stack. */
  const writeStep = ([a, b, c]: readonly Local[], open: () => void, close: (i: number) => void) => {
    f.get(a).get(c).op("f64x2.add");
    halve(f);
    f.set(mean).get(b);
    halve(f);
    f.set(half);
    const results = [
      () => f.get(a),
      () => f.get(mean).get(half).op("f64x2.add"),
      () => f.get(mean).get(half).op("f64x2.sub"),
      () => f.get(c),
    ];
    for (const [i, result] of results.entries()) {
      open();
      result();
      close(i);
    }
  };
  f.repeat(channel, channels, () => {
    f.get(from).set(at);
    for (const tap of taps.flat()) {
      f.get(at).at(loadSplat);
      if (bytes === 4) f.op("f64x2.promote_low_f32x4");
      f.set(tap);
      addTo(f, at, tapStep);
    }
    for (let k = 0; k < 3; k++) {
      writeStep(taps.map((row) => row[k]), () => {}, (i) => f.set(rows[i][k]));
    }
    for (const [r, row] of rows.entries()) {
      writeStep(row, () => f.get(to), (i) => {
        if (bytes === 4) f.op("f32x4.demote_f64x2_zero");
        f.laneAt(storeLane, 0, (4 * r + i) * plane);
      });
    }
    addTo(f, from, fromStep);
    addTo(f, to, toStep);
  });
}

/**
 * Writes the transform of 16 float64 sums for each kernel into its 3x3 gradients, in their place: columns
 * a, b, c, d become a + (b + c) / 2, (b - c) / 2, (b + c) / 2 - d; then rows.
 */
export function writeKernelTransform(f: Func, kernels: number, sums: number, check: number): void {
  const [kernel, from, to] = f.locals("i32", 3);
  const taps = f.locals("v128", 4), rows = Array.from({ length: 3 }, () => f.locals("v128", 4));
  const [mean, gradient, notFinite] = f.locals("v128", 3);
  const writeStep = ([a, b, c, d]: readonly Local[], store: (i: number) => void) => {
    f.get(b).get(c).op("f64x2.add");
    halve(f);
    f.tee(mean).get(a).op("f64x2.add");
    store(0);
    f.get(b).get(c).op("f64x2.sub");
    halve(f);
    store(1);
    f.get(mean).get(d).op("f64x2.sub");
    store(2);
  };
  f.const(sums).set(from).const(sums).set(to);
  f.repeat(kernel, kernels, () => {
    for (let k = 0; k < 4; k++) {
      for (const [row, tap] of taps.entries()) {
        f.get(from).at("v128.load64_splat", (4 * row + k) * 8).set(tap);
      }
      writeStep(taps, (i) => f.set(rows[i][k]));
    }
    for (const [r, row] of rows.entries()) {
      writeStep(row, (i) => {
        f.set(gradient);
        noteFinite(f, vectors.float64, gradient, notFinite);
        f.get(to).get(gradient).laneAt("v128.store64_lane", 0, (3 * r + i) * 8);
      });
    }
    f.advance(from, PLANES * 8).advance(to, 9 * 8);
  });
  f.const(check).get(notFinite).at("v128.store");
}
