/**
 * How the planes of depthwise convolutions and average pools are cut into tiles.
 *
 * A plane of numbers without zeros around it takes no copy, but its tiles at the edges are code of their
 * own, as they meet fewer taps; those between are one loop.
 *
 * @module
 */

import { type Axis, type Phase, phasesOf } from "../passes.ts";
import { evenRuns, pieces, RESIDENT_TAPS } from "./tiles.ts";

/** Some rows or columns of targets in a row, so often, each time as many further. */
export interface PlaneTile {
  readonly start: number;
  readonly size: number;
  readonly times: number;
}

/** A plane's tiles: rows by columns. */
export interface PlaneTiles {
  readonly rows: readonly PlaneTile[];
  readonly columns: readonly PlaneTile[];
}

/** A source number that a target takes, and by which tap. */
export interface Term {
  readonly k: number;
  readonly at: number;
}

/** The terms of a target of an axis, in the order of the source. */
export function termsOf(axis: Axis, phases: readonly Phase[], target: number): Term[] {
  const { taps } = phases[target % axis.targetStep];
  const start = Math.floor(target / axis.targetStep) * axis.sourceStep;
  return taps.map(({ k, from }) => ({ k, at: start + from }));
}

/** Joins tiles that follow each other and are the same code: those whose targets have all their terms. */
function joined(
  axis: Axis,
  pieces: readonly (readonly [start: number, size: number])[],
  padded: boolean,
): PlaneTile[] {
  const phases = phasesOf(axis), { source, target } = axis;
  const isWhole = (at: number) =>
    at < target.size && (padded ||
      termsOf(axis, phases, at).every((term) => term.at >= 0 && term.at < source.size));
  const tiles: PlaneTile[] = [];
  let last: { start: number; size: number; times: number } | undefined;
  for (const [start, size] of pieces) {
    const whole = Array.from({ length: size }, (_, i) => start + i).every(isWhole);
    if (whole && last?.size === size && last.start + last.times * size === start) last.times++;
    else {
      const tile = { start, size, times: 1 };
      tiles.push(tile);
      last = whole ? tile : undefined;
    }
  }
  return tiles;
}

/** Sums of a tile: beside weights that stay in registers, and beside none. */
const SUMS = [5, 8];
/** The same where rows of the source are split as they are read, which takes registers too. */
const SPLIT_SUMS = [4, 7];

/** Products that may be written out for the sake of planes without zeros around. */
const MOST_PRODUCTS = 1000;

/**
 * The tiles of a plane.
 *
 * @param rows The walk of the rows.
 * @param columns The walk of the columns.
 * @param lanes Numbers in a vector.
 * @param resident Whether weights stay in registers.
 * @param padded Whether the source has zeros around it.
 */
export function planeTiles(
  rows: Axis,
  columns: Axis,
  lanes: number,
  resident: boolean,
  padded: boolean,
): PlaneTiles {
  const width = lanes * columns.targetStep, W = columns.target.size;
  const starts: number[] = [];
  for (let x = 0; x + width <= W; x += width) starts.push(x);
  // The last vectors of a row start earlier; a row that is shorter is one vector.
  if (W % width !== 0) starts.push(Math.max(0, W - width));

  const sums = (columns.sourceStep > 1 ? SPLIT_SUMS : SUMS)[resident ? 0 : 1];
  const H = rows.target.size, step = rows.targetStep;
  const most = Math.max(1, Math.floor(sums / (step * columns.targetStep)));
  const heights: [number, number][] = [];
  let y = 0;
  for (const units of pieces(evenRuns(Math.ceil(H / step), most))) {
    heights.push([y, Math.min(units * step, H - y)]);
    y += units * step;
  }
  return {
    rows: joined(rows, heights, padded),
    columns: joined(columns, starts.map((start) => [start, width]), padded),
  };
}

/** The tiles of planes without zeros around, or with where that would be too much code. */
export function chooseTiles(
  rows: Axis,
  columns: Axis,
  lanes: number,
  weighted: boolean,
): { readonly tiles: PlaneTiles; readonly padded: boolean } {
  const taps = rows.taps.length * columns.taps.length;
  const resident = weighted && taps <= RESIDENT_TAPS;
  const bare = planeTiles(rows, columns, lanes, resident, false);
  const height = bare.rows.reduce((sum, { size }) => sum + size, 0);
  const products = height * bare.columns.length * taps / rows.targetStep;
  if (products <= MOST_PRODUCTS) return { tiles: bare, padded: false };
  return { tiles: planeTiles(rows, columns, lanes, resident, true), padded: true };
}
