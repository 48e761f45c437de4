/**
 * The forward pass of a convolution: image in, pad, sums of taps, image out.
 *
 * @module
 */

import { Assembly } from "./assembler.ts";
import { type TapConv, writeConv } from "./emit_conv.ts";
import type { Features } from "./features.ts";
import { instantiate, Layout, type Plan, scratch } from "./memory.ts";
import { packWeights } from "./weights.ts";
import { convTiles, STRAIGHT_TAPS, type Tile } from "./plan.ts";
import { padded, plainRow, writeCopy } from "./planes.ts";
import type { Vector } from "./vector.ts";
import type { ConvShape, FloatArray } from "../shape.ts";

/** A kernel's forward function. */
export type Forward = (
  N: number,
  x: FloatArray,
  w: FloatArray,
  b: FloatArray,
  out: FloatArray,
) => void;

/** Plans the forward pass for a geometry. */
export function planForward(
  shape: ConvShape,
  vector: Vector,
  { fused }: Features,
  relu: boolean,
  tile?: Tile,
): Plan<Forward> {
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
  const tiles = convTiles(F, OH, OW, lanes, tile);
  const taps = KH * KW;
  const weights = layout.region("weights", F * C * taps * bytes);
  const bias = layout.region("bias", F * bytes);
  // A row shorter than a vector is stored as a vector, and the numbers picked from it afterwards.
  const narrow = OW < lanes;
  const result = layout.region("out", F * OH * OW * bytes);
  const out = { start: result, plane: OH * OW * bytes, row: OW * bytes };
  const wide = narrow
    ? { start: layout.region("out, wide", F * OH * 16), plane: OH * 16, row: 16 }
    : out;

  const straight = taps <= STRAIGHT_TAPS;
  const conv: TapConv = {
    vector,
    fused,
    channels: C,
    tiles,
    input: { ...x.planes, row: strideY * x.planes.row },
    output: wide,
    taps: Array.from({ length: straight ? taps : KW }, (_, tap) => {
      const ky = Math.floor(tap / KW), kx = tap % KW;
      return ky * x.planes.row + ((kx % strideX) * x.pitch + Math.floor(kx / strideX)) * bytes;
    }),
    tapRows: { times: straight ? 1 : KH, step: x.planes.row },
    weights,
    bias,
    relu,
  };

  function make(): Forward {
    const assembly = new Assembly();
    const pad = assembly.func("pad"), pick = assembly.func("pick");
    x.write(pad);
    const sums = writeConv(assembly, "sums", conv);
    if (narrow) writeCopy(pick, F, OH, wide, out, plainRow(vector, OW));
    const image = assembly.func("image").call(pad).call(sums).call(pick);
    const run = instantiate(assembly)[image.name];

    const filters = Int32Array.from({ length: F }, (_, f) => f * C * taps);
    const offsets = Int32Array.from({ length: taps }, (_, tap) => tap);
    const outSize = F * OH * OW, outStart = result / bytes;
    return (N, xs, w, b, outs) => {
      const memory = scratch(dtype);
      x.clear(memory);
      packWeights(memory, weights / bytes, w, tiles.blocks, filters, C, taps, offsets);
      memory.set(b, bias / bytes);
      for (let n = 0; n < N; n++) {
        x.load(memory, xs, n, n + 1);
        run();
        outs.set(memory.subarray(outStart, outStart + outSize), n * outSize);
      }
    };
  }
  return { layout, make };
}
