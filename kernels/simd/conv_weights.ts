/**
 * The gradients of a convolution's weights and biases: image by image onto sums in the memory.
 *
 * @module
 */

import { Assembly } from "./assembler.ts";
import { writeBiasSums, writeWeightSums } from "./emit_weights.ts";
import type { Features } from "./features.ts";
import { instantiate, Layout, type Plan, scratch } from "./memory.ts";
import { weightTiles } from "./plan.ts";
import { padded } from "./planes.ts";
import { drain, weightPlaces } from "./sums.ts";
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

/** Terms that a float32 lane sums before it is added to float64: more would cost digits. */
const TERMS = 4096;

/** Plans dw and db for a geometry. */
export function planBackwardWeights(
  shape: ConvShape,
  vector: Vector,
  { fused }: Features,
): Plan<BackwardWeights> {
  const { C, H, W, F, KH, KW, strideY, strideX, padTop, padLeft, OH, OW } = shape;
  const { bytes, lanes, dtype } = vector;
  const layout = new Layout();
  const x = padded(layout, vector, "x", {
    planes: C,
    H,
    W,
    top: padTop,
    left: padLeft,
    rows: (OH - 1) * strideY + KH,
    columns: (OW - 1) * strideX + KW,
    stride: strideX,
  });
  const dout = layout.region("dout", F * OH * OW * bytes);
  const taps = Array.from(
    { length: KH },
    (_, ky) =>
      Array.from(
        { length: KW },
        (_, kx) =>
          ky * x.planes.row + ((kx % strideX) * x.pitch + Math.floor(kx / strideX)) * bytes,
      ),
  );
  const tiles = weightTiles(F, C, taps, x.planes.plane, strideX === 1 && lanes === 4);
  const sumCount = F * C * KH * KW;
  const sums = layout.region("sums", sumCount * 16);
  const biasSums = layout.region("bias sums", F * 16);

  function make(): BackwardWeights {
    const assembly = new Assembly();
    const pad = assembly.func("pad");
    const weights = assembly.func("weights"), biases = assembly.func("biases");
    x.write(pad);
    writeWeightSums(weights, {
      vector,
      fused,
      tiles,
      x: { ...x.planes, row: strideY * x.planes.row },
      dout: { start: dout, plane: OH * OW * bytes, row: OW * bytes },
      rows: OH,
      columns: OW,
      sums,
    });
    writeBiasSums(biases, vector, F, OH * OW, dout, biasSums);
    const image = assembly.func("image").call(pad).call(weights).call(biases);
    const run = instantiate(assembly)[image.name];

    const places = weightPlaces(tiles, F, C, KH * KW);
    const xSize = C * H * W, xStart = x.staged / bytes;
    const doutSize = F * OH * OW, doutStart = dout / bytes;
    const sumStart = sums / bytes, biasStart = biasSums / bytes;
    const every = dtype === "float64" ? Infinity : Math.ceil(TERMS * lanes / (OH * OW));
    return (N, xs, douts, dw, db) => {
      const memory = scratch(dtype);
      const dwSums = new Float64Array(sumCount), dbSums = new Float64Array(F);
      memory.fill(0, sumStart, sumStart + sumCount * lanes);
      memory.fill(0, biasStart, biasStart + F * lanes);
      x.clear(memory);
      for (let n = 0; n < N; n++) {
        memory.set(xs.subarray(n * xSize, (n + 1) * xSize), xStart);
        memory.set(douts.subarray(n * doutSize, (n + 1) * doutSize), doutStart);
        run();
        if (n === N - 1 || (n + 1) % every === 0) {
          drain(memory, sumStart, lanes, dwSums);
          drain(memory, biasStart, lanes, dbSums);
        }
      }
      for (let i = 0; i < sumCount; i++) dw[places[i]] = dwSums[i];
      db.set(dbSums);
    };
  }

  return { layout, make };
}
