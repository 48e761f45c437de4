/**
 * The forward pass of max-pools of 3x3 at a stride of 2: the largest of each row's part of a window first,
 * then of the rows, which is the order that the naive loops take. A row is looked at once, though windows
 * share it: the largest of its parts wait in a line for the next row of outputs.
 *
 * @module
 */

import type { PoolShape } from "../shape.ts";
import { zerosOf } from "../tensor.ts";
import type { Func, Local } from "./assembler.ts";
import type { Pool } from "./emit_max_pool.ts";
import { evenAndOdd } from "./planes.ts";
import { pushMask, type Vector } from "./vector.ts";

const WINDOW = 3, STRIDE = 2;

/** Whether a pool is such, and its windows hang over planes by one number at the most, at the top and left. */
export function sharesRows(shape: PoolShape, { lanes }: Vector): boolean {
  const { H, W, KH, KW, strideY, strideX, padTop, padLeft, OH, OW } = shape;
  if (KH !== WINDOW || KW !== WINDOW || strideY !== STRIDE || strideX !== STRIDE) return false;
  if (padTop > 1 || padLeft > 1 || OW < lanes) return false;
  const end = (outputs: number, pad: number) => (outputs - 1) * STRIDE - pad + WINDOW;
  return end(OH, padTop) <= H && end(OW, padLeft) <= W;
}

/** A tile's inputs of a row: those in even places, and in odd ones. */
interface Inputs {
  readonly even: Local;
  readonly odd: Local;
}

/** One of the rows that an output row adds. */
interface Row {
  readonly offset: number;
  /** The inputs of tiles by turns. */
  readonly inputs: readonly Inputs[];
  /** The largest of each window's part. */
  readonly most: Local;
  /** Sums of all inputs, which take turns. */
  readonly totals: readonly Local[];
}

/** Tiles that are written out in a row. */
const UNROLL = 4;

/** Writes the pass over some planes, as many as the parameter says. */
export function writeSharedRows(f: Func, pool: Pool): void {
  const { H, W, OH, OW, padTop, padLeft, chunk, x, y, needsFallback, vector } = pool;
  const { bytes, lanes } = vector, line = pool.line!;
  const row = W * bytes, step = STRIDE * lanes * bytes, tiles = Math.floor(OW / lanes);
  f.reads(x - padLeft * bytes, chunk * H * row + padLeft * bytes);
  f.writes(y, chunk * OH * OW * bytes).writes(line, OW * bytes).writes(needsFallback, 16);
  const [plane, from, source, target, first, waiting, counter, rows] = f.locals("i32", 8);
  const [low, high, last, minusInfinity] = f.locals("v128", 4);
  const pair = [0, row].map((offset): Row => {
    const inputs = Array.from({ length: UNROLL }, () => {
      const [even, odd] = f.locals("v128", 2);
      return { even, odd };
    });
    return { offset, inputs, most: f.local("v128"), totals: f.locals("v128", 2) };
  });
  const [evens, odds] = evenAndOdd(lanes);
  const shifted = Array.from({ length: lanes }, (_, i) => i + 1);
  const rest = OW % lanes;

  /** Loads a tile's inputs of a row, so many bytes from the pointer. */
  function load({ offset }: Row, at: number, { even, odd }: Inputs): void {
    f.get(source).at("v128.load", offset + at).set(low);
    f.get(source).at("v128.load", offset + at + 16).set(high);
    f.get(low).get(high).shuffle(evens).set(even).get(low).get(high).shuffle(odds).set(odd);
  }

  /** Adds a tile's inputs to the total, and finds the largest of each window's part. */
  function tile(part: Row, i: number, next: number | Inputs): void {
    const { even, odd } = part.inputs[i], total = part.totals[i % 2];
    f.get(even).get(odd).op(vector.add).get(total).op(vector.add).set(total);
    f.get(even).get(odd).op(vector.pmax).get(even);
    if (typeof next === "object") {
      f.get(next.even).shuffle(shifted).op(vector.pmax).set(part.most);
      return;
    }
    // Of the next tile there may be its first input alone.
    f.get(source).at(vector.loadSplat, part.offset + next).shuffle(shifted).tee(low);
    f.op(vector.pmax).set(part.most).get(low).get(total).op(vector.add).set(total);
  }

  /** Writes all tiles of some rows; a body takes their largest, at an offset from the pointers to outputs. */
  function eachTile(
    parts: readonly Row[],
    pointers: readonly Local[],
    body: (offset: number, isRest: boolean) => void,
  ): void {
    for (const part of parts) {
      const [inputs] = part.inputs;
      load(part, 0, inputs);
      if (padLeft === 0) continue;
      // What is before the row is padding.
      f.get(minusInfinity).get(inputs.even);
      pushMask(f, vector, 0, 1);
      f.op("v128.bitselect").set(inputs.even);
    }
    const some = (count: number) => {
      for (let i = 0; i < count; i++) {
        for (const part of parts) {
          const next = part.inputs[(i + 1) % UNROLL];
          load(part, (i + 1) * step, next);
          tile(part, i, next);
        }
        body(i * 16, false);
      }
    };
    const before = tiles - 1, turns = Math.floor(before / UNROLL), left = before % UNROLL;
    f.repeat(counter, turns, () => {
      some(UNROLL);
      f.advance(source, UNROLL * step);
      for (const pointer of pointers) f.advance(pointer, UNROLL * 16);
    });
    some(left);
    for (const part of parts) tile(part, left, (left + 1) * step);
    body(left * 16, false);
    if (rest === 0) return;
    // The last tile starts earlier: what it does again comes out the same.
    const start = left * step + rest * STRIDE * bytes;
    for (const part of parts) {
      load(part, start, part.inputs[0]);
      tile(part, 0, start + step);
    }
    body(left * 16 + rest * bytes, true);
  }

  f.vector(new Uint8Array(zerosOf(vector.dtype, lanes).fill(-Infinity).buffer)).set(minusInfinity);
  f.const(x - padLeft * bytes).set(plane).const(y).set(target);
  f.countDown(0, 0, () => {
    f.get(plane).set(from);
    f.const(line).set(waiting);
    if (padTop === 0) {
      f.get(from).set(source);
      const [part] = pair;
      eachTile([part], [waiting], (at) => {
        f.get(waiting).get(part.most).at("v128.store", at);
      });
      f.advance(from, row);
    } else {
      f.repeat(counter, tiles, () => {
        f.get(waiting).get(minusInfinity).at("v128.store").advance(waiting, 16);
      });
      if (rest > 0) {
        f.const(line).get(minusInfinity).at("v128.store", (OW - lanes) * bytes);
      }
    }
    f.repeat(rows, OH, () => {
      f.get(from).set(source).const(line).set(waiting).get(target).set(first);
      // The line is written before the last tile reads it.
      if (rest > 0) f.get(waiting).at("v128.load", (OW - lanes) * bytes).set(last);
      eachTile(pair, [waiting, first], (at, isRest) => {
        if (isRest) f.get(first).get(last);
        else f.get(first).get(waiting).at("v128.load", at);
        f.get(pair[0].most).op(vector.pmax).get(pair[1].most).op(vector.pmax);
        f.at("v128.store", at);
        f.get(waiting).get(pair[1].most).at("v128.store", at);
      });
      f.advance(from, STRIDE * row).advance(target, OW * bytes);
    });
    f.advance(plane, H * row);
  });
  const [total, ...others] = pair.flatMap(({ totals }) => totals);
  for (const other of others) f.get(total).get(other).op(vector.add).set(total);
  f.const(needsFallback).get(total).get(total).op(vector.ne).at("v128.store");
}
