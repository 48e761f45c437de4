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
import { compile, Layout, type Module, type Region, reserve, scratch } from "./memory.ts";
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

/** The module's functions. Addresses, pitches and sizes in bytes; `steps` is the depth of the product. */
interface Kit {
  /** Packs strips or panels whose numbers of one step are neighbors: (from, pitch, to, pieces, steps). */
  readonly copyA: Pack;
  readonly copyB: Pack;
  /** The same where the steps are neighbors: transposes. */
  readonly transposeA: Pack;
  readonly transposeB: Pack;
  /**
   * C = A B: (a, b, c, strips, panels, steps, onto, plus). Or C += A B: term by term if `onto` is not 0,
   * by whole sums if `plus` is not 0.
   */
  readonly product: (
    a: number,
    b: number,
    c: number,
    strips: number,
    panels: number,
    steps: number,
    onto: number,
    plus: number,
  ) => void;
  /** Unpacks C into rows and adds a bias: (c, to, pitch, rows, panels, bytes of a panel of C, bias). */
  readonly unpack: Unpack;
  /** The same with relu. */
  readonly unpackRelu: Unpack;
}

type Pack = (from: number, pitch: number, to: number, pieces: number, steps: number) => void;
type Unpack = (
  c: number,
  to: number,
  pitch: number,
  rows: number,
  panels: number,
  panelBytes: number,
  bias: number,
) => void;

/** The modules by dtype, without and with relaxed multiply-add, interpreted or not. */
const kits = new Map<string, Module>();

function kitFor(vector: Vector, fused: boolean): Kit {
  const key = `${vector.dtype} ${fused} ${hasSimd()}`;
  let kit = kits.get(key);
  if (kit === undefined) {
    kit = compile(assembleAffine(vector, fused), layout);
    kits.set(key, kit);
  }
  return kit.join() as unknown as Kit;
}

/** The module for a dtype: see {@linkcode Kit}. */
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
  memory: FloatArray,
  to: number,
  { data, columns }: Matrix,
  row: number,
  rows: number,
  column: number,
  width: number,
): void {
  if (width === columns) {
    memory.set(data.subarray(row * columns, (row + rows) * columns), to);
    return;
  }
  for (let i = 0; i < rows; i++) {
    const from = (row + i) * columns + column;
    memory.set(data.subarray(from, from + width), to + i * width);
  }
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

/** C = A B + bias, block by block; then relu if asked. */
function multiply(
  dtype: DType,
  fused: boolean,
  [I, J, K]: readonly [number, number, number],
  a: Matrix,
  b: Matrix,
  bias: FloatArray | undefined,
  out: FloatArray,
  relu = false,
): void {
  const vector = vectors[dtype];
  const { bytes } = vector;
  const kit = kitFor(vector, fused);
  const memory = scratch(dtype);
  const width = PANEL_BYTES / bytes;
  const blocks = cut(I, J, K, bytes, b.transposed);
  const long = K > vector.mostTerms;
  const unpack = relu ? kit.unpackRelu : kit.unpack;
  // What is packed: a block is not packed again while it is the one in use.
  let packedA = "", packedB = "";

  for (let i = 0; i < I; i += blocks.rows) {
    const rows = Math.min(blocks.rows, I - i);
    const strips = Math.ceil(rows / ROWS);
    for (let j = 0; j < J; j += blocks.columns) {
      const columns = Math.min(blocks.columns, J - j);
      const panels = Math.ceil(columns / width);
      const biasAt = regions.bias / bytes;
      if (bias === undefined) memory.fill(0, biasAt, biasAt + panels * width);
      else memory.set(bias.subarray(j, j + columns), biasAt);
      for (let k = 0; k < K; k += blocks.steps) {
        const steps = Math.min(blocks.steps, K - k);
        if (packedA !== `${i} ${k}`) {
          packedA = `${i} ${k}`;
          if (a.transposed) {
            stage(memory, regions.a / bytes, a, k, steps, i, rows);
            kit.copyA(regions.a, rows * bytes, regions.packedA, strips, steps);
          } else {
            stage(memory, regions.a / bytes, a, i, rows, k, steps);
            kit.transposeA(regions.a, steps * bytes, regions.packedA, strips, steps);
          }
        }
        if (packedB !== `${j} ${k}`) {
          packedB = `${j} ${k}`;
          if (b.transposed) {
            stage(memory, regions.b / bytes, b, j, columns, k, steps);
            kit.transposeB(regions.b, steps * bytes, regions.packedB, panels, steps);
          } else {
            stage(memory, regions.b / bytes, b, k, steps, j, columns);
            kit.copyB(regions.b, columns * bytes, regions.packedB, panels, steps);
          }
        }
        const onto = long ? 0 : k, plus = long ? k : 0;
        kit.product(regions.packedA, regions.packedB, regions.c, strips, panels, steps, onto, plus);
      }
      const panelBytes = strips * ROWS * PANEL_BYTES;
      unpack(regions.c, regions.out, columns * bytes, rows, panels, panelBytes, regions.bias);
      collect(memory, regions.out / bytes, out, J, i, rows, j, columns);
    }
  }
}

/** Copies a block of C out of the memory. */
function collect(
  memory: FloatArray,
  from: number,
  out: FloatArray,
  pitch: number,
  row: number,
  rows: number,
  column: number,
  width: number,
): void {
  if (width === pitch) {
    out.set(memory.subarray(from, from + rows * width), row * pitch);
    return;
  }
  for (let i = 0; i < rows; i++) {
    const start = from + i * width;
    out.set(memory.subarray(start, start + width), (row + i) * pitch + column);
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
  const kernel: SimdAffine = {
    name: `affine-${D}x${M}-${dtype === "float32" ? "f32" : "f64"}-simd`,
    tier: "simd",
    regions: layout.regions,
    forward(N, x, w, out, { bias, relu }) {
      const a = { data: x, columns: D, transposed: false };
      const weights = { data: w, columns: M, transposed: false };
      multiply(dtype, fused, [N, M, D], a, weights, bias, out, relu);
    },
    backwardData(N, dout, w, dx) {
      const a = { data: dout, columns: M, transposed: false };
      const weights = { data: w, columns: M, transposed: true };
      multiply(dtype, fused, [N, D, M], a, weights, undefined, dx);
    },
    backwardWeights(N, x, dout, dw, db) {
      if (N === 0) dw.fill(0);
      const a = { data: x, columns: D, transposed: true };
      const gradient = { data: dout, columns: M, transposed: false };
      if (N > 0) multiply(dtype, fused, [D, M, N], a, gradient, undefined, dw);
      if (db !== undefined) sumRows(N, dout, db);
    },
  };
  return { kernel, reason };
}
