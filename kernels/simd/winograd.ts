/**
 * Winograd's F(2x2, 3x3): four outputs of a 3x3 kernel from 16 products instead of 36; larger kernels as
 * several of that size, whose products are summed up before they are transformed.
 *
 * Tiles of 4x4 inputs, two apart, are transformed into 16 planes of numbers; each plane is multiplied
 * by its own matrix of transformed weights; every 16 products give 2x2 outputs. Tiles that are
 * neighbours in a row make a vector. The sums are others than the definition's: an input that is not
 * finite spreads over its tile, so images with such an output are left to the direct kernel.
 *
 * An output of F(2, 3) is summed up from products of the three inputs of its window alone, so a large input
 * nearby leaves it as precise as it was. An odd number of taps fills its windows; an even one would fill the
 * last with a zero, which meets an input beyond the output's own: such kernels are not served. A gradient of
 * the weights mixes a kernel's taps instead: its error is small against the largest of its kernel.
 *
 * Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
 *
 * @module
 */

import { Assembly, type Func } from "./assembler.ts";
import { writeConv } from "./emit_conv.ts";
import { writeBiasSums, writeWeightSums } from "./emit_weights.ts";
import { compile, Layout, type Plan, scratch } from "./memory.ts";
import { padded, plainRow, type Planes, writeCopy } from "./planes.ts";
import { convTiles, type Tile, type TileBlock, type WeightTiles, weightTiles } from "./plan.ts";
import type { Vector } from "./vector.ts";
import {
  doubles,
  eachOutput,
  imagesPerSum,
  layoutSums,
  sumImages,
  writeTotals,
} from "./weights.ts";
import {
  type Patch,
  type TileGrid,
  tileGrid,
  tileProducts,
  transformed,
  type WindowPlane,
  windowPlanes,
} from "./winograd_tiles.ts";
import {
  writeGradientTransform,
  writeInputTransform,
  writeOutputTransform,
  writeSumTransform,
  writeWeightTransform,
} from "./winograd_transforms.ts";
import type { ConvShape } from "../shape.ts";
import type { FloatArray } from "../tensor.ts";

/** Vectors of tiles that are worked on together: forward for kernels of one window and of several. */
const VECTORS = 8;
const WINDOW_VECTORS = 16;
const WEIGHT_VECTORS = 16;

/** What the transforms cost for each plane of inputs and outputs, in multiplications of vectors. */
const TRANSFORM_COST = 40;

/** Rows and columns of kernels that the algorithm is for; the last window of an even size would be padded. */
const SIZES: readonly number[] = [3, 5, 7];

/** The sizes of a correlation, on which it depends whether Winograd's algorithm pays. */
export interface Sizes {
  readonly channels: number;
  readonly filters: number;
  readonly KH: number;
  readonly KW: number;
  /** Rows and columns of an output plane. */
  readonly OH: number;
  readonly OW: number;
}

function forwardGrid(vector: Vector, { KH, KW, OH, OW }: Sizes): TileGrid {
  const together = Math.max(KH, KW) > SIZES[0] ? WINDOW_VECTORS : VECTORS;
  return tileGrid(vector, OH, OW, KH, KW, together);
}

function weightGrid(vector: Vector, { KH, KW, OH, OW }: ConvShape): TileGrid {
  return tileGrid(vector, OH, OW, KH, KW, WEIGHT_VECTORS);
}

/** Whether Winograd's algorithm should be at least 15 % faster than the direct kernel. */
export function winogradPays(vector: Vector, sizes: Sizes): boolean {
  const { channels, filters, KH, KW, OH, OW } = sizes;
  const { outputs, inputs, blocks } = forwardGrid(vector, sizes);
  const products = tileProducts(KH, KW) * filters * channels;
  const cost = outputs.rows * outputs.vectors * (products + TRANSFORM_COST * filters) +
    inputs.rows * inputs.vectors * TRANSFORM_COST * channels;
  const direct = KH * KW * filters * channels * OH * Math.ceil(OW / vector.lanes);
  return 1.15 * blocks * cost < direct;
}

/** Whether a geometry is one that the algorithm is for. */
export function winogradServes({ KH, KW, strideY, strideX }: ConvShape): boolean {
  return strideY * strideX === 1 && SIZES.includes(KH) && SIZES.includes(KW);
}

/** A correlation with stride 1: a forward pass, or the gradient of the input. */
interface Correlation extends Sizes {
  /** Rows and columns of an input plane. */
  readonly H: number;
  readonly W: number;
  /** Zeros above and on the left. */
  readonly top: number;
  readonly left: number;
  /** Whether the kernels are turned by half, and filters and channels exchanged. */
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

/** Plans the forward pass, if that pays. */
export function planWinogradForward(
  shape: ConvShape,
  vector: Vector,
  fused: boolean,
  relu: boolean,
  tile?: Tile,
): Plan<RunCorrelation> | undefined {
  const { C, H, W, F, KH, KW, padTop, padLeft, OH, OW } = shape;
  const job: Correlation = {
    channels: C,
    filters: F,
    KH,
    KW,
    H,
    W,
    top: padTop,
    left: padLeft,
    OH,
    OW,
    turned: false,
    relu,
  };
  return winogradPays(vector, job) ? planCorrelation(job, vector, fused, tile) : undefined;
}

/** Plans the gradient of the input, dout's correlation with the turned kernels, if that pays. */
export function planWinogradData(
  shape: ConvShape,
  vector: Vector,
  fused: boolean,
  tile?: Tile,
): Plan<RunCorrelation> | undefined {
  const { C, H, W, F, KH, KW, padTop, padLeft, OH, OW } = shape;
  const job: Correlation = {
    channels: F,
    filters: C,
    KH,
    KW,
    H: OH,
    W: OW,
    top: KH - 1 - padTop,
    left: KW - 1 - padLeft,
    OH: H,
    OW: W,
    turned: true,
    relu: false,
  };
  const pays = job.top >= 0 && job.left >= 0 && winogradPays(vector, job);
  return pays ? planCorrelation(job, vector, fused, tile) : undefined;
}

/** Plans a correlation by Winograd's algorithm. */
function planCorrelation(
  job: Correlation,
  vector: Vector,
  fused: boolean,
  tile?: Tile,
): Plan<RunCorrelation> {
  const { channels, filters, KH, KW, H, W, OH, OW, turned } = job;
  const { bytes, lanes, dtype } = vector;
  const layout = new Layout();
  const grid = forwardGrid(vector, job);
  const { inputs, outputs, images, blocks } = grid;
  const planes = windowPlanes(KH, KW);
  const rows = 2 * outputs.rows * blocks, columns = 2 * lanes * outputs.vectors;
  const x = padded(layout, vector, "x", {
    planes: channels,
    H,
    W,
    top: job.top,
    left: job.left,
    rows: rows + 2 * (inputs.rows - outputs.rows) + 2,
    columns: 2 * lanes * inputs.vectors + 2,
    stride: 2,
    images,
  });
  const tilesIn = transformed(layout, "transformed x", channels, inputs);
  const tilesOut = transformed(layout, "products", filters, outputs);
  const kernels = filters * channels, taps = KH * KW;
  const matrix = kernels * bytes;
  const given = layout.region("weights", taps * matrix);
  const weights = layout.region("transformed weights", tileProducts(KH, KW) * matrix);
  const bias = layout.region("bias", filters * bytes);
  const check = layout.region("check", 16);
  const outSize = filters * OH * OW;
  const out = layout.region("out", images * outSize * bytes);
  const result: Planes = { start: out, plane: OH * OW * bytes, row: OW * bytes };
  const whole = rows === OH && columns === OW;
  const wideBytes = filters * rows * columns * bytes;
  const wide: Planes = whole ? result : {
    start: layout.region("out, whole tiles", images * wideBytes),
    plane: rows * columns * bytes,
    row: columns * bytes,
  };

  function make(): RunCorrelation {
    const tiles = winogradTiles(vector, job, tile);
    const assembly = new Assembly();
    const pad = assembly.func("pad", ["i32", "i32"]);
    x.write(pad, { from: 0, to: 1 });
    const transform = assembly.func("transform", ["i32", "i32"]);
    writeInputTransform(transform, vector, inputs, channels, x.planes, x.pitch, tilesIn);
    const multiply = byWindows(planes, (plane, i) =>
      writeConv(assembly, `multiply${i}-`, {
        vector,
        fused,
        channels,
        tiles,
        input: { start: tilesIn.start, plane: inputs.blockBytes, row: inputs.rowBytes },
        output: { start: tilesOut.start, plane: outputs.blockBytes, row: outputs.rowBytes },
        taps: windowOffsets(plane, inputs, bytes).flat(),
        tapRows: { times: 1, step: 0 },
        weights,
        relu: false,
        moved: true,
      }));
    const finish = assembly.func("finish", ["i32", "i32"]);
    writeOutputTransform(finish, vector, outputs, filters, tilesOut, wide, bias, check, job.relu);
    const pick = assembly.func("pick", ["i32", "i32"]);
    const pickRow = plainRow(vector, OW);
    if (!whole) writeCopy(pick, filters, OH, wide, result, pickRow, { from: 0, to: 1 });

    const several = assembly.func("several", ["i32"]);
    const [image, block, staged, paddedAt, wideAt, outAt] = several.locals("i32", 6);
    const [xBlock, xRow, outBlock, outRow, at] = several.locals("i32", 5);
    several.countDown(image, 0, () => {
      several.get(staged).get(paddedAt).call(pad);
      several.advance(staged, x.step.staged).advance(paddedAt, x.step.planes);
    });
    several.const(x.planes.start).set(xBlock).const(wide.start).set(outBlock);
    several.repeat(block, blocks, () => {
      several.get(xBlock).set(xRow).const(0).set(at);
      several.countDown(image, 0, () => {
        several.get(xRow).get(at).call(transform);
        several.advance(xRow, x.step.planes).advance(at, inputs.imageBytes);
      });
      for (const [i, { before }] of planes.entries()) {
        several.const(i * tilesIn.step).const(i * tilesOut.step).const(before * matrix);
        several.call(multiply[i]);
      }
      several.get(outBlock).set(outRow).const(0).set(at);
      several.countDown(image, 0, () => {
        several.get(outRow).get(at).call(finish);
        several.advance(outRow, wideBytes).advance(at, outputs.imageBytes);
      });
      several.advance(xBlock, 2 * outputs.rows * x.planes.row);
      several.advance(outBlock, 2 * outputs.rows * wide.row);
    });
    if (!whole) {
      several.countDown(image, 0, () => {
        several.get(wideAt).get(outAt).call(pick);
        several.advance(wideAt, wideBytes).advance(outAt, outSize * bytes);
      });
    }
    writeWeightTransform(assembly, vector, KH, KW, channels, weights, matrix);
    const join = compile(assembly, layout);

    const kernel = taps * bytes;
    const [firstKernel, filterStep, channelStep] = turned
      ? [kernel * (kernels - 1), -kernel, -kernel * filters]
      : [0, kernel * channels, kernel];
    const outStart = out / bytes, biasStart = bias / bytes, checkStart = check / bytes;
    return (N, xs, w, b, outs) => {
      const run = join(), memory = scratch(dtype);
      x.clear(memory);
      memory.set(w, given / bytes);
      // Weights that are reversed as a whole are turned kernels, the first of which comes last.
      if (turned) memory.subarray(given / bytes, given / bytes + taps * kernels).reverse();
      eachOutput(tiles, channels, (filter, at, block, before) => {
        const from = given + firstKernel + filter * filterStep;
        const blocks = (at - before) * bytes;
        run.transformWeights(from, channelStep, blocks, before * bytes, block * bytes);
      });
      if (b === undefined) memory.fill(0, biasStart, biasStart + filters);
      else memory.set(b, biasStart);
      memory.fill(0, checkStart, checkStart + lanes);
      for (let n = 0; n < N; n += images) {
        const end = Math.min(N, n + images);
        x.load(memory, xs, n, end);
        run.several(end - n);
        for (let lane = 0; lane < lanes; lane++) {
          if (memory[checkStart + lane] !== 0) return n;
        }
        outs.set(memory.subarray(outStart, outStart + (end - n) * outSize), n * outSize);
      }
      return N;
    };
  }
  return { layout, make };
}

/** A function for each plane; planes with the same windows share theirs. */
function byWindows(
  planes: readonly WindowPlane[],
  make: (plane: WindowPlane, index: number) => Func,
): Func[] {
  const made = new Map<string, Func>();
  return planes.map((plane) => {
    const key = `${plane.rows} ${plane.columns}`;
    const func = made.get(key) ?? make(plane, made.size);
    made.set(key, func);
    return func;
  });
}

/** How far a plane's windows are in the tiles of inputs, in bytes: by rows and columns. */
function windowOffsets(
  { rows, columns }: WindowPlane,
  { rowBytes }: Patch,
  bytes: number,
): number[][] {
  return rows.map((row) => columns.map((column) => row * rowBytes + column * bytes));
}

/** Rows and columns of the tiles that are multiplied: one long row, unless windows need neighbours. */
function productSize(
  { inputs, outputs }: TileGrid,
  { lanes }: Vector,
): { readonly rows: number; readonly columns: number } {
  return inputs.blockBytes === outputs.blockBytes
    ? { rows: 1, columns: (outputs.blockBytes / 16) * lanes }
    : { rows: outputs.rows, columns: outputs.vectors * lanes };
}

/** How the products of a correlation are cut, by the rule or with a tile. */
export function winogradTiles(vector: Vector, sizes: Sizes, tile?: Tile): TileBlock[] {
  const { rows, columns } = productSize(forwardGrid(vector, sizes), vector);
  return convTiles(sizes.filters, rows, columns, vector.lanes, tile);
}

/** How the sums of a weight gradient are cut, for each plane. */
export function winogradWeightTiles(vector: Vector, shape: ConvShape, tile?: Tile): WeightTiles[] {
  const { C, F, KH, KW } = shape;
  const { inputs } = weightGrid(vector, shape);
  return windowPlanes(KH, KW).map((plane) =>
    weightTiles(F, C, windowOffsets(plane, inputs, vector.bytes), inputs.blockBytes, false, tile)
  );
}

/** Runs the weight gradient over images; returns whether every sum is finite. */
export type RunWeightGradient = (
  N: number,
  x: FloatArray,
  dout: FloatArray,
  dw: FloatArray,
  db: FloatArray,
) => boolean;

/**
 * Whether every tap meets an input somewhere. The gradient of one that meets padding alone is exactly 0,
 * which sums that mix taps need not give.
 */
function everyTapMeets({ H, W, KH, KW, padTop, padLeft, OH, OW }: ConvShape): boolean {
  return padTop < OH && KH - padTop <= H && padLeft < OW && KW - padLeft <= W;
}

/** Plans the gradients of weights and biases by the transposed algorithm, if that pays. */
export function planWinogradWeights(
  shape: ConvShape,
  vector: Vector,
  fused: boolean,
  tile?: Tile,
): Plan<RunWeightGradient> | undefined {
  const { C, H, W, F, KH, KW, padTop, padLeft, OH, OW } = shape;
  const pays = winogradPays(vector, { channels: C, filters: F, KH, KW, OH, OW });
  if (!pays || !everyTapMeets(shape)) return undefined;
  const { bytes, lanes, dtype } = vector;
  const layout = new Layout();
  const grid = weightGrid(vector, shape);
  const { inputs, outputs, images, blocks } = grid;
  const planes = windowPlanes(KH, KW);
  const rows = 2 * outputs.rows * blocks;
  const x = padded(layout, vector, "x", {
    planes: C,
    H,
    W,
    top: padTop,
    left: padLeft,
    rows: rows + 2 * (inputs.rows - outputs.rows) + 2,
    columns: 2 * lanes * inputs.vectors + 2,
    stride: 2,
    images,
  });
  const dout = padded(layout, vector, "dout", {
    planes: F,
    H: OH,
    W: OW,
    top: 0,
    left: 0,
    rows,
    columns: 2 * lanes * outputs.vectors,
    stride: 2,
    images,
  });
  const tilesIn = transformed(layout, "transformed x", C, inputs);
  const tilesOut = transformed(layout, "transformed dout", F, outputs);
  const tiles = winogradWeightTiles(vector, shape, tile);
  const sums = planes.map(({ products }, i) =>
    layoutSums(layout, `sums ${i}`, tiles[i].blocks, C * products)
  );
  const gradients = layout.region("gradients", F * C * KH * KW * 8);
  const biasSums = layoutSums(layout, "bias sums", [{ size: 1, times: 1 }], F);
  const check = layout.region("check", 16);

  // Of a lane's sums in an image.
  const terms = outputs.vectors * outputs.rows * blocks;

  function make(): RunWeightGradient {
    const assembly = new Assembly();
    const pad = assembly.func("pad", ["i32", "i32"]);
    x.write(pad, { from: 0, to: 1 });
    const padDout = assembly.func("padDout", ["i32", "i32"]);
    dout.write(padDout, { from: 0, to: 1 });
    const transform = assembly.func("transform", ["i32", "i32"]);
    writeInputTransform(transform, vector, inputs, C, x.planes, x.pitch, tilesIn);
    const transformDout = assembly.func("transformDout", ["i32", "i32"]);
    writeGradientTransform(transformDout, vector, outputs, F, dout.planes, dout.pitch, tilesOut);
    const multiply = byWindows(planes, (plane, i) =>
      writeWeightSums(assembly, `multiply${i}-`, {
        vector,
        fused,
        tiles: tiles[planes.indexOf(plane)],
        x: { start: tilesIn.start, plane: inputs.blockBytes, row: inputs.rowBytes },
        dout: { start: tilesOut.start, plane: outputs.blockBytes, row: outputs.rowBytes },
        ...productSize(grid, vector),
        sums: sums[0].vectors,
        apart: terms > vector.mostTerms,
        moved: true,
      }));
    const biases = assembly.func("biases", ["i32"]);
    writeBiasSums(biases, vector, F, OH * OW, dout.staged, biasSums.vectors, 0);

    const several = assembly.func("several", ["i32"]);
    const [image, block, staged, paddedAt, doutStaged, doutPadded] = several.locals("i32", 6);
    const [xBlock, xRow, doutBlock, doutRow, inAt, outAt] = several.locals("i32", 6);
    several.countDown(image, 0, () => {
      several.get(staged).get(paddedAt).call(pad).get(doutStaged).get(doutPadded).call(padDout);
      several.get(doutStaged).call(biases);
      several.advance(staged, x.step.staged).advance(paddedAt, x.step.planes);
      several.advance(doutStaged, dout.step.staged).advance(doutPadded, dout.step.planes);
    });
    several.const(x.planes.start).set(xBlock).const(dout.planes.start).set(doutBlock);
    several.repeat(block, blocks, () => {
      several.get(xBlock).set(xRow).get(doutBlock).set(doutRow);
      several.const(0).set(inAt).const(0).set(outAt);
      several.countDown(image, 0, () => {
        several.get(xRow).get(inAt).call(transform).get(doutRow).get(outAt).call(transformDout);
        several.advance(xRow, x.step.planes).advance(doutRow, dout.step.planes);
        several.advance(inAt, inputs.imageBytes).advance(outAt, outputs.imageBytes);
      });
      for (const [i, { vectors }] of sums.entries()) {
        several.const(i * tilesIn.step).const(i * tilesOut.step).const(vectors - sums[0].vectors);
        several.call(multiply[i]);
      }
      several.advance(xBlock, 2 * outputs.rows * x.planes.row);
      several.advance(doutBlock, 2 * outputs.rows * dout.planes.row);
    });
    writeTotals(assembly, vector);
    const totals = sums.map((plane) => plane.totals);
    writeSumTransform(assembly, KH, KW, F * C, totals, gradients, check);
    const join = compile(assembly, layout);

    const most = imagesPerSum(vector, terms);
    return (N, xs, douts, dw, db) => {
      const run = join(), memory = scratch(dtype);
      x.clear(memory);
      dout.clear(memory);
      sumImages([...sums, biasSums], run.total, N, images, most, (n, end) => {
        if (end - n < images) {
          // The tiles of images that are not there: zero times what was there could be NaN.
          for (const { start, step } of [tilesIn, tilesOut]) {
            memory.fill(0, start / bytes, (start + planes.length * step) / bytes);
          }
        }
        x.load(memory, xs, n, end);
        dout.load(memory, douts, n, end);
        run.several(end - n);
      });
      run.transformSums();
      dw.set(doubles(gradients, dw.length));
      db.set(doubles(biasSums.totals, F));
      return doubles(check, 1)[0] === 0;
    };
  }
  return { layout, make };
}
