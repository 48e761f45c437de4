/**
 * Sums of taps with images as the numbers of a vector, for maps that are too narrow for vectors along their
 * rows: the forward pass, and the gradient of the input.
 *
 * Two vectors of images lie together, position by position. So each tap and each position that it reaches is
 * a product of matrices: a tap's weights times the inputs of as many images, with no lane left over and no
 * product with padding.
 *
 * @module
 */

import type { Epilogue } from "../epilogue.ts";
import { meetingsOf, type Pass } from "../passes.ts";
import { Assembly, type Func } from "./assembler.ts";
import { batchedCost, nanosecondsOf } from "./costs.ts";
import { writeTranspose, writeTransposed } from "./emit_affine.ts";
import {
  productLocals,
  tileBytes,
  tileVectors,
  tileWidth,
  writeProductTile,
} from "./emit_product.ts";
import { compile, Layout, type Plan } from "./memory.ts";
import { PackedWeights } from "./packed_weights.ts";
import type { ImageProgram } from "./program.ts";
import type { Queue } from "./queue.ts";
import type { FloatArray } from "../tensor.ts";
import { skewed } from "./planes.ts";
import { evenRuns, filterBlocks, pieces, type Run } from "./tiles.ts";
import { pushZero, type Vector } from "./vector.ts";
import { writeFiniteCheck } from "./weights.ts";

/** Bytes that the inputs and sums of images together should take: they stay in the second-level cache. */
const CHUNK_BYTES = 1 << 19;
const MOST_PANELS = 16;
/** Bytes of weights that are multiplied with all of a chunk before the next ones: likewise. */
const WEIGHT_BYTES = 1 << 18;
const FEWEST_STEPS = 64;
const MOST_STEPS = 1024;

/** Images of a panel: the vectors of a tile. */
export function panelImages(vector: Vector): number {
  return tileWidth(vector);
}

/** The same for a weight gradient, where a panel is one pair. */
export function weightPanelImages(vector: Vector): number {
  return panelImages({ ...vector, pairs: false });
}

/** A tap at a position: the number of the tap, and where it reads and writes in a plane. */
export interface Product {
  readonly tap: number;
  readonly from: number;
  readonly to: number;
}

/** Every product of a plane, tap by tap. */
export function productsOf({ rows, columns }: Pass): Product[] {
  const KW = columns.taps.length;
  return meetingsOf(rows).flatMap((y) =>
    meetingsOf(columns).map((x) => ({
      tap: y.k * KW + x.k,
      from: y.source * columns.source.size + x.source,
      to: y.target * columns.target.size + x.target,
    }))
  ).sort((a, b) => a.tap - b.tap);
}

/** The bytes of a panel of some numbers an image. */
export function panelBytes(vector: Vector, numbers: number): number {
  return skewed(numbers * tileBytes(vector));
}

/** Plans a pass. */
export function planBatched(pass: Pass, vector: Vector, fused: boolean): Plan<ImageProgram> {
  const { rows, columns, groups, inputs, outputs, weights } = pass;
  const { bytes, lanes } = vector;
  const P = rows.target.size * columns.target.size, Q = rows.source.size * columns.source.size;
  const taps = rows.taps.length * columns.taps.length;
  const tileRow = tileBytes(vector);
  const together = panelImages(vector);
  const sourceSize = groups * inputs * Q, targetSize = groups * outputs * P;
  const xPanel = panelBytes(vector, sourceSize), outPanel = panelBytes(vector, targetSize);
  const panels = Math.min(MOST_PANELS, Math.max(1, Math.floor(CHUNK_BYTES / (xPanel + outPanel))));
  const images = panels * together;
  /** Numbers from one image of the results to the next: whole vectors. */
  const pitch = Math.ceil(targetSize / lanes) * lanes;
  const products = productsOf(pass);
  // A product with padding is a term of the definition: it matters if the weight is not finite.
  const skips = !pass.gradient && products.length < taps * P;
  const steps = Math.floor(WEIGHT_BYTES / (outputs * bytes));
  const runs = evenRuns(inputs, Math.max(FEWEST_STEPS, Math.min(MOST_STEPS, steps)));
  const blocks = filterBlocks(outputs, vector.pairs);

  const layout = new Layout();
  const staged = layout.region("images", images * sourceSize * bytes);
  // Transposing continues to a whole vector of steps.
  const x = layout.region("source", panels * xPanel);
  const out = layout.region("target", panels * outPanel);
  const result = layout.region("results", images * pitch * bytes);
  const rawWeights = layout.region("weights", groups * weights.group * bytes);
  const packedWeights = layout.region("packed weights", groups * weights.group * bytes);
  const biases = layout.region("biases", groups * outputs * bytes);
  const nonFiniteFlag = layout.region("non-finite flag", 16);
  const entries = groups * pieces(runs).length * products.length;
  const table = layout.region("table", entries * 16);
  const { packings, list } = listProducts();

  /** The calls that pack weights, tap by tap; and the products' a, b, c and steps, a from 0, as bits. */
  function listProducts(): { packings: number[][]; list: Float32Array } {
    const packings: number[][] = [], list = new Int32Array(entries * 4);
    let at = 0, entry = 0;
    for (let group = 0; group < groups; group++) {
      let input = 0;
      for (const steps of pieces(runs)) {
        const raw = rawWeights + (group * weights.group + input * weights.input) * bytes;
        const b = x + (group * inputs + input) * Q * tileRow;
        const c = out + group * outputs * P * tileRow;
        for (const [i, { tap, from, to }] of products.entries()) {
          if (i === 0 || products[i - 1].tap !== tap) {
            if (i > 0) at += outputs * steps * bytes;
            packings.push([raw + tap * bytes, packedWeights + at, steps]);
          }
          list.set([at, b + from * tileRow, c + to * tileRow, steps], entry);
          entry += 4;
        }
        if (products.length > 0) at += outputs * steps * bytes;
        input += steps;
      }
    }
    return { packings, list: new Float32Array(list.buffer) };
  }

  /** C += A B for all strips of A and some panels: (a, b, c, steps, panels). */
  function writeProduct(f: Func, packed: PackedWeights): void {
    const [a, b, c, steps, count] = [0, 1, 2, 3, 4];
    const [cAt, strip] = f.locals("i32", 2);
    const locals = productLocals(f, vector, Math.max(...blocks.map(({ size }) => size)));
    packed.readBy(f);
    f.reads(x, panels * xPanel).writes(out, panels * outPanel);
    f.countDown(count, count, () => {
      f.get(a).const(packed.start).op("i32.add").set(locals.a).get(c).set(cAt);
      for (const { size, times } of blocks) {
        f.repeat(strip, times, () => {
          f.get(b).set(locals.b);
          const sizes = { rows: size, step: Q * tileRow, row: P * tileRow };
          const tile = { ...sizes, aMemory: packed.memory };
          writeProductTile(f, vector, fused, tile, locals, cAt, steps);
          f.advance(cAt, size * P * tileRow);
        });
      }
      f.advance(b, xPanel).advance(c, outPanel);
    });
  }

  function make(epilogue: Epilogue, inPlace = false): ImageProgram {
    const assembly = new Assembly();
    const packed = new PackedWeights(vector, packedWeights, groups * weights.group, inPlace);
    const pack = assembly.func("pack", ["i32", "i32", "i32"]);
    writePack(pack, vector, blocks, weights);
    pack.reads(rawWeights, groups * weights.group * bytes);
    pack.writes(packedWeights, groups * weights.group * bytes);
    if (skips) {
      const count = groups * weights.group;
      writeFiniteCheck(assembly.func("check"), vector, rawWeights, count, nonFiniteFlag);
    }
    const transpose = assembly.func("transpose", ["i32", "i32", "i32", "i32", "i32"]);
    writeTransposed(transpose, vector, together);
    transpose.reads(staged, images * sourceSize * bytes + 16).writes(x, panels * xPanel);
    const product = assembly.func("product", ["i32", "i32", "i32", "i32", "i32"]);
    writeProduct(product, packed);
    const finish = assembly.func("finish", ["i32", "i32"]);
    writeFinish(finish, vector, {
      planes: groups * outputs,
      P,
      pitch: pitch * bytes,
      bias: epilogue.bias && biases,
      relu: epilogue.relu ?? false,
    });
    finish.writes(out, panels * outPanel).writes(result, images * pitch * bytes);
    finish.reads(biases, groups * outputs * bytes);

    const chunk = assembly.func("chunk", ["i32"]).reads(table, entries * 16);
    const [panel, from, to, entry] = chunk.locals("i32", 4);
    chunk.const(staged).set(from).const(x).set(to);
    chunk.countDown(panel, 0, () => {
      chunk.get(from).const(sourceSize * bytes).get(to).const(1).const(sourceSize).call(transpose);
      chunk.advance(from, together * sourceSize * bytes).advance(to, xPanel);
    });
    chunk.const(table).set(entry);
    chunk.repeat(panel, entries, () => {
      for (let i = 0; i < 4; i++) chunk.get(entry).at("i32.load", i * 4);
      chunk.get(0).call(product);
      chunk.advance(entry, 16);
    });
    chunk.const(out).set(from).const(result).set(to);
    chunk.countDown(panel, 0, () => {
      chunk.get(from).get(to).call(finish);
      chunk.advance(from, outPanel).advance(to, together * pitch * bytes);
    });
    const module = compile(assembly, layout, packed.layout);

    /** Packs weights; returns whether they serve. */
    function packWeights(queue: Queue, w: FloatArray): boolean {
      queue.load(rawWeights, w, 0, w.length);
      if (skips) {
        queue.call("check");
        if (queue.isSet(nonFiniteFlag, 0)) return false;
      }
      for (const packing of packings) queue.call("pack", ...packing);
      return true;
    }

    return {
      cost: nanosecondsOf(batchedCost(pass, vector)),
      together,
      packed,
      prepare(queue, w, { bias }, given) {
        if (!packed.use(queue, module, given) && !packWeights(queue, w)) return false;
        queue.load(table, list, 0, list.length);
        if (bias) queue.load(biases, bias, 0, bias.length);
        return true;
      },
      run(queue, sources, targets, first, last) {
        for (let n = first; n < last; n += images) {
          const end = Math.min(last, n + images);
          queue.load(staged, sources, n * sourceSize, end * sourceSize);
          queue.clear(out, panels * outPanel);
          queue.call("chunk", Math.ceil((end - n) / together));
          if (pitch === targetSize) {
            queue.store(targets, n * targetSize, (end - n) * targetSize, result);
            continue;
          }
          for (let i = n, at = result; i < end; i++, at += pitch * bytes) {
            queue.store(targets, i * targetSize, targetSize, at);
          }
        }
        return last;
      },
    };
  }
  return { layout, make };
}

/** Packs the weights of one tap for all outputs of a group: (from, to, inputs). */
function writePack(
  f: Func,
  { bytes, loadSplat, storeLane }: Vector,
  blocks: readonly Run[],
  weights: Pass["weights"],
): void {
  const [raw, to, count] = [0, 1, 2];
  const [block, output, from, at, left] = f.locals("i32", 5);
  for (const { size, times } of blocks) {
    f.repeat(block, times, () => {
      f.repeat(output, size, () => {
        f.get(raw).set(from).get(to).get(output).const(bytes).op("i32.mul").op("i32.add").set(at);
        f.countDown(left, count, () => {
          f.get(at).get(from).at(loadSplat).laneAt(storeLane, 0);
          f.advance(from, weights.input * bytes).advance(at, size * bytes);
        });
        f.advance(raw, weights.output * bytes);
      });
      f.get(to).get(count).const(size * bytes).op("i32.mul").op("i32.add").set(to);
    });
  }
}

/** What becomes of a panel's sums. */
interface Finish {
  readonly planes: number;
  /** Positions of a plane. */
  readonly P: number;
  /** Bytes from one image to the next. */
  readonly pitch: number;
  readonly bias?: number;
  readonly relu: boolean;
}

/** Applies the epilogue to a panel of sums, and transposes it into images: (from, to). */
function writeFinish(f: Func, vector: Vector, { planes, P, pitch, bias, relu }: Finish): void {
  const { bytes, lanes } = vector, tileRow = tileBytes(vector);
  const [from, to] = [0, 1];
  const [at, plane, place, biasAt] = f.locals("i32", 4);
  const biases = f.local("v128");
  if (bias !== undefined || relu) {
    f.get(from).set(at).const(bias ?? 0).set(biasAt);
    f.repeat(plane, planes, () => {
      if (bias !== undefined) f.get(biasAt).at(vector.loadSplat).set(biases);
      f.repeat(place, P, () => {
        for (let v = 0; v < tileVectors(vector); v++) {
          f.get(at).get(at).at("v128.load", v * 16);
          if (bias !== undefined) f.get(biases).op(vector.add);
          if (relu) {
            pushZero(f);
            f.op(vector.max);
          }
          f.at("v128.store", v * 16);
        }
        f.advance(at, tileRow);
      });
      f.advance(biasAt, bytes);
    });
  }
  const square = f.locals("v128", lanes), mixed = f.locals("v128", lanes);
  f.repeat(place, Math.ceil(planes * P / lanes), () => {
    for (let v = 0; v < tileVectors(vector); v++) {
      for (let i = 0; i < lanes; i++) {
        f.get(from).at("v128.load", i * tileRow + v * 16).set(square[i]);
      }
      const transposed = writeTranspose(f, square, mixed);
      for (let i = 0; i < lanes; i++) {
        f.get(to).get(transposed[i]).at("v128.store", (v * lanes + i) * pitch);
      }
    }
    f.advance(from, lanes * tileRow).advance(to, 16);
  });
}
