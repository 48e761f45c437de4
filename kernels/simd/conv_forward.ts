/**
 * The forward pass of a convolution: image in, pad, sums of taps, image out.
 *
 * @module
 */

import { Assembly } from "./assembler.ts";
import { type TapConv, writeConv } from "./emit_conv.ts";
import type { Features } from "./features.ts";
import { compile, Layout, type Plan, scratch } from "./memory.ts";
import { eachOutput, writePacking } from "./weights.ts";
import { convTiles, STRAIGHT_TAPS, type Tile } from "./plan.ts";
import { padded, plainRow, writeCopy } from "./planes.ts";
import type { Vector } from "./vector.ts";
import type { ConvShape } from "../shape.ts";
import type { FloatArray } from "../tensor.ts";

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
  const filterSize = C * taps;
  const given = layout.region("weights", F * filterSize * bytes);
  const weights = layout.region("packed weights", F * filterSize * bytes);
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
    assembly.func("image").call(pad).call(sums).call(pick);
    writePacking(assembly, vector, C, { input: taps, row: KW, column: 1 });
    const join = compile(assembly, layout);

    const outSize = F * OH * OW, outStart = result / bytes;
    return (N, xs, w, b, outs) => {
      const run = join(), memory = scratch(dtype);
      x.clear(memory);
      memory.set(w, given / bytes);
      eachOutput(tiles, filterSize, (filter, at, block) => {
        const from = given + filter * filterSize * bytes;
        run.pack(from, weights + at * bytes, block * bytes, KH, KW);
      });
      memory.set(b, bias / bytes);
      for (let n = 0; n < N; n++) {
        x.load(memory, xs, n, n + 1);
        run.image();
        outs.set(memory.subarray(outStart, outStart + outSize), n * outSize);
      }
    };
  }
  return { layout, make };
}
