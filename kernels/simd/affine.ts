/**
 * The fully-connected layer: three matrix products by small modules that serve every shape.
 *
 * A product C = A B is cut into blocks that the cache holds. A block of A is packed as strips of some rows,
 * a block of B as panels of some vectors, each in the order in which the inner loop reads it. The inner loop
 * keeps a tile of a strip's rows and a panel's vectors in registers: of five rows and two vectors, 10 sums,
 * 2 vectors of B, and one or two of A, each of whose numbers multiplies a whole row of the tile.
 *
 * Products of few rows go other ways: affine_few.ts, and affine_prepared.ts with weights that last.
 *
 * Source of the scheme: Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008.
 *
 * @module
 */

import type { WeightedKernel } from "../kernel.ts";
import type { Answer } from "../tier.ts";
import { sumRows } from "../naive/affine.ts";
import type { AffineShape } from "../shape.ts";
import type { DType } from "../tensor.ts";
import {
  BLOCK,
  type BlockBytes,
  type Blocks,
  evenly,
  layout,
  MOST,
  MOST_STEPS,
  type Plan,
  type Product,
  type Range,
  regions,
  roundDown,
  roundUp,
  type Sizes,
  stage,
} from "./affine_blocks.ts";
import { planFew, runDots, runStreams } from "./affine_few.ts";
import { prepareAffine } from "./affine_prepared.ts";
import { Assembly, type Func } from "./assembler.ts";
import {
  type FewTile,
  ROWS,
  STREAM_BYTES,
  writeCopy,
  writeDots,
  writeProduct,
  writeStreams,
  writeTransposed,
  writeUnpack,
} from "./emit_affine.ts";
import { tileBytes, tileWidth } from "./emit_product.ts";
import { type Features, hasSimd } from "./features.ts";
import { runJob } from "./job.ts";
import { compile, type Module, type Region, reserve } from "./memory.ts";
import { COPIES, PRODUCTS } from "./program.ts";
import type { Queue } from "./queue.ts";
import { type Vector, vectorsIn } from "./vector.ts";

/** A fully-connected kernel, and where its data lie in the memory. */
export interface SimdAffine extends WeightedKernel {
  /** The regions of every pass. */
  readonly regions: readonly Region[];
}

/** Steps of a block: enough to pay for the loads and stores of C, few enough for B's panel to stay near. */
const FEWEST_STEPS = 128;
/** The tile where B is packed. */
const PACKED: FewTile = { rows: ROWS, width: 0 };

/** The modules by dtype and tile, without and with relaxed multiply-add, interpreted or not. */
const modules = new Map<string, Module>();

function moduleFor(vector: Vector, fused: boolean, { way, tile }: Plan): Module {
  const key = [vector.dtype, vector.pairs, fused, hasSimd(), way, tile.rows, tile.width].join();
  let module = modules.get(key);
  if (module === undefined) {
    module = compile(assembleAffine(vector, fused, way, tile), layout);
    modules.set(key, module);
  }
  return module;
}

/**
 * The module for a dtype and a tile. Addresses, pitches and sizes are in bytes; `steps` is the depth of the
 * product.
 *
 * - copyA, copyB: pack strips or panels whose numbers of one step are neighbors: (from, pitch, to, pieces,
 *   steps). transposeA, transposeB: the same where the steps are neighbors.
 * - product: C = A B: (a, b, c, strips, panels, steps, onto, plus). Or C += A B: term by term if `onto` is
 *   not 0, by whole sums if `plus` is not 0.
 * - unpack, unpackRelu: C into rows, plus a bias: (c, to, pitch, rows, panels, bytes of a panel of C, bias).
 * - streams, dots: see emit_affine.ts.
 */
function assembleAffine(vector: Vector, fused: boolean, way: Plan["way"], tile: FewTile): Assembly {
  const assembly = new Assembly();
  const { a, packedA, b, packedB, c, out, bias } = regions;
  const func = (name: string, params: number) =>
    assembly.func(name, Array<"i32">(params).fill("i32"));
  // Blocks take as much as `cut` sees to, and packing works in whole vectors, of numbers or of steps.
  const pack = (name: "A" | "B", width: number, from: number, to: number, most: number) => {
    const over = Math.max(-width * vector.bytes & 15, width * (16 - vector.bytes));
    const state = (f: Func) => f.reads(from, most + 16).writes(to, most + over);
    if (way === "packed") writeCopy(state(func(`copy${name}`, 5)), vector, width);
    writeTransposed(state(func(`transpose${name}`, 5)), vector, width);
  };
  if (way === "dots") {
    const f = func("dots", 10).reads(a, MOST.a).reads(b, MOST.b).writes(out, MOST.c);
    writeDots(f, vector, fused, tile);
    return assembly;
  }
  pack("A", tile.rows, a, packedA, MOST.a);
  if (way === "packed") {
    pack("B", tileWidth(vector), b, packedB, MOST.b);
    const product = func("product", 8).reads(packedA, MOST.a).reads(packedB, MOST.b);
    writeProduct(product.writes(c, MOST.c), vector, fused);
  } else {
    // A row's last panel may run over its end.
    const f = func("streams", 10).reads(packedA, MOST.a).reads(b, MOST.b + STREAM_BYTES);
    writeStreams(f.writes(c, MOST.c), vector, fused, tile);
  }
  for (const name of ["unpack", "unpackRelu"]) {
    const f = func(name, 7).reads(c, MOST.c).reads(bias, MOST.bias).writes(out, MOST.c);
    writeUnpack(f, vector, name === "unpackRelu");
  }
  return assembly;
}

/** What a block takes in the memory, where it lies in whole strips and panels. */
function blockBytes({ rows, columns, steps }: Blocks, vector: Vector): BlockBytes {
  const { bytes } = vector;
  const r = roundUp(rows, ROWS), c = roundUp(columns, tileWidth(vector));
  return { a: r * steps * bytes, b: c * steps * bytes, c: r * c * bytes, bias: c * bytes };
}

/**
 * How a product is cut. Copies of whole rows are cheapest: of B's rows where it lies as it is, of its
 * columns where it is transposed.
 */
function cut([I, J, K]: Sizes, vector: Vector, transposedB: boolean): Blocks {
  const { bytes } = vector;
  const width = tileWidth(vector);
  // As many as fit beside some steps, and beside a strip's rows of C.
  const mostColumns = (steps: number) =>
    roundDown(Math.floor(BLOCK / (Math.max(steps, ROWS) * bytes)), width);
  const steps = transposedB ? evenly(K, MOST_STEPS) : Math.min(K, FEWEST_STEPS);
  const columns = roundUp(evenly(J, mostColumns(steps)), width);
  const deep = Math.min(MOST_STEPS, Math.floor(BLOCK / (columns * bytes)));
  const depth = transposedB ? steps : evenly(K, deep);
  const mostRows = roundDown(Math.floor(BLOCK / (Math.max(depth, columns) * bytes)), ROWS);
  const rows = roundUp(evenly(I, mostRows), ROWS);
  const blocks = { rows, columns: Math.min(J, columns), steps: depth };
  const needed = blockBytes(blocks, vector);
  for (const name of ["a", "b", "c", "bias"] as const) {
    if (needed[name] <= MOST[name]) continue;
    const most = `more than ${MOST[name]}`;
    throw new Error(`A block of ${I}x${K}x${J} needs ${needed[name]} bytes for ${name}, ${most}`);
  }
  return blocks;
}

/** Runs a product: parts are columns of C, or its rows if they are more. */
function multiply(vector: Vector, fused: boolean, product: Product): void {
  const { sizes, b } = product, [I, J, K] = sizes;
  if (I === 0) return;
  // Steps are cut alike in every part, so that sums have one order.
  const plan = planFew(product, vector) ??
    { way: "packed", tile: PACKED, blocks: cut(sizes, vector, b.transposed) };
  const module = moduleFor(vector, fused, plan);
  const byRows = plan.way === "packed" && I >= J;
  const run = {
    packed: byRows ? runPackedRows : runPackedColumns,
    streams: runStreams,
    dots: runDots,
  }[plan.way];
  runJob({
    cost: (byRows ? J : I) * K / (PRODUCTS * vector.lanes),
    together: byRows ? ROWS : tileWidth(vector),
    // Each packs the whole of the other matrix.
    callCost: (byRows ? J : I) * K / COPIES,
    prepare(queue) {
      queue.use(module);
      return true;
    },
    run(queue, first, end) {
      run(queue, vector, product, plan, [first, end]);
      return end;
    },
  }, byRows ? I : J);
}

/** Computes part of a product. */
type Run = typeof runDots;

const runPackedRows: Run = (queue, vector, product, plan, rows) =>
  runPacked(queue, vector, product, plan, rows, [0, product.sizes[1]]);

const runPackedColumns: Run = (queue, vector, product, plan, columns) =>
  runPacked(queue, vector, product, plan, [0, product.sizes[0]], columns);

/** Computes rows and columns of C, block by block. */
function runPacked(
  queue: Queue,
  vector: Vector,
  { sizes: [, J, K], a, b, bias, out, relu }: Product,
  { blocks }: Plan,
  [firstRow, endRow]: Range,
  [firstColumn, endColumn]: Range,
): void {
  const { bytes } = vector;
  const width = tileWidth(vector);
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
      const unpack = relu ? "unpackRelu" : "unpack", panelBytes = strips * ROWS * tileBytes(vector);
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
  { fused, pairs, reason }: Features,
): Answer<SimdAffine> {
  const refusal = reserve(layout.size);
  if (refusal !== undefined) return { reason: refusal };
  const vector = vectorsIn(dtype, pairs);
  const kernel: SimdAffine = {
    name: `affine-${D}x${M}-${dtype === "float32" ? "f32" : "f64"}${pairs ? "-pairs" : ""}-simd`,
    tier: "simd",
    regions: layout.regions,
    forward(N, x, w, out, { bias, relu = false }) {
      const a = { data: x, columns: D, transposed: false };
      const b = { data: w, columns: M, transposed: false };
      multiply(vector, fused, { sizes: [N, M, D], a, b, bias, out, relu });
    },
    prepare(w, epilogue) {
      const few = prepareAffine({ D, M }, vector, fused, w, epilogue);
      return (N, x, out) => few?.(N, x, out) || kernel.forward(N, x, w, out, epilogue);
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
