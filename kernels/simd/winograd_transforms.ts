/**
 * The code of Winograd's transforms: of inputs, of products into outputs and of dout, image by image; of
 * the weights into what tiles are multiplied with, and of the sums of such products back into gradients of
 * the weights, once a call and in float64.
 *
 * @module
 */

import type { Assembly, Func, Local } from "./assembler.ts";
import type { Planes } from "./planes.ts";
import { lowerAndUpper, noteFinite, pushSum, pushZero, type Vector, vectors } from "./vector.ts";
import {
  type Part,
  partsOf,
  type Patch,
  placeOfProduct,
  type Transformed,
  windowPlanes,
} from "./winograd_tiles.ts";

/**
 * Writes a loop over channels, rows of tiles and vectors of tiles of one image, or pairs of vectors. The plain
 * planes have two rows a tile; the pointer into the transformed ones continues by itself.
 */
function eachVector(
  f: Func,
  patch: Patch,
  channels: number,
  planeStart: Local,
  planes: Planes,
  planeStep: number,
  transformedAt: Local,
  pairs: boolean,
  write: (at: Local, together: number) => void,
  nextChannel: () => void = () => {},
): void {
  const [channel, row, column, rowAt, at] = f.locals("i32", 5);
  f.repeat(channel, channels, () => {
    f.get(planeStart).set(rowAt);
    f.repeat(row, patch.rows, () => {
      f.get(rowAt).set(at);
      const several = (times: number, together: number) =>
        f.repeat(column, times, () => {
          write(at, together);
          f.advance(at, together * planeStep).advance(transformedAt, together * 16);
        });
      if (pairs) several(patch.vectors >> 1, 2);
      several(pairs ? patch.vectors & 1 : patch.vectors, 1);
      f.advance(rowAt, 2 * planes.row);
    });
    f.advance(planeStart, planes.plane).advance(transformedAt, patch.blockBytes - patch.imageBytes);
    nextChannel();
  });
}

/** Some results: how much of each value. */
type Matrix = readonly (readonly number[])[];

/**
 * What a tile is multiplied by from the left, and by its transpose from the right. The third of the
 * transformed numbers has the other sign than Lavin and Gray's; that of dout's last one is left out.
 */
const INPUT: Matrix = [[1, 0, -1, 0], [0, 1, 1, 0], [0, 1, -1, 0], [0, 1, 0, -1]];
const OUTPUT: Matrix = [[1, 1, -1, 0], [0, 1, 1, -1]];
const OUTPUT_GRADIENT: Matrix = [[1, 0], [1, 1], [1, -1], [0, 1]];
/** So their products are, by component, what a gradient takes them by. */
const GRADIENT_SIGNS = [1, 1, -1, -1];
/** The scale of a kernel's numbers by component. */
const SCALES = [1, 0.5, 0.5, 1];

/**
 * Writes the transform of lines of numbers: each line by one matrix, then what comes out of all of them by
 * another. Lines are rows where they are loaded and columns where they are stored, or the other way round.
 *
 * @param f The function to write into.
 * @param vector The kind of vector.
 * @param together How many vectors of lines: 2 are a pair.
 * @param along What a line is multiplied by.
 * @param across What the first results of the lines, the second and so on, are multiplied by.
 * @param load Pushes a number of a line, of one vector.
 * @param store Takes a result, which is in a local.
 */
function writeTransform(
  f: Func,
  vector: Vector,
  together: number,
  along: Matrix,
  across: Matrix,
  load: (line: number, place: number, which: number) => void,
  store: (line: number, place: number, result: Local, which: number) => void,
): void {
  /** Locals for some numbers, of each vector. */
  const numbers = (count: number) =>
    Array.from({ length: count }, () => f.locals("v128", together));
  const loaded = numbers(along[0].length);
  const lines = along.map(() => numbers(across[0].length));
  const results = numbers(across.length);
  const multiply = (matrix: Matrix, from: readonly Local[][], to: readonly Local[][]) => {
    for (const [i, factors] of matrix.entries()) {
      for (const [which, result] of to[i].entries()) {
        let some = false;
        for (const [k, factor] of factors.entries()) {
          if (factor === 0) continue;
          if (!some && factor < 0) pushZero(f);
          f.get(from[k][which]);
          if (factor < 0) f.op(vector.sub);
          else if (some) f.op(vector.add);
          some = true;
        }
        f.set(result);
      }
    }
  };
  for (let line = 0; line < across[0].length; line++) {
    for (const [place, each] of loaded.entries()) {
      for (const [which, number] of each.entries()) {
        load(line, place, which);
        f.set(number);
      }
    }
    multiply(along, loaded, lines.map((numbers) => numbers[line]));
  }
  for (const [line, numbers] of lines.entries()) {
    multiply(across, numbers, results);
    for (const [place, each] of results.entries()) {
      for (const [which, result] of each.entries()) store(line, place, result, which);
    }
  }
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
  const { bytes } = vector;
  // Columns 0 to 3 of a tile are two even and two odd ones of the split row.
  const columns = [0, pitch * bytes, bytes, (pitch + 1) * bytes];
  pushSum(f, target.start, 1).set(to);
  eachVector(f, patch, channels, 0, x, 16, to, vector.pairs, (at, together) => {
    writeTransform(
      f,
      vector,
      together,
      INPUT,
      INPUT,
      (row, k, which) => f.get(at).at("v128.load", row * x.row + columns[k] + which * 16),
      (k, row, result, which) =>
        f.get(to).get(result).at("v128.store", (row * 4 + k) * target.step + which * 16),
    );
  });
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
  const [even, biases, notFinite] = f.locals("v128", 3);
  pushSum(f, products.start, 1).set(from).const(bias).set(biasAt).const(check).at("v128.load");
  f.set(notFinite);
  const loadBias = () => f.get(biasAt).at(vector.loadSplat).set(biases);
  loadBias();
  const write = (at: Local) => {
    writeTransform(
      f,
      vector,
      1,
      OUTPUT,
      OUTPUT,
      (k, row) => f.get(from).at("v128.load", (row * 4 + k) * products.step),
      (row, k, y) => {
        f.get(y).get(biases).op(vector.add).set(y);
        noteFinite(f, vector, y, notFinite);
        if (relu) {
          f.get(y);
          pushZero(f);
          f.op(vector.max).set(y);
        }
        if (k === 0) {
          f.get(y).set(even);
          return;
        }
        for (const [half, lanes] of lowerAndUpper(vector.lanes).entries()) {
          f.get(at).get(even).get(y).shuffle(lanes).at("v128.store", row * out.row + half * 16);
        }
      },
    );
  };
  // Its results are merged, which keeps pairs apart.
  eachVector(f, patch, filters, 0, out, 32, from, false, write, () => {
    f.advance(biasAt, vector.bytes);
    loadBias();
  });
  f.const(check).get(notFinite).at("v128.store");
}

/** Writes the transform of a block's 2x2 tiles of dout, with parameters like those of x. */
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
  pushSum(f, target.start, 1).set(to);
  eachVector(f, patch, filters, 0, dout, 16, to, vector.pairs, (at, together) => {
    writeTransform(
      f,
      vector,
      together,
      OUTPUT_GRADIENT,
      OUTPUT_GRADIENT,
      (row, k, which) =>
        f.get(at).at("v128.load", row * dout.row + k * pitch * vector.bytes + which * 16),
      (k, row, result, which) =>
        f.get(to).get(result).at("v128.store", (row * 4 + k) * target.step + which * 16),
    );
  });
}

/** Multiplies the float64 numbers on the stack by the scale of a product. */
function writeScale(f: Func, row: Part, column: Part): void {
  const scale = SCALES[row.component] * SCALES[column.component];
  if (scale === 1) return;
  f.vector(new Uint8Array(Float64Array.of(scale, scale).buffer)).op("f64x2.mul");
}

/** What the transform of weights works on. */
export interface WeightTransform {
  /** The kernels' rows and columns, and whether they are turned by 180 degrees. */
  readonly KH: number;
  readonly KW: number;
  readonly rotated180: boolean;
  readonly channels: number;
  /** Bytes from a channel's kernel to the next one's, and from a filter's. */
  readonly channelStep: number;
  readonly filterStep: number;
  /** Where each plane's numbers go, and the bytes of all planes. */
  readonly starts: readonly number[];
  readonly bytes: number;
}

/**
 * Writes functions "transform1" for a filter's kernels and "transform2" for those of two that are neighbors in
 * a block of filters, one in each lane: they compute in float64. Their parameters are where the first kernel
 * is; the bytes of the blocks of filters before the filter's, and of the filters before it in its block, in a
 * plane of one product; and the bytes from one number to the next there. So dx, where its planes are as large
 * as out's, has the same code.
 *
 * @param assembly The module.
 * @param vector The kind of numbers.
 * @param transform What it works on.
 * @returns The functions, which do not know yet where the kernels are.
 */
export function writeWeightTransform(
  assembly: Assembly,
  vector: Vector,
  transform: WeightTransform,
): Func[] {
  return [1, 2].map((filters) =>
    writeFilters(
      assembly.func(`transform${filters}`, Array(4).fill("i32")),
      vector,
      transform,
      filters,
    )
  );
}

/** Writes one of them. */
function writeFilters(
  f: Func,
  { bytes, loadSplat, loadLane, storeLane }: Vector,
  { KH, KW, rotated180, channels, channelStep, filterStep, starts, bytes: all }: WeightTransform,
  filters: number,
): Func {
  f.writes(starts[0], all);
  const [from, blocks, before, step] = [0, 1, 2, 3];
  const rows = partsOf(KH), columns = partsOf(KW), planes = windowPlanes(KH, KW);
  // Planes of as many products lie alike.
  const pointers = new Map<number, Local>();
  for (const { products } of planes) {
    if (pointers.has(products)) continue;
    const pointer = f.local("i32");
    pointers.set(products, pointer);
    f.get(blocks).const(products).op("i32.mul").get(before).op("i32.add").set(pointer);
  }
  f.repeat(f.local("i32"), channels, () => {
    writeTransform(
      f,
      vectors.float64,
      1,
      columns.map(({ factors }) => factors),
      rows.map(({ factors }) => factors),
      (ky, kx) => {
        const tap = ky * KW + kx, at = (rotated180 ? KH * KW - 1 - tap : tap) * bytes;
        if (filters > 1) f.get(from);
        f.get(from).at(loadSplat, at);
        if (filters > 1) f.laneAt(loadLane, 1, at + filterStep);
        if (bytes === 4) f.op("f64x2.promote_low_f32x4");
      },
      (column, row, result) => {
        const { plane, place } = placeOfProduct(planes, rows[row], columns[column]);
        f.get(pointers.get(plane.products)!);
        if (place > 0) f.get(step).const(place).op("i32.mul").op("i32.add");
        f.get(result);
        writeScale(f, rows[row], columns[column]);
        if (bytes === 4) f.op("f32x4.demote_f64x2_zero");
        const at = starts[planes.indexOf(plane)];
        if (filters === 1) f.laneAt(storeLane, 0, at);
        else if (bytes === 4) f.laneAt("v128.store64_lane", 0, at);
        else f.at("v128.store", at);
      },
    );
    f.advance(from, channelStep);
    for (const [products, pointer] of pointers) {
      f.get(pointer).get(step).const(products).op("i32.mul").op("i32.add").set(pointer);
    }
  });
  return f;
}

/**
 * Writes a function "transformSums": from the planes' float64 sums to the gradients of each kernel.
 *
 * @param assembly The module.
 * @param KH The kernels' rows.
 * @param KW The kernels' columns.
 * @param kernels How many kernels there are.
 * @param sums Where each plane's sums are.
 * @param gradients Where the gradients go.
 * @param check Where a vector is written: zero if every gradient is finite.
 */
export function writeSumTransform(
  assembly: Assembly,
  KH: number,
  KW: number,
  kernels: number,
  sums: readonly number[],
  gradients: number,
  check: number,
): void {
  const f = assembly.func("transformSums");
  const [to, kernel] = f.locals("i32", 2), notFinite = f.local("v128");
  const rows = partsOf(KH), columns = partsOf(KW), planes = windowPlanes(KH, KW);
  const transposed = (parts: readonly Part[], taps: number) =>
    Array.from(
      { length: taps },
      (_, tap) => parts.map(({ component, factors }) => factors[tap] * GRADIENT_SIGNS[component]),
    );
  for (const [i, { products }] of planes.entries()) {
    f.reads(sums[i], kernels * products * 8);
  }
  f.writes(gradients, kernels * KH * KW * 8);
  f.writes(check, 16);
  f.const(gradients).set(to);
  f.repeat(kernel, kernels, () => {
    writeTransform(
      f,
      vectors.float64,
      1,
      transposed(rows, KH),
      transposed(columns, KW),
      (column, row) => {
        const { plane, place } = placeOfProduct(planes, rows[row], columns[column]);
        f.get(kernel).const(plane.products * 8).op("i32.mul");
        f.at("v128.load64_splat", sums[planes.indexOf(plane)] + place * 8);
        writeScale(f, rows[row], columns[column]);
      },
      (ky, kx, result) => {
        noteFinite(f, vectors.float64, result, notFinite);
        f.get(to).get(result).laneAt("v128.store64_lane", 0, (ky * KW + kx) * 8);
      },
    );
    f.advance(to, KH * KW * 8);
  });
  f.const(check).get(notFinite).at("v128.store");
}
