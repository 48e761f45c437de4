/**
 * The micro-kernels of matrix products: packing, the product of packed blocks, unpacking.
 *
 * @module
 */

import type { Func, Local } from "./assembler.ts";
import { productLocals, tileBytes, writeProductTile } from "./emit_product.ts";
import { multiplyAdd, pushZero, type Vector } from "./vector.ts";

/** Rows of a tile: one strip of A. */
export const ROWS = 5;
/** Vectors of B's rows that are added to C's together. */
const STREAM_VECTORS = 4;
export const STREAM_BYTES: number = STREAM_VECTORS * 16;
/** Vectors of dots that are written out. */
const DOT_UNROLL = 4;

/** The register tile of a product of few rows. */
export interface FewTile {
  /** Rows of C. */
  readonly rows: number;
  /** Of {@linkcode writeStreams}, steps that are taken together; of {@linkcode writeDots}, columns of C. */
  readonly width: number;
}

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
  const [a, b, c, strips, panels, steps, onto, plus] = f.params.keys();
  const strip = f.local("i32"), locals = productLocals(f, vector, ROWS);
  const tileRow = tileBytes(vector);
  const tile = { rows: ROWS, step: tileRow, row: tileRow };
  f.countDown(panels, panels, () => {
    f.get(strips).set(strip).get(a).set(locals.a);
    f.countDown(strip, strip, () => {
      f.get(b).set(locals.b);
      writeProductTile(f, vector, fused, tile, locals, c, steps, plus, onto);
      f.advance(c, ROWS * tileRow);
    });
    f.get(b).get(steps).const(tileRow).op("i32.mul").op("i32.add").set(b);
  });
}

/** Points at rows a pitch apart, from an address on, which is then at the row after them. */
function writePointers(f: Func, pointers: readonly Local[], from: Local, pitch: Local): void {
  for (const pointer of pointers) {
    f.get(from).set(pointer);
    f.advanceBy(from, pitch);
  }
}

/**
 * C += A B, term by term, where B lies in rows a pitch apart: `width` rows of B go by at a time, multiplied
 * with as many numbers of each row of a strip of A, as often as `wholes` says, then `singles` rows one by one.
 * Rows of C are a pitch apart too; they are whole panels of {@linkcode STREAM_BYTES}.
 */
export function writeStreams(
  f: Func,
  vector: Vector,
  fused: boolean,
  { rows, width }: FewTile,
): void {
  const { bytes } = vector;
  const [a, b, c, strips, stripBytes, panels, pitch, pitchC, wholes, singles] = f.params.keys();
  const [strip, panel, aAt, from, cAt] = f.locals("i32", 5);
  const cs = f.locals("i32", rows), bs = f.locals("i32", width);
  const weights = f.locals("v128", rows * width), values = f.locals("v128", width);
  const sum = f.local("v128");

  function writeSteps(times: Local, count: number): void {
    const taken = bs.slice(0, count);
    f.get(times).if(() => {
      f.countDown(times, times, () => {
        f.get(strips).set(strip).get(a).set(aAt).get(c).set(cAt);
        f.countDown(strip, strip, () => {
          for (const [i, weight] of weights.slice(0, rows * count).entries()) {
            f.get(aAt).at(vector.loadSplat, i * bytes).set(weight);
          }
          writePointers(f, cs, cAt, pitchC);
          f.get(b).set(from);
          writePointers(f, taken, from, pitch);
          f.get(panels).set(panel);
          f.countDown(panel, panel, () => {
            for (let at = 0; at < STREAM_BYTES; at += 16) {
              for (const [k, row] of taken.entries()) f.get(row).at("v128.load", at).set(values[k]);
              for (const [i, row] of cs.entries()) {
                f.get(row).at("v128.load", at).set(sum);
                for (let k = 0; k < count; k++) {
                  const weight = () => f.get(weights[k * rows + i]);
                  multiplyAdd(f, vector, fused, sum, weight, () => f.get(values[k]));
                }
                f.get(row).get(sum).at("v128.store", at);
              }
            }
            for (const pointer of [...taken, ...cs]) f.advance(pointer, STREAM_BYTES);
          });
          f.advanceBy(aAt, stripBytes);
        });
        f.get(from).set(b);
        f.advance(a, count * rows * bytes);
      });
    });
  }

  writeSteps(wholes, width);
  writeSteps(singles, 1);
}

/** Vectors of dots that are multiplied together, and then one by one, and numbers that are left. */
export function dotSteps(steps: number, { lanes }: Vector): [number, number, number] {
  const all = Math.floor(steps / lanes);
  return [Math.floor(all / DOT_UNROLL), all % DOT_UNROLL, steps % lanes];
}

/**
 * C = A B where rows of A and columns of B lie in one piece, a pitch apart, as {@linkcode dotSteps} says: each
 * lane adds up terms of its own. Rows of C are a pitch apart too, and take whole tiles of columns.
 */
export function writeDots(
  f: Func,
  vector: Vector,
  fused: boolean,
  { rows, width }: FewTile,
): void {
  const { bytes, lanes } = vector;
  const [a, b, c, strips, tiles, pitch, pitchC, wholes, singles, numbers] = f.params.keys();
  const [strip, from, at, left, aAt] = f.locals("i32", 5);
  const as = f.locals("i32", rows), bs = f.locals("i32", width);
  const sums = f.locals("v128", rows * width);
  const values = f.locals("v128", width), value = f.local("v128");

  /** Repeats some steps of a size; `load` pushes a vector. */
  function writeSteps(
    times: Local,
    count: number,
    size: number,
    load: (from: Local, at: number) => void,
  ): void {
    f.get(times).if(() => {
      f.countDown(left, times, () => {
        for (let at = 0; at < count * size; at += size) {
          for (const [v, pointer] of bs.entries()) {
            load(pointer, at);
            f.set(values[v]);
          }
          for (const [i, pointer] of as.entries()) {
            load(pointer, at);
            f.set(value);
            for (const [v, other] of values.entries()) {
              const sum = sums[i * width + v];
              multiplyAdd(f, vector, fused, sum, () => f.get(value), () => f.get(other));
            }
          }
        }
        for (const pointer of [...as, ...bs]) f.advance(pointer, count * size);
      });
    });
  }

  const loadVector = (from: Local, at: number) => f.get(from).at("v128.load", at);
  const loadNumber = (from: Local, at: number) => {
    f.get(from);
    pushZero(f);
    f.laneAt(vector.loadLane, 0, at);
  };
  f.countDown(tiles, tiles, () => {
    f.get(strips).set(strip).get(a).set(aAt).get(c).set(at);
    f.countDown(strip, strip, () => {
      for (const sum of sums) {
        pushZero(f);
        f.set(sum);
      }
      writePointers(f, as, aAt, pitch);
      f.get(b).set(from);
      writePointers(f, bs, from, pitch);
      writeSteps(wholes, DOT_UNROLL, 16, loadVector);
      writeSteps(singles, 1, 16, loadVector);
      writeSteps(numbers, 1, bytes, loadNumber);
      for (const [i, sum] of sums.entries()) {
        for (let half = lanes / 2; half >= 1; half /= 2) {
          const swapped = Array.from({ length: lanes }, (_, lane) => lane ^ half);
          f.get(sum).get(sum).get(sum).shuffle(swapped).op(vector.add).set(sum);
        }
        f.get(at).get(sum).laneAt(vector.storeLane, 0, i % width * bytes);
        if (i % width === width - 1) f.advanceBy(at, pitchC);
      }
    });
    f.get(from).set(b);
    f.advance(c, width * bytes);
  });
}

/** Unpacks C into rows, bias added. A row's last vectors may run over its end, where the next row is written after. */
export function writeUnpack(
  f: Func,
  vector: Vector,
  relu: boolean,
): void {
  const [c, to, pitch, rows, panels, panelBytes, bias] = [0, 1, 2, 3, 4, 5, 6];
  const [panel, source, target, biasAt] = f.locals("i32", 4), tileRow = tileBytes(vector);
  f.countDown(rows, rows, () => {
    f.get(c).set(source).get(to).set(target).get(panels).set(panel).get(bias).set(biasAt);
    f.countDown(panel, panel, () => {
      for (let at = 0; at < tileRow; at += 16) {
        f.get(target).get(source).at("v128.load", at).get(biasAt).at("v128.load", at);
        f.op(vector.add);
        if (relu) {
          pushZero(f);
          f.op(vector.max);
        }
        f.at("v128.store", at);
      }
      f.advanceBy(source, panelBytes);
      f.advance(target, tileRow).advance(biasAt, tileRow);
    });
    f.advance(c, tileRow);
    f.advanceBy(to, pitch);
  });
}
