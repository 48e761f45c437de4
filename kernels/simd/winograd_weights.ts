/**
 * The gradients of weights and biases by Winograd's algorithm transposed: tiles of x and of dout are
 * transformed, multiplied and summed over images, and the sums are transformed once a call.
 *
 * Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
 *
 * @module
 */

import type { Pass } from "../passes.ts";
import { Assembly } from "./assembler.ts";
import { nanosecondsOf, winogradWeightsCost } from "./costs.ts";
import { layoutPairs, writeBiasSums, writeWeightSums } from "./emit_weights.ts";
import { compile, Layout, type Plan } from "./memory.ts";
import { movedBy, padded, spanOf } from "./planes.ts";
import type { WeightProgram } from "./program.ts";
import type { Schedule } from "./schedule.ts";
import { weightTiles } from "./tiles.ts";
import type { Vector } from "./vector.ts";
import { imagesPerSum, layoutSums, sumImages, writeTotals } from "./weights.ts";
import { sizesOf, transformed, weightGrid, windowPlanes } from "./winograd_tiles.ts";
import {
  writeGradientTransform,
  writeInputTransform,
  writeSumTransform,
} from "./winograd_transforms.ts";

import { byWindows, productSize, spanOfTiles, stateInputs, windowOffsets } from "./winograd.ts";

/** Plans the gradients of weights and biases, for a forward pass, by the transposed algorithm. */
export function planWinogradWeights(
  pass: Pass,
  vector: Vector,
  fused: boolean,
  schedule: Schedule,
): Plan<WeightProgram> {
  const { inputs: C, outputs: F } = pass;
  const { KH, KW, OH, OW } = sizesOf(pass);
  const { bytes, lanes } = vector;
  const layout = new Layout();
  const grid = weightGrid(vector, pass, schedule.vectors);
  const { inputs, outputs, images, blocks } = grid;
  const planes = windowPlanes(KH, KW);
  const rows = 2 * outputs.rows * blocks;
  const x = padded(layout, vector, "x", {
    planes: C,
    H: pass.rows.source.size,
    W: pass.columns.source.size,
    top: pass.rows.source.lead,
    left: pass.columns.source.lead,
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
  const tiles = planes.map((plane) => {
    const offsets = windowOffsets(plane, inputs, bytes);
    return weightTiles(F, C, offsets, inputs.blockBytes, false, schedule.tile);
  });
  const sums = planes.map(({ products }, i) =>
    layoutSums(layout, `sums ${i}`, tiles[i].blocks, C * products)
  );
  const pairs = layoutPairs(layout, vector, tiles);
  const gradients = layout.region("gradients", F * C * KH * KW * 8);
  const biasSums = layoutSums(layout, "bias sums", [{ size: 1, times: 1 }], F);
  const nonFiniteFlag = layout.region("non-finite flag", 16);

  // Of a lane's sums in an image.
  const terms = outputs.vectors * outputs.rows * blocks;

  function make(): WeightProgram {
    const assembly = new Assembly();
    const pad = assembly.func("pad", ["i32", "i32"]);
    x.write(pad, { from: 0, to: 1 });
    const padDout = assembly.func("padDout", ["i32", "i32"]);
    dout.write(padDout, { from: 0, to: 1 });
    const transform = assembly.func("transform", ["i32", "i32"]);
    writeInputTransform(transform, vector, inputs, C, x.planes, x.pitch, tilesIn);
    stateInputs(transform, vector, grid, C, x, tilesIn);
    const transformDout = assembly.func("transformDout", ["i32", "i32"]);
    writeGradientTransform(transformDout, vector, outputs, F, dout.planes, dout.pitch, tilesOut);
    const doutWidth = dout.pitch * bytes + outputs.vectors * 16;
    const doutSpan = spanOf(dout.planes, F, rows, doutWidth);
    transformDout.reads(dout.planes.start, doutSpan + (images - 1) * dout.step.planes);
    transformDout.writes(tilesOut.start, spanOfTiles(tilesOut, F, outputs));
    const multiply = byWindows(
      planes,
      (plane, i, alike) =>
        writeWeightSums(assembly, `multiply${i}-`, {
          vector,
          fused,
          tiles: tiles[planes.indexOf(plane)],
          x: { start: tilesIn.start, plane: inputs.blockBytes, row: inputs.rowBytes },
          dout: { start: tilesOut.start, plane: outputs.blockBytes, row: outputs.rowBytes },
          ...productSize(grid, vector),
          sums: sums[0].vectors,
          apart: terms > vector.mostTerms,
          pairs,
          moved: {
            x: alike[alike.length - 1] * tilesIn.step,
            dout: alike[alike.length - 1] * tilesOut.step,
            sums: alike.map((i) => sums[i].vectors - sums[0].vectors).map((at) =>
              [at, at] as const
            ),
          },
        }),
    );
    const biases = assembly.func("biases", ["i32"]);
    const doutMoved = movedBy(0, images, dout.step.staged);
    writeBiasSums(biases, vector, F, OH * OW, dout.staged, biasSums.vectors, doutMoved);

    const imageBatch = assembly.func("imageBatch", ["i32"]);
    const [image, block, staged, paddedAt, doutStaged, doutPadded] = imageBatch.locals("i32", 6);
    const [xBlock, xRow, doutBlock, doutRow, inAt, outAt] = imageBatch.locals("i32", 6);
    imageBatch.countDown(image, 0, () => {
      imageBatch.get(staged).get(paddedAt).call(pad).get(doutStaged).get(doutPadded).call(padDout);
      imageBatch.get(doutStaged).call(biases);
      imageBatch.advance(staged, x.step.staged).advance(paddedAt, x.step.planes);
      imageBatch.advance(doutStaged, dout.step.staged).advance(doutPadded, dout.step.planes);
    });
    imageBatch.const(x.planes.start).set(xBlock).const(dout.planes.start).set(doutBlock);
    imageBatch.repeat(block, blocks, () => {
      imageBatch.get(xBlock).set(xRow).get(doutBlock).set(doutRow);
      imageBatch.const(0).set(inAt).const(0).set(outAt);
      imageBatch.countDown(image, 0, () => {
        imageBatch.get(xRow).get(inAt).call(transform).get(doutRow).get(outAt).call(transformDout);
        imageBatch.advance(xRow, x.step.planes).advance(doutRow, dout.step.planes);
        imageBatch.advance(inAt, inputs.imageBytes).advance(outAt, outputs.imageBytes);
      });
      for (const [i, { vectors }] of sums.entries()) {
        imageBatch.const(i * tilesIn.step).const(i * tilesOut.step).const(
          vectors - sums[0].vectors,
        );
        imageBatch.call(multiply[i]);
      }
      imageBatch.advance(xBlock, 2 * outputs.rows * x.planes.row);
      imageBatch.advance(doutBlock, 2 * outputs.rows * dout.planes.row);
    });
    writeTotals(assembly, vector, [...sums, biasSums]);
    const totals = sums.map((plane) => plane.totals);
    writeSumTransform(assembly, KH, KW, F * C, totals, gradients, nonFiniteFlag);
    const module = compile(assembly, layout);

    const most = imagesPerSum(vector, terms);
    return {
      cost: nanosecondsOf(winogradWeightsCost(pass, vector)),
      together: images,
      sums: gradients,
      biasSums: biasSums.totals,
      flag: nonFiniteFlag,
      run(queue, xs, douts, first, last) {
        queue.use(module);
        x.clear(queue);
        dout.clear(queue);
        sumImages(queue, [...sums, biasSums], first, last, images, most, (n, end) => {
          if (end - n < images) {
            // The tiles of images that are not there: zero times what was there could be NaN.
            for (const { start, step } of [tilesIn, tilesOut]) {
              queue.clear(start, planes.length * step);
            }
          }
          x.load(queue, xs, n, end);
          dout.load(queue, douts, n, end);
          queue.call("imageBatch", end - n);
        });
        queue.call("transformSums");
      },
    };
  }
  return { layout, make };
}
