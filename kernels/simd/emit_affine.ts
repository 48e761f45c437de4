/**
 * The micro-kernels of matrix products: packing, the product of packed blocks, unpacking.
 *
 * @module
 */

import type { Func, Local } from "./assembler.ts";
import { multiplyAdd, pushZero, splatLane, type Vector } from "./vector.ts";

/** Rows of a tile: one strip of A. */
export const ROWS = 5;
/** Vectors of a tile: one panel of B. */
export const VECTORS = 2;
export const PANEL_BYTES = VECTORS * 16;
/** Steps of the inner loop that are written out. */
const UNROLL = 4;

/** Packs pieces of `width` neighbors. What lies beyond a matrix's edge comes along and is never used. */
export function writeCopy(f: Func, { bytes }: Vector, width: number): void {
  const [from, pitch, to, pieces, steps] = [0, 1, 2, 3, 4];
  const [source, step] = f.locals("i32", 2);
  f.countDown(pieces, pieces, () => {
    f.get(from).set(source).get(steps).set(step);
    f.countDown(step, step, () => {
      for (let at = 0; at < width * bytes; at += 16) {
        f.get(to).get(source).at("v128.load", at).at("v128.store", at);
      }
      f.advanceBy(source, pitch);
      f.advance(to, width * bytes);
    });
    f.advance(from, width * bytes);
  });
}

/**
 * Packs pieces of `width` rows, transposing squares of lanes x lanes, and the rest lane by lane. Steps
 * come in whole vectors: those too many lie where the next piece starts, which is written after them.
 */
export function writeTransposed(f: Func, { bytes, lanes, storeLane }: Vector, width: number): void {
  const [from, pitch, to, pieces, steps] = [0, 1, 2, 3, 4];
  const [step, target] = f.locals("i32", 2);
  const rows = f.locals("i32", width);
  const square = f.locals("v128", lanes);
  const mixed = f.locals("v128", lanes);
  const squares = width - width % lanes;
  f.countDown(pieces, pieces, () => {
    for (const row of rows) {
      f.get(from).set(row);
      f.advanceBy(from, pitch);
    }
    f.get(to).set(target);
    f.get(steps).const(lanes - 1).op("i32.add").const(-lanes).op("i32.and").set(step);
    f.loop(() => {
      for (let first = 0; first < squares; first += lanes) {
        for (let i = 0; i < lanes; i++) f.get(rows[first + i]).at("v128.load").set(square[i]);
        const transposed = writeTranspose(f, square, mixed);
        for (let i = 0; i < lanes; i++) {
          f.get(target).get(transposed[i]).at("v128.store", (i * width + first) * bytes);
        }
      }
      for (let rest = squares; rest < width; rest++) {
        f.get(rows[rest]).at("v128.load").set(square[0]);
        for (let i = 0; i < lanes; i++) {
          f.get(target).get(square[0]).laneAt(storeLane, i, (i * width + rest) * bytes);
        }
      }
      for (const row of rows) f.advance(row, 16);
      f.advance(target, lanes * width * bytes);
      f.get(step).const(-lanes).op("i32.add").tee(step).branchIf(0);
    });
    // The next piece starts after the steps that count.
    f.get(to).get(steps).const(width * bytes).op("i32.mul").op("i32.add").set(to);
  });
}

/** Transposes a square of vectors; the result is in the locals that are returned. */
export function writeTranspose(f: Func, square: Local[], mixed: Local[]): Local[] {
  const pick = (a: Local, b: Local, lanes: number[], to: Local) =>
    f.get(a).get(b).shuffle(lanes).set(to);
  if (square.length === 2) {
    pick(square[0], square[1], [0, 2], mixed[0]);
    pick(square[0], square[1], [1, 3], mixed[1]);
    return mixed;
  }
  const [a, b, c, d] = square;
  pick(a, b, [0, 4, 1, 5], mixed[0]);
  pick(a, b, [2, 6, 3, 7], mixed[1]);
  pick(c, d, [0, 4, 1, 5], mixed[2]);
  pick(c, d, [2, 6, 3, 7], mixed[3]);
  pick(mixed[0], mixed[2], [0, 1, 4, 5], a);
  pick(mixed[0], mixed[2], [2, 3, 6, 7], b);
  pick(mixed[1], mixed[3], [0, 1, 4, 5], c);
  pick(mixed[1], mixed[3], [2, 3, 6, 7], d);
  return square;
}

/** The product of packed blocks. C is stored by panels, in each the rows one after the other. */
export function writeProduct(f: Func, vector: Vector, fused: boolean): void {
  const { bytes, lanes } = vector;
  const [a, b, c, strips, panels, steps, onto, plus] = [0, 1, 2, 3, 4, 5, 6, 7];
  const [strip, aAt, bAt, end] = f.locals("i32", 4);
  const sums = f.locals("v128", ROWS * VECTORS);
  const columns = f.locals("v128", VECTORS);
  const [packed, weight] = f.locals("v128", 2);

  /** Some steps of a tile from the two pointers on. */
  function writeSteps(count: number): void {
    for (let k = 0; k < count; k++) {
      for (let v = 0; v < VECTORS; v++) {
        f.get(bAt).at("v128.load", k * PANEL_BYTES + v * 16).set(columns[v]);
      }
      for (let i = 0; i < ROWS; i++) {
        // One load serves as many values as it has lanes.
        const index = k * ROWS + i;
        if (index % lanes === 0) f.get(aAt).at("v128.load", index * bytes).set(packed);
        splatLane(f, vector, packed, index % lanes);
        f.set(weight);
        for (let v = 0; v < VECTORS; v++) {
          const sum = sums[i * VECTORS + v];
          multiplyAdd(f, vector, fused, sum, () => f.get(weight), () => f.get(columns[v]));
        }
      }
    }
    f.advance(aAt, count * ROWS * bytes).advance(bAt, count * PANEL_BYTES);
  }

  /** Repeats some steps while the pointer into A is before the end. */
  function writeLoop(count: number): void {
    f.get(aAt).get(end).op("i32.lt_u").if(() => {
      f.loop(() => {
        writeSteps(count);
        f.get(aAt).get(end).op("i32.lt_u").branchIf(0);
      });
    });
  }

  const [stripBytes, aStrip] = f.locals("i32", 2);
  f.get(steps).const(ROWS * bytes).op("i32.mul").set(stripBytes);
  f.countDown(panels, panels, () => {
    f.get(strips).set(strip).get(a).set(aStrip);
    f.countDown(strip, strip, () => {
      f.get(aStrip).set(aAt).get(b).set(bAt);
      f.get(onto).if(() => {
        for (const [i, sum] of sums.entries()) f.get(c).at("v128.load", i * 16).set(sum);
        f.op("else");
        for (const sum of sums) {
          pushZero(f);
          f.set(sum);
        }
      });
      f.get(steps).const(-UNROLL).op("i32.and").const(ROWS * bytes).op("i32.mul");
      f.get(aAt).op("i32.add").set(end);
      writeLoop(UNROLL);
      f.advanceBy(aStrip, stripBytes);
      f.get(aStrip).set(end);
      writeLoop(1);
      f.get(plus).if(() => {
        for (const [i, sum] of sums.entries()) {
          f.get(sum).get(c).at("v128.load", i * 16).op(vector.add).set(sum);
        }
      });
      for (const [i, sum] of sums.entries()) f.get(c).get(sum).at("v128.store", i * 16);
      f.advance(c, ROWS * PANEL_BYTES);
    });
    f.get(b).get(steps).const(PANEL_BYTES).op("i32.mul").op("i32.add").set(b);
  });
}

/** Unpacks C into rows, bias added. A row's last vectors may run over its end, where the next row is written after. */
export function writeUnpack(f: Func, vector: Vector, relu: boolean): void {
  const [c, to, pitch, rows, panels, panelBytes, bias] = [0, 1, 2, 3, 4, 5, 6];
  const [panel, source, target, biasAt] = f.locals("i32", 4);
  f.countDown(rows, rows, () => {
    f.get(c).set(source).get(to).set(target).get(panels).set(panel).get(bias).set(biasAt);
    f.countDown(panel, panel, () => {
      for (let at = 0; at < PANEL_BYTES; at += 16) {
        f.get(target).get(source).at("v128.load", at).get(biasAt).at("v128.load", at);
        f.op(vector.add);
        if (relu) {
          pushZero(f);
          f.op(vector.max);
        }
        f.at("v128.store", at);
      }
      f.advanceBy(source, panelBytes);
      f.advance(target, PANEL_BYTES).advance(biasAt, PANEL_BYTES);
    });
    f.advance(c, PANEL_BYTES);
    f.advanceBy(to, pitch);
  });
}
