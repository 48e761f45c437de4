/**
 * The gradients of a convolution's weights and biases: image by image onto sums in the memory.
 *
 * @module
 */

import { Assembly } from "./assembler.ts";
import { writeBiasSums, writeWeightSums } from "./emit_weights.ts";
import type { Features } from "./features.ts";
import { compile, Layout, type Plan, scratch } from "./memory.ts";
import { type Tile, weightTiles } from "./plan.ts";
import { padded } from "./planes.ts";
import { doubles, imagesPerSum, layoutSums, sumImages, writeTotals } from "./weights.ts";
import type { Vector } from "./vector.ts";
import type { ConvShape } from "../shape.ts";
import type { FloatArray } from "../tensor.ts";

/** A kernel's function for dw and db. */
export type BackwardWeights = (
  N: number,
  x: FloatArray,
  dout: FloatArray,
  dw: FloatArray,
  db: FloatArray,
) => void;

/**
 * Vectors of dout that a sum should meet before it goes back to memory: small images come several at a
 * time, but no more than so many.
 */
const VECTORS = 64;
const MOST_IMAGES = 16;

/** Plans dw and db for a geometry. */
export function planBackwardWeights(
  shape: ConvShape,
  vector: Vector,
  { fused }: Features,
  tile?: Tile,
): Plan<BackwardWeights> {
  const { C, H, W, F, KH, KW, strideY, strideX, padTop, padLeft, OH, OW } = shape;
  const { bytes, lanes, dtype } = vector;
  const layout = new Layout();
  const images = Math.min(MOST_IMAGES, Math.ceil(VECTORS / (OH * Math.ceil(OW / lanes))));
  const x = padded(layout, vector, "x", {
    planes: C,
    H,
    W,
    top: padTop,
    left: padLeft,
    rows: (OH - 1) * strideY + KH,
    columns: (OW - 1) * strideX + KW,
    stride: strideX,
    images,
  });
  const dout = padded(layout, vector, "dout", {
    planes: F,
    H: OH,
    W: OW,
    top: 0,
    left: 0,
    rows: OH,
    columns: OW,
    stride: 1,
    images,
  });
  const taps = Array.from(
    { length: KH },
    (_, ky) =>
      Array.from(
        { length: KW },
        (_, kx) =>
          ky * x.planes.row + ((kx % strideX) * x.pitch + Math.floor(kx / strideX)) * bytes,
      ),
  );
  const shifted = strideX === 1 && lanes === 4;
  const tiles = weightTiles(F, C, taps, x.planes.plane, shifted, tile);
  const sums = layoutSums(layout, "sums", tiles.blocks, C * KH * KW);
  const biasSums = layoutSums(layout, "bias sums", [{ size: 1, times: 1 }], F);

  function make(): BackwardWeights {
    const assembly = new Assembly();
    const pad = assembly.func("pad", ["i32", "i32"]);
    x.write(pad, { from: 0, to: 1 });
    const biases = assembly.func("biases", ["i32"]);
    writeBiasSums(biases, vector, F, OH * OW, dout.staged, biasSums.vectors, 0);
    const weights = writeWeightSums(assembly, "weights", {
      vector,
      fused,
      tiles,
      x: { ...x.planes, row: strideY * x.planes.row },
      dout: dout.planes,
      rows: OH,
      columns: OW,
      images: { x: x.step.planes, dout: dout.step.planes },
      sums: sums.vectors,
    });
    const several = assembly.func("several", ["i32"]);
    const [image, staged, planes, doutAt] = several.locals("i32", 4);
    several.countDown(image, 0, () => {
      several.get(staged).get(planes).call(pad).get(doutAt).call(biases);
      several.advance(staged, x.step.staged).advance(planes, x.step.planes);
      several.advance(doutAt, dout.step.staged);
    });
    several.get(0).call(weights);
    writeTotals(assembly, vector);
    const join = compile(assembly, layout);

    const most = imagesPerSum(vector, (OH * OW) / lanes);
    return (N, xs, douts, dw, db) => {
      const run = join(), memory = scratch(dtype);
      x.clear(memory);
      sumImages([sums, biasSums], run.total, N, images, most, (n, end) => {
        x.load(memory, xs, n, end);
        dout.load(memory, douts, n, end);
        run.several(end - n);
      });
      dw.set(doubles(sums.totals, dw.length));
      db.set(doubles(biasSums.totals, F));
    };
  }

  return { layout, make };
}
