/**
 * Winograd's F(2x2, 3x3): four outputs of a 3x3 kernel from 16 products instead of 36.
 *
 * Tiles of 4x4 inputs, two apart, are transformed into 16 planes of numbers; each plane is multiplied
 * by its own matrix of transformed weights; every 16 products give 2x2 outputs. Tiles that are
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
import { convTiles, type Run, type Tile, weightTiles } from "./plan.ts";
import {
  doubles,
  eachOutput,
  imagesPerSum,
  layoutSums,
  sumImages,
  writeTotals,
} from "./weights.ts";
import { padded, plainRow, type Planes, writeCopy } from "./planes.ts";
import type { Vector } from "./vector.ts";
import {
  PLANES,
  tileGrid,
  transformed,
  writeGradientTransform,
  writeInputTransform,
  writeOutputTransform,
  writeSumTransform,
  writeWeightTransform,
} from "./winograd_tiles.ts";
import type { ConvShape, FloatArray } from "../shape.ts";

/** Vectors of tiles that are worked on together. */
const FORWARD_VECTORS = 8;
const WEIGHT_VECTORS = 16;

/** What the transforms cost for each plane of inputs and outputs, in multiplications of vectors. */
const TRANSFORM_COST = 40;

/** Whether Winograd's algorithm should be at least 15 % faster than the direct kernel. */
export function winogradPays(
  vector: Vector,
  filters: number,
  channels: number,
  OH: number,
  OW: number,
): boolean {
  const { vectors, rows, blocks } = tileGrid(vector, OH, OW, FORWARD_VECTORS);
  const tiles = vectors * rows * blocks;
  const cost = tiles * (PLANES * filters * channels + TRANSFORM_COST * (filters + channels));
  const direct = 9 * filters * channels * OH * Math.ceil(OW / vector.lanes);
  return 1.15 * cost < direct;
}

/** Whether a geometry is one that the algorithm is for. */
export function winogradServes({ KH, KW, strideY, strideX }: ConvShape): boolean {
  return KH === 3 && KW === 3 && strideY === 1 && strideX === 1;
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
  const { C, H, W, F, padTop, padLeft, OH, OW } = shape;
  if (!winogradPays(vector, F, C, OH, OW)) return undefined;
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
      turned: false,
      relu,
    },
    vector,
    fused,
    tile,
  );
}

/** Plans the gradient of the input, dout's correlation with the turned kernels, if that pays. */
export function planWinogradData(
  shape: ConvShape,
  vector: Vector,
  fused: boolean,
  tile?: Tile,
): Plan<RunCorrelation> | undefined {
  const { C, H, W, F, padTop, padLeft, OH, OW } = shape;
  const top = 2 - padTop, left = 2 - padLeft;
  if (top < 0 || left < 0 || !winogradPays(vector, C, F, H, W)) return undefined;
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
      turned: true,
      relu: false,
    },
    vector,
    fused,
    tile,
  );
}

/** Plans a correlation by Winograd's algorithm. */
function planCorrelation(
  job: Correlation,
  vector: Vector,
  fused: boolean,
  tile?: Tile,
): Plan<RunCorrelation> {
  const { channels, filters, H, W, OH, OW, turned } = job;
  const { bytes, lanes, dtype } = vector;
  const layout = new Layout();
  const grid = tileGrid(vector, OH, OW, FORWARD_VECTORS);
  const { images, blocks, imageBytes, blockBytes } = grid;
  const rows = 2 * grid.rows * blocks, columns = 2 * lanes * grid.vectors;
  const x = padded(layout, vector, "x", {
    planes: channels,
    H,
    W,
    top: job.top,
    left: job.left,
    rows: rows + 2,
    columns: columns + 2,
    stride: 2,
    images,
  });
  const inputs = transformed(layout, "transformed x", channels, grid);
  const products = transformed(layout, "products", filters, grid);
  const kernels = filters * channels;
  const matrix = kernels * bytes;
  const given = layout.region("weights", 9 * matrix);
  const weights = layout.region("transformed weights", PLANES * matrix);
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
  const tiles = convTiles(filters, 1, blockBytes / bytes, lanes, tile);

  function make(): RunCorrelation {
    const assembly = new Assembly();
    const pad = assembly.func("pad", ["i32", "i32"]);
    x.write(pad, { from: 0, to: 1 });
    const transform = assembly.func("transform", ["i32", "i32"]);
    writeInputTransform(transform, vector, grid, channels, x.planes, x.pitch, inputs);
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
    const finish = assembly.func("finish", ["i32", "i32"]);
    writeOutputTransform(finish, vector, grid, filters, products, wide, bias, check, job.relu);
    const pick = assembly.func("pick", ["i32", "i32"]);
    const pickRow = plainRow(vector, OW);
    if (!whole) writeCopy(pick, filters, OH, wide, result, pickRow, { from: 0, to: 1 });

    const several = assembly.func("several", ["i32"]);
    const [image, block, plane, staged, planes, wideAt, outAt] = several.locals("i32", 7);
    const [xBlock, xRow, outBlock, outRow, at, product, weight] = several.locals("i32", 7);
    several.countDown(image, 0, () => {
      several.get(staged).get(planes).call(pad);
      several.advance(staged, x.step.staged).advance(planes, x.step.planes);
    });
    several.const(x.planes.start).set(xBlock).const(wide.start).set(outBlock);
    several.repeat(block, blocks, () => {
      several.get(xBlock).set(xRow).const(0).set(at);
      several.countDown(image, 0, () => {
        several.get(xRow).get(at).call(transform);
        several.advance(xRow, x.step.planes).advance(at, imageBytes);
      });
      for (const offset of [at, product, weight]) several.const(0).set(offset);
      several.repeat(plane, PLANES, () => {
        several.get(at).get(product).get(weight).call(multiply);
        several.advance(at, inputs.step).advance(product, products.step).advance(weight, matrix);
      });
      several.get(outBlock).set(outRow).const(0).set(at);
      several.countDown(image, 0, () => {
        several.get(outRow).get(at).call(finish);
        several.advance(outRow, wideBytes).advance(at, imageBytes);
      });
      several.advance(xBlock, 2 * grid.rows * x.planes.row);
      several.advance(outBlock, 2 * grid.rows * wide.row);
    });
    if (!whole) {
      several.countDown(image, 0, () => {
        several.get(wideAt).get(outAt).call(pick);
        several.advance(wideAt, wideBytes).advance(outAt, outSize * bytes);
      });
    }
    writeWeightTransform(assembly, vector, channels, matrix);
    const run = instantiate(assembly);

    const kernel = 9 * bytes;
    const [firstKernel, filterStep, channelStep] = turned
      ? [kernel * (kernels - 1), -kernel, -kernel * filters]
      : [0, kernel * channels, kernel];
    const outStart = out / bytes, biasStart = bias / bytes, checkStart = check / bytes;
    return (N, xs, w, b, outs) => {
      const memory = scratch(dtype);
      x.clear(memory);
      memory.set(w, given / bytes);
      // Weights that are reversed as a whole are turned kernels, the first of which comes last.
      if (turned) memory.subarray(given / bytes, given / bytes + 9 * kernels).reverse();
      eachOutput(tiles.blocks, channels, (filter, at, block) => {
        const from = given + firstKernel + filter * filterStep;
        run.transformWeights(from, weights + at * bytes, channelStep, block * bytes);
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
  vector: Vector,
  fused: boolean,
  tile?: Tile,
): Plan<RunWeightGradient> | undefined {
  const { C, H, W, F, padTop, padLeft, OH, OW } = shape;
  if (!winogradPays(vector, F, C, OH, OW)) return undefined;
  const { bytes, lanes, dtype } = vector;
  const layout = new Layout();
  const grid = tileGrid(vector, OH, OW, WEIGHT_VECTORS);
  const { images, blocks, imageBytes, blockBytes } = grid;
  const rows = 2 * grid.rows * blocks, columns = 2 * lanes * grid.vectors;
  const x = padded(layout, vector, "x", {
    planes: C,
    H,
    W,
    top: padTop,
    left: padLeft,
    rows: rows + 2,
    columns: columns + 2,
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
    columns,
    stride: 2,
    images,
  });
  const inputs = transformed(layout, "transformed x", C, grid);
  const gradients = transformed(layout, "transformed dout", F, grid);
  const tiles = weightTiles(F, C, [[0]], blockBytes, false, tile);
  const sums = layoutSums(
    layout,
    "sums",
    Array<readonly Run[]>(PLANES).fill(tiles.blocks).flat(),
    C,
  );
  const biasSums = layoutSums(layout, "bias sums", [{ size: 1, times: 1 }], F);
  const check = layout.region("check", 16);

  function make(): RunWeightGradient {
    const assembly = new Assembly();
    const pad = assembly.func("pad", ["i32", "i32"]);
    x.write(pad, { from: 0, to: 1 });
    const padDout = assembly.func("padDout", ["i32", "i32"]);
    dout.write(padDout, { from: 0, to: 1 });
    const transform = assembly.func("transform", ["i32", "i32"]);
    writeInputTransform(transform, vector, grid, C, x.planes, x.pitch, inputs);
    const transformDout = assembly.func("transformDout", ["i32", "i32"]);
    writeGradientTransform(transformDout, vector, grid, F, dout.planes, dout.pitch, gradients);
    const multiply = writeWeightSums(assembly, "multiply", {
      vector,
      fused,
      tiles,
      x: { start: inputs.start, plane: blockBytes, row: 0 },
      dout: { start: gradients.start, plane: blockBytes, row: 0 },
      rows: 1,
      columns: blockBytes / bytes,
      sums: sums.vectors,
      moved: true,
    });
    const biases = assembly.func("biases", ["i32"]);
    writeBiasSums(biases, vector, F, OH * OW, dout.staged, biasSums.vectors, 0);

    const several = assembly.func("several", ["i32"]);
    const [image, block, plane, staged, planes, doutStaged] = several.locals("i32", 6);
    const [doutPlanes, xBlock, xRow, doutBlock, doutRow, at] = several.locals("i32", 6);
    const [gradient, sum] = several.locals("i32", 2);
    several.countDown(image, 0, () => {
      several.get(staged).get(planes).call(pad).get(doutStaged).get(doutPlanes).call(padDout);
      several.get(doutStaged).call(biases);
      several.advance(staged, x.step.staged).advance(planes, x.step.planes);
      several.advance(doutStaged, dout.step.staged).advance(doutPlanes, dout.step.planes);
    });
    several.const(x.planes.start).set(xBlock).const(dout.planes.start).set(doutBlock);
    several.repeat(block, blocks, () => {
      several.get(xBlock).set(xRow).get(doutBlock).set(doutRow).const(0).set(at);
      several.countDown(image, 0, () => {
        several.get(xRow).get(at).call(transform).get(doutRow).get(at).call(transformDout);
        several.advance(xRow, x.step.planes).advance(doutRow, dout.step.planes);
        several.advance(at, imageBytes);
      });
      for (const offset of [at, gradient, sum]) several.const(0).set(offset);
      several.repeat(plane, PLANES, () => {
        several.get(at).get(gradient).get(sum).call(multiply);
        several.advance(at, inputs.step).advance(gradient, gradients.step);
        several.advance(sum, F * C * 16);
      });
      several.advance(xBlock, 2 * grid.rows * x.planes.row);
      several.advance(doutBlock, 2 * grid.rows * dout.planes.row);
    });
    writeTotals(assembly, vector);
    // The vectors are of no more use then: the gradients take their place.
    writeSumTransform(assembly, F * C, sums.totals, sums.vectors, check);
    const run = instantiate(assembly);

    const most = imagesPerSum(dtype, grid.vectors * grid.rows * blocks);
    return (N, xs, douts, dw, db) => {
      const memory = scratch(dtype);
      x.clear(memory);
      dout.clear(memory);
      sumImages([sums, biasSums], run.total, N, images, most, (n, end) => {
        if (end - n < images) {
          // The tiles of images that are not there: zero times what was there could be NaN.
          for (const { start, step } of [inputs, gradients]) {
            memory.fill(0, start / bytes, (start + PLANES * step) / bytes);
          }
        }
        x.load(memory, xs, n, end);
        dout.load(memory, douts, n, end);
        run.several(end - n);
      });
      run.transformSums();
      dw.set(doubles(sums.vectors, dw.length));
      db.set(doubles(biasSums.totals, F));
      return doubles(check, 1)[0] === 0;
    };
  }
  return { layout, make };
}
