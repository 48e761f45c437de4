/**
 * The code of Winograd's transforms: of inputs, of products into outputs and of dout, image by image; of
 * the weights into what tiles are multiplied with, and of the sums of such products back into gradients of
 * the weights, once a call and in float64.
 *
 * @module
 */

import type { Func, Local } from "./assembler.ts";
import type { Planes } from "./planes.ts";
import { lowerAndUpper, noteFinite, pushSum, pushZero, type Vector, vectors } from "./vector.ts";
import {
  type Part,
  type Patch,
  planeProducts,
  type Transformed,
  type WindowPlane,
} from "./winograd_tiles.ts";

/**
 * Writes a loop over channels, rows of tiles and vectors of tiles of one image. The plain planes have two
 * rows a tile; the pointer into the transformed ones goes on by itself.
 */
function eachVector(
  f: Func,
  patch: Patch,
  channels: number,
  planeStart: Local,
  planes: Planes,
  planeStep: number,
  transformedAt: Local,
  write: (at: Local) => void,
  nextChannel: () => void = () => {},
): void {
  const [channel, row, column, rowAt, at] = f.locals("i32", 5);
  f.repeat(channel, channels, () => {
    f.get(planeStart).set(rowAt);
    f.repeat(row, patch.rows, () => {
      f.get(rowAt).set(at);
      f.repeat(column, patch.vectors, () => {
        write(at);
        f.advance(at, planeStep).advance(transformedAt, 16);
      });
      f.advance(rowAt, 2 * planes.row);
    });
    f.advance(planeStart, planes.plane).advance(transformedAt, patch.blockBytes - patch.imageBytes);
    nextChannel();
  });
}

/** Four vectors a, b, c, d become a - c, b + c, c - b, b - d. */
function writeInputStep(
  f: Func,
  vector: Vector,
  [a, b, c, d]: readonly Local[],
  results: (() => void)[],
): void {
  f.get(a).get(c).op(vector.sub);
  results[0]();
  f.get(b).get(c).op(vector.add);
  results[1]();
  f.get(c).get(b).op(vector.sub);
  results[2]();
  f.get(b).get(d).op(vector.sub);
  results[3]();
}

/**
 * Writes the transform of a block's 4x4 tiles of one image; its parameters are where the block's first row
 * begins, and how far from the target's start.
 */
export function writeInputTransform(
  f: Func,
  vector: Vector,
  patch: Patch,
  channels: number,
  x: Planes,
  pitch: number,
  target: Transformed,
): void {
  const to = f.local("i32");
  const column = f.locals("v128", 4);
  const t = Array.from({ length: 4 }, () => f.locals("v128", 4));
  const { bytes } = vector;
  // Columns 0 to 3 of a tile are two even and two odd ones of the split row.
  const columns = [0, pitch * bytes, bytes, (pitch + 1) * bytes];
  pushSum(f, target.start, 1).set(to);
  eachVector(f, patch, channels, 0, x, 16, to, (at) => {
    for (let r = 0; r < 4; r++) {
      for (let k = 0; k < 4; k++) {
        f.get(at).at("v128.load", r * x.row + columns[k]).set(column[k]);
      }
      writeInputStep(f, vector, column, t[r].map((local) => () => f.set(local)));
    }
    for (let k = 0; k < 4; k++) {
      // The address goes below the value: so each result is stored through a local.
      const results = [0, 1, 2, 3].map((r) => () => {
        f.set(column[0]).get(to).get(column[0]).at("v128.store", (r * 4 + k) * target.step);
      });
      writeInputStep(f, vector, t.map((row) => row[k]), results);
    }
  });
}

/** Two sums of four vectors: a + b + c, and b - c - d. */
function writeOutputStep(
  f: Func,
  vector: Vector,
  [a, b, c, d]: readonly Local[],
  sum: Local,
  rest: Local,
): void {
  f.get(a).get(b).op(vector.add).get(c).op(vector.add).set(sum);
  f.get(b).get(c).op(vector.sub).get(d).op(vector.sub).set(rest);
}

/**
 * Writes the transform of a block's products of one image; its parameters are where the block's first
 * output row begins, and how far from the products' start.
 */
export function writeOutputTransform(
  f: Func,
  vector: Vector,
  patch: Patch,
  filters: number,
  products: Transformed,
  out: Planes,
  bias: number,
  check: number,
  relu: boolean,
): void {
  const [from, biasAt] = f.locals("i32", 2);
  const m = f.locals("v128", 4), s = f.locals("v128", 4), r = f.locals("v128", 4);
  const [even, odd, biases, notFinite] = f.locals("v128", 4);
  pushSum(f, products.start, 1).set(from).const(bias).set(biasAt).const(check).at("v128.load");
  f.set(notFinite);
  const loadBias = () => f.get(biasAt).at(vector.loadSplat).set(biases);
  loadBias();
  const write = (at: Local) => {
    for (let k = 0; k < 4; k++) {
      for (let row = 0; row < 4; row++) {
        f.get(from).at("v128.load", (row * 4 + k) * products.step).set(m[row]);
      }
      writeOutputStep(f, vector, m, s[k], r[k]);
    }
    for (const [row, sums] of [s, r].entries()) {
      writeOutputStep(f, vector, sums, even, odd);
      for (const y of [even, odd]) {
        f.get(y).get(biases).op(vector.add).set(y);
        noteFinite(f, vector, y, notFinite);
        if (!relu) continue;
        f.get(y);
        pushZero(f);
        f.op(vector.max).set(y);
      }
      for (const [half, lanes] of lowerAndUpper(vector.lanes).entries()) {
        f.get(at).get(even).get(odd).shuffle(lanes).at("v128.store", row * out.row + half * 16);
      }
    }
  };
  eachVector(f, patch, filters, 0, out, 32, from, write, () => {
    f.advance(biasAt, vector.bytes);
    loadBias();
  });
  f.const(check).get(notFinite).at("v128.store");
}

/**
 * Writes the transform of a block's 2x2 tiles of dout, with parameters like those of x: rows a, b become a,
 * a + b, a - b, b; then columns.
 */
export function writeGradientTransform(
  f: Func,
  vector: Vector,
  patch: Patch,
  filters: number,
  dout: Planes,
  pitch: number,
  target: Transformed,
): void {
  const to = f.local("i32");
  const [a, b] = f.locals("v128", 2);
  const t = [f.locals("v128", 4), f.locals("v128", 4)];
  pushSum(f, target.start, 1).set(to);
  const store = (plane: number) => f.at("v128.store", plane * target.step);
  eachVector(f, patch, filters, 0, dout, 16, to, (at) => {
    for (const [row, columns] of t.entries()) {
      f.get(at).at("v128.load", row * dout.row).set(a);
      f.get(at).at("v128.load", row * dout.row + pitch * vector.bytes).set(b);
      f.get(a).set(columns[0]).get(b).set(columns[3]);
      f.get(a).get(b).op(vector.add).set(columns[1]);
      f.get(a).get(b).op(vector.sub).set(columns[2]);
    }
    for (let k = 0; k < 4; k++) {
      const upper = t[0][k], lower = t[1][k];
      f.get(to).get(upper);
      store(k);
      f.get(to).get(upper).get(lower).op(vector.add);
      store(4 + k);
      f.get(to).get(upper).get(lower).op(vector.sub);
      store(8 + k);
      f.get(to).get(lower);
      store(12 + k);
    }
  });
}

/** A number of a sum, and what it is scaled by: 1, 1/2, or the same below zero. */
interface Term {
  readonly scale: number;
  readonly push: () => void;
}

/** Gives a function that pushes a sum of terms. */
function sums(f: Func): (terms: readonly Term[]) => void {
  const half = f.local("v128");
  f.vector(new Uint8Array(Float64Array.of(0.5, 0.5).buffer)).set(half);
  return (terms) => {
    for (const [i, { scale, push }] of terms.entries()) {
      if (i === 0 && scale < 0) pushZero(f);
      push();
      if (Math.abs(scale) !== 1) f.get(half).op("f64x2.mul");
      if (scale < 0) f.op("f64x2.sub");
      else if (i > 0) f.op("f64x2.add");
    }
  };
}

/** A grid of vectors. */
function grid(f: Func, rows: number, columns: number): Local[][] {
  return Array.from({ length: rows }, () => f.locals("v128", columns));
}

/** Every part along one direction, in the order of the planes. */
function partsOf(planes: readonly WindowPlane[], direction: "y" | "x"): Part[] {
  return [...new Set(planes.flatMap((plane) => plane[direction]))];
}

/** Kernels as they are given: numbers from one channel to the next; each may be turned by half. */
export interface GivenKernels {
  readonly KH: number;
  readonly KW: number;
  readonly channels: number;
  readonly channelStep: number;
  readonly turned: boolean;
}

/**
 * Writes the transform of a filter's kernels, one channel after the other: columns, then rows.
 *
 * Its parameters are where the kernels are; the bytes of the blocks of filters before the filter's, and of
 * the filters before it in the block, in a plane with one product; and the bytes between two products.
 *
 * @param f The function to write into.
 * @param vector The kind of numbers.
 * @param planes The planes.
 * @param given The kernels.
 * @param start Where the first plane's numbers go.
 * @param matrix The bytes of one product's numbers, of all filters and channels.
 */
export function writeWeightTransform(
  f: Func,
  { bytes, lanes, loadSplat, storeLane }: Vector,
  planes: readonly WindowPlane[],
  { KH, KW, channels, channelStep, turned }: GivenKernels,
  start: number,
  matrix: number,
): void {
  const [from, blocks, before, step] = [0, 1, 2, 3];
  const [channel, at] = f.locals("i32", 2);
  const pushTerms = sums(f);
  const ys = partsOf(planes, "y");
  const taps = f.locals("v128", KH);
  const rows = grid(f, ys.length, KW);
  // Planes with as many products lie alike.
  const pointers = new Map<number, Local>();
  for (const products of new Set(planes.map(planeProducts))) {
    const pointer = f.local("i32");
    pointers.set(products, pointer);
    f.get(blocks).const(products).op("i32.mul").get(before).op("i32.add").set(pointer);
  }
  f.repeat(channel, channels, () => {
    for (let kx = 0; kx < KW; kx++) {
      for (const [ky, tap] of taps.entries()) {
        const place = ky * KW + kx;
        f.get(from).at(loadSplat, (turned ? KH * KW - 1 - place : place) * bytes);
        if (lanes === 4) f.op("f64x2.promote_low_f32x4");
        f.set(tap);
      }
      for (const [i, { terms }] of ys.entries()) {
        pushTerms(terms.map(({ tap, scale }) => ({ scale, push: () => f.get(taps[tap]) })));
        f.set(rows[i][kx]);
      }
    }
    for (const plane of planes) {
      f.get(pointers.get(planeProducts(plane))!).set(at);
      for (const y of plane.y) {
        const row = rows[ys.indexOf(y)];
        for (const { terms } of plane.x) {
          f.get(at);
          pushTerms(terms.map(({ tap, scale }) => ({ scale, push: () => f.get(row[tap]) })));
          if (lanes === 4) f.op("f32x4.demote_f64x2_zero");
          f.laneAt(storeLane, 0, start + plane.before * matrix);
          f.advanceBy(at, step);
        }
      }
    }
    f.advance(from, channelStep * bytes);
    for (const [products, pointer] of pointers) {
      f.get(pointer).get(step).const(products).op("i32.mul").op("i32.add").set(pointer);
    }
  });
}

/**
 * Writes the transform of each kernel's sums of products, in float64, into its gradients, which take their
 * place: rows, then columns.
 *
 * @param f The function to write into.
 * @param planes The planes.
 * @param KH The kernels' rows.
 * @param KW The kernels' columns.
 * @param kernels How many kernels there are.
 * @param start Where the sums are: by kernel, plane, product.
 * @param check Where a vector is written: zero if every gradient is finite.
 */
export function writeGradientOfWeights(
  f: Func,
  planes: readonly WindowPlane[],
  KH: number,
  KW: number,
  kernels: number,
  start: number,
  check: number,
): void {
  const [kernel, from, to] = f.locals("i32", 3);
  const [gradient, notFinite] = f.locals("v128", 2);
  const pushTerms = sums(f);
  const ys = partsOf(planes, "y"), xs = partsOf(planes, "x");
  const rows = grid(f, KH, xs.length);
  const products = planes.reduce((sum, plane) => sum + planeProducts(plane), 0);

  /** Pushes the gradient of a tap from those of the parts that hold it. */
  const pushTap = (parts: readonly Part[], tap: number, push: (part: Part) => void) => {
    pushTerms(
      parts.flatMap((part) =>
        part.terms.filter((term) => term.tap === tap).map(({ scale }) => ({
          // The transform of dout leaves out the sign of its last number.
          scale: part.component === 3 ? -scale : scale,
          push: () => push(part),
        }))
      ),
    );
  };
  const sumAt = (y: Part, x: Part) => {
    const plane = planes[4 * y.component + x.component];
    return plane.before + plane.y.indexOf(y) * plane.x.length + plane.x.indexOf(x);
  };
  f.const(start).set(from).const(start).set(to);
  f.repeat(kernel, kernels, () => {
    for (const [i, x] of xs.entries()) {
      for (let ky = 0; ky < KH; ky++) {
        pushTap(ys, ky, (y) => f.get(from).at("v128.load64_splat", sumAt(y, x) * 8));
        f.set(rows[ky][i]);
      }
    }
    for (const [ky, row] of rows.entries()) {
      for (let kx = 0; kx < KW; kx++) {
        pushTap(xs, kx, (x) => f.get(row[xs.indexOf(x)]));
        f.set(gradient);
        noteFinite(f, vectors.float64, gradient, notFinite);
        f.get(to).get(gradient).laneAt("v128.store64_lane", 0, (ky * KW + kx) * 8);
      }
    }
    f.advance(from, products * 8).advance(to, KH * KW * 8);
  });
  f.const(check).get(notFinite).at("v128.store");
}
