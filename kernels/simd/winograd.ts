/**
 * Winograd's F(2x2, 3x3): four outputs of a 3x3 kernel from 16 products instead of 36; larger kernels as
 * several of that size, whose products are summed up before they are transformed.
 *
 * Tiles of 4x4 inputs, two apart, are transformed into 16 planes of numbers; each plane is multiplied
 * by its own matrix of transformed weights; every 16 products give 2x2 outputs. Tiles that are
 * neighbors in a row make a vector. The sums are others than the definition's: an input that is not
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

import type { Epilogue } from "../epilogue.ts";
import type { Pass } from "../passes.ts";
import type { FloatArray } from "../tensor.ts";
import { Assembly, type Func } from "./assembler.ts";
import { nanosecondsOf, winogradCosts } from "./costs.ts";
import { writeConv } from "./emit_conv.ts";
import { compile, Layout, type Plan } from "./memory.ts";
import { PackedWeights } from "./packed_weights.ts";
import {
  movedBy,
  type Padded,
  padded,
  plainRow,
  type Planes,
  spanOf,
  writeCopy,
} from "./planes.ts";
import type { ImageProgram } from "./program.ts";
import type { Queue } from "./queue.ts";
import type { Schedule } from "./schedule.ts";
import { convTiles } from "./tiles.ts";
import type { Vector } from "./vector.ts";
import { eachOutput } from "./weights.ts";
import {
  forwardGrid,
  type Patch,
  sizesOf,
  type TileGrid,
  tileProducts,
  type Transformed,
  transformed,
  type WindowPlane,
  windowPlanes,
} from "./winograd_tiles.ts";
import {
  writeInputTransform,
  writeOutputTransform,
  writeWeightTransform,
} from "./winograd_transforms.ts";

/** Bytes between planes of weights: a multiple of 4 KB apart they would share their places in the cache. */
const PLANE_GAP = 64;

/** Plans a forward pass, or the gradient of the input: dout's correlation with the rotated kernels. */
export function planWinograd(
  pass: Pass,
  vector: Vector,
  fused: boolean,
  schedule: Schedule,
): Plan<ImageProgram> {
  const { inputs: channels, outputs: filters, gradient: rotated180 } = pass;
  const { KH, KW, OH, OW } = sizesOf(pass);
  const { bytes, lanes } = vector;
  const layout = new Layout();
  const grid = forwardGrid(vector, pass, schedule.vectors);
  const { inputs, outputs, images, blocks } = grid;
  const planes = windowPlanes(KH, KW);
  const rows = 2 * outputs.rows * blocks, columns = 2 * lanes * outputs.vectors;
  const x = padded(layout, vector, "x", {
    planes: channels,
    H: pass.rows.source.size,
    W: pass.columns.source.size,
    top: pass.rows.source.lead,
    left: pass.columns.source.lead,
    rows: rows + 2 * (inputs.rows - outputs.rows) + 2,
    columns: 2 * lanes * inputs.vectors + 2,
    stride: 2,
    images,
  });
  const tilesIn = transformed(layout, "transformed x", channels, inputs);
  const tilesOut = transformed(layout, "products", filters, outputs);
  const kernels = filters * channels, taps = KH * KW;
  const matrix = kernels * bytes;
  const rawWeights = layout.region("weights", taps * matrix);
  const weightBytes = tileProducts(KH, KW) * matrix + (planes.length - 1) * PLANE_GAP;
  const weights = layout.region("transformed weights", weightBytes);
  const planeStarts = planes.map(({ before }, i) => before * matrix + i * PLANE_GAP);
  const bias = layout.region("bias", filters * bytes);
  const nonFiniteFlag = layout.region("non-finite flag", 16);
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

  const products = productSize(grid, vector);
  const tiles = convTiles(filters, products.rows, products.columns, vector, schedule.tile);

  function make({ relu = false }: Epilogue, inPlace = false): ImageProgram {
    const assembly = new Assembly();
    const packed = new PackedWeights(vector, weights, weightBytes / bytes, inPlace);
    const pad = assembly.func("pad", ["i32", "i32"]);
    x.write(pad, { from: 0, to: 1 });
    const transform = assembly.func("transform", ["i32", "i32"]);
    writeInputTransform(transform, vector, inputs, channels, x.planes, x.pitch, tilesIn);
    stateInputs(transform, vector, grid, channels, x, tilesIn);
    const multiply = byWindows(planes, (plane, i, alike) =>
      writeConv(assembly, `multiply${i}-`, {
        vector,
        fused,
        channels,
        tiles,
        input: { start: tilesIn.start, plane: inputs.blockBytes, row: inputs.rowBytes },
        output: { start: tilesOut.start, plane: outputs.blockBytes, row: outputs.rowBytes },
        taps: windowOffsets(plane, inputs, bytes).flat(),
        tapRows: { times: 1, step: 0 },
        weights: packed.start,
        weightsMemory: packed.memory,
        moved: {
          input: alike[alike.length - 1] * tilesIn.step,
          output: alike[alike.length - 1] * tilesOut.step,
          weights: planeStarts[alike[alike.length - 1]],
          bias: 0,
        },
      }));
    const finish = assembly.func("finish", ["i32", "i32"]);
    writeOutputTransform(
      finish,
      vector,
      outputs,
      filters,
      tilesOut,
      wide,
      bias,
      nonFiniteFlag,
      relu,
    );
    const wideSpan = spanOf(wide, filters, rows, columns * bytes);
    finish.writes(wide.start, wideSpan + (images - 1) * wideBytes).writes(nonFiniteFlag, 16);
    finish.reads(tilesOut.start, spanOfTiles(tilesOut, filters, outputs));
    // After the last filter's, the next bias is read in vain.
    finish.reads(bias, (filters + 1) * bytes);
    const pick = assembly.func("pick", ["i32", "i32"]);
    const pickRow = plainRow(vector, OW);
    const pickEach = {
      from: movedBy(0, images, wideBytes),
      to: movedBy(1, images, outSize * bytes),
    };
    if (!whole) writeCopy(pick, filters, OH, wide, result, pickRow, pickEach);

    const imageBatch = assembly.func("imageBatch", ["i32"]);
    const [image, block, staged, paddedAt, wideAt, outAt] = imageBatch.locals("i32", 6);
    const [xBlock, xRow, outBlock, outRow, at] = imageBatch.locals("i32", 5);
    imageBatch.countDown(image, 0, () => {
      imageBatch.get(staged).get(paddedAt).call(pad);
      imageBatch.advance(staged, x.step.staged).advance(paddedAt, x.step.planes);
    });
    imageBatch.const(x.planes.start).set(xBlock).const(wide.start).set(outBlock);
    imageBatch.repeat(block, blocks, () => {
      imageBatch.get(xBlock).set(xRow).const(0).set(at);
      imageBatch.countDown(image, 0, () => {
        imageBatch.get(xRow).get(at).call(transform);
        imageBatch.advance(xRow, x.step.planes).advance(at, inputs.imageBytes);
      });
      for (const [i, planeStart] of planeStarts.entries()) {
        imageBatch.const(i * tilesIn.step).const(i * tilesOut.step).const(planeStart);
        imageBatch.const(0).call(multiply[i]);
      }
      imageBatch.get(outBlock).set(outRow).const(0).set(at);
      imageBatch.countDown(image, 0, () => {
        imageBatch.get(outRow).get(at).call(finish);
        imageBatch.advance(outRow, wideBytes).advance(at, outputs.imageBytes);
      });
      imageBatch.advance(xBlock, 2 * outputs.rows * x.planes.row);
      imageBatch.advance(outBlock, 2 * outputs.rows * wide.row);
    });
    if (!whole) {
      imageBatch.countDown(image, 0, () => {
        imageBatch.get(wideAt).get(outAt).call(pick);
        imageBatch.advance(wideAt, wideBytes).advance(outAt, outSize * bytes);
      });
    }
    const kernel = taps * bytes;
    // A gradient's outputs are the kernels' channels.
    const [filterStep, channelStep] = rotated180
      ? [kernel, kernel * filters]
      : [kernel * channels, kernel];
    const starts = planeStarts.map((start) => weights + start);
    const steps = { channels, channelStep, filterStep, starts, bytes: weightBytes };
    const transforms = writeWeightTransform(assembly, vector, { KH, KW, rotated180, ...steps });
    for (const f of transforms) f.reads(rawWeights, taps * matrix);
    const module = compile(assembly, layout, packed.layout);

    function transformWeights(queue: Queue, w: FloatArray): void {
      queue.load(rawWeights, w, 0, w.length);
      eachOutput(tiles, channels, (filter, at, block, before) => {
        // Neighbors in a block go together: the second of them is done.
        if (before % 2 === 1) return;
        const from = rawWeights + filter * filterStep;
        const [blocks, place] = [(at - before) * bytes, before * bytes];
        const together = before + 1 < block ? 2 : 1;
        queue.call(`transform${together}`, from, blocks, place, block * bytes);
      });
    }

    return {
      cost: nanosecondsOf(winogradCosts(pass, vector)),
      together: images,
      packed,
      prepare(queue, w, epilogue, given) {
        if (!packed.use(queue, module, given)) transformWeights(queue, w);
        x.clear(queue);
        if (epilogue.bias === undefined) queue.clear(bias, filters * bytes);
        else queue.load(bias, epilogue.bias, 0, filters);
        queue.clear(nonFiniteFlag, 16);
        return true;
      },
      run(queue, xs, outs, first, last) {
        for (let n = first; n < last; n += images) {
          const end = Math.min(last, n + images);
          x.load(queue, xs, n, end);
          queue.call("imageBatch", end - n);
          if (queue.isSet(nonFiniteFlag, n)) return n;
          queue.store(outs, n * outSize, (end - n) * outSize, out);
        }
        return last;
      },
    };
  }
  return { layout, make };
}

/** The bytes of some channels' tiles, in all 16 planes. */
export function spanOfTiles(
  { step }: Transformed,
  channels: number,
  { blockBytes }: Patch,
): number {
  return 15 * step + channels * blockBytes;
}

/** States what a transform of 4x4 tiles of the padded input touches. */
export function stateInputs(
  f: Func,
  { bytes }: Vector,
  { inputs, outputs, images, blocks }: TileGrid,
  channels: number,
  x: Padded,
  tiles: Transformed,
): void {
  const rows = 2 * (blocks - 1) * outputs.rows + 2 * inputs.rows + 2;
  const width = (x.pitch + 1) * bytes + inputs.vectors * 16;
  const span = spanOf(x.planes, channels, rows, width);
  f.reads(x.planes.start, span + (images - 1) * x.step.planes);
  f.writes(tiles.start, spanOfTiles(tiles, channels, inputs));
}

/** A function for each plane; planes with the same windows share theirs, which gets the numbers of all. */
export function byWindows(
  planes: readonly WindowPlane[],
  make: (plane: WindowPlane, index: number, alike: readonly number[]) => Func,
): Func[] {
  const made = new Map<string, Func>();
  const keys = planes.map(({ rows, columns }) => `${rows} ${columns}`);
  return planes.map((plane, i) => {
    const key = keys[i];
    const alike = keys.flatMap((other, index) => other === key ? index : []);
    const func = made.get(key) ?? make(plane, made.size, alike);
    made.set(key, func);
    return func;
  });
}

/** How far a plane's windows are in the tiles of inputs, in bytes: by rows and columns. */
export function windowOffsets(
  { rows, columns }: WindowPlane,
  { rowBytes }: Patch,
  bytes: number,
): number[][] {
  return rows.map((row) => columns.map((column) => row * rowBytes + column * bytes));
}

/** Rows and columns of the tiles that are multiplied: one long row, unless windows need neighbors. */
export function productSize(
  { inputs, outputs }: TileGrid,
  { lanes }: Vector,
): { readonly rows: number; readonly columns: number } {
  return inputs.blockBytes === outputs.blockBytes
    ? { rows: 1, columns: (outputs.blockBytes / 16) * lanes }
    : { rows: outputs.rows, columns: outputs.vectors * lanes };
}
