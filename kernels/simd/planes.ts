/**
 * Planes of rows in the memory, and the copies that pad, split and merge them.
 *
 * A padded plane has zeros around it. For a stride s its rows are split into s phases - columns 0, s,
 * 2s ..., then 1, s+1 ... - so that the inputs of neighboring outputs are neighbors.
 *
 * @module
 */

import type { Func, Local } from "./assembler.ts";
import type { Layout } from "./memory.ts";
import { lowerAndUpper, pushSum, type Vector } from "./vector.ts";
import type { FloatArray } from "../tensor.ts";
import type { Queue } from "./queue.ts";

/** Where planes lie: number (p, y, x) is at start + p * plane + y * row + x * size, in bytes. */
export interface Planes {
  readonly start: number;
  readonly plane: number;
  readonly row: number;
}

/** The bytes from the first to the last of some planes, of some rows of which so many bytes are touched. */
export function spanOf(
  { plane, row }: Omit<Planes, "start">,
  planes: number,
  rows: number,
  rowBytes: number,
): number {
  return (planes - 1) * plane + (rows - 1) * row + rowBytes;
}

/** A parameter that is added to an address, and the least and the most that it can be. */
export interface Moved {
  readonly local: Local;
  readonly range: readonly [least: number, most: number];
}

/** A parameter that is the place of one of some images, or parts, so many bytes apart. */
export function movedBy(local: Local, times: number, step: number): Moved {
  return { local, range: [0, (times - 1) * step] };
}

/** Vectors that are copied straight, without a loop. */
const STRAIGHT = 16;
const UNROLL = 8;

/** The work of copying one row. */
export interface RowCopy {
  /** The bytes of the row that are read and written. */
  readonly reads: number;
  readonly writes: number;
  /** Writes the code, from and to two pointers. */
  write(f: Func, from: Local, to: Local): void;
}

/** Writes a function that copies every row of every plane; parameters may move the two starts. */
export function writeCopy(
  f: Func,
  planes: number,
  rows: number,
  from: Planes,
  to: Planes,
  copyRow: RowCopy,
  moved: { readonly from?: Moved; readonly to?: Moved } = {},
): void {
  const [source, target, plane, row] = f.locals("i32", 4);
  pushSum(f, from.start, moved.from?.local).set(source);
  pushSum(f, to.start, moved.to?.local).set(target);
  const extent = (
    at: Planes,
    rowBytes: number,
    [least, most]: readonly [number, number] = [0, 0],
  ) => [at.start + least, spanOf(at, planes, rows, rowBytes) + most - least] as const;
  f.reads(...extent(from, copyRow.reads, moved.from?.range));
  f.writes(...extent(to, copyRow.writes, moved.to?.range));
  f.repeat(plane, planes, () => {
    f.repeat(row, rows, () => {
      copyRow.write(f, source, target);
      f.advance(source, from.row).advance(target, to.row);
    });
    f.advance(source, from.plane - rows * from.row).advance(target, to.plane - rows * to.row);
  });
}

/** Writes a number of equal moves, each a step further: straight if they are few, else in a loop. */
export function writeMoves(
  f: Func,
  from: Local,
  to: Local,
  count: number,
  fromStep: number,
  toStep: number,
  move: (from: Local, to: Local, fromOffset: number, toOffset: number) => void,
): void {
  if (count <= STRAIGHT) {
    for (let i = 0; i < count; i++) move(from, to, i * fromStep, i * toStep);
    return;
  }
  const [source, target, counter] = f.locals("i32", 3);
  f.get(from).set(source).get(to).set(target);
  f.repeat(counter, Math.floor(count / UNROLL), () => {
    for (let i = 0; i < UNROLL; i++) move(source, target, i * fromStep, i * toStep);
    f.advance(source, UNROLL * fromStep).advance(target, UNROLL * toStep);
  });
  for (let i = 0; i < count % UNROLL; i++) move(source, target, i * fromStep, i * toStep);
}

/** Copies one number. */
function moveNumber(f: Func, vector: Vector, from: Local, to: Local, a: number, b: number): void {
  f.get(to).get(from).at(vector.loadScalar, a).at(vector.storeScalar, b);
}

/** Copies a row of neighboring numbers. */
export function plainRow(vector: Vector, columns: number): RowCopy {
  const { bytes, lanes } = vector;
  const write: RowCopy["write"] = (f, from, to) => {
    const move = (from: Local, to: Local, a: number, b: number) =>
      f.get(to).get(from).at("v128.load", a).at("v128.store", b);
    writeMoves(f, from, to, Math.floor(columns / lanes), 16, 16, move);
    if (columns >= lanes && columns % lanes > 0) {
      move(from, to, (columns - lanes) * bytes, (columns - lanes) * bytes);
    }
    if (columns >= lanes) return;
    for (let x = 0; x < columns; x++) moveNumber(f, vector, from, to, x * bytes, x * bytes);
  };
  return { reads: columns * bytes, writes: columns * bytes, write };
}

/** The lanes of even and odd numbers of two vectors. */
export function evenAndOdd(lanes: number): [number[], number[]] {
  const even = Array.from({ length: lanes }, (_, i) => 2 * i);
  return [even, even.map((lane) => lane + 1)];
}

/**
 * Splits a row into phases: number x goes to place floor((x + offset) / stride) of phase
 * (x + offset) % stride.
 *
 * @param vector The kind of numbers.
 * @param columns How many.
 * @param stride How many phases.
 * @param offset Where the row starts in the padded row.
 * @param pitch Numbers from one phase to the next.
 */
function splitRow(
  vector: Vector,
  columns: number,
  stride: number,
  offset: number,
  pitch: number,
): RowCopy {
  const { bytes, lanes } = vector;
  const place = (x: number) =>
    (((x + offset) % stride) * pitch + Math.floor((x + offset) / stride)) * bytes;
  const write: RowCopy["write"] = (f, from, to) => {
    let done = 0;
    if (stride === 2 && columns >= 2 * lanes) {
      const [low, high] = f.locals("v128", 2);
      const [even, odd] = evenAndOdd(lanes);
      const move = (from: Local, to: Local, a: number, b: number) => {
        f.get(from).at("v128.load", a).set(low).get(from).at("v128.load", a + 16).set(high);
        f.get(to).get(low).get(high).shuffle(even).at("v128.store", place(0) + b);
        f.get(to).get(low).get(high).shuffle(odd).at("v128.store", place(1) + b);
      };
      writeMoves(f, from, to, Math.floor(columns / (2 * lanes)), 32, 16, move);
      // The last vectors start earlier, at an even number, and split some numbers again.
      const last = (columns - 2 * lanes) & ~1;
      if (columns % (2 * lanes) > 1) move(from, to, last * bytes, (last / 2) * bytes);
      done = columns & ~1;
    } else {
      const groups = Math.floor(columns / stride);
      writeMoves(f, from, to, groups, stride * bytes, bytes, (from, to, a, b) => {
        for (let x = 0; x < stride; x++) {
          moveNumber(f, vector, from, to, a + x * bytes, place(x) + b);
        }
      });
      done = groups * stride;
    }
    for (let x = done; x < columns; x++) moveNumber(f, vector, from, to, x * bytes, place(x));
  };
  // The last number of each phase.
  const last = Array.from({ length: Math.min(stride, columns) }, (_, i) => place(columns - 1 - i));
  return { reads: columns * bytes, writes: Math.max(...last) + bytes, write };
}

/**
 * Merges phases into a row: number x comes from place floor(x / stride) of phase x % stride.
 *
 * @param vector The kind of numbers.
 * @param columns How many.
 * @param phases The first byte of each phase, from where the row's pointer is.
 */
export function mergeRow(vector: Vector, columns: number, phases: readonly number[]): RowCopy {
  const { bytes, lanes } = vector;
  const stride = phases.length;
  if (stride === 1) return plainRow(vector, columns);
  const write: RowCopy["write"] = (f, from, to) => {
    let done = 0;
    if (stride === 2) {
      const [a, b] = f.locals("v128", 2);
      const [lower, upper] = lowerAndUpper(lanes);
      const pairs = Math.floor(columns / (2 * lanes));
      writeMoves(f, from, to, pairs, 16, 32, (from, to, source, target) => {
        f.get(from).at("v128.load", phases[0] + source).set(a);
        f.get(from).at("v128.load", phases[1] + source).set(b);
        f.get(to).get(a).get(b).shuffle(lower).at("v128.store", target);
        f.get(to).get(a).get(b).shuffle(upper).at("v128.store", target + 16);
      });
      done = pairs * 2 * lanes;
    } else {
      const groups = Math.floor(columns / stride);
      writeMoves(f, from, to, groups, bytes, stride * bytes, (from, to, source, target) => {
        for (let x = 0; x < stride; x++) {
          moveNumber(f, vector, from, to, phases[x] + source, target + x * bytes);
        }
      });
      done = groups * stride;
    }
    for (let x = done; x < columns; x++) {
      const source = phases[x % stride] + Math.floor(x / stride) * bytes;
      moveNumber(f, vector, from, to, source, x * bytes);
    }
  };
  const ends = phases.map((phase, i) => phase + Math.ceil((columns - i) / stride) * bytes);
  return { reads: Math.max(...ends.slice(0, columns)), writes: columns * bytes, write };
}

/** A window's walk over padded planes. */
export interface PaddedShape {
  readonly planes: number;
  /** Rows and columns of a plane before padding. */
  readonly H: number;
  readonly W: number;
  readonly top: number;
  readonly left: number;
  /** Rows and columns that the walk reads, padding included. */
  readonly rows: number;
  readonly columns: number;
  /** Phases that the columns are split into. */
  readonly stride: number;
  /** Images that are held at a time. Default: one. */
  readonly images?: number;
  /** Bytes before the images that may be read. */
  readonly edge?: number;
  /** Whether planes may lie apart even where they are not padded. Default: false. */
  readonly apart?: boolean;
}

/** Planes with zeros around, for one image or a few, one after the other. */
export interface Padded {
  /** Where the images come in, unpadded. */
  readonly staged: number;
  /** Bytes from one image to the next, where they come in and in the planes. */
  readonly step: { readonly staged: number; readonly planes: number };
  readonly planes: Planes;
  /** Numbers from one phase of a row to the next. */
  readonly pitch: number;
  /** Copies images from the first to before the end, a step apart, to where they come in. */
  load(queue: Queue, images: FloatArray, first: number, end: number, step?: number): void;
  /** Sets the borders to zero: once a call, as other kernels use the memory in between. */
  clear(queue: Queue): void;
  /** Writes the copy from an image to the planes, if it takes one; parameters may move the image's. */
  write(f: Func, moved?: { readonly from: Local; readonly to: Local }): void;
}

/**
 * The bytes from one image to the next: images a multiple of 4 KB apart would share their places in the
 * first-level cache.
 */
export function skewed(bytes: number): number {
  return Math.ceil(bytes / 4096) * 4096 + 192;
}

/** Planes that find room beside each other in the first-level cache, wherever they lie. */
const FEW_PLANES = 8;

/** The same for planes, whose numbers at one place are read one after the other. */
function planeStep(planes: number, bytes: number): number {
  return planes > FEW_PLANES && bytes % 2048 === 0 ? bytes + 64 : bytes;
}

/** Lays out padded planes; without padding and split they are the images themselves. */
export function padded(layout: Layout, vector: Vector, name: string, shape: PaddedShape): Padded {
  const { planes, H, W, top, left, stride, images = 1, edge = 0, apart = false } = shape;
  const { bytes } = vector;
  const length = planes * H * W;
  const isCopied = top > 0 || left > 0 || stride > 1 || shape.rows > H || shape.columns > W;
  const size = H * W * bytes, stagedPlane = isCopied || !apart ? size : planeStep(planes, size);
  const stagedBytes = planes * stagedPlane;
  const stagedStep = images === 1 ? stagedBytes : skewed(stagedBytes);
  const staged = layout.region(name, edge + images * stagedStep) + edge;
  const image = { start: staged, plane: stagedPlane, row: W * bytes };
  // Planes that lie apart are loaded one by one.
  const pieces = stagedPlane === size ? 1 : planes, piece = length / pieces;
  const load: Padded["load"] = (queue, images, first, end, step = 1) => {
    for (let i = first, at = staged; i < end; i += step, at += stagedStep) {
      for (let part = 0, from = i * length; part < pieces; part++, from += piece) {
        queue.load(at + part * stagedPlane, images, from, from + piece);
      }
    }
  };
  if (!isCopied) {
    return {
      staged,
      step: { staged: stagedStep, planes: stagedStep },
      planes: image,
      pitch: W,
      load,
      clear: () => {},
      write: () => {},
    };
  }
  const rows = Math.max(shape.rows, top + H);
  const pitch = Math.ceil(Math.max(shape.columns, left + W) / stride);
  const row = pitch * stride * bytes;
  const plane = planeStep(planes, rows * row);
  const step = images === 1 ? planes * plane : skewed(planes * plane);
  const start = layout.region(`${name}, padded`, images * step);
  const inner = { start: start + top * row + (stride === 1 ? left * bytes : 0), plane, row };
  const copyRow = stride === 1 ? plainRow(vector, W) : splitRow(vector, W, stride, left, pitch);
  return {
    staged,
    step: { staged: stagedStep, planes: step },
    planes: { start, plane, row },
    pitch,
    load,
    clear: (queue) => queue.clear(start, images * step),
    write: (f, moved) =>
      writeCopy(f, planes, H, image, inner, copyRow, {
        from: moved && movedBy(moved.from, images, stagedStep),
        to: moved && movedBy(moved.to, images, step),
      }),
  };
}
