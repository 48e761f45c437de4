/**
 * The fully-connected layer: three matrix products by one small module that serves every shape.
 *
 * A product C = A B is cut into blocks that the cache holds. A block of A is packed as strips of five
 * rows, a block of B as panels of two vectors, each in the order in which the inner loop reads it. The
 * inner loop keeps a tile of five rows and two vectors in registers: 10 sums, 2 vectors of B, and one or
 * two of A, each of whose numbers multiplies a whole row of the tile.
 *
 * Source of the scheme: Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008.
 *
 * @module
 */

import type { WeightedKernel } from "../kernel.ts";
import type { Answer } from "../tier.ts";
import { sumRows } from "../naive/affine.ts";
import type { AffineShape } from "../shape.ts";
import type { DType, FloatArray } from "../tensor.ts";
import { Assembly, type Func } from "./assembler.ts";
import {
  PANEL_BYTES,
  ROWS,
  VECTORS,
  writeCopy,
  writeProduct,
  writeTransposed,
  writeUnpack,
} from "./emit_affine.ts";
import { type Features, hasSimd } from "./features.ts";
import { compile, Layout, type Module, type Region, reserve } from "./memory.ts";
import { PRODUCTS, runJob } from "./program.ts";
import type { Queue } from "./queue.ts";
import { type Vector, vectors } from "./vector.ts";

/** A fully-connected kernel, and where its data lie in the memory. */
export interface SimdAffine extends WeightedKernel {
  /** The regions of every pass. */
  readonly regions: readonly Region[];
}

/** The most bytes of a block of A, of B and of C. */
const BLOCK = 1 << 19;
/** Steps of a block: enough to pay for the loads and stores of C, few enough for B's panel to stay near. */
const FEWEST_STEPS = 128;
/** Few rows have little of C, and the copy of B is what takes long: whole rows of it are copied at once. */
const FEW_ROWS = 16;
const FEWEST_STEPS_OF_FEW = 32;
const MOST_STEPS = 1024;
/** Bytes beyond a block's end that are written in vain, as packing works in whole vectors. */
const SLACK = 128;

/** The modules by dtype, without and with relaxed multiply-add, interpreted or not. */
const modules = new Map<string, Module>();

function moduleFor(vector: Vector, fused: boolean): Module {
  const key = `${vector.dtype} ${fused} ${hasSimd()}`;
  let module = modules.get(key);
  if (module === undefined) {
    module = compile(assembleAffine(vector, fused), layout);
    modules.set(key, module);
  }
  return module;
}

/**
 * The module for a dtype. Addresses, pitches and sizes are in bytes; `steps` is the depth of the product.
 *
 * - copyA, copyB: pack strips or panels whose numbers of one step are neighbors: (from, pitch, to, pieces,
 *   steps). transposeA, transposeB: the same where the steps are neighbors.
 * - product: C = A B: (a, b, c, strips, panels, steps, onto, plus). Or C += A B: term by term if `onto` is
 *   not 0, by whole sums if `plus` is not 0.
 * - unpack, unpackRelu: C into rows, plus a bias: (c, to, pitch, rows, panels, bytes of a panel of C, bias).
 */
function assembleAffine(vector: Vector, fused: boolean): Assembly {
  const assembly = new Assembly();
  // Blocks take as much as `cut` sees to, and packing works in whole vectors, of numbers or of steps.
  const func = (name: string, params: number) =>
    assembly.func(name, Array<"i32">(params).fill("i32"));
  const pack = (name: "A" | "B", width: number, from: number, to: number, most: number) => {
    const over = Math.max(-width * vector.bytes & 15, width * (16 - vector.bytes));
    const state = (f: Func) => f.reads(from, most + 16).writes(to, most + over);
    writeCopy(state(func(`copy${name}`, 5)), vector, width);
    writeTransposed(state(func(`transpose${name}`, 5)), vector, width);
  };
  const { a, packedA, b, packedB, c, out, bias } = regions;
  pack("A", ROWS, a, packedA, MOST.a);
  pack("B", VECTORS * vector.lanes, b, packedB, MOST.b);
  const product = func("product", 8).reads(packedA, MOST.a).reads(packedB, MOST.b);
  writeProduct(product.writes(c, MOST.c), vector, fused);
  for (const name of ["unpack", "unpackRelu"]) {
    const f = func(name, 7).reads(c, MOST.c).reads(bias, MOST.bias).writes(out, MOST.c);
    writeUnpack(f, vector, name === "unpackRelu");
  }
  return assembly;
}

/** A matrix in row-major order that takes part in a product as it is, or transposed. */
interface Matrix {
  readonly data: FloatArray;
  readonly columns: number;
  readonly transposed: boolean;
}

/** Copies a part of a matrix into the memory, without gaps between its rows. */
function stage(
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

/** How many pieces of at most `most` a total needs, as even as can be: the size of a piece. */
function evenly(total: number, most: number): number {
  return Math.ceil(total / Math.max(1, Math.ceil(total / most)));
}

/** The sizes of blocks: rows of C, columns of C, and steps. */
interface Blocks {
  readonly rows: number;
  readonly columns: number;
  readonly steps: number;
}

function roundUp(size: number, unit: number): number {
  return Math.ceil(size / unit) * unit;
}

function roundDown(size: number, unit: number): number {
  return size - size % unit;
}

/** What a block takes in the memory, where it lies in whole strips and panels. */
function blockBytes({ rows, columns, steps }: Blocks, bytes: number): BlockBytes {
  const r = roundUp(rows, ROWS), c = roundUp(columns, PANEL_BYTES / bytes);
  return { a: r * steps * bytes, b: c * steps * bytes, c: r * c * bytes, bias: c * bytes };
}

type BlockBytes = Readonly<Record<"a" | "b" | "c" | "bias", number>>;

/** The most that a block may take. */
const MOST: BlockBytes = { a: BLOCK, b: BLOCK, c: BLOCK, bias: BLOCK / ROWS | 0 };

/** Where everything lies in the memory: the same for every shape. */
const layout = new Layout();
const regions = {
  a: layout.region("a", MOST.a),
  packedA: layout.region("packed a", MOST.a + SLACK),
  b: layout.region("b", MOST.b),
  packedB: layout.region("packed b", MOST.b + SLACK),
  c: layout.region("c", MOST.c),
  out: layout.region("out", MOST.c),
  bias: layout.region("bias", MOST.bias),
};

/**
 * How a product is cut. Copies of whole rows are cheapest: of B's rows where it lies as it is, of its
 * columns where it is transposed.
 */
function cut(I: number, J: number, K: number, bytes: number, transposedB: boolean): Blocks {
  const width = PANEL_BYTES / bytes;
  // As many as fit beside some steps, and beside a strip's rows of C.
  const mostColumns = (steps: number) =>
    roundDown(Math.floor(BLOCK / (Math.max(steps, ROWS) * bytes)), width);
  const fewest = I <= FEW_ROWS ? FEWEST_STEPS_OF_FEW : FEWEST_STEPS;
  const steps = transposedB ? evenly(K, MOST_STEPS) : Math.min(K, fewest);
  const columns = roundUp(evenly(J, mostColumns(steps)), width);
  const deep = Math.min(MOST_STEPS, Math.floor(BLOCK / (columns * bytes)));
  const depth = transposedB ? steps : evenly(K, deep);
  const mostRows = roundDown(Math.floor(BLOCK / (Math.max(depth, columns) * bytes)), ROWS);
  const rows = roundUp(evenly(I, mostRows), ROWS);
  const blocks = { rows, columns: Math.min(J, columns), steps: depth };
  const needed = blockBytes(blocks, bytes);
  for (const name of ["a", "b", "c", "bias"] as const) {
    if (needed[name] <= MOST[name]) continue;
    const most = `more than ${MOST[name]}`;
    throw new Error(`A block of ${I}x${K}x${J} needs ${needed[name]} bytes for ${name}, ${most}`);
  }
  return blocks;
}

/** A product: C of I rows and J columns is A B, of K terms, plus a bias; then relu if asked. */
interface Product {
  readonly sizes: readonly [I: number, J: number, K: number];
  readonly a: Matrix;
  readonly b: Matrix;
  readonly bias?: FloatArray;
  readonly out: FloatArray;
  readonly relu?: boolean;
}

/** Runs a product: parts are rows of C, or its columns if they are more. */
function multiply(vector: Vector, fused: boolean, product: Product): void {
  const { sizes: [I, J, K], b } = product;
  const module = moduleFor(vector, fused);
  // Steps are cut alike in every part, so that sums have one order.
  const blocks = cut(I, J, K, vector.bytes, b.transposed);
  const byRows = I >= J;
  runJob({
    cost: (byRows ? J : I) * K / (PRODUCTS * vector.lanes),
    together: byRows ? ROWS : PANEL_BYTES / vector.bytes,
    prepare(queue) {
      queue.use(module);
      return true;
    },
    run(queue, first, end) {
      if (byRows) multiplyPart(queue, vector, product, blocks, [first, end], [0, J]);
      else multiplyPart(queue, vector, product, blocks, [0, I], [first, end]);
      return end;
    },
  }, byRows ? I : J);
}

/** Computes rows and columns of C, from the first to before the end, block by block. */
function multiplyPart(
  queue: Queue,
  vector: Vector,
  { sizes: [, J, K], a, b, bias, out, relu }: Product,
  blocks: Blocks,
  [firstRow, endRow]: readonly [number, number],
  [firstColumn, endColumn]: readonly [number, number],
): void {
  const { bytes } = vector;
  const width = PANEL_BYTES / bytes;
  const long = K > vector.mostTerms;
  // What is packed: a block is not packed again while it is the one in use.
  let packedA = "", packedB = "";

  for (let i = firstRow; i < endRow; i += blocks.rows) {
    const rows = Math.min(blocks.rows, endRow - i);
    const strips = Math.ceil(rows / ROWS);
    for (let j = firstColumn; j < endColumn; j += blocks.columns) {
      const columns = Math.min(blocks.columns, endColumn - j);
      const panels = Math.ceil(columns / width);
      if (bias === undefined) queue.clear(regions.bias, panels * width * bytes);
      else queue.load(regions.bias, bias, j, j + columns);
      for (let k = 0; k < K; k += blocks.steps) {
        const steps = Math.min(blocks.steps, K - k);
        if (packedA !== `${i} ${k}`) {
          packedA = `${i} ${k}`;
          if (a.transposed) {
            stage(queue, regions.a, a, k, steps, i, rows);
            queue.call("copyA", regions.a, rows * bytes, regions.packedA, strips, steps);
          } else {
            stage(queue, regions.a, a, i, rows, k, steps);
            queue.call("transposeA", regions.a, steps * bytes, regions.packedA, strips, steps);
          }
        }
        if (packedB !== `${j} ${k}`) {
          packedB = `${j} ${k}`;
          if (b.transposed) {
            stage(queue, regions.b, b, j, columns, k, steps);
            queue.call("transposeB", regions.b, steps * bytes, regions.packedB, panels, steps);
          } else {
            stage(queue, regions.b, b, k, steps, j, columns);
            queue.call("copyB", regions.b, columns * bytes, regions.packedB, panels, steps);
          }
        }
        const onto = long ? 0 : k, plus = long ? k : 0;
        const blocksAt = [regions.packedA, regions.packedB, regions.c];
        queue.call("product", ...blocksAt, strips, panels, steps, onto, plus);
      }
      const unpack = relu ? "unpackRelu" : "unpack", panelBytes = strips * ROWS * PANEL_BYTES;
      const { c, out: result, bias: biasAt } = regions;
      queue.call(unpack, c, result, columns * bytes, rows, panels, panelBytes, biasAt);
      queue.storeRows(out, i * J + j, J, columns, rows, result);
    }
  }
}

/**
 * The SIMD fully-connected layer for one geometry.
 *
 * @param shape The geometry.
 * @param dtype The data type.
 * @param features What the host can do.
 * @returns The kernel, or why there is none.
 */
export function simdAffine(
  { D, M }: AffineShape,
  dtype: DType,
  { fused, reason }: Features,
): Answer<SimdAffine> {
  const refusal = reserve(layout.size);
  if (refusal !== undefined) return { reason: refusal };
  const vector = vectors[dtype];
  const kernel: SimdAffine = {
    name: `affine-${D}x${M}-${dtype === "float32" ? "f32" : "f64"}-simd`,
    tier: "simd",
    regions: layout.regions,
    forward(N, x, w, out, { bias, relu = false }) {
      const a = { data: x, columns: D, transposed: false };
      const b = { data: w, columns: M, transposed: false };
      multiply(vector, fused, { sizes: [N, M, D], a, b, bias, out, relu });
    },
    backwardData(N, dout, w, dx) {
      const a = { data: dout, columns: M, transposed: false };
      const b = { data: w, columns: M, transposed: true };
      multiply(vector, fused, { sizes: [N, D, M], a, b, out: dx });
    },
    backwardWeights(N, x, dout, dw, db) {
      if (N === 0) dw.fill(0);
      const a = { data: x, columns: D, transposed: true };
      const b = { data: dout, columns: M, transposed: false };
      if (N > 0) multiply(vector, fused, { sizes: [D, M, N], a, b, out: dw });
      if (db !== undefined) sumRows(N, dout, db);
    },
  };
  return { kernel, reason };
}
