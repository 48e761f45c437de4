/**
 * Winograd's transforms of kernels: of the weights into the numbers that tiles are multiplied with, and of
 * the sums of such products back into gradients of the weights. In float64, once a call.
 *
 * @module
 */

import type { Func, Local } from "./assembler.ts";
import { noteFinite, pushZero, type Vector, vectors } from "./vector.ts";
import { type Part, planeProducts, type WindowPlane } from "./winograd_windows.ts";

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
