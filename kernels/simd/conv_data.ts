/**
 * The gradient of a convolution's input: again convolutions, of the padded gradient of the output.
 *
 * With stride s, row y of dx gets its terms from the kernel's rows py, py + s, ... where
 * py = (y + padTop) % s: one small dense convolution for each phase (y % s, x % s) of the positions. Phases
 * whose taps lie alike are computed as one, as if their outputs were more channels.
 *
 * @module
 */

import { Assembly, type Func } from "./assembler.ts";
import { type TapConv, writeConv } from "./emit_conv.ts";
import type { Features } from "./features.ts";
import { compile, Layout, type Plan, scratch } from "./memory.ts";
import { eachOutput, writePacking } from "./weights.ts";
import { convTiles, STRAIGHT_TAPS, type Tile } from "./plan.ts";
import { mergeRow, padded, type Planes, writeCopy } from "./planes.ts";
import type { Vector } from "./vector.ts";
import type { ConvShape } from "../shape.ts";
import type { FloatArray } from "../tensor.ts";

/** A kernel's function for dx; it returns false, with dx unwritten, if it cannot serve these weights. */
export type BackwardData = (
  N: number,
  dout: FloatArray,
  w: FloatArray,
  dx: FloatArray,
) => boolean;

/** One phase in one direction: positions rest, rest + stride, ... of dx. */
interface Phase {
  /** Position modulo stride. */
  readonly rest: number;
  /** The first of the phase's taps; the others follow a stride apart. */
  readonly tap: number;
  /** How many taps there are. */
  readonly taps: number;
  /** Place i of the phase takes tap j from dout at i + shift - j. */
  readonly shift: number;
  /** How many positions the phase has. */
  readonly count: number;
}

function phasesOf(size: number, kernel: number, stride: number, pad: number): Phase[] {
  return Array.from({ length: Math.min(stride, size) }, (_, rest) => {
    const tap = (rest + pad) % stride;
    return {
      rest,
      tap,
      taps: Math.max(0, Math.ceil((kernel - tap) / stride)),
      shift: Math.floor((rest + pad) / stride),
      count: Math.ceil((size - rest) / stride),
    };
  });
}

/** How far the phases read before the first and behind the last of dout's rows or columns. */
function border(phases: readonly Phase[]): { before: number; extent: number } {
  const before = Math.max(0, ...phases.map(({ taps, shift }) => taps - 1 - shift));
  return { before, extent: Math.max(...phases.map((p) => p.count + p.shift + before)) };
}

/** Phases that one convolution computes. */
interface Group {
  readonly phases: { readonly y: Phase; readonly x: Phase }[];
}

function groupsOf(ys: readonly Phase[], xs: readonly Phase[]): Group[] {
  const groups = new Map<string, Group>();
  // Rows last: rows of a group, whose planes follow each other, are then merged by the same code.
  for (const x of xs) {
    for (const y of ys) {
      const key = [y.taps, y.shift, x.taps, x.shift].join();
      const group = groups.get(key) ?? { phases: [] };
      group.phases.push({ y, x });
      groups.set(key, group);
    }
  }
  return [...groups.values()];
}

/** Plans dx for a geometry. */
export function planBackwardData(
  shape: ConvShape,
  vector: Vector,
  { fused }: Features,
  tile?: Tile,
): Plan<BackwardData> {
  const { C, H, W, F, KH, KW, strideY, strideX, padTop, padLeft, OH, OW } = shape;
  const { bytes, lanes, dtype } = vector;
  const layout = new Layout();
  const ys = phasesOf(H, KH, strideY, padTop), xs = phasesOf(W, KW, strideX, padLeft);
  const borderY = border(ys), borderX = border(xs);
  const dout = padded(layout, vector, "dout", {
    planes: F,
    H: OH,
    W: OW,
    top: borderY.before,
    left: borderX.before,
    rows: borderY.extent,
    columns: borderX.extent,
    stride: 1,
  });
  const dx = layout.region("dx", C * H * W * bytes);
  const result: Planes = { start: dx, plane: H * W * bytes, row: W * bytes };
  const groups = groupsOf(ys, xs);
  // Whole rows of a single phase are stored where they belong; others are merged from their planes.
  const direct = strideX === 1 && W >= lanes && groups.every(({ phases }) => phases.length === 1);

  const convs: TapConv[] = [];
  const given = layout.region("weights", F * C * KH * KW * bytes);
  const check = layout.region("check", 16);
  const phaseStart = new Map<string, number>();
  const row = Math.max(Math.ceil(W / strideX), lanes) * bytes;
  const plane = Math.ceil(H / strideY) * row;
  for (const { phases } of groups) {
    const [{ y, x }] = phases;
    const rows = Math.max(...phases.map((phase) => phase.y.count));
    const columns = Math.max(...phases.map((phase) => phase.x.count));
    const outputs = phases.length * C;
    const start = direct ? 0 : layout.region(`phase ${y.rest},${x.rest}`, outputs * plane);
    for (const [i, phase] of phases.entries()) {
      phaseStart.set(`${phase.y.rest},${phase.x.rest}`, start + i * C * plane);
    }
    const taps = y.taps * x.taps;
    const straight = taps <= STRAIGHT_TAPS;
    const { row: pitch } = dout.planes;
    convs.push({
      vector,
      fused,
      channels: F,
      tiles: convTiles(outputs, rows, columns, lanes, tile),
      input: {
        ...dout.planes,
        start: dout.planes.start + (borderY.before + y.shift - (y.taps - 1)) * pitch +
          (borderX.before + x.shift - (x.taps - 1)) * bytes,
      },
      output: direct
        ? { ...result, start: dx + y.rest * W * bytes, row: strideY * W * bytes }
        : { start, plane, row },
      // In the order of dout's rows and columns: the last of the kernel comes first.
      taps: Array.from(
        { length: straight ? taps : x.taps },
        (_, tap) => Math.floor(tap / x.taps) * pitch + (tap % x.taps) * bytes,
      ),
      tapRows: { times: straight ? 1 : y.taps, step: pitch },
      weights: layout.region(`weights ${y.rest},${x.rest}`, outputs * F * taps * bytes),
      relu: false,
    });
  }

  /** Merges the phases into rows of dx; rows whose phases lie alike share their code. */
  function writeMerges(assembly: Assembly, image: Func): void {
    const merges = new Map<string, Func>();
    for (const y of ys) {
      const starts = xs.map((x) => phaseStart.get(`${y.rest},${x.rest}`)!);
      const offsets = starts.map((start) => start - starts[0]);
      const key = [y.count, ...offsets].join();
      let merge = merges.get(key);
      if (merge === undefined) {
        merge = assembly.func(`merge${merges.size}`, ["i32", "i32"]);
        const to = { ...result, start: 0, row: strideY * W * bytes };
        const copyRow = mergeRow(vector, W, offsets);
        writeCopy(merge, C, y.count, { start: 0, plane, row }, to, copyRow, { from: 0, to: 1 });
        merges.set(key, merge);
      }
      image.const(starts[0]).const(dx + y.rest * W * bytes).call(merge);
    }
  }

  function make(): BackwardData {
    const assembly = new Assembly();
    const pad = assembly.func("pad");
    dout.write(pad);
    const sums = convs.map((conv, i) => writeConv(assembly, `sums${i}-`, conv));
    const image = assembly.func("image").call(pad);
    for (const f of sums) image.call(f);
    if (!direct) writeMerges(assembly, image);
    const steps = { input: C * KH * KW, row: -strideY * KW, column: -strideX };
    writePacking(assembly, vector, F, steps, check);
    const join = compile(assembly, layout);

    const dxSize = C * H * W, dxStart = dx / bytes;
    return (N, douts, w, dxs) => {
      const run = join(), memory = scratch(dtype);
      memory.set(w, given / bytes);
      memory.fill(0, check / bytes, check / bytes + lanes);
      for (const [g, { phases }] of groups.entries()) {
        const { weights, tiles } = convs[g];
        const { y: { taps: rows }, x: { taps: columns } } = phases[0];
        if (rows * columns === 0) continue;
        eachOutput(tiles, F * rows * columns, (output, at, block) => {
          const { y, x } = phases[Math.floor(output / C)];
          const last = (y.tap + (rows - 1) * strideY) * KW + x.tap + (columns - 1) * strideX;
          const from = given + ((output % C) * KH * KW + last) * bytes;
          run.pack(from, weights + at * bytes, block * bytes, rows, columns);
        });
      }
      // The padding's zeros times infinity would be NaN, where the definition has no term.
      if (memory[check / bytes] !== 0) return false;
      dout.clear(memory);
      for (let n = 0; n < N; n++) {
        dout.load(memory, douts, n, n + 1);
        run.image();
        dxs.set(memory.subarray(dxStart, dxStart + dxSize), n * dxSize);
      }
      return true;
    };
  }
  return { layout, make };
}
