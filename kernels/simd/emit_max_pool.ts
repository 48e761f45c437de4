/**
 * The inner loops of max-pooling. Lanes run along the outputs of a row: a tap of the window is a vector of
 * inputs a stride apart, and the taps are compared in row-major order, so that the first maximum wins.
 * Gradients go straight to their places where windows are side by side; where they overlap, each column
 * of taps is summed on its own, by outputs, and the sums are merged into rows at last.
 *
 * @module
 */

import type { PoolShape } from "../shape.ts";
import { zerosOf } from "../tensor.ts";
import type { Func, Local } from "./assembler.ts";
import type { Layout } from "./memory.ts";
import {
  evenAndOdd,
  mergeRow,
  plainRow,
  type RowCopy,
  spanOf,
  writeCopy,
  writeMoves,
} from "./planes.ts";
import { lowerAndUpper, pushMask, pushZero, type Vector } from "./vector.ts";

/** Tiles that are written out in a row. */
const UNROLL = 4;

/** A pool with all its sizes, and the addresses of its data. */
export interface Pool extends PoolShape {
  readonly vector: Vector;
  /** Size of a padded plane, and how far its rows are apart, in numbers. */
  readonly paddedW: number;
  readonly paddedH: number;
  /** Planes copied at once. */
  readonly chunk: number;
  readonly layout: Layout;
  readonly x: number;
  /** The output, or its gradient. */
  readonly y: number;
  readonly dx: number;
  /** One plane of x with its padding, if it has any. */
  readonly padded?: number;
  /** Not zero where {@linkcode writePass} may be wrong: the naive loops do these planes again. */
  readonly needsFallback: number;
  /** Where the largest of a row's parts wait, if rows are shared: see emit_row_max.ts. */
  readonly line?: number;
  /** Where gradients are summed if windows overlap or planes are padded. */
  readonly sums?: Sums;
}

/**
 * Gradients of one padded plane, a plane for each column kx of the window: number (y, ox) is for the input
 * at row y and column ox * strideX + kx. So the sums of neighboring outputs are neighbors.
 */
export interface Sums {
  /** Address of (kx, y, ox) = (0, 0, 0). */
  readonly start: number;
  readonly row: number;
  readonly plane: number;
  /** Vectors of a row that hold a column of x. */
  readonly vectors: number;
  /** All of it, zeros before and after each row included. */
  readonly base: number;
  readonly bytes: number;
}

/** A pointer that goes along the outputs of a row, and from row to row. */
interface Pointer {
  readonly at: Local;
  /** Where the row starts. */
  readonly row: Local;
  /** Bytes from one output to the next, and from one row to the next. */
  readonly step: number;
  readonly rowStep: number;
}

function pointer(f: Func, step: number, rowStep: number): Pointer {
  const [at, row] = f.locals("i32", 2);
  return { at, row, step, rowStep };
}

/** A number of outputs side by side, from `start` on: all lanes of a vector, or the first `valid`. */
interface Tile {
  /** The first output, relative to the pointers. */
  readonly start: number;
  /** How many lanes are outputs of the row. */
  readonly valid: number;
  /** How many of them an earlier tile has done too. */
  readonly repeated: number;
}

/**
 * Writes a row of outputs as tiles. The last tile starts earlier where the row's length is not a multiple
 * of the vector's; a row shorter than a vector is one tile with few valid lanes.
 */
function writeTiles(
  f: Func,
  { OW, vector: { lanes } }: Pool,
  pointers: readonly Pointer[],
  counter: Local,
  body: (tile: Tile) => void,
): void {
  if (OW < lanes) return body({ start: 0, valid: OW, repeated: 0 });
  const whole = Math.floor(OW / lanes);
  // A last tile that starts earlier must not start before where the pointers are by then.
  const rest = OW % lanes;
  const rounds = Math.floor((rest === 0 ? whole : whole - 1) / UNROLL);
  const full = { valid: lanes, repeated: 0 };
  let done = 0;
  if (rounds > 1) {
    f.repeat(counter, rounds, () => {
      for (let i = 0; i < UNROLL; i++) body({ start: i * lanes, ...full });
      for (const { at, step } of pointers) f.advance(at, UNROLL * lanes * step);
    });
    done = rounds * UNROLL;
  }
  for (let i = 0; i < whole - done; i++) body({ start: i * lanes, ...full });
  if (rest === 0) return;
  body({ start: OW - lanes - done * lanes, valid: lanes, repeated: lanes - rest });
}

/** The vectors that a tile works with. */
interface Registers {
  /** The inputs of each tap, in row-major order: a lane for each output. Backward, then its gradients. */
  readonly taps: readonly Local[];
  /** The largest of each window, the first of equals. */
  readonly most: Local;
  /** The sum of all that was read: NaN if a number is, and where infinities of both signs are. */
  readonly total: Local;
  /** Masks: not zero where a pass finds another reason to fall back. */
  readonly reasons: Local;
  readonly spare: readonly [Local, Local];
}

function registers(f: Func, { KH, KW }: Pool): Registers {
  const taps = f.locals("v128", KH * KW);
  const [most, total, reasons, low, high] = f.locals("v128", 5);
  return { taps, most, total, reasons, spare: [low, high] };
}

/** What a pass does besides finding the maximum of each window. */
interface Pass {
  /** The pointers beside that into x. */
  readonly pointers: readonly Pointer[];
  /** Writes what comes before a plane, after a tile's maximum, and after a plane. */
  before?(): void;
  tile(tile: Tile): void;
  after?(): void;
}

/**
 * Writes the loop over the windows of some planes, as many as the function's parameter says. A NaN, which
 * wins over any number, is not looked for in each window: one sum of all numbers tells if there is any.
 */
function writePass(f: Func, pool: Pool, held: Registers, pass: Pass): void {
  const { H, W, KH, KW, strideY, strideX, padTop, padLeft, OH, OW, paddedW, padded, vector } = pool;
  const { bytes, lanes } = vector;
  const { chunk, needsFallback } = pool;
  // A stride of 2 takes whole vectors, the last of which may hold no tap in its second half.
  const width = ((Math.max(OW, lanes) - 1) * strideX + KW + (strideX === 2 ? 1 : 0)) * bytes;
  const windows = { start: padded ?? pool.x, plane: H * W * bytes, row: paddedW * bytes };
  const lastRow = (OH - 1) * strideY + KH;
  f.reads(windows.start, spanOf(windows, padded === undefined ? chunk : 1, lastRow, width));
  f.writes(needsFallback, 16);
  const [plane, y, column] = f.locals("i32", 3);
  const x = pointer(f, strideX * bytes, strideY * paddedW * bytes);
  const pointers = [x, ...pass.pointers];
  f.const(pool.x).set(plane);
  f.countDown(0, 0, () => {
    if (padded === undefined) f.get(plane).set(x.row);
    else {
      const from = { start: 0, plane: 0, row: W * bytes };
      const start = padded + (padTop * paddedW + padLeft) * bytes;
      const to = { start, plane: 0, row: paddedW * bytes };
      const range = [pool.x, pool.x + (chunk - 1) * H * W * bytes] as const;
      writeCopy(f, 1, H, from, to, plainRow(vector, W), { from: { local: plane, range } });
      f.const(padded).set(x.row);
    }
    pass.before?.();
    f.repeat(y, OH, () => {
      for (const { at, row } of pointers) f.get(row).set(at);
      writeTiles(f, pool, pointers, column, (tile) => {
        writeTaps(f, pool, x.at, tile.start * x.step, held);
        writeMaximum(f, pool, held, tile);
        pass.tile(tile);
      });
      for (const { row, rowStep } of pointers) f.advance(row, rowStep);
    });
    pass.after?.();
    f.advance(plane, H * W * bytes);
  });
  const { total, reasons } = held;
  f.const(needsFallback).get(total).get(total).op(vector.ne).get(reasons).op("v128.or");
  f.at("v128.store");
}

/** Loads the taps of a tile: lane l of tap (ky, kx) is the input at row ky and column kx + l * strideX. */
function writeTaps(
  f: Func,
  { KW, strideX, paddedW, vector: { bytes, lanes, loadSplat, loadLane } }: Pool,
  from: Local,
  offset: number,
  { taps, spare: [low, high] }: Registers,
): void {
  for (const [i, tap] of taps.entries()) {
    const kx = i % KW;
    const at = offset + (Math.floor(i / KW) * paddedW + kx) * bytes;
    if (strideX === 1) {
      f.get(from).at("v128.load", at).set(tap);
    } else if (strideX === 2) {
      // Two vectors serve two taps: the even and the odd columns.
      if (kx % 2 === 0) {
        f.get(from).at("v128.load", at).set(low);
        f.get(from).at("v128.load", at + 16).set(high);
      }
      f.get(low).get(high).shuffle(evenAndOdd(lanes)[kx % 2]).set(tap);
    } else {
      f.get(from).at(loadSplat, at).set(tap);
      for (let lane = 1; lane < lanes; lane++) {
        f.get(from).get(tap).laneAt(loadLane, lane, at + lane * strideX * bytes).set(tap);
      }
    }
  }
}

/** Finds the largest value of each window, and adds all numbers to the total. */
function writeMaximum(
  f: Func,
  { vector }: Pool,
  { taps, most, total }: Registers,
  { valid }: Tile,
): void {
  f.get(taps[0]);
  // pmax keeps its first operand unless the second is larger.
  for (const tap of taps.slice(1)) f.get(tap).op(vector.pmax);
  f.set(most).get(taps[0]);
  for (const tap of taps.slice(1)) f.get(tap).op(vector.add);
  if (valid < vector.lanes) {
    pushMask(f, vector, 0, valid);
    f.op("v128.and");
  }
  f.get(total).op(vector.add).set(total);
}

/** The forward pass over some planes. */
export function writeForward(f: Func, pool: Pool): void {
  const { OH, OW, chunk, y, vector: { bytes, lanes, storeLane } } = pool;
  f.writes(y, chunk * OH * OW * bytes);
  const held = registers(f, pool), { most } = held;
  const out = pointer(f, bytes, OW * bytes);
  f.const(pool.y).set(out.row);
  writePass(f, pool, held, {
    pointers: [out],
    tile({ start, valid }) {
      if (valid === lanes) f.get(out.at).get(most).at("v128.store", start * bytes);
      for (let i = 0; valid < lanes && i < valid; i++) {
        f.get(out.at).get(most).laneAt(storeLane, i, (start + i) * bytes);
      }
    },
  });
}

/** The backward pass over some planes. */
export function writeBackward(f: Func, pool: Pool): void {
  const { H, W, KH, KW, strideY, strideX, OH, OW, chunk, sums, vector } = pool;
  const { bytes, lanes } = vector;
  f.reads(pool.y, (chunk * OH * OW + Math.max(0, lanes - OW)) * bytes);
  if (sums) {
    const summed = spanOf(sums, KW, (OH - 1) * strideY + KH, Math.max(OW, lanes) * bytes);
    f.writes(sums.start, summed).writes(sums.base, sums.bytes);
  } else {
    f.writes(pool.dx, Math.ceil((chunk * H * W * bytes) / 16) * 16);
  }
  const held = registers(f, pool);
  const { taps, most, reasons, spare: [wins] } = held;
  /** Gradients that no tap has won yet. */
  const left = f.local("v128");
  const dx = f.local("i32");
  const dout = pointer(f, bytes, OW * bytes);
  const to = sums
    ? pointer(f, bytes, strideY * sums.row)
    : pointer(f, strideX * bytes, strideY * W * bytes);

  f.const(pool.y).set(dout.row).const(pool.dx).set(dx);
  writePass(f, pool, held, {
    pointers: [dout, to],
    before() {
      if (sums) {
        f.const(sums.start).set(to.row).const(sums.base).set(to.at);
        writeZeros(f, to.at, sums.bytes);
      } else {
        f.get(dx).tee(to.row).set(to.at);
        // Beyond the plane lies the next, which is written later.
        const everyInput = KH === strideY && OH * KH === H && OW * KW === W;
        if (!everyInput) writeZeros(f, to.at, H * W * bytes);
      }
    },
    tile({ start, valid, repeated }) {
      // What is added must be added once: no lane of another tile, none beyond the row.
      const mask = () => {
        if (repeated === 0 && valid === lanes) return;
        pushMask(f, vector, repeated, valid);
        f.op("v128.and");
      };
      if (pool.padded !== undefined) {
        // Where all are minus infinity, padding may have won: the winner must be in x.
        f.get(most);
        pushNumber(f, vector, -Infinity);
        f.op(vector.eq);
        mask();
        f.get(reasons).op("v128.or").set(reasons);
      }
      f.get(dout.at).at("v128.load", start * bytes);
      // Sums start at 0, which turns -0 into 0.
      pushZero(f);
      f.op(vector.add);
      if (sums) mask();
      f.set(left);
      for (const tap of taps.slice(0, -1)) {
        f.get(tap).get(most).op(vector.eq).set(wins);
        f.get(left).get(wins).op("v128.and").set(tap);
        f.get(left).get(wins).op("v128.andnot").set(left);
      }
      // Nobody else has won.
      f.get(left).set(taps[taps.length - 1]);
      for (let ky = 0; ky < KH; ky++) {
        const row = taps.slice(ky * KW, (ky + 1) * KW);
        if (sums) writeSums(f, vector, sums, to.at, ky * sums.row + start * bytes, row);
        else writeGradients(f, vector, to.at, (ky * W + start * KW) * bytes, row, valid);
      }
    },
    after() {
      if (sums) writeMerge(f, pool, sums, dx);
      f.advance(dx, H * W * bytes);
    },
  });
}

/** Zeros from a pointer on: a number of bytes, rounded up to whole vectors. */
function writeZeros(f: Func, start: Local, bytes: number): void {
  writeMoves(f, start, start, Math.ceil(bytes / 16), 16, 16, (_, to, __, at) => {
    f.get(to);
    pushZero(f);
    f.at("v128.store", at);
  });
}

/** Pushes a number, repeated in every lane. */
function pushNumber(f: Func, { dtype, lanes }: Vector, value: number): void {
  const numbers = zerosOf(dtype, lanes);
  f.vector(new Uint8Array(numbers.fill(value).buffer));
}

/** Stores the gradients of a row of taps where windows lie side by side. */
function writeGradients(
  f: Func,
  { bytes, lanes, storeLane }: Vector,
  to: Local,
  at: number,
  row: readonly Local[],
  valid: number,
): void {
  if (valid === lanes && row.length === 1) {
    f.get(to).get(row[0]).at("v128.store", at);
  } else if (valid === lanes && row.length === 2) {
    for (const [i, half] of lowerAndUpper(lanes).entries()) {
      f.get(to).get(row[0]).get(row[1]).shuffle(half).at("v128.store", at + 16 * i);
    }
  } else {
    for (let i = 0; i < valid * row.length; i++) {
      const kx = i % row.length, lane = Math.floor(i / row.length);
      f.get(to).get(row[kx]).laneAt(storeLane, lane, at + i * bytes);
    }
  }
}

/** Adds the gradients of a row of taps to the sums. */
function writeSums(
  f: Func,
  vector: Vector,
  { plane }: Sums,
  to: Local,
  start: number,
  row: readonly Local[],
): void {
  for (const [kx, tap] of row.entries()) {
    const at = start + kx * plane;
    f.get(to).get(to).at("v128.load", at).get(tap).op(vector.add).at("v128.store", at);
  }
}

/** Writes the plane of dx from the sums. */
function writeMerge(f: Func, pool: Pool, sums: Sums, dx: Local): void {
  const { H, W, KW, strideX, padTop, padLeft, vector } = pool;
  const { bytes } = vector;
  const { plane } = sums;
  const [source, at, column] = f.locals("i32", 3);
  // Column x of the padded plane is number floor(x / strideX) of phase x % strideX.
  const phases = Array.from(
    { length: strideX },
    (_, i) => ((i + padLeft) % strideX) * plane + Math.floor((i + padLeft) / strideX) * bytes,
  );
  const first = Math.min(...phases);
  const merge = mergeRow(vector, W, phases.map((phase) => phase - first));
  const from = { start: sums.start + padTop * sums.row, plane: 0, row: sums.row };
  const to = { start: 0, plane: 0, row: W * bytes };
  const summed = (KW > strideX ? (KW - 1) * plane : 0) + sums.vectors * 16;
  const reads = Math.max(first + merge.reads, summed);
  const write: RowCopy["write"] = (f, row, target) => {
    if (KW > strideX) {
      f.get(row).set(at);
      f.repeat(column, sums.vectors, () => {
        for (let phase = 0; phase < strideX && phase + strideX < KW; phase++) {
          f.get(at).get(at).at("v128.load", phase * plane);
          for (let kx = phase + strideX, back = 1; kx < KW; kx += strideX, back++) {
            // An offset is not negative: the address steps back.
            f.get(at).const(kx * plane - back * bytes).op("i32.add").at("v128.load");
            f.op(vector.add);
          }
          f.at("v128.store", phase * plane);
        }
        f.advance(at, 16);
      });
    }
    f.get(row).const(first).op("i32.add").set(source);
    merge.write(f, source, target);
  };
  const range = [pool.dx, pool.dx + (pool.chunk - 1) * H * W * bytes] as const;
  writeCopy(f, 1, H, from, to, { reads, writes: merge.writes, write }, {
    to: { local: dx, range },
  });
}
