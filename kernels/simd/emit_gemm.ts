/**
 * The inner loops of a convolution as a product of matrices: copying inputs together in strips of positions,
 * multiplying strips by panels of weights, and transposing the products into planes.
 *
 * @module
 */

import type { Epilogue } from "../epilogue.ts";
import type { Assembly, Func, Local } from "./assembler.ts";
import { writeTranspose } from "./emit_affine.ts";
import { productLocals, tileBytes, tileWidth, writeProductTile } from "./emit_product.ts";
import { type GemmSum, STRIP, TABLE_WORDS } from "./gemm.ts";
import type { Planes } from "./planes.ts";
import { pushZero, type Vector } from "./vector.ts";

/** What the functions of a sum share. */
export interface GemmContext {
  readonly assembly: Assembly;
  readonly vector: Vector;
  readonly fused: boolean;
  readonly sum: GemmSum;
  /** Where strips and products lie. */
  readonly strips: number;
  readonly products: number;
  readonly biases: number;
  /** The number of the weights' memory. */
  readonly weightsMemory: number;
}

/** Taps that a loop over channels should have, so that the loop itself costs little. */
const LOOP_TAPS = 4;

/** Copies the inputs of a block's strips together, for some channels: (bytes from the first, channels). */
export function writeStrips(
  { assembly, vector, sum, strips }: GemmContext,
  name: string,
  source: Planes,
): Func {
  const { bytes, lanes, loadScalar, storeScalar } = vector;
  const f = assembly.func(name, ["i32", "i32"]);
  const [moved, count] = [0, 1];
  const [entry, strip, channel, to] = f.locals("i32", 4);
  const places = f.locals("i32", STRIP);

  /** Copies a channel's taps. */
  function writeChannel(neighbors: boolean, channels: number): void {
    let index = 0;
    for (let c = 0; c < channels; c++) {
      for (const tap of sum.offsets) {
        const offset = c * source.plane + tap, at = index++ * STRIP * bytes;
        let done = 0;
        for (; neighbors && done + lanes <= STRIP; done += lanes) {
          f.get(to).get(places[0]).at("v128.load", offset + done * bytes);
          f.at("v128.store", at + done * bytes);
        }
        for (; done < STRIP; done++) {
          f.get(to).get(places[neighbors ? 0 : done]);
          f.at(loadScalar, offset + (neighbors ? done * bytes : 0));
          f.at(storeScalar, at + done * bytes);
        }
      }
    }
    for (const place of neighbors ? places.slice(0, 1) : places) {
      f.advance(place, channels * source.plane);
    }
    f.advance(to, index * STRIP * bytes);
  }

  function writeChannels(neighbors: boolean): void {
    const together = Math.ceil(LOOP_TAPS / sum.offsets.length);
    f.get(count).set(channel);
    if (together > 1) {
      f.const(together - 1).get(channel).op("i32.lt_u").if(() => {
        f.loop(() => {
          writeChannel(neighbors, together);
          f.advance(channel, -together);
          f.const(together - 1).get(channel).op("i32.lt_u").branchIf(0);
        });
      });
    }
    f.get(channel).if(() => {
      f.countDown(channel, channel, () => writeChannel(neighbors, 1));
    });
  }

  f.const(sum.table).set(entry).const(strips).set(to);
  f.repeat(strip, sum.strips, () => {
    for (const [i, place] of places.entries()) {
      f.get(entry).at("i32.load", i * 4).get(moved).op("i32.add").set(place);
    }
    f.get(entry).at("i32.load", STRIP * 4).if(() => {
      writeChannels(true);
      f.op("else");
      writeChannels(false);
    });
    f.advance(entry, TABLE_WORDS * 4);
  });
  return f;
}

/** Multiplies a block's strips by panels of weights: (weights, steps, whether onto the products). */
export function writeProduct(
  { assembly, vector, fused, sum, strips, products, weightsMemory: bMemory }: GemmContext,
  name: string,
): Func {
  const tileRow = tileBytes(vector);
  const panelFunc = assembly.func(`${name}Panel`, ["i32", "i32", "i32", "i32"]);
  {
    const f = panelFunc;
    const [b, c, steps, onto] = [0, 1, 2, 3];
    const strip = f.local("i32"), locals = productLocals(f, vector, STRIP);
    f.const(strips).set(locals.a);
    f.repeat(strip, sum.strips, () => {
      f.get(b).set(locals.b);
      const tile = { rows: STRIP, step: tileRow, row: tileRow, bMemory };
      writeProductTile(f, vector, fused, tile, locals, c, steps, onto);
      f.advance(c, STRIP * tileRow);
    });
  }
  const f = assembly.func(name, ["i32", "i32", "i32"]);
  const [b, steps, onto] = [0, 1, 2];
  const [panel, c] = f.locals("i32", 2);
  f.const(products).set(c);
  f.repeat(panel, sum.panels, () => {
    f.get(b).get(c).get(steps).get(onto).call(panelFunc);
    f.get(b).get(steps).const(tileRow).op("i32.mul").op("i32.add").set(b);
    f.advance(c, sum.strips * STRIP * tileRow);
  });
  return f;
}

/** Transposes a block's products into planes, the epilogue applied: (bytes of the target moved, biases'). */
export function writeFinish(
  { assembly, vector, sum, products, biases: biasStart }: GemmContext,
  name: string,
  { bias, relu = false }: Epilogue,
): Func {
  const { bytes, lanes } = vector;
  const width = tileWidth(vector), tileRow = tileBytes(vector);
  const f = assembly.func(name, ["i32", "i32"]);
  const [moved, biasMoved] = [0, 1];
  const [panel, from, to, biasAt, row, rowAt, left] = f.locals("i32", 7);
  const [at, outAt] = f.locals("i32", 2);
  const biases = f.locals("v128", width);
  const square = f.locals("v128", lanes), mixed = f.locals("v128", lanes);
  // Rows without a gap between are as good as one.
  const dense = sum.output.row === sum.columns * bytes;
  const rows = dense ? 1 : sum.blockRows;
  const columns = dense ? sum.blockRows * sum.columns : sum.columns;

  /** Loads products of some positions as vectors of positions of one half of the panel's filters. */
  function transposed(half: number): Local[] {
    for (let i = 0; i < lanes; i++) {
      // Without taps there are no products.
      if (sum.offsets.length === 0) pushZero(f);
      else f.get(at).at("v128.load", i * tileRow + half * 16);
      f.set(square[i]);
    }
    return writeTranspose(f, square, mixed);
  }

  /** Stores a vector of positions of one filter, or its first lanes alone. */
  function store(value: Local, filter: number, count: number): void {
    if (bias !== undefined) f.get(value).get(biases[filter]).op(vector.add).set(value);
    if (relu) {
      f.get(value);
      pushZero(f);
      f.op(vector.max).set(value);
    }
    const place = filter * sum.output.plane;
    if (count === lanes) f.get(outAt).get(value).at("v128.store", place);
    else {
      for (let lane = 0; lane < count; lane++) {
        f.get(outAt).get(value).laneAt(vector.storeLane, lane, place + lane * bytes);
      }
    }
  }

  /** Some positions of all filters of a panel, from the pointers on. */
  function writePositions(filters: number, count: number): void {
    for (let half = 0; half * lanes < filters; half++) {
      const values = transposed(half);
      for (let i = 0; i < lanes && half * lanes + i < filters; i++) {
        store(values[i], half * lanes + i, count);
      }
    }
  }

  function writePanel(filters: number): void {
    for (let i = 0; i < filters && bias !== undefined; i++) {
      f.get(biasAt).at(vector.loadSplat, i * bytes).set(biases[i]);
    }
    f.get(to).set(rowAt);
    f.repeat(row, rows, () => {
      f.get(from).set(at).get(rowAt).set(outAt);
      const whole = Math.floor(columns / lanes), rest = columns % lanes;
      f.repeat(left, whole, () => {
        writePositions(filters, lanes);
        f.advance(at, lanes * tileRow).advance(outAt, 16);
      });
      // The last vector starts earlier where it can.
      if (rest > 0) {
        if (whole > 0) {
          f.advance(at, (rest - lanes) * tileRow).advance(outAt, (rest - lanes) * bytes);
        }
        writePositions(filters, whole > 0 ? lanes : rest);
      }
      f.advance(from, columns * tileRow).advance(rowAt, sum.output.row);
    });
    const block = sum.strips * STRIP - sum.blockRows * sum.columns;
    f.advance(from, block * tileRow);
    f.advance(to, filters * sum.output.plane).advance(biasAt, filters * bytes);
  }

  f.const(products).set(from).get(moved).const(sum.output.start).op("i32.add").set(to);
  f.get(biasMoved).const(biasStart + sum.before * bytes).op("i32.add").set(biasAt);
  f.repeat(panel, Math.floor(sum.count / width), () => writePanel(width));
  if (sum.count % width > 0) writePanel(sum.count % width);
  return f;
}
