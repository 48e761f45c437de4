/**
 * The fully-connected layer with weights that last, packed once in a memory of their own, where products of
 * few rows read them: one row takes no longer than its weights take to come.
 *
 * Weights lie in panels of two vectors of columns, step by step. A register tile is of some rows and as many
 * panels as two multipliers need to be busy.
 *
 * @module
 */

import type { Epilogue } from "../epilogue.ts";
import type { AffineShape } from "../shape.ts";
import type { FloatArray } from "../tensor.ts";
import { evenly, roundUp } from "./affine_blocks.ts";
import { Assembly, type Func, type Local, WEIGHTS } from "./assembler.ts";
import { ROWS } from "./emit_affine.ts";
import { runJob } from "./job.ts";
import { compile, lastingWeights, Layout, MEMORY_LIMIT, WEIGHTS_START } from "./memory.ts";
import { skewed } from "./planes.ts";
import { COPIES, PRODUCTS } from "./program.ts";
import { immediate } from "./queue.ts";
import { multiplyAdd, pushZero, type Vector } from "./vector.ts";

const PANEL_VECTORS = 2;
const PANEL_BYTES = PANEL_VECTORS * 16;
/** Panels that a tile of so many rows has, from one on. */
const PANELS = [4, 2, 1, 1, 1];
/** Columns are whole groups of as many panels as the widest tile has. */
const GROUP_BYTES = PANELS[0] * PANEL_BYTES;
/** Steps that are written out. */
const UNROLL = 4;
/**
 * The most rows of a product: more gain nothing. Where weights come from the main memory, two: a single panel
 * comes more slowly than rows of the matrix do.
 */
const MOST_ROWS = 8, MOST_FAR_ROWS = 2;
/** Bytes of weights that come from there. */
const FAR = 1 << 25;
/** Bytes of weights that are packed at a time. */
const RAW_BYTES = 1 << 19;

/** A tile's pointers, and what it stores its sums with. */
interface Tile {
  readonly x: Local;
  readonly w: Local;
  readonly c: Local;
  readonly bias: Local;
  readonly relu: boolean;
}

/**
 * Keeps weights, packed, for a layer of a geometry.
 *
 * @param shape The geometry.
 * @param vector The kind of vector.
 * @param fused Whether relaxed multiply-add may be used.
 * @param w The weights.
 * @param epilogue What follows the sums.
 * @returns The forward pass, which returns false if there are too many rows; undefined if the weights are few,
 * or cannot have a memory of their own.
 */
export function prepareAffine(
  { D: K, M: J }: AffineShape,
  vector: Vector,
  fused: boolean,
  w: FloatArray,
  { bias, relu = false }: Epilogue,
): ((N: number, x: FloatArray, out: FloatArray) => boolean) | undefined {
  const { bytes } = vector, xRow = skewed(K * bytes);
  const columns = roundUp(J, GROUP_BYTES / bytes), cRow = columns * bytes;
  const panelStep = K * PANEL_BYTES, weightBytes = columns * K * bytes;
  const rawRows = Math.max(1, Math.floor(RAW_BYTES / (J * bytes)));
  const layout = new Layout(), weights = new Layout();
  const xAt = layout.region("x", MOST_ROWS * xRow);
  const cAt = layout.region("out", MOST_ROWS * cRow);
  const biasAt = layout.region("bias", cRow);
  const raw = layout.region("weights", rawRows * J * bytes);
  weights.region("weights", weightBytes);
  if (layout.size > MEMORY_LIMIT) return undefined;
  const packed = lastingWeights(vector.dtype, columns * K);
  if (packed === undefined) return undefined;
  const parts = Math.max(1, Math.ceil(K / vector.mostTerms)),
    partSteps = evenly(K, vector.mostTerms);

  /** Packs some rows of weights: (the first step's place, rows). */
  function writePack(f: Func): void {
    const [to, rows] = [0, 1];
    const [from, at, panel, source] = f.locals("i32", 4);
    f.const(raw).set(source);
    f.countDown(rows, rows, () => {
      f.get(source).set(from).get(to).set(at);
      f.repeat(panel, cRow / PANEL_BYTES, () => {
        for (let v = 0; v < PANEL_BYTES; v += 16) {
          f.get(at).get(from).at("v128.load", v).at("v128.store", v, WEIGHTS);
        }
        f.advance(from, PANEL_BYTES).advance(at, panelStep);
      });
      f.advance(source, J * bytes).advance(to, PANEL_BYTES);
    });
    // What follows a row comes along, and is never used.
    f.reads(raw, rawRows * J * bytes + cRow - J * bytes).writes(
      WEIGHTS_START,
      weightBytes,
      WEIGHTS,
    );
  }

  /** Writes the sums of one tile of so many rows. */
  function writeTile(f: Func, rows: number, { x, w, c, bias, relu }: Tile): void {
    const vectors = PANELS[rows - 1] * PANEL_VECTORS;
    const sums = f.locals("v128", rows * vectors), values = f.locals("v128", vectors);
    const number = f.local("v128"), [left, part] = f.locals("i32", 2);
    const place = (i: number) => Math.floor(i / vectors) * cRow + i % vectors * 16;

    function writeSteps(count: number): void {
      for (let k = 0; k < count; k++) {
        const load = (v: number) => {
          const panel = Math.floor(v / PANEL_VECTORS) * panelStep;
          const at = panel + k * PANEL_BYTES + v % PANEL_VECTORS * 16;
          return f.get(w).at("v128.load", at, WEIGHTS);
        };
        // What several rows use stays in registers.
        const shared = rows > 1;
        if (shared) { for (const [v, value] of values.entries()) load(v).set(value); }
        for (let row = 0; row < rows; row++) {
          f.get(x).at(vector.loadSplat, row * xRow + k * bytes).set(number);
          for (const [v, value] of values.entries()) {
            const push = () => shared ? f.get(value) : load(v);
            multiplyAdd(f, vector, fused, sums[row * vectors + v], () => f.get(number), push);
          }
        }
      }
      f.advance(x, count * bytes).advance(w, count * PANEL_BYTES);
    }

    /** Sums of some steps. */
    function writePart(steps: number): void {
      for (const sum of sums) {
        pushZero(f);
        f.set(sum);
      }
      f.repeat(left, Math.floor(steps / UNROLL), () => writeSteps(UNROLL));
      if (steps % UNROLL > 0) writeSteps(steps % UNROLL);
    }

    // Sums of many terms are totals of shorter ones, which the result's place holds.
    const add = (first: boolean) => {
      for (const [i, sum] of sums.entries()) {
        f.get(c).get(sum);
        if (!first) f.get(c).at("v128.load", place(i)).op(vector.add);
        f.at("v128.store", place(i));
      }
    };
    if (parts > 1) {
      writePart(partSteps);
      add(true);
      f.repeat(part, parts - 2, () => {
        writePart(partSteps);
        add(false);
      });
    }
    writePart(K - (parts - 1) * partSteps);
    for (const [i, sum] of sums.entries()) {
      f.get(c).get(sum);
      if (parts > 1) f.get(c).at("v128.load", place(i)).op(vector.add);
      // The bias comes last, as in the definition.
      f.get(bias).at("v128.load", i % vectors * 16).op(vector.add);
      if (relu) {
        pushZero(f);
        f.op(vector.max);
      }
      f.at("v128.store", place(i));
    }
  }

  /** Computes strips of so many rows, for some groups of panels: (columns before in bytes, groups, strips). */
  function writeRows(f: Func, rows: number): void {
    const [before, groups, strips] = [0, 1, 2], width = PANELS[rows - 1];
    const [x, w, c, bias, wFrom, cFrom, strip, xStrip, cStrip] = f.locals("i32", 9);
    f.get(before).const(K).op("i32.mul").const(WEIGHTS_START).op("i32.add").set(wFrom);
    f.get(before).const(cAt).op("i32.add").set(cFrom);
    f.get(before).const(biasAt).op("i32.add").set(bias);
    f.countDown(groups, groups, () => {
      f.const(xAt).set(xStrip).get(cFrom).set(cStrip).get(strips).set(strip);
      f.countDown(strip, strip, () => {
        f.get(xStrip).set(x).get(wFrom).set(w).get(cStrip).set(c);
        writeTile(f, rows, { x, w, c, bias, relu });
        f.advance(xStrip, rows * xRow).advance(cStrip, rows * cRow);
      });
      f.advance(wFrom, width * panelStep).advance(cFrom, width * PANEL_BYTES);
      f.advance(bias, width * PANEL_BYTES);
    });
    f.reads(xAt, MOST_ROWS * xRow).writes(cAt, MOST_ROWS * cRow).reads(biasAt, cRow);
    f.reads(WEIGHTS_START, weightBytes, WEIGHTS);
  }

  const assembly = new Assembly();
  const three = ["i32", "i32", "i32"] as const;
  for (let rows = 1; rows <= ROWS; rows++) writeRows(assembly.func(`rows${rows}`, three), rows);
  writePack(assembly.func("pack", ["i32", "i32"]));
  const module = compile(assembly, layout, weights);

  immediate.use(module, [packed]);
  for (let k = 0; k < K; k += rawRows) {
    const rows = Math.min(rawRows, K - k);
    immediate.load(raw, w, k * J, (k + rows) * J);
    immediate.call("pack", WEIGHTS_START + k * PANEL_BYTES, rows);
  }

  return (N, x, out) => {
    if (N === 0) return true;
    if (N > (weightBytes > FAR ? MOST_FAR_ROWS : MOST_ROWS)) return false;
    const strips = Math.ceil(N / ROWS), rows = Math.ceil(N / strips);
    runJob({
      cost: N * K / (PRODUCTS * vector.lanes),
      together: GROUP_BYTES / bytes,
      // Each loads all of x.
      callCost: N * K / COPIES,
      prepare(queue) {
        queue.use(module, [packed]);
        if (bias === undefined) queue.clear(biasAt, cRow);
        else queue.load(biasAt, bias, 0, J);
        return true;
      },
      run(queue, first, end) {
        const before = first * bytes, group = PANELS[rows - 1] * PANEL_BYTES;
        for (let i = 0; i < N; i++) queue.load(xAt + i * xRow, x, i * K, (i + 1) * K);
        queue.call(`rows${rows}`, before, Math.ceil((end * bytes - before) / group), strips);
        for (let i = 0; i < N; i++) {
          queue.store(out, i * J + first, end - first, cAt + i * cRow + before);
        }
        return end;
      },
    }, J);
    return true;
  };
}
