/**
 * The gradients of weights and biases with images as the numbers of a vector: see batched.ts. Each is a sum
 * over positions of dot products along the images, without the terms of padding.
 *
 * @module
 */

import type { Pass } from "../passes.ts";
import type { FloatArray } from "../tensor.ts";
import { Assembly, type Func } from "./assembler.ts";
import { panelBytes, type Product, productsOf, weightPanelImages } from "./batched.ts";
import { batchedWeightsCost, nanosecondsOf } from "./costs.ts";
import { writeTransposed } from "./emit_affine.ts";
import { tileBytes, tileVectors } from "./emit_product.ts";
import { compile, Layout, type Plan } from "./memory.ts";
import type { WeightProgram } from "./program.ts";
import type { Queue } from "./queue.ts";
import { writeTotal } from "./weights.ts";
import { evenRuns } from "./tiles.ts";
import { addPairs, multiplyAdd, noteFinite, pushZero, type Vector, vectors } from "./vector.ts";

/** Filters, and channels, of a tile. */
const TILE = 3;
/** Bytes that a tile's rows of all panels should take: they stay in the first-level cache. */
const PANELS_BYTES = 1 << 15;
const MOST_PANELS = 32;

/** Products of one tap that are summed up in registers before they are added in float64. */
interface Entry {
  readonly tap: number;
  readonly products: readonly Product[];
}

/** The products by tap, at most this many together. */
function entriesOf(products: readonly Product[], most: number): Entry[] {
  const entries: { tap: number; products: Product[] }[] = [];
  for (const product of products) {
    const last = entries.at(-1);
    if (last?.tap === product.tap && last.products.length < most) last.products.push(product);
    else entries.push({ tap: product.tap, products: [product] });
  }
  return entries;
}

/** Plans dw and db for a forward pass. */
export function planBatchedWeights(
  pass: Pass,
  { pairs, ...single }: Vector,
  fused: boolean,
): Plan<WeightProgram> {
  // Two vectors of images are a panel here, and they are the pair: each has sums of its own.
  const vector: Vector = { ...single, pairs: false }, halves = pairs ? [0, 1] : [0];
  const { rows, columns, groups, inputs, outputs } = pass;
  const { bytes, mostTerms } = vector;
  const P = rows.target.size * columns.target.size, Q = rows.source.size * columns.source.size;
  const taps = rows.taps.length * columns.taps.length;
  const together = weightPanelImages(vector), tileRow = tileBytes(vector);
  const xSize = groups * inputs * Q, doutSize = groups * outputs * P;
  const xPanel = panelBytes(vector, xSize), doutPanel = panelBytes(vector, doutSize);
  const bothBytes = TILE * (P + Q) * tileRow;
  const panels = Math.max(1, Math.min(MOST_PANELS, Math.floor(PANELS_BYTES / bothBytes)));
  const images = panels * together;
  const products = productsOf(pass);
  // A product with padding is a term of the definition: it matters if dout is not finite.
  const skips = products.length < taps * P;
  const most = Math.max(1, Math.min(mostTerms, 4096) / (panels * tileVectors(vector)) | 0);
  const entries = entriesOf(products, most);
  const filter = inputs * taps;
  const filterRuns = evenRuns(outputs, TILE), channelRuns = evenRuns(inputs, TILE);

  const layout = new Layout();
  const stagedX = layout.region("x", images * xSize * bytes);
  const stagedDout = layout.region("dout", images * doutSize * bytes);
  const x = layout.region("x by images", panels * xPanel);
  const dout = layout.region("dout by images", panels * doutPanel);
  const totals = layout.region("totals", groups * outputs * filter * 8);
  const biasTotals = layout.region("bias totals", groups * outputs * 8);
  const nonFiniteFlag = layout.region("non-finite flag", 16);
  const tableWords = entries.reduce((sum, { products }) => sum + 2 + 2 * products.length, 0);
  const table = layout.region("table", tableWords * 4);
  const pairsAt = pairs ? layout.region("pairs of sums", TILE * TILE * 32) : 0;

  /** The sums of a tile: (x, dout, total, panels), for some filters and channels. */
  function writeTile(f: Func, filters: number, channels: number): void {
    const [xAt, doutAt, total, count] = [0, 1, 2, 3];
    const [at, entry, left, xPart, doutPart, panel, sumAt] = f.locals("i32", 7);
    const sums = f.locals("v128", filters * channels * halves.length);
    const inputs = halves.map(() => f.locals("v128", channels));
    const values = f.locals("v128", halves.length);
    /** The products of one of the panel's vectors, or of both as a pair. */
    const multiply = (some: readonly number[]) => {
      for (let c = 0; c < channels; c++) {
        for (const v of some) {
          f.get(xPart).at("v128.load", c * Q * tileRow + v * 16).set(inputs[v % halves.length][c]);
        }
      }
      for (let i = 0; i < filters; i++) {
        for (const v of some) {
          f.get(doutPart).at("v128.load", i * P * tileRow + v * 16).set(values[v % halves.length]);
        }
        for (let c = 0; c < channels; c++) {
          for (const v of some) {
            const half = v % halves.length, sum = sums[(i * channels + c) * halves.length + half];
            const [value, input] = [values[half], inputs[half][c]];
            multiplyAdd(f, vector, fused, sum, () => f.get(value), () => f.get(input));
          }
        }
      }
    };
    f.const(table).set(at);
    f.repeat(entry, entries.length, () => {
      for (const sum of sums) {
        pushZero(f);
        f.set(sum);
      }
      f.get(at).at("i32.load", 4).get(total).op("i32.add").set(sumAt);
      f.get(at).at("i32.load").set(left);
      f.advance(at, 8);
      f.countDown(left, left, () => {
        f.get(at).at("i32.load").get(xAt).op("i32.add").set(xPart);
        f.get(at).at("i32.load", 4).get(doutAt).op("i32.add").set(doutPart);
        f.advance(at, 8);
        f.countDown(panel, count, () => {
          if (pairs) multiply(halves);
          else for (let v = 0; v < tileVectors(vector); v++) multiply([v]);
          f.advance(xPart, xPanel).advance(doutPart, doutPanel);
        });
      });
      const whole = pairs ? addPairs(f, vector, sums, pairsAt) : sums;
      for (let i = 0; i < filters; i++) {
        for (let c = 0; c < channels; c++) {
          writeTotal(f, vector, whole[i * channels + c], sumAt, (i * filter + c * taps) * 8);
        }
      }
    });
  }

  /** Adds dout's planes to their totals: (panels). */
  function writeBiases(f: Func): void {
    const [at, plane, total, place, panel, part] = f.locals("i32", 6);
    const [sum, notFinite] = f.locals("v128", 2);
    f.const(nonFiniteFlag).at("v128.load").set(notFinite);
    f.const(dout).set(at).const(biasTotals).set(total);
    f.repeat(plane, groups * outputs, () => {
      f.get(at).set(part);
      f.countDown(panel, 0, () => {
        pushZero(f);
        f.set(sum);
        f.repeat(place, P * tileVectors(vector), () => {
          f.get(sum).get(part).at("v128.load").op(vector.add).set(sum);
          f.advance(part, 16);
        });
        writeTotal(f, vector, sum, total);
        f.advance(part, doutPanel - P * tileRow);
      });
      f.get(total).at("v128.load64_splat").set(sum);
      noteFinite(f, vectors.float64, sum, notFinite);
      f.advance(at, P * tileRow).advance(total, 8);
    });
    f.const(nonFiniteFlag).get(notFinite).at("v128.store");
  }

  function make(): WeightProgram {
    const assembly = new Assembly();
    const transpose = assembly.func("transpose", ["i32", "i32", "i32", "i32", "i32"]);
    writeTransposed(transpose, vector, together);
    transpose.reads(stagedX, images * xSize * bytes + 16).writes(x, panels * xPanel);
    transpose.reads(stagedDout, images * doutSize * bytes + 16).writes(dout, panels * doutPanel);
    const biases = assembly.func("biases", ["i32"]).reads(dout, panels * doutPanel);
    biases.writes(biasTotals, groups * outputs * 8).writes(nonFiniteFlag, 16);
    writeBiases(biases);
    const chunk = assembly.func("chunk", ["i32"]).reads(table, tableWords * 4);
    chunk.reads(x, panels * xPanel).reads(dout, panels * doutPanel);
    chunk.writes(totals, groups * outputs * filter * 8);
    if (pairs) chunk.writes(pairsAt, TILE * TILE * 32);
    const [panel, from, to, group, c, i] = chunk.locals("i32", 6);
    const [xAt, doutGroup, doutAt, totalAt, totalGroup] = chunk.locals("i32", 5);
    const transposeAll = (staged: number, size: number, start: number, step: number) => {
      chunk.const(staged).set(from).const(start).set(to);
      chunk.countDown(panel, 0, () => {
        chunk.get(from).const(size * bytes).get(to).const(1).const(size).call(transpose);
        chunk.advance(from, together * size * bytes).advance(to, step);
      });
    };
    transposeAll(stagedX, xSize, x, xPanel);
    transposeAll(stagedDout, doutSize, dout, doutPanel);
    chunk.get(0).call(biases);
    chunk.const(x).set(xAt).const(dout).set(doutGroup).const(totals).set(totalGroup);
    chunk.repeat(group, groups, () => {
      for (const { size: channels, times } of channelRuns) {
        const tiles = filterRuns.map(({ size }) => {
          const tile = assembly.func(`tile${size}x${channels}`, ["i32", "i32", "i32", "i32"]);
          writeTile(tile, size, channels);
          return tile;
        });
        chunk.repeat(c, times, () => {
          chunk.get(doutGroup).set(doutAt).get(totalGroup).set(totalAt);
          for (const [k, { size, times }] of filterRuns.entries()) {
            chunk.repeat(i, times, () => {
              chunk.get(xAt).get(doutAt).get(totalAt).get(0).call(tiles[k]);
              chunk.advance(doutAt, size * P * tileRow).advance(totalAt, size * filter * 8);
            });
          }
          chunk.advance(xAt, channels * Q * tileRow).advance(totalGroup, channels * taps * 8);
        });
      }
      chunk.advance(doutGroup, outputs * P * tileRow);
      chunk.advance(totalGroup, (outputs - 1) * filter * 8);
    });
    const module = compile(assembly, layout);

    const list = new Int32Array(tableWords);
    let word = 0;
    for (const { tap, products } of entries) {
      list.set([products.length, tap * 8], word);
      word += 2;
      for (const { from, to } of products) {
        list.set([from * tileRow, to * tileRow], word);
        word += 2;
      }
    }

    const numbers = new Float32Array(list.buffer);

    /** Loads images; the rest of the last panel is zeros. */
    function load(
      queue: Queue,
      data: FloatArray,
      size: number,
      at: number,
      n: number,
      end: number,
    ): void {
      queue.load(at, data, n * size, end * size);
      const missing = Math.ceil((end - n) / together) * together - (end - n);
      queue.clear(at + (end - n) * size * bytes, missing * size * bytes);
    }

    return {
      cost: nanosecondsOf(batchedWeightsCost(pass, vector)),
      together,
      sums: totals,
      biasSums: biasTotals,
      flag: skips ? nonFiniteFlag : undefined,
      run(queue, xs, douts, first, last) {
        queue.use(module);
        queue.clear(totals, groups * outputs * filter * 8);
        queue.clear(biasTotals, groups * outputs * 8);
        queue.clear(nonFiniteFlag, 16);
        queue.load(table, numbers, 0, numbers.length);
        for (let n = first; n < last; n += images) {
          const end = Math.min(last, n + images);
          load(queue, xs, xSize, stagedX, n, end);
          load(queue, douts, doutSize, stagedDout, n, end);
          queue.call("chunk", Math.ceil((end - n) / together));
        }
      },
    };
  }
  return { layout, make };
}
