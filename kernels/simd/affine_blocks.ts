/**
 * What the products of a fully-connected layer share: matrices, how they are cut, and where blocks lie in the
 * memory.
 *
 * @module
 */

import type { FloatArray } from "../tensor.ts";
import { type FewTile, ROWS } from "./emit_affine.ts";
import { Layout } from "./memory.ts";
import type { Queue } from "./queue.ts";

/** The most bytes of a block of A, of B and of C. */
export const BLOCK: number = 1 << 19;
/** The most steps of a block. */
export const MOST_STEPS = 1024;
/** Bytes beyond a block's end that are written in vain, as packing works in whole vectors. */
const SLACK = 256;

/** How B is taken: packed, row by row, or as rows of its transpose. */
export type Way = "packed" | "streams" | "dots";

/** A matrix in row-major order that takes part in a product as it is, or transposed. */
export interface Matrix {
  readonly data: FloatArray;
  readonly columns: number;
  readonly transposed: boolean;
}

/** Copies a part of a matrix into the memory, without gaps between its rows. */
export function stage(
  queue: Queue,
  to: number,
  { data, columns }: Matrix,
  row: number,
  rows: number,
  column: number,
  width: number,
): void {
  queue.loadRows(to, data, row * columns + column, columns, width, rows);
}

/** Rows of C, its columns, and terms of a product. */
export type Sizes = readonly [I: number, J: number, K: number];

/** A product: C of I rows and J columns is A B, of K terms, plus a bias; then relu if asked. */
export interface Product {
  readonly sizes: Sizes;
  readonly a: Matrix;
  readonly b: Matrix;
  readonly bias?: FloatArray;
  readonly out: FloatArray;
  readonly relu?: boolean;
}

/** Rows or columns, from the first to before the end. */
export type Range = readonly [first: number, end: number];

/** How many pieces of at most `most` a total needs, as even as can be: the size of a piece. */
export function evenly(total: number, most: number): number {
  return Math.ceil(total / Math.max(1, Math.ceil(total / most)));
}

/** The sizes of blocks: rows of C, columns of C, and steps. */
export interface Blocks {
  readonly rows: number;
  readonly columns: number;
  readonly steps: number;
}

export function roundUp(size: number, unit: number): number {
  return Math.ceil(size / unit) * unit;
}

export function roundDown(size: number, unit: number): number {
  return size - size % unit;
}

/** How a product is computed. */
export interface Plan {
  readonly way: Way;
  readonly tile: FewTile;
  readonly blocks: Blocks;
}

/** What blocks take, in bytes. */
export type BlockBytes = Readonly<Record<"a" | "b" | "c" | "bias", number>>;

/** The most that a block may take. */
export const MOST: BlockBytes = { a: BLOCK, b: BLOCK, c: BLOCK, bias: BLOCK / ROWS | 0 };

/** Where everything lies in the memory: the same for every shape. */
export const layout: Layout = new Layout();
export const regions: Readonly<Record<keyof BlockBytes | "packedA" | "packedB" | "out", number>> = {
  a: layout.region("a", MOST.a),
  packedA: layout.region("packed a", MOST.a + SLACK),
  b: layout.region("b", MOST.b),
  packedB: layout.region("packed b", MOST.b + SLACK),
  c: layout.region("c", MOST.c),
  out: layout.region("out", MOST.c),
  bias: layout.region("bias", MOST.bias),
};
