/**
 * The inner loops of a convolution of stride 1 in the memory: sums of taps, in register tiles. Forward
 * passes and gradients of the input are both this, on planes that are padded and split as they need.
 *
 * @module
 */

import type { Assembly, Func, Local } from "./assembler.ts";
import type { ColumnTile, TileBlock } from "./tiles.ts";
import { type Planes, spanOf } from "./planes.ts";
import { multiplyAdd, pushRepeated, pushSum, pushZero, takeOver, type Vector } from "./vector.ts";

/** A convolution: output[f](y, x) = bias[f] + sum over c and taps of weight * input[c](y, x + tap). */
export interface TapConv {
  readonly vector: Vector;
  /** Whether relaxed multiply-add may be used. */
  readonly fused: boolean;
  /** Input planes. */
  readonly channels: number;
  readonly tiles: readonly TileBlock[];
  /** The first tap of output (0, 0); `row` is the step from one output row to the next. */
  readonly input: Planes;
  readonly output: Planes;
  /** Byte offsets of taps. */
  readonly taps: readonly number[];
  /** How often the taps are repeated, each time a step further in bytes. */
  readonly tapRows: { readonly times: number; readonly step: number };
  /** Packed weights: filter block, channel, tap row, tap, filter of the block. */
  readonly weights: number;
  /** The number of their memory. Default: 0. */
  readonly weightsMemory?: number;
  /** One bias a filter; none is zero. */
  readonly bias?: number;
  /** Whether negative outputs become 0. */
  readonly relu?: boolean;
  /**
   * The most that parameters of the function add to input's, output's, weights' and bias's starts, if it has
   * them.
   */
  readonly moved?: Readonly<Record<"input" | "output" | "weights" | "bias", number>>;
}

/** Taps that a loop over channels should have, so that the loop itself costs little. */
const LOOP_TAPS = 8;

/**
 * Writes the convolution as a function that calls another for each block of filters: engines run new
 * code in a slow form, and replace it by optimized code when a function is next called.
 */
export function writeConv(assembly: Assembly, name: string, conv: TapConv): Func {
  const { vector: { bytes }, channels, tiles, input, output, taps, tapRows } = conv;
  const weightBytes = channels * taps.length * tapRows.times * bytes;
  const parts = tiles.map((block) => {
    const part = assembly.func(`${name}${block.size}`, ["i32", "i32", "i32", "i32"]);
    writeBlock(part, conv, block);
    return part;
  });
  const f = assembly.func(name, conv.moved ? ["i32", "i32", "i32", "i32"] : []);
  stateExtents(f, conv);
  const parameter = (i: number) => conv.moved && i;
  const [x, out, weights, bias, block] = f.locals("i32", 5);
  pushSum(f, input.start, parameter(0)).set(x);
  pushSum(f, output.start, parameter(1)).set(out);
  pushSum(f, conv.weights, parameter(2)).set(weights);
  pushSum(f, conv.bias ?? 0, parameter(3)).set(bias);
  for (const [i, { size, times }] of tiles.entries()) {
    f.repeat(block, times, () => {
      f.get(x).get(out).get(weights).get(bias).call(parts[i]);
      f.advance(out, size * output.plane);
      f.advance(weights, size * weightBytes).advance(bias, size * bytes);
    });
  }
  return f;
}

/** States what a convolution touches. */
function stateExtents(f: Func, conv: TapConv): void {
  const { vector: { bytes, lanes }, channels, tiles, input, output, taps } = conv;
  const { bias, weights, tapRows } = conv;
  const moved = conv.moved ?? { input: 0, output: 0, weights: 0, bias: 0 };
  const filters = tiles.reduce((sum, { size, times }) => sum + size * times, 0);
  // Every block of filters covers all rows and columns, the last vector from where it starts.
  const [{ rows: rowTiles }] = tiles;
  const rows = rowTiles.reduce((sum, { rows, times }) => sum + rows * times, 0);
  const starts = rowTiles[0].tiles.map(({ columns, times }) =>
    Math.max(...columns) + (times - 1) * columns.length * lanes
  );
  const width = Math.max(...starts) * bytes + 16;
  f.writes(output.start, spanOf(output, filters, rows, width) + moved.output);
  if (bias !== undefined) f.reads(bias, filters * bytes + moved.bias);
  if (taps.length * tapRows.times === 0) return;
  const lastTap = Math.max(...taps) + (tapRows.times - 1) * tapRows.step;
  f.reads(input.start, spanOf(input, channels, rows, width) + lastTap + moved.input);
  const numbers = filters * channels * taps.length * tapRows.times;
  f.reads(weights, numbers * bytes + moved.weights, conv.weightsMemory);
}

/** Writes the sums of one block of filters; parameters say where everything is. */
function writeBlock(f: Func, conv: TapConv, { size: block, rows: rowTiles }: TileBlock): void {
  const { vector, channels, input, output, taps, tapRows, weightsMemory } = conv;
  const { bytes, lanes } = vector;
  const [xRow, out, wBlock, bias] = [0, 1, 2, 3];
  const vectorsMost = Math.max(
    ...rowTiles.flatMap(({ rows, tiles }) => tiles.map((tile) => rows * tile.columns.length)),
  );
  const sums = f.locals("v128", block * vectorsMost);
  const inputs = f.locals("v128", vectorsMost);
  const [packed, weight] = f.locals("v128", 2);
  const [x, outAt, w, wEnd, wRowEnd, column, y] = f.locals("i32", 7);

  const tapCount = taps.length * tapRows.times;
  // Sums of many terms are totals of shorter ones, as long as the weights up to `wPartEnd`.
  const long = channels * tapCount > vector.mostTerms;
  const totals = long ? f.locals("v128", sums.length) : [];
  const wPartEnd = f.local("i32");
  const straight = tapRows.times === 1 || tapCount === 0;
  // Straight code for several channels, where a channel has few taps.
  const unroll = straight ? Math.min(channels, Math.ceil(LOOP_TAPS / Math.max(1, tapCount))) : 1;

  /** The products of some taps: `first` counts the weights from the pointer w. */
  function writeTaps(offsets: readonly number[], first: number, base: number): void {
    let index = first;
    for (const tap of taps) {
      const load = (v: number) => f.get(x).at("v128.load", base + tap + offsets[v]);
      // Inputs that several filters use stay in registers.
      const shared = block > 1;
      if (shared) offsets.forEach((_, v) => load(v).set(inputs[v]));
      for (let i = 0; i < block; i++, index++) {
        pushRepeated(f, vector, conv.fused, w, index, packed, weightsMemory);
        f.set(weight);
        for (let v = 0; v < offsets.length; v++) {
          const sum = sums[i * offsets.length + v];
          const input = () => shared ? f.get(inputs[v]) : load(v);
          multiplyAdd(f, vector, conv.fused, sum, () => f.get(weight), input);
        }
      }
    }
  }

  /** Sets where the next part of long sums ends. */
  function startPart(): void {
    f.get(w).const(vector.mostTerms * block * bytes).op("i32.add").set(wPartEnd);
  }

  /** Adds a part of so many long sums to the totals if it is at its end. */
  function endPart(count: number): void {
    f.get(wPartEnd).get(w).op("i32.lt_u").if(() => {
      for (let i = 0; i < count; i++) takeOver(f, vector, sums[i], totals[i]);
      startPart();
    });
  }

  /** All channels and taps of a tile, from x and w on. */
  function writeChannels(offsets: readonly number[]): void {
    const count = block * offsets.length;
    const perChannel = tapCount * block * bytes;
    if (tapCount === 0) return;
    if (!straight) {
      f.get(w).const(channels * perChannel).op("i32.add").set(wEnd);
      f.loop(() => {
        f.get(w).const(perChannel).op("i32.add").set(wRowEnd);
        f.loop(() => {
          writeTaps(offsets, 0, 0);
          f.advance(x, tapRows.step);
          f.advance(w, taps.length * block * bytes);
          if (tapCount > vector.mostTerms) endPart(count);
          f.get(w).get(wRowEnd).op("i32.ne").branchIf(0);
        });
        if (long) endPart(count);
        f.advance(x, input.plane - tapRows.times * tapRows.step);
        f.get(w).get(wEnd).op("i32.ne").branchIf(0);
      });
      return;
    }
    const several = (count: number) => {
      for (let c = 0; c < count; c++) {
        writeTaps(offsets, c * tapCount * block, c * input.plane);
      }
    };
    const times = Math.floor(channels / unroll);
    if (times === 1) {
      several(channels);
      return;
    }
    f.get(w).const(times * unroll * perChannel).op("i32.add").set(wEnd);
    f.loop(() => {
      several(unroll);
      f.advance(x, unroll * input.plane);
      f.advance(w, unroll * perChannel);
      if (long) endPart(count);
      f.get(w).get(wEnd).op("i32.ne").branchIf(0);
    });
    several(channels % unroll);
  }

  /** One tile of outputs: some rows and vectors. */
  function writeTile(rows: number, tile: ColumnTile, looped: boolean): void {
    const places = Array.from({ length: rows }, (_, row) => row).flatMap((row) =>
      tile.columns.map((column) => ({ row, column: column * bytes }))
    );
    const start = (base: Local, to: Local) => {
      f.get(base);
      if (looped) f.get(column).op("i32.add");
      f.set(to);
    };
    start(xRow, x);
    f.get(wBlock).set(w);
    const count = block * places.length;
    for (const sum of [...sums.slice(0, count), ...totals.slice(0, count)]) {
      pushZero(f);
      f.set(sum);
    }
    if (long) startPart();
    writeChannels(places.map(({ row, column }) => row * input.row + column));
    for (const [i, total] of totals.slice(0, count).entries()) takeOver(f, vector, total, sums[i]);
    start(out, outAt);
    for (let i = 0; i < block; i++) {
      // The bias comes last, as in the definition: its rounding is the definition's too.
      if (conv.bias !== undefined) f.get(bias).at(vector.loadSplat, i * bytes).set(weight);
      for (const [v, { row, column }] of places.entries()) {
        f.get(outAt).get(sums[i * places.length + v]);
        if (conv.bias !== undefined) f.get(weight).op(vector.add);
        if (conv.relu) {
          pushZero(f);
          f.op(vector.max);
        }
        f.at("v128.store", i * output.plane + row * output.row + column);
      }
    }
  }

  for (const group of rowTiles) {
    f.repeat(y, group.times, () => {
      for (const tile of group.tiles) {
        const step = tile.columns.length * lanes * bytes;
        const write = () => writeTile(group.rows, tile, tile.times > 1);
        f.repeat(column, tile.times, write, 0, step);
      }
      f.advance(xRow, group.rows * input.row).advance(out, group.rows * output.row);
    });
  }
}
