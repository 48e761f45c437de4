/**
 * The gradients of a convolution's weights and biases: image by image onto sums in the memory. Groups are
 * summed one after the other by the same code, a few of them at a time in the memory.
 *
 * @module
 */

import type { Pass } from "../passes.ts";
import { Assembly } from "./assembler.ts";
import { directWeightsCost, nanosecondsOf } from "./costs.ts";
import { layoutPairs, writeBiasSums, writeWeightSums } from "./emit_weights.ts";
import { compile, Layout, type Plan } from "./memory.ts";
import { groupBatch, sourceShape } from "./pass_layout.ts";
import { movedBy, padded } from "./planes.ts";
import type { WeightProgram } from "./program.ts";
import type { Schedule } from "./schedule.ts";
import { depthwiseWeightTiles, weightTiles } from "./tiles.ts";
import type { Vector } from "./vector.ts";
import { imagesPerSum, layoutSums, sumImages, writeTotals } from "./weights.ts";

/** Plans dw and db for a forward pass. */
export function planDirectWeights(
  pass: Pass,
  vector: Vector,
  fused: boolean,
  schedule: Schedule,
): Plan<WeightProgram> {
  const { rows, columns, groups, inputs, outputs } = pass;
  const { bytes, lanes } = vector;
  const OH = rows.target.size, OW = columns.target.size;
  const layout = new Layout();
  const batch = groupBatch(pass, vector), parts = groups / batch;
  const images = schedule.imageBatch;
  const stride = columns.sourceStep;
  const x = padded(layout, vector, "x", { ...sourceShape(pass, batch * inputs), images });
  const dout = padded(layout, vector, "dout", {
    planes: batch * outputs,
    H: OH,
    W: OW,
    top: 0,
    left: 0,
    rows: OH,
    columns: OW,
    stride: 1,
    images,
  });
  const taps = rows.taps.map(({ from: y }) =>
    columns.taps.map(({ from }) =>
      y * x.planes.row + ((from % stride) * x.pitch + Math.floor(from / stride)) * bytes
    )
  );
  const neighbors = stride === 1 && columns.taps.length > 1 && columns.taps[1].from === 1;
  const tiles = schedule.algorithm === "depthwise"
    ? depthwiseWeightTiles(taps)
    : weightTiles(outputs, inputs, taps, x.planes.plane, neighbors && lanes === 4, schedule.tile);
  const pairs = layoutPairs(layout, vector, [tiles]);
  const filter = inputs * rows.taps.length * columns.taps.length;
  const blocks = Array(groups).fill(tiles.blocks).flat();
  const sums = layoutSums(layout, "sums", blocks, filter);
  const biasSums = layoutSums(layout, "bias sums", [{ size: 1, times: 1 }], groups * outputs);
  const sumStep = outputs * filter * 16;

  function make(): WeightProgram {
    const assembly = new Assembly();
    const pad = assembly.func("pad", ["i32", "i32"]);
    x.write(pad, { from: 0, to: 1 });
    const biases = assembly.func("biases", ["i32", "i32"]);
    const planes = batch * outputs;
    const doutMoved = movedBy(0, images, dout.step.staged),
      sumsMoved = movedBy(1, parts, planes * 16);
    writeBiasSums(
      biases,
      vector,
      planes,
      OH * OW,
      dout.staged,
      biasSums.vectors,
      doutMoved,
      sumsMoved,
    );
    const weights = writeWeightSums(assembly, "weights", {
      vector,
      fused,
      tiles,
      x: { ...x.planes, row: rows.sourceStep * x.planes.row },
      dout: dout.planes,
      rows: OH,
      columns: OW,
      images: { x: x.step.planes, dout: dout.step.planes, most: images },
      sums: sums.vectors,
      pairs,
      moved: {
        x: (batch - 1) * inputs * x.planes.plane,
        dout: (batch - 1) * outputs * dout.planes.plane,
        sums: [[0, (groups - 1) * sumStep]],
      },
    });
    const run = assembly.func("imageBatch", ["i32", "i32", "i32"]);
    const [count, biasAt, sumsAt] = [0, 1, 2];
    const [image, staged, planesAt, doutAt, group, xAt] = run.locals("i32", 6);
    run.countDown(image, count, () => {
      run.get(staged).get(planesAt).call(pad).get(doutAt).get(biasAt).call(biases);
      run.advance(staged, x.step.staged).advance(planesAt, x.step.planes);
      run.advance(doutAt, dout.step.staged);
    });
    run.const(0).set(doutAt);
    run.repeat(group, batch, () => {
      run.get(xAt).get(doutAt).get(sumsAt).get(count).call(weights);
      run.advance(xAt, inputs * x.planes.plane).advance(doutAt, outputs * dout.planes.plane);
      run.advance(sumsAt, sumStep);
    });
    writeTotals(assembly, vector, [sums, biasSums]);
    const module = compile(assembly, layout);

    const most = imagesPerSum(vector, (OH * OW) / lanes);
    return {
      cost: nanosecondsOf(directWeightsCost(pass, vector)),
      together: images,
      sums: sums.totals,
      biasSums: biasSums.totals,
      run(queue, xs, douts, first, last) {
        queue.use(module);
        x.clear(queue);
        sumImages(queue, [sums, biasSums], first, last, images, most, (n, end) => {
          for (let part = 0; part < parts; part++) {
            x.load(queue, xs, n * parts + part, end * parts, parts);
            dout.load(queue, douts, n * parts + part, end * parts, parts);
            const outputsBefore = part * batch * outputs;
            queue.call("imageBatch", end - n, outputsBefore * 16, outputsBefore * filter * 16);
          }
        });
      },
    };
  }

  return { layout, make };
}
