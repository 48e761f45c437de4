/**
 * The inner loops of a depthwise convolution or an average pool: one plane of the source for each plane
 * of the target, so that nothing is shared between filters.
 *
 * A tile is some rows of one vector of targets, or of the neighboring vectors of a gradient's phases.
 * Every vector of the source is loaded once, for all the sums of a tile that it meets; rows of a stride
 * are split as they are loaded, and phases merged as they are stored.
 *
 * @module
 */

import { type Axis, phasesOf } from "../passes.ts";
import type { Func, Local } from "./assembler.ts";
import { evenAndOdd } from "./planes.ts";
import { type PlaneTile, type PlaneTiles, termsOf } from "./plane_tiles.ts";
import { RESIDENT_TAPS } from "./tiles.ts";
import { lowerAndUpper, multiplyAdd, pushMask, pushZero, type Vector } from "./vector.ts";

/** Sums of taps over a plane. */
export interface PlaneSums {
  readonly vector: Vector;
  /** Whether relaxed multiply-add may be used. */
  readonly fused: boolean;
  readonly rows: Axis;
  readonly columns: Axis;
  readonly tiles: PlaneTiles;
  /** The plane that is read. */
  readonly source: PlaneSource;
  /** Whether taps have weights, in the order of the kernel. */
  readonly weighted: boolean;
  /**
   * What is done with a sum and a number of the memory: the same number for all, or one for each, which lie
   * as the targets do.
   */
  readonly last?: { readonly op: "add" | "mul" | "div"; readonly each: boolean };
  /** Whether negative targets become 0 then. */
  readonly relu?: boolean;
}

/** How a plane lies in the memory. */
export interface PlaneSource {
  /** Whether it has zeros around it. */
  readonly padded: boolean;
  /** Bytes from one row to the next. */
  readonly row: number;
  /** The row at the plane's address, and how many bytes after it the row's first real number is. */
  readonly firstRow: number;
  readonly lead: number;
}

/** Bytes that vectors at the left edge may start before a plane without zeros around. */
export const EDGE = 64;

/**
 * Writes the sums of one plane. The function's parameters say where everything is: the source, the target,
 * the weights, and the numbers that come last.
 *
 * @returns The bytes of the source that are read, from its address on.
 */
export function writePlane(f: Func, job: PlaneSums): number {
  const { vector, fused, rows, columns, tiles, source, weighted } = job;
  const { bytes, lanes, loadSplat, loadLane } = vector;
  const [sourceAt, targetAt, weightsAt, lastAt] = [0, 1, 2, 3];
  const phases = { y: phasesOf(rows), x: phasesOf(columns) };
  const KW = columns.taps.length, taps = rows.taps.length * KW;
  const W = columns.target.size, step = columns.targetStep, stride = columns.sourceStep;
  const each = job.last?.each;

  const most = Math.max(...tiles.rows.map(({ size }) => size));
  const sums = f.locals("v128", most * step);
  const resident = weighted && taps <= RESIDENT_TAPS;
  const [value, even, odd, low, high, number] = f.locals("v128", 6);
  const [x, to, numbers, column, y] = f.locals("i32", 5);
  /** Weights in registers by their taps: all of them, or those of the column of taps that is run. */
  const weights = new Map<number, Local>(), registers: Local[] = [];
  function loadWeights(wanted: readonly number[]): void {
    weights.clear();
    for (const [i, tap] of wanted.entries()) {
      registers[i] ??= f.local("v128");
      f.get(weightsAt).at(loadSplat, tap * bytes).set(registers[i]);
      weights.set(tap, registers[i]);
    }
  }
  if (resident) loadWeights(Array.from({ length: taps }, (_, tap) => tap));
  if (job.last && !each) f.get(lastAt).at(loadSplat).set(number);

  const isReal = ({ source: { size } }: Axis, at: number) =>
    source.padded || (at >= 0 && at < size);

  /** Rows and columns up to the last that is read, and how far loops go beyond their first. */
  let rowsRead = source.firstRow, rowsAfter = 0, columnsRead = 0, columnsAfter = 0;

  /** sum += value, or its product with a weight. */
  function add(sum: Local, tap: number, value: () => void): void {
    if (!weighted) {
      f.get(sum);
      value();
      f.op(vector.add).set(sum);
      return;
    }
    multiplyAdd(f, vector, fused, sum, () => f.get(weights.get(tap)!), value);
  }

  /** Pushes what neighboring targets from a column on take of the row at an offset. */
  function writeLoads(rowAt: number, wanted: readonly Wanted[]): (wanted: Wanted) => void {
    const load = (at: number) => {
      columnsRead = Math.max(columnsRead, at + columnsAfter + lanes);
      return f.get(x).at("v128.load", rowAt + at * bytes);
    };
    if (stride === 1) return ({ at }) => load(at);
    if (stride > 2) {
      return ({ at, real }) => {
        pushZero(f);
        f.set(value);
        for (const lane of real) {
          columnsRead = Math.max(columnsRead, at + columnsAfter + lane * stride + 1);
          f.get(x).get(value).laneAt(loadLane, lane, rowAt + (at + lane * stride) * bytes).set(
            value,
          );
        }
        f.get(value);
      };
    }
    const [evens, odds] = evenAndOdd(lanes);
    const first = wanted[0].at;
    const has = (tap: number) => wanted.some(({ at }) => at - first === tap);
    load(first).set(low);
    load(first + lanes).set(high);
    f.get(low).get(high).shuffle(evens).set(even);
    if (has(1) || has(3)) f.get(low).get(high).shuffle(odds).set(odd);
    // Two and three further are the same vectors, shifted by one number of those that follow.
    if (has(2) || has(3)) load(first + 2 * lanes).set(high);
    const shifted = Array.from({ length: lanes - 1 }, (_, lane) => lane + 1);
    return ({ at }) => {
      const tap = at - first;
      if (tap < 2) f.get(tap === 0 ? even : odd);
      else if (tap < 4) {
        f.get(tap === 2 ? even : odd).get(high).shuffle([...shifted, lanes + tap - 2]);
      } else {
        load(at);
        load(at + lanes).shuffle(evens);
      }
    };
  }

  /**
   * The terms of a tile's rows that lie in one row of the source. Zeros of the padding are terms too, as in
   * the definition: they make NaN of weights that are not finite.
   */
  function writeRow(rowAt: number, uses: readonly Use[], wanted: readonly Wanted[]): void {
    const some = wanted.filter(({ real }) => real.length > 0);
    const push = some.length === 0 ? () => {} : writeLoads(rowAt, some);
    for (const each of wanted) {
      const { real } = each;
      if (real.length > 0) {
        push(each);
        if (stride < 3 && real.length < lanes) {
          pushMask(f, vector, real[0], real[0] + real.length);
          f.op("v128.and");
        }
        f.set(value);
      }
      const term = () => real.length > 0 ? f.get(value) : pushZero(f);
      for (const { row, k } of uses) {
        for (const { phase, k: kx } of each.uses) add(sums[row * step + phase], k * KW + kx, term);
      }
    }
  }

  /** The columns of the source that a tile takes, by those of its first lane. */
  function wantedBy({ start }: PlaneTile): Wanted[] {
    const found = new Map<number, { phase: number; k: number }[]>();
    for (let phase = 0; phase < Math.min(step, W - start); phase++) {
      for (const { k, at } of termsOf(columns, phases.x, start + phase)) {
        found.set(at, [...found.get(at) ?? [], { phase, k }]);
      }
    }
    const all = Array.from({ length: lanes }, (_, lane) => lane);
    return [...found].sort(([a], [b]) => a - b).map(([at, uses]) => ({
      at,
      uses,
      real: all.filter((lane) => isReal(columns, at + lane * stride)),
    }));
  }

  function writeTile(
    rowTile: PlaneTile,
    columnTile: PlaneTile,
    base: number,
    passed: number,
  ): void {
    const { start, size } = rowTile;
    for (const sum of sums.slice(0, size * step)) {
      pushZero(f);
      f.set(sum);
    }
    const uses = new Map<number, Use[]>();
    for (let row = 0; row < size; row++) {
      for (const { k, at } of termsOf(rows, phases.y, start + row)) {
        uses.set(at, [...uses.get(at) ?? [], { row, k }]);
      }
    }
    const wanted = wantedBy(columnTile);
    const columnsPassed = passed / step * stride;
    const writeRows = (wanted: readonly Wanted[]) => {
      const none = wanted.map((each) => ({ ...each, real: [] }));
      for (const [row, terms] of [...uses].sort(([a], [b]) => a - b)) {
        if (isReal(rows, row)) rowsRead = Math.max(rowsRead, row + 1 + rowsAfter);
        const rowAt = source.lead + (row - base) * source.row - columnsPassed * bytes;
        writeRow(rowAt, terms, isReal(rows, row) ? wanted : none);
      }
    };
    if (resident || !weighted) writeRows(wanted);
    else {
      const tapRows = new Set([...uses.values()].flat().map(({ k }) => k));
      for (const each of wanted) {
        loadWeights([...tapRows].flatMap((k) => each.uses.map((use) => k * KW + use.k)));
        writeRows([each]);
      }
    }
    for (let row = 0; row < size; row++) writeTargets(row, columnTile, passed);
  }

  /** Finishes the sums of a row and stores them. */
  function writeTargets(row: number, { start }: PlaneTile, passed: number): void {
    const at = (row * W + start - passed) * bytes;
    const parts = sums.slice(row * step, (row + 1) * step);
    for (const sum of parts) {
      f.get(sum);
      if (job.last) {
        if (each) f.get(numbers).at("v128.load", at);
        else f.get(number);
        f.op(vector[job.last.op]);
      }
      if (job.relu) {
        pushZero(f);
        f.op(vector.max);
      }
      f.set(sum);
    }
    if (step > 2 || start + step * lanes > W) {
      for (let i = 0; i < Math.min(step * lanes, W - start); i++) {
        f.get(to).get(parts[i % step]);
        f.laneAt(vector.storeLane, Math.floor(i / step), at + i * bytes);
      }
    } else if (step === 1) {
      f.get(to).get(parts[0]).at("v128.store", at);
    } else {
      for (const [half, lanesOfHalf] of lowerAndUpper(lanes).entries()) {
        f.get(to).get(parts[0]).get(parts[1]).shuffle(lanesOfHalf).at("v128.store", at + half * 16);
      }
    }
  }

  /** The first row of the source that a tile reads. */
  function baseOf({ start, size }: PlaneTile): number {
    let base = Infinity;
    for (let row = 0; row < size; row++) {
      for (const { at } of termsOf(rows, phases.y, start + row)) {
        if (isReal(rows, at)) base = Math.min(base, at);
      }
    }
    return base < Infinity ? base : source.firstRow;
  }

  let reached = source.firstRow;
  for (const rowTile of tiles.rows) {
    const base = baseOf(rowTile);
    f.advance(sourceAt, (base - reached) * source.row);
    const rowStep = rowTile.size / rows.targetStep * rows.sourceStep;
    rowsAfter = (rowTile.times - 1) * rowStep;
    f.repeat(y, rowTile.times, () => {
      f.get(sourceAt).set(x).get(targetAt).set(to);
      if (each) f.get(lastAt).set(numbers);
      let passed = 0;
      /** Moves what is read and written to a column, whose phase is the first. */
      const moveTo = (target: number) => {
        const by = target - passed;
        f.advance(x, by / step * stride * bytes).advance(to, by * bytes);
        if (each) f.advance(numbers, by * bytes);
        passed = target;
      };
      for (const columnTile of tiles.columns) {
        const { start, size, times } = columnTile;
        if (start < passed) moveTo(start - start % step);
        const before = passed;
        columnsAfter = (times - 1) * size / step * stride;
        f.repeat(column, times, () => {
          writeTile(rowTile, columnTile, base, before);
          if (times > 1) moveTo(before + size);
        });
        if (times > 1) passed = before + size * times;
      }
      if (rowTile.times > 1) f.advance(sourceAt, rowStep * source.row);
      f.advance(targetAt, rowTile.size * W * bytes);
      if (each) f.advance(lastAt, rowTile.size * W * bytes);
    });
    reached = base + (rowTile.times > 1 ? rowTile.times * rowStep : 0);
  }
  if (rowsRead === source.firstRow) return 0;
  return source.lead + (rowsRead - 1 - source.firstRow) * source.row + columnsRead * bytes;
}

/** A row's sum that takes a row of the source, by a row of taps. */
interface Use {
  readonly row: number;
  readonly k: number;
}

/** What a tile takes of each row of the source: lane by lane, one stride further. */
interface Wanted {
  /** The column of the first lane. */
  readonly at: number;
  readonly uses: readonly { readonly phase: number; readonly k: number }[];
  /** Lanes whose columns are in the source. */
  readonly real: readonly number[];
}
