/**
 * The gradients of a convolution's weights and biases: image by image onto sums in the memory.
 *
 * @module
 */

import { Assembly } from "./assembler.ts";
import { writeBiasSums, writeWeightSums } from "./emit_weights.ts";
import type { Features } from "./features.ts";
import { instantiate, Layout, type Plan, scratch } from "./memory.ts";
import { type Tile, weightTiles } from "./plan.ts";
import { padded, skewed } from "./planes.ts";
import { addSums, clearSums, imagesPerSum, weightPlaces } from "./weights.ts";
import type { Vector } from "./vector.ts";
import type { ConvShape, FloatArray } from "../shape.ts";

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
  const doutBytes = skewed(F * OH * OW * bytes);
  const dout = layout.region("dout", images * doutBytes);
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
  const sumCount = F * C * KH * KW;
  const sums = layout.region("sums", sumCount * 16);
  const biasSums = layout.region("bias sums", F * 16);

  function make(): BackwardWeights {
    const assembly = new Assembly();
    const pad = assembly.func("pad", ["i32", "i32"]);
    x.write(pad, { from: 0, to: 1 });
    const biases = assembly.func("biases", ["i32"]);
    writeBiasSums(biases, vector, F, OH * OW, dout, biasSums, 0);
    const weights = writeWeightSums(assembly, "weights", {
      vector,
      fused,
      tiles,
      x: { ...x.planes, row: strideY * x.planes.row },
      dout: { start: dout, plane: OH * OW * bytes, row: OW * bytes },
      rows: OH,
      columns: OW,
      images: { x: x.step.planes, dout: doutBytes },
      sums,
    });
    const several = assembly.func("several", ["i32"]);
    const [image, staged, planes, doutAt] = several.locals("i32", 4);
    several.get(0).set(image).loop(() => {
      several.get(staged).get(planes).call(pad).get(doutAt).call(biases);
      several.advance(staged, x.step.staged).advance(planes, x.step.planes);
      several.advance(doutAt, doutBytes);
      several.get(image).const(-1).op("i32.add").tee(image).branchIf(0);
    });
    several.get(0).call(weights);
    const run = instantiate(assembly)[several.name];

    const places = weightPlaces(tiles, F, C, KH * KW);
    const xSize = C * H * W, xStart = x.staged / bytes;
    const doutSize = F * OH * OW, doutStart = dout / bytes;
    const xStep = x.step.staged / bytes, doutStep = doutBytes / bytes;
    const dwVectors = { start: sums / bytes, count: sumCount };
    const dbVectors = { start: biasSums / bytes, count: F };
    const most = imagesPerSum(dtype, (OH * OW) / lanes);
    return (N, xs, douts, dw, db) => {
      const memory = scratch(dtype);
      const dwTotals = new Float64Array(sumCount), dbTotals = new Float64Array(F);
      const addBoth = () => {
        addSums(memory, lanes, dwVectors, dwTotals);
        addSums(memory, lanes, dbVectors, dbTotals);
      };
      const clearBoth = () => {
        clearSums(memory, lanes, dwVectors);
        clearSums(memory, lanes, dbVectors);
      };
      clearBoth();
      x.clear(memory);
      let summed = 0;
      for (let n = 0; n < N; n += images) {
        const end = Math.min(N, n + images);
        if (summed > 0 && summed + end - n > most) {
          addBoth();
          clearBoth();
          summed = 0;
        }
        for (let i = n; i < end; i++) {
          memory.set(xs.subarray(i * xSize, (i + 1) * xSize), xStart + (i - n) * xStep);
          const image = douts.subarray(i * doutSize, (i + 1) * doutSize);
          memory.set(image, doutStart + (i - n) * doutStep);
        }
        run(end - n);
        summed += end - n;
      }
      addBoth();
      for (let i = 0; i < sumCount; i++) dw[places[i]] = dwTotals[i];
      db.set(dbTotals);
    };
  }

  return { layout, make };
}
