/**
 * Winograd's F(2x2, 3x3): four outputs of a 3x3 kernel from 16 products instead of 36, float32.
 *
 * Tiles of 4x4 inputs, two apart, are transformed into 16 planes of numbers; each plane is multiplied
 * by its own matrix of transformed weights; every 16 products give 2x2 outputs. Four tiles that are
 * neighbours in a row make a vector. The sums are others than the definition's: an input that is not
 * finite spreads over its tile, so images with such an output are left to the direct kernel.
 *
 * Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
 *
 * @module
 */

import { Assembly, type Func, type Local } from "./assembler.ts";
import { writeConv } from "./emit_conv.ts";
import { writeBiasSums, writeWeightSums } from "./emit_weights.ts";
import { instantiate, Layout, type Plan, scratch } from "./memory.ts";
import { convTiles, pieces, type Run, weightTiles } from "./plan.ts";
import { drain, weightPlaces } from "./sums.ts";
import { padded, plainRow, type Planes, writeCopy } from "./planes.ts";
import { pushZero, vectors } from "./vector.ts";
import type { ConvShape, FloatArray } from "../shape.ts";

const vector = vectors.float32;
const { bytes, lanes } = vector;

/** Transformed numbers of a tile: 4x4. */
const PLANES = 16;

/** Vectors of tiles that are worked on together. */
const FORWARD_VECTORS = 8;
const WEIGHT_VECTORS = 16;

/** How the outputs are cut into tiles of 2x2. */
interface TileGrid {
  /** Vectors of four tiles in a row of tiles. */
  readonly vectors: number;
  /** Rows of tiles in a block. */
  readonly rows: number;
  readonly blocks: number;
}

function tileGrid(OH: number, OW: number, together: number): TileGrid {
  const vectors = Math.ceil(OW / (2 * lanes));
  const tileRows = Math.ceil(OH / 2);
  const blocks = Math.ceil((tileRows * vectors) / together);
  const rows = Math.ceil(tileRows / Math.min(blocks, tileRows));
  return { vectors, rows, blocks: Math.ceil(tileRows / rows) };
}

/**
 * Whether Winograd's algorithm should be faster than the direct kernel, from counts of vector
 * operations: transforms cost about 80 a tile for each input and output plane.
 */
export function winogradPays(filters: number, channels: number, OH: number, OW: number): boolean {
  const { vectors, rows, blocks } = tileGrid(OH, OW, FORWARD_VECTORS);
  const tiles = vectors * rows * blocks;
  const direct = 9 * filters * channels * OH * Math.ceil(OW / lanes);
  return 1.1 * tiles * (16 * filters * channels + 80 * (filters + channels)) < direct;
}

/** A correlation with 3x3 kernels and stride 1: a forward pass, or the gradient of the input. */
export interface Correlation {
  readonly channels: number;
  readonly filters: number;
  /** Rows and columns of an input plane. */
  readonly H: number;
  readonly W: number;
  /** Zeros above and on the left. */
  readonly top: number;
  readonly left: number;
  /** Rows and columns of an output plane. */
  readonly OH: number;
  readonly OW: number;
  /** From one filter's, and one channel's, weights to the next. */
  readonly filterStep: number;
  readonly channelStep: number;
  /** Whether the kernels are turned by half. */
  readonly turned: boolean;
  readonly relu: boolean;
}

/** Runs a correlation over images; returns how many it did before one that is not finite. */
export type RunCorrelation = (
  N: number,
  x: FloatArray,
  w: FloatArray,
  b: FloatArray | undefined,
  out: FloatArray,
) => number;

/** Plans a correlation by Winograd's algorithm. */
export function planWinograd(job: Correlation, fused: boolean): Plan<RunCorrelation> {
  const { channels, filters, H, W, OH, OW } = job;
  const layout = new Layout();
  const grid = tileGrid(OH, OW, FORWARD_VECTORS);
  const rows = 2 * grid.rows * grid.blocks, columns = 2 * lanes * grid.vectors;
  const x = padded(layout, vector, "x", {
    planes: channels,
    H,
    W,
    top: job.top,
    left: job.left,
    rows: rows + 2,
    columns: columns + 2,
    stride: 2,
  });
  const blockBytes = grid.vectors * grid.rows * 16;
  const inputs = transformed(layout, "transformed x", channels, blockBytes);
  const products = transformed(layout, "products", filters, blockBytes);
  const matrix = filters * channels * bytes;
  const weights = layout.region("transformed weights", PLANES * matrix);
  const bias = layout.region("bias", filters * bytes);
  const check = layout.region("check", 16);
  const out = layout.region("out", filters * OH * OW * bytes);
  const result: Planes = { start: out, plane: OH * OW * bytes, row: OW * bytes };
  const whole = rows === OH && columns === OW;
  const wide: Planes = whole ? result : {
    start: layout.region("out, whole tiles", filters * rows * columns * bytes),
    plane: rows * columns * bytes,
    row: columns * bytes,
  };
  const tiles = convTiles(filters, 1, blockBytes / bytes, lanes);

  function make(): RunCorrelation {
    const assembly = new Assembly();
    const pad = assembly.func("pad");
    x.write(pad);
    const transform = assembly.func("transform", ["i32"]);
    writeInputTransform(transform, grid, channels, x.planes, x.pitch, inputs);
    const multiply = assembly.func("multiply", ["i32", "i32", "i32"]);
    writeConv(multiply, {
      vector,
      fused,
      channels,
      tiles,
      input: { start: inputs.start, plane: blockBytes, row: 0 },
      output: { start: products.start, plane: blockBytes, row: 0 },
      taps: [0],
      tapRows: { times: 1, step: 0 },
      weights,
      relu: false,
      moved: { input: 0, output: 1, weights: 2 },
    });
    const finish = assembly.func("finish", ["i32"]);
    writeOutputTransform(finish, grid, filters, products, wide, bias, check, job.relu);
    const pick = assembly.func("pick");
    if (!whole) writeCopy(pick, filters, OH, wide, result, plainRow(vector, OW));

    const image = assembly.func("image");
    const [block, plane, xRow, outRow, input, product, weight] = image.locals("i32", 7);
    image.call(pad).const(x.planes.start).set(xRow).const(wide.start).set(outRow);
    image.repeat(block, grid.blocks, () => {
      image.get(xRow).call(transform);
      for (const offset of [input, product, weight]) image.const(0).set(offset);
      image.repeat(plane, PLANES, () => {
        image.get(input).get(product).get(weight).call(multiply);
        image.advance(input, inputs.step).advance(product, products.step).advance(weight, matrix);
      });
      image.get(outRow).call(finish);
      image.advance(xRow, 2 * grid.rows * x.planes.row).advance(outRow, 2 * grid.rows * wide.row);
    });
    image.call(pick);
    const run = instantiate(assembly)[image.name];

    const xSize = channels * H * W, xStart = x.staged / bytes;
    const outSize = filters * OH * OW, outStart = out / bytes;
    const biasStart = bias / bytes, checkStart = check / bytes;
    return (N, xs, w, b, outs) => {
      const memory = scratch("float32");
      x.clear(memory);
      transformWeights(memory, weights / bytes, w, tiles.blocks, job);
      if (b === undefined) memory.fill(0, biasStart, biasStart + filters);
      else memory.set(b, biasStart);
      memory.fill(0, checkStart, checkStart + lanes);
      for (let n = 0; n < N; n++) {
        memory.set(xs.subarray(n * xSize, (n + 1) * xSize), xStart);
        run();
        for (let lane = 0; lane < lanes; lane++) {
          if (memory[checkStart + lane] !== 0) return n;
        }
        outs.set(memory.subarray(outStart, outStart + outSize), n * outSize);
      }
      return N;
    };
  }
  return { layout, make };
}

/** The 16 planes of transformed numbers: each holds some channels' tiles. */
interface Transformed {
  readonly start: number;
  /** Bytes from one plane to the next. */
  readonly step: number;
}

function transformed(
  layout: Layout,
  name: string,
  channels: number,
  blockBytes: number,
): Transformed {
  // Planes a multiple of 4 KB apart would share their places in the first-level cache.
  const step = channels * blockBytes + 64;
  return { start: layout.region(name, PLANES * step), step };
}

/** Writes a loop over channels, rows of tiles and vectors of tiles; the plain planes have two rows a tile. */
function eachVector(
  f: Func,
  grid: TileGrid,
  channels: number,
  planeStart: Local,
  planes: Planes,
  planeStep: number,
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
        f.advance(at, planeStep);
      });
      f.advance(rowAt, 2 * planes.row);
    });
    f.advance(planeStart, planes.plane);
    nextChannel();
  });
}

/** Four vectors a, b, c, d become a - c, b + c, c - b, b - d. */
function writeInputStep(f: Func, [a, b, c, d]: readonly Local[], results: (() => void)[]): void {
  f.get(a).get(c).op(vector.sub);
  results[0]();
  f.get(b).get(c).op(vector.add);
  results[1]();
  f.get(c).get(b).op(vector.sub);
  results[2]();
  f.get(b).get(d).op(vector.sub);
  results[3]();
}

/** Writes the transform of a block's 4x4 tiles; its parameter is where the block's first row begins. */
function writeInputTransform(
  f: Func,
  grid: TileGrid,
  channels: number,
  x: Planes,
  pitch: number,
  target: Transformed,
): void {
  const to = f.local("i32");
  const column = f.locals("v128", 4);
  const t = Array.from({ length: 4 }, () => f.locals("v128", 4));
  // Columns 0 to 3 of a tile are two even and two odd ones of the split row.
  const columns = [0, pitch * bytes, bytes, (pitch + 1) * bytes];
  f.const(target.start).set(to);
  eachVector(f, grid, channels, 0, x, 16, (at) => {
    for (let r = 0; r < 4; r++) {
      for (let k = 0; k < 4; k++) {
        f.get(at).at("v128.load", r * x.row + columns[k]).set(column[k]);
      }
      writeInputStep(f, column, t[r].map((local) => () => f.set(local)));
    }
    for (let k = 0; k < 4; k++) {
      // The address goes below the value: so each result is stored through a local.
      const results = [0, 1, 2, 3].map((r) => () => {
        f.set(column[0]).get(to).get(column[0]).at("v128.store", (r * 4 + k) * target.step);
      });
      writeInputStep(f, t.map((row) => row[k]), results);
    }
    f.advance(to, 16);
  });
}

/** Two sums of four vectors: a + b + c, and b - c - d. */
function writeOutputStep(f: Func, [a, b, c, d]: readonly Local[], sum: Local, rest: Local): void {
  f.get(a).get(b).op(vector.add).get(c).op(vector.add).set(sum);
  f.get(b).get(c).op(vector.sub).get(d).op(vector.sub).set(rest);
}

/** Writes the transform of a block's products; its parameter is where the block's first output row begins. */
function writeOutputTransform(
  f: Func,
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
  f.const(products.start).set(from).const(bias).set(biasAt).const(check).at("v128.load");
  f.set(notFinite);
  const loadBias = () => f.get(biasAt).at("v128.load32_splat").set(biases);
  loadBias();
  const write = (at: Local) => {
    for (let k = 0; k < 4; k++) {
      for (let row = 0; row < 4; row++) {
        f.get(from).at("v128.load", (row * 4 + k) * products.step).set(m[row]);
      }
      writeOutputStep(f, m, s[k], r[k]);
    }
    for (const [row, sums] of [s, r].entries()) {
      writeOutputStep(f, sums, even, odd);
      for (const y of [even, odd]) {
        f.get(y).get(biases).op(vector.add).set(y);
        // Zero, unless y is infinite or NaN.
        f.get(notFinite).get(y);
        pushZero(f);
        f.op(vector.mul).op(vector.add).set(notFinite);
        if (!relu) continue;
        f.get(y);
        pushZero(f);
        f.op(vector.max).set(y);
      }
      f.get(at).get(even).get(odd).shuffle([0, 4, 1, 5]).at("v128.store", row * out.row);
      f.get(at).get(even).get(odd).shuffle([2, 6, 3, 7]).at("v128.store", row * out.row + 16);
    }
    f.advance(from, 16);
  };
  eachVector(f, grid, filters, 0, out, 32, write, () => {
    f.advance(biasAt, bytes);
    loadBias();
  });
  f.const(check).get(notFinite).at("v128.store");
}

/** Writes every 3x3 kernel as 4x4 numbers, a matrix for each: block of filters, channel, filter. */
function transformWeights(
  memory: FloatArray,
  at: number,
  w: FloatArray,
  blocks: readonly Run[],
  { channels, filters, filterStep, channelStep, turned }: Correlation,
): void {
  const matrix = filters * channels;
  const [first, step] = turned ? [8, -1] : [0, 1];
  const rows = new Float64Array(12);
  let filter = 0;
  for (const size of pieces(blocks)) {
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < size; i++) {
        let tap = (filter + i) * filterStep + c * channelStep + first;
        for (let k = 0; k < 3; k++) {
          const a = w[tap], b = w[tap + 3 * step], d = w[tap + 6 * step];
          rows[k] = a;
          rows[3 + k] = (a + b + d) / 2;
          rows[6 + k] = (a - b + d) / 2;
          rows[9 + k] = d;
          tap += step;
        }
        let place = at + i;
        for (let row = 0; row < 12; row += 3) {
          const a = rows[row], b = rows[row + 1], d = rows[row + 2];
          memory[place] = a;
          memory[place + matrix] = (a + b + d) / 2;
          memory[place + 2 * matrix] = (a - b + d) / 2;
          memory[place + 3 * matrix] = d;
          place += 4 * matrix;
        }
      }
      at += size;
    }
    filter += size;
  }
}

/** Runs the weight gradient over images; returns whether every sum is finite. */
export type RunWeightGradient = (
  N: number,
  x: FloatArray,
  dout: FloatArray,
  dw: FloatArray,
  db: FloatArray,
) => boolean;

/** Terms that a lane sums before it is added to float64. */
const TERMS = 4096;

/** Plans the weight gradient by the transposed algorithm. */
export function planWinogradWeights(shape: ConvShape, fused: boolean): Plan<RunWeightGradient> {
  const { C, H, W, F, padTop, padLeft, OH, OW } = shape;
  const layout = new Layout();
  const grid = tileGrid(OH, OW, WEIGHT_VECTORS);
  const rows = 2 * grid.rows * grid.blocks, columns = 2 * lanes * grid.vectors;
  const x = padded(layout, vector, "x", {
    planes: C,
    H,
    W,
    top: padTop,
    left: padLeft,
    rows: rows + 2,
    columns: columns + 2,
    stride: 2,
  });
  const dout = padded(layout, vector, "dout", {
    planes: F,
    H: OH,
    W: OW,
    top: 0,
    left: 0,
    rows,
    columns,
    stride: 2,
  });
  const blockBytes = grid.vectors * grid.rows * 16;
  const inputs = transformed(layout, "transformed x", C, blockBytes);
  const gradients = transformed(layout, "transformed dout", F, blockBytes);
  const sums = layout.region("sums", PLANES * F * C * 16);
  const biasSums = layout.region("bias sums", F * 16);
  const tiles = weightTiles(F, C, [[0]], blockBytes, false);

  function make(): RunWeightGradient {
    const assembly = new Assembly();
    const pad = assembly.func("pad"), padDout = assembly.func("padDout");
    x.write(pad);
    dout.write(padDout);
    const transform = assembly.func("transform", ["i32"]);
    writeInputTransform(transform, grid, C, x.planes, x.pitch, inputs);
    const transformDout = assembly.func("transformDout", ["i32"]);
    writeGradientTransform(transformDout, grid, F, dout.planes, dout.pitch, gradients);
    const multiply = assembly.func("multiply", ["i32", "i32", "i32"]);
    writeWeightSums(multiply, {
      vector,
      fused,
      tiles,
      x: { start: inputs.start, plane: blockBytes, row: 0 },
      dout: { start: gradients.start, plane: blockBytes, row: 0 },
      rows: 1,
      columns: blockBytes / bytes,
      sums,
      moved: { x: 0, dout: 1, sums: 2 },
    });
    const biases = assembly.func("biases");
    writeBiasSums(biases, vector, F, OH * OW, dout.staged, biasSums);

    const image = assembly.func("image");
    const [block, plane, xRow, doutRow, input, gradient, sum] = image.locals("i32", 7);
    image.call(pad).call(padDout).call(biases);
    image.const(x.planes.start).set(xRow).const(dout.planes.start).set(doutRow);
    image.repeat(block, grid.blocks, () => {
      image.get(xRow).call(transform).get(doutRow).call(transformDout);
      for (const offset of [input, gradient, sum]) image.const(0).set(offset);
      image.repeat(plane, PLANES, () => {
        image.get(input).get(gradient).get(sum).call(multiply);
        image.advance(input, inputs.step).advance(gradient, gradients.step);
        image.advance(sum, F * C * 16);
      });
      image.advance(xRow, 2 * grid.rows * x.planes.row);
      image.advance(doutRow, 2 * grid.rows * dout.planes.row);
    });
    const run = instantiate(assembly)[image.name];

    const places = weightPlaces(tiles, F, C, 1);
    const xSize = C * H * W, xStart = x.staged / bytes;
    const doutSize = F * OH * OW, doutStart = dout.staged / bytes;
    const sumStart = sums / bytes, biasStart = biasSums / bytes;
    const count = PLANES * F * C;
    const every = Math.ceil((4 * TERMS * lanes) / (OH * OW));
    return (N, xs, douts, dw, db) => {
      const memory = scratch("float32");
      const planeSums = new Float64Array(count), dbSums = new Float64Array(F);
      memory.fill(0, sumStart, sumStart + count * lanes);
      memory.fill(0, biasStart, biasStart + F * lanes);
      x.clear(memory);
      dout.clear(memory);
      for (let n = 0; n < N; n++) {
        memory.set(xs.subarray(n * xSize, (n + 1) * xSize), xStart);
        memory.set(douts.subarray(n * doutSize, (n + 1) * doutSize), doutStart);
        run();
        if (n === N - 1 || (n + 1) % every === 0) {
          drain(memory, sumStart, lanes, planeSums);
          drain(memory, biasStart, lanes, dbSums);
        }
      }
      db.set(dbSums);
      return finishWeights(planeSums, places, dw);
    };
  }
  return { layout, make };
}

/** Writes the transform of a block's 2x2 tiles of dout: rows a, b become a, a + b, a - b, b; then columns. */
function writeGradientTransform(
  f: Func,
  grid: TileGrid,
  filters: number,
  dout: Planes,
  pitch: number,
  target: Transformed,
): void {
  const to = f.local("i32");
  const [a, b] = f.locals("v128", 2);
  const t = [f.locals("v128", 4), f.locals("v128", 4)];
  f.const(target.start).set(to);
  const store = (plane: number) => f.at("v128.store", plane * target.step);
  eachVector(f, grid, filters, 0, dout, 16, (at) => {
    for (const [row, columns] of t.entries()) {
      f.get(at).at("v128.load", row * dout.row).set(a);
      f.get(at).at("v128.load", row * dout.row + pitch * bytes).set(b);
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
    f.advance(to, 16);
  });
}

/** Turns 16 sums for each filter and channel into its 3x3 gradients; whether they are all finite. */
function finishWeights(sums: Float64Array, places: Int32Array, dw: FloatArray): boolean {
  const kernels = places.length;
  const rows = new Float64Array(12);
  let notFinite = 0;
  for (let i = 0; i < kernels; i++) {
    for (let k = 0; k < 4; k++) {
      const scale = k === 0 || k === 3 ? 1 : 0.5;
      const a = scale * sums[k * kernels + i];
      const b = scale * 0.5 * sums[(4 + k) * kernels + i];
      const c = scale * 0.5 * sums[(8 + k) * kernels + i];
      const d = scale * sums[(12 + k) * kernels + i];
      rows[k] = a + b + c;
      rows[4 + k] = b - c;
      rows[8 + k] = b + c - d;
    }
    const place = 9 * places[i];
    for (let row = 0; row < 3; row++) {
      const a = rows[4 * row], b = rows[4 * row + 1], c = rows[4 * row + 2], d = rows[4 * row + 3];
      const first = a + b + c, second = b - c, third = b + c - d;
      notFinite += (first - first) + (second - second) + (third - third);
      dw[place + 3 * row] = first;
      dw[place + 3 * row + 1] = second;
      dw[place + 3 * row + 2] = third;
    }
  }
  return notFinite === 0;
}
