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

import { Assembly } from "./assembler.ts";
import { writeConv } from "./emit_conv.ts";
import { writeBiasSums, writeWeightSums } from "./emit_weights.ts";
import { instantiate, Layout, type Plan, scratch } from "./memory.ts";
import { convTiles, pieces, type Run, type Tile, weightTiles } from "./plan.ts";
import { addSums, clearSums, imagesPerSum, weightPlaces } from "./weights.ts";
import { padded, plainRow, type Planes, writeCopy } from "./planes.ts";
import { vectors } from "./vector.ts";
import {
  PLANES,
  tileGrid,
  transformed,
  writeGradientTransform,
  writeInputTransform,
  writeOutputTransform,
} from "./winograd_tiles.ts";
import type { ConvShape, DType, FloatArray } from "../shape.ts";

const vector = vectors.float32;
const { bytes, lanes } = vector;

/** Vectors of tiles that are worked on together. */
const FORWARD_VECTORS = 8;
const WEIGHT_VECTORS = 16;

/** Vectors of tiles in an image below which the multiplications are too short to pay. */
const FEWEST_VECTORS = 3;

/** What the transforms cost for each plane of inputs and outputs, in multiplications of vectors. */
const TRANSFORM_COST = 60;

/** Whether Winograd's algorithm should be at least 5 % faster than the direct kernel. */
export function winogradPays(filters: number, channels: number, OH: number, OW: number): boolean {
  const { vectors, rows, blocks } = tileGrid(OH, OW, FORWARD_VECTORS);
  const tiles = vectors * rows * blocks;
  const cost = tiles * (PLANES * filters * channels + TRANSFORM_COST * (filters + channels));
  const direct = 9 * filters * channels * OH * Math.ceil(OW / lanes);
  return tiles >= FEWEST_VECTORS && 1.05 * cost < direct;
}

/** Whether a geometry is one that the algorithm is for. */
export function winogradServes({ KH, KW, strideY, strideX }: ConvShape, dtype: DType): boolean {
  return dtype === "float32" && KH === 3 && KW === 3 && strideY === 1 && strideX === 1;
}

/** A correlation with 3x3 kernels and stride 1: a forward pass, or the gradient of the input. */
interface Correlation {
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

/** Plans the forward pass, if that pays. */
export function planWinogradForward(
  shape: ConvShape,
  fused: boolean,
  relu: boolean,
  tile?: Tile,
): Plan<RunCorrelation> | undefined {
  const { C, H, W, F, padTop, padLeft, OH, OW } = shape;
  if (!winogradPays(F, C, OH, OW)) return undefined;
  return planCorrelation(
    {
      channels: C,
      filters: F,
      H,
      W,
      top: padTop,
      left: padLeft,
      OH,
      OW,
      filterStep: 9 * C,
      channelStep: 9,
      turned: false,
      relu,
    },
    fused,
    tile,
  );
}

/** Plans the gradient of the input, dout's correlation with the turned kernels, if that pays. */
export function planWinogradData(
  shape: ConvShape,
  fused: boolean,
  tile?: Tile,
): Plan<RunCorrelation> | undefined {
  const { C, H, W, F, padTop, padLeft, OH, OW } = shape;
  const top = 2 - padTop, left = 2 - padLeft;
  if (top < 0 || left < 0 || !winogradPays(C, F, H, W)) return undefined;
  return planCorrelation(
    {
      channels: F,
      filters: C,
      H: OH,
      W: OW,
      top,
      left,
      OH: H,
      OW: W,
      filterStep: 9,
      channelStep: 9 * C,
      turned: true,
      relu: false,
    },
    fused,
    tile,
  );
}

/** Plans a correlation by Winograd's algorithm. */
function planCorrelation(
  job: Correlation,
  fused: boolean,
  tile?: Tile,
): Plan<RunCorrelation> {
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
  const tiles = convTiles(filters, 1, blockBytes / bytes, lanes, tile);

  function make(): RunCorrelation {
    const assembly = new Assembly();
    const pad = assembly.func("pad");
    x.write(pad);
    const transform = assembly.func("transform", ["i32"]);
    writeInputTransform(transform, grid, channels, x.planes, x.pitch, inputs);
    const multiply = writeConv(assembly, "multiply", {
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
      moved: true,
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

/** Plans the gradients of weights and biases by the transposed algorithm, if that pays. */
export function planWinogradWeights(
  shape: ConvShape,
  fused: boolean,
  tile?: Tile,
): Plan<RunWeightGradient> | undefined {
  const { C, H, W, F, padTop, padLeft, OH, OW } = shape;
  if (!winogradPays(F, C, OH, OW)) return undefined;
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
  const tiles = weightTiles(F, C, [[0]], blockBytes, false, tile);

  function make(): RunWeightGradient {
    const assembly = new Assembly();
    const pad = assembly.func("pad"), padDout = assembly.func("padDout");
    x.write(pad);
    dout.write(padDout);
    const transform = assembly.func("transform", ["i32"]);
    writeInputTransform(transform, grid, C, x.planes, x.pitch, inputs);
    const transformDout = assembly.func("transformDout", ["i32"]);
    writeGradientTransform(transformDout, grid, F, dout.planes, dout.pitch, gradients);
    const multiply = writeWeightSums(assembly, "multiply", {
      vector,
      fused,
      tiles,
      x: { start: inputs.start, plane: blockBytes, row: 0 },
      dout: { start: gradients.start, plane: blockBytes, row: 0 },
      rows: 1,
      columns: blockBytes / bytes,
      sums,
      moved: true,
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
    const count = PLANES * F * C;
    const dwVectors = { start: sums / bytes, count };
    const dbVectors = { start: biasSums / bytes, count: F };
    const every = imagesPerSum("float32", grid.vectors * grid.rows * grid.blocks);
    return (N, xs, douts, dw, db) => {
      const memory = scratch("float32");
      const planeTotals = new Float64Array(count), dbTotals = new Float64Array(F);
      x.clear(memory);
      dout.clear(memory);
      for (let n = 0; n < N; n++) {
        if (n % every === 0) {
          clearSums(memory, lanes, dwVectors);
          clearSums(memory, lanes, dbVectors);
        }
        memory.set(xs.subarray(n * xSize, (n + 1) * xSize), xStart);
        memory.set(douts.subarray(n * doutSize, (n + 1) * doutSize), doutStart);
        run();
        if (n === N - 1 || n % every === every - 1) {
          addSums(memory, lanes, dwVectors, planeTotals);
          addSums(memory, lanes, dbVectors, dbTotals);
        }
      }
      db.set(dbTotals);
      return finishWeights(planeTotals, places, dw);
    };
  }
  return { layout, make };
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
