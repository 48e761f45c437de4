/**
 * The register tile of a matrix product: some rows of A, packed together, times two vectors of B's columns,
 * or two pairs of vectors.
 *
 * @module
 */

import type { Func, Local } from "./assembler.ts";
import { multiplyAdd, pushRepeated, pushZero, type Vector } from "./vector.ts";

/** Vectors of a tile. */
export function tileVectors({ pairs }: Vector): number {
  return pairs ? 4 : 2;
}

/** Numbers of a row of a tile. */
export function tileWidth(vector: Vector): number {
  return tileVectors(vector) * vector.lanes;
}

/** Bytes of a row of a tile. */
export function tileBytes(vector: Vector): number {
  return tileVectors(vector) * 16;
}

/** Steps of the inner loop that are written out. */
const UNROLL = 4;

/** Where a tile's operands lie. */
export interface ProductTile {
  /** Rows of the tile: numbers of A that are neighbors. */
  readonly rows: number;
  /** Bytes of B from one step to the next. */
  readonly step: number;
  /** Bytes of C from one row to the next. */
  readonly row: number;
  /** The numbers of A's and B's memories. Default: 0. */
  readonly aMemory?: number;
  readonly bMemory?: number;
}

/** Locals that the tiles of a function share. */
export interface ProductLocals {
  readonly sums: readonly Local[];
  readonly columns: readonly Local[];
  readonly packed: Local;
  readonly weight: Local;
  /** Pointers into A and B, which move on by the tile's steps, and the end of A's. */
  readonly a: Local;
  readonly b: Local;
  readonly end: Local;
  readonly wholeEnd: Local;
}

/** Makes the locals for tiles of so many rows. */
export function productLocals(f: Func, vector: Vector, rows: number): ProductLocals {
  const [packed, weight] = f.locals("v128", 2);
  const [a, b, end, wholeEnd] = f.locals("i32", 4);
  return {
    sums: f.locals("v128", rows * tileVectors(vector)),
    columns: f.locals("v128", tileVectors(vector)),
    packed,
    weight,
    a,
    b,
    end,
    wholeEnd,
  };
}

/**
 * Writes C = A B or C += A B for one tile, from the locals' pointers on. It leaves the pointer into A at the
 * tile's end.
 *
 * @param f The function to write into.
 * @param vector The kind of vector.
 * @param fused Whether relaxed multiply-add may be used.
 * @param tile The tile.
 * @param locals Its locals.
 * @param c Points at C.
 * @param steps How many steps there are: at least one.
 * @param plus Whether the sums, when whole, are added to C: a number that is not 0. Default: yes.
 * @param onto Whether C is added to, term by term, likewise. Default: no.
 */
export function writeProductTile(
  f: Func,
  vector: Vector,
  fused: boolean,
  { rows, step, row, aMemory, bMemory }: ProductTile,
  { sums, columns, packed, weight, a, b, end, wholeEnd }: ProductLocals,
  c: Local,
  steps: Local,
  plus?: Local,
  onto?: Local,
): void {
  const width = tileVectors(vector), aStep = rows * vector.bytes;

  function writeSteps(count: number): void {
    for (let k = 0; k < count; k++) {
      for (let v = 0; v < width; v++) {
        f.get(b).at("v128.load", k * step + v * 16, bMemory).set(columns[v]);
      }
      for (let i = 0; i < rows; i++) {
        pushRepeated(f, vector, fused, a, k * rows + i, packed, aMemory);
        f.set(weight);
        for (let v = 0; v < width; v++) {
          const sum = sums[i * width + v];
          multiplyAdd(f, vector, fused, sum, () => f.get(weight), () => f.get(columns[v]));
        }
      }
    }
    f.advance(a, count * aStep).advance(b, count * step);
  }

  /** Repeats some steps while the pointer into A is before an end. */
  function writeLoop(count: number, until: Local): void {
    f.get(a).get(until).op("i32.lt_u").if(() => {
      f.loop(() => {
        writeSteps(count);
        f.get(a).get(until).op("i32.lt_u").branchIf(0);
      });
    });
  }

  const used = sums.slice(0, rows * width);
  const place = (i: number) => Math.floor(i / width) * row + (i % width) * 16;
  const clear = () => {
    for (const sum of used) {
      pushZero(f);
      f.set(sum);
    }
  };
  if (onto === undefined) clear();
  else {
    f.get(onto).if(() => {
      for (const [i, sum] of used.entries()) f.get(c).at("v128.load", place(i)).set(sum);
      f.op("else");
      clear();
    });
  }
  f.get(a).get(steps).const(-UNROLL).op("i32.and").const(aStep).op("i32.mul").op("i32.add");
  f.set(wholeEnd);
  f.get(a).get(steps).const(aStep).op("i32.mul").op("i32.add").set(end);
  writeLoop(UNROLL, wholeEnd);
  writeLoop(1, end);
  const addC = () => {
    for (const [i, sum] of used.entries()) {
      f.get(sum).get(c).at("v128.load", place(i)).op(vector.add).set(sum);
    }
  };
  if (plus === undefined) addC();
  else f.get(plus).if(addC);
  for (const [i, sum] of used.entries()) f.get(c).get(sum).at("v128.store", place(i));
}
