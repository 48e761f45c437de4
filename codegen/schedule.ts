/**
 * Configuration -> schedule: what stays in registers, how many positions are taken at a time, how far
 * the code is unrolled. Pure data; conv.ts and pool.ts turn it into code.
 *
 * A pass over a plane keeps a few weights in registers and streams rows of input past them:
 *
 *   y[to] += x[from] * w    for every term, at every position, for every pair of planes.
 *
 * A depthwise pass pairs each plane with one other alone.
 *
 * Weights in registers beat weights in memory by a third: V8 checks the bounds of every load, so a
 * load costs more than a multiply-add.
 *
 * @module
 */

import { forwardTaps, gradientTaps, type TapOffset } from "../kernels/passes.ts";
import type { Family } from "../kernels/shape.ts";

/** The window that a convolution's code is made for. */
export interface ConvWindow extends Family {
  /** Whether each plane has one filter of its own. */
  readonly depthwise?: boolean;
}

/** A place relative to a position. */
export interface Place {
  /** Rows below. */
  readonly row: number;
  /** Columns to the right. */
  readonly col: number;
}

/** One multiply-add of a position: y[to] += x[from] * w[ky][kx]. */
export interface Term {
  /** Row of the tap. */
  readonly ky: number;
  /** Column of the tap. */
  readonly kx: number;
  /** Where x is read. */
  readonly from: Place;
  /** Where y is written. */
  readonly to: Place;
}

/** How x and y advance from one position to the next. */
export interface Step {
  /** From one row of positions to the next. */
  readonly y: number;
  /** From one column of positions to the next. */
  readonly x: number;
}

/** What the schedules of all passes of a convolution say. */
interface PassSchedule {
  /** Height of the kernel. */
  readonly KH: number;
  /** Width of the kernel. */
  readonly KW: number;
  /** Step in x between the taps. */
  readonly dilation: Step;
  /** Whether plane p of the input meets plane p of the output alone. */
  readonly depthwise: boolean;
  /** Input planes at a time. */
  readonly inputs: number;
  /** Output planes at a time. */
  readonly outputs: number;
  /** Positions at a time. */
  readonly tile: number;
  /** Step in x from position to position. */
  readonly stepX: Step;
}

/** A pass that adds products to y: forward, and the gradient of the input. */
export interface AccumulateSchedule extends PassSchedule {
  /** Which of the two. */
  readonly direction: "forward" | "backwardData";
  /** Whether all taps are in registers, or one row of them while the code loops over the rows. */
  readonly taps: "all" | "row";
  /** Step in y from position to position. */
  readonly stepY: Step;
  /** The terms of one position; of its first row of taps if they are taken row by row. */
  readonly terms: readonly Term[];
}

/**
 * A pass that sums products over whole planes: the gradient of the filters. The code loops over the
 * rows of the kernel and sums one row of taps in registers.
 */
export type CorrelateSchedule = PassSchedule;

/** The passes of one convolution. */
export interface ConvSchedule {
  /** y += x convolved with w. */
  readonly forward: AccumulateSchedule;
  /** dx += the gradient of the output, spread by w. */
  readonly backwardData: AccumulateSchedule;
  /** dw += the correlation of x with the gradient of the output. */
  readonly backwardWeights: CorrelateSchedule;
}

/**
 * The most multiply-adds that one function may hold in straight-line code. V8's optimizer slows long
 * before it gives up at about 60 KB of bytecode: 1.7 ns a term at 200 terms, 4.8 at 1,000.
 */
export const STRAIGHT_LINE_CAP = 500;

/** So many weights stay in the 16 registers beside the sums without spilling. */
const RESIDENT_WEIGHTS = 9;

/** Planes at a time of a 1x1 kernel, which has no neighboring taps to share a load with. */
const POINTWISE_BLOCK = 4;

/** Sums at a time, where one row of taps leaves registers free. */
const ROW_SUMS = 4;

/** The schedule of a convolution's three passes. */
export function convSchedule(window: ConvWindow): ConvSchedule {
  const schedule = {
    forward: forwardSchedule(window),
    backwardData: backwardDataSchedule(window),
    backwardWeights: backwardWeightsSchedule(window),
  };
  for (const [name, pass] of Object.entries(schedule)) {
    const size = straightLineSize(pass);
    if (size > STRAIGHT_LINE_CAP) {
      throw new RangeError(
        `The ${name} pass of a ${window.KH}x${window.KW} kernel at stride ` +
          `${window.strideY}x${window.strideX} needs ${size} multiply-adds of straight-line code: ` +
          `at most ${STRAIGHT_LINE_CAP} are compiled well`,
      );
    }
  }
  return schedule;
}

/** Multiply-adds in the straight-line code of a pass: its tile, the rest of a row, blocks and theirs. */
export function straightLineSize(pass: AccumulateSchedule | CorrelateSchedule): number {
  const taps = "terms" in pass ? pass.terms.length : pass.KW;
  // Every tile has a tail of tile - 1 positions at most, every block of planes a tail of single planes.
  const positions = pass.tile + Math.max(0, pass.tile - 1);
  const outputs = pass.outputs + (pass.outputs > 1 ? 1 : 0);
  const inputs = pass.inputs + (pass.inputs > 1 ? 1 : 0);
  return taps * positions * outputs * inputs;
}

/** The terms of one position: the taps of rows and columns, crossed. */
function termsOf(rows: readonly TapOffset[], columns: readonly TapOffset[]): Term[] {
  return rows.flatMap((row, ky) =>
    columns.map((column, kx) => ({
      ky,
      kx,
      from: { row: row.from, col: column.from },
      to: { row: row.to, col: column.to },
    }))
  );
}

/** What the window says of the schedules of all its passes. */
function windowOf({ KH, KW, dilationY, dilationX, depthwise = false }: ConvWindow) {
  return { KH, KW, dilation: { y: dilationY, x: dilationX }, depthwise };
}

function forwardSchedule(window: ConvWindow): AccumulateSchedule {
  const { KH, KW, strideY, strideX, dilationY, dilationX } = window;
  const resident = residentTaps(window);
  const rows = resident.taps === "row" ? 1 : KH;
  return {
    direction: "forward",
    ...windowOf(window),
    ...resident,
    tile: KH * KW === 1 ? 1 : resident.taps === "row" ? ROW_SUMS : 2,
    stepX: { y: strideY, x: strideX },
    stepY: { y: 1, x: 1 },
    terms: termsOf(forwardTaps(rows, dilationY), forwardTaps(KW, dilationX)),
  };
}

/**
 * The gradient of x is the gradient of the output spread by the taps. Positions are those of the
 * output's gradient; each writes strideY x strideX numbers of dx, and tap (ky, kx) reaches the one at
 * (ky * dilationY mod strideY, kx * dilationX mod strideX). At stride 1 that is a convolution with the
 * kernel rotated by 180 degrees.
 */
function backwardDataSchedule(window: ConvWindow): AccumulateSchedule {
  const { KH, KW, strideY, strideX, dilationY, dilationX } = window;
  const resident = residentTaps(window);
  const rows = resident.taps === "row" ? 1 : KH;
  const sumsX = Math.min(strideX, KW);
  const sums = resident.taps === "row" ? sumsX : sumsX * Math.min(strideY, KH);
  const most = resident.taps === "row" ? ROW_SUMS : 2;
  return {
    direction: "backwardData",
    ...windowOf(window),
    ...resident,
    tile: KH * KW === 1 ? 1 : Math.max(1, Math.floor(most / sums)),
    stepX: { y: 1, x: 1 },
    stepY: { y: strideY, x: strideX },
    terms: termsOf(gradientTaps(rows, strideY, dilationY), gradientTaps(KW, strideX, dilationX)),
  };
}

function backwardWeightsSchedule(window: ConvWindow): CorrelateSchedule {
  const { KH, KW, strideY, strideX, depthwise } = window;
  const shared = { ...windowOf(window), stepX: { y: strideY, x: strideX } };
  if (depthwise) return { ...shared, inputs: 1, outputs: 1, tile: KW < 7 ? 4 : 2 };
  if (KH * KW === 1) {
    return { ...shared, inputs: POINTWISE_BLOCK, outputs: POINTWISE_BLOCK, tile: 1 };
  }
  // Filters at a time, so that a loaded x is used more than once: 7 sums or fewer stay in registers.
  const outputs = Math.max(1, Math.floor(7 / KW));
  // By measurement of 5x5: one is 1.7 times as fast as two at stride 1, two 1.2 times as one at stride 2.
  const tile = outputs > 1 || strideX === 1 ? 1 : 2;
  return { ...shared, inputs: 1, outputs, tile };
}

/** Which weights stay in registers. */
function residentTaps(
  { KH, KW, depthwise }: ConvWindow,
): Pick<AccumulateSchedule, "taps" | "inputs" | "outputs"> {
  const block = KH * KW === 1 && !depthwise ? POINTWISE_BLOCK : 1;
  return { taps: KH * KW <= RESIDENT_WEIGHTS ? "all" : "row", inputs: block, outputs: block };
}

/** The places of a pool's window, in row-major order. */
function windowPlaces({ KH, KW, dilationY, dilationX }: Family): Place[] {
  return Array.from({ length: KH * KW }, (_, k) => ({
    row: Math.floor(k / KW) * dilationY,
    col: k % KW * dilationX,
  }));
}

/** A step of a pool's tournament: the winner of two places, the earlier of them on a tie. */
export interface Match {
  /** The earlier place, or the earlier match's number. */
  readonly first: Place | number;
  /** The later place, or the later match's number. */
  readonly second: Place | number;
}

/** A max-pool: a tournament between the places of a window. */
export interface PoolSchedule {
  /** Step in x from window to window. */
  readonly stepX: Step;
  /** The matches in order; the last one's winner is the window's maximum. */
  readonly matches: readonly Match[];
}

/**
 * The schedule of a max-pool. Neighbors meet first, so that matches of one round do not wait for each
 * other; the earlier contender always stands first, so that the first maximum in row-major order wins.
 */
export function poolSchedule(window: Family): PoolSchedule {
  const matches: Match[] = [];
  let round: (Place | number)[] = windowPlaces(window);
  while (round.length > 1) {
    const winners: (Place | number)[] = [];
    for (let i = 0; i < round.length; i += 2) {
      if (i + 1 === round.length) winners.push(round[i]);
      else winners.push(matches.push({ first: round[i], second: round[i + 1] }) - 1);
    }
    round = winners;
  }
  checkWindow(window, matches.length, "matches");
  return { stepX: { y: window.strideY, x: window.strideX }, matches };
}

/** An average pool: the places of a window, added in order. */
export interface AveragePoolSchedule {
  /** Step in x from window to window. */
  readonly stepX: Step;
  /** The places, in the order in which the naive loops add them. */
  readonly places: readonly Place[];
}

/** The schedule of an average pool. */
export function averagePoolSchedule(window: Family): AveragePoolSchedule {
  const places = windowPlaces(window);
  checkWindow(window, places.length, "additions");
  return { stepX: { y: window.strideY, x: window.strideX }, places };
}

function checkWindow({ KH, KW }: Family, size: number, what: string): void {
  if (size <= STRAIGHT_LINE_CAP) return;
  throw new RangeError(
    `A ${KH}x${KW} pool needs ${size} ${what} of straight-line code: ` +
      `at most ${STRAIGHT_LINE_CAP} are compiled well`,
  );
}
