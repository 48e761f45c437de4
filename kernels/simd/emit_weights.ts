/**
 * The inner loops of a convolution's weight gradient: dot products along rows of dout and x.
 *
 * Every sum stays a vector, in a register through an image and in memory between images; its lanes are
 * added once a call.
 *
 * @module
 */

import type { Assembly, Func, Local } from "./assembler.ts";
import type { Layout } from "./memory.ts";
import type { WeightTiles } from "./tiles.ts";
import { type Moved, type Planes, spanOf } from "./planes.ts";
import {
  addPairs,
  multiplyAdd,
  pushMask,
  pushSum,
  pushZero,
  takeOut,
  type Vector,
} from "./vector.ts";

/** Sums over y, x of dout[f](y, x) * x[c](y, x + tap), for every filter, channel and tap. */
export interface WeightSums {
  readonly vector: Vector;
  readonly fused: boolean;
  readonly tiles: WeightTiles;
  /** The first tap's number for output (0, 0); `row` is the step from one output row to the next. */
  readonly x: Planes;
  readonly dout: Planes;
  /** Rows and columns of dout. */
  readonly rows: number;
  readonly columns: number;
  /**
   * The bytes from one image to the next and the most images, if the function has a parameter with the
   * number of images. Default: one image.
   */
  readonly images?: { readonly x: number; readonly dout: number; readonly most: number };
  /** The sums' vectors: filter block, channel, tap row, tap, filter of the block. */
  readonly sums: number;
  /** Whether sums are whole before they are added to the vectors, as those of many terms always are. */
  readonly apart?: boolean;
  /** Where a tile's sums are put as pairs before they are added, if rows are long enough for pairs. */
  readonly pairs?: number;
  /**
   * The most that parameters of the function, before, add to x's and dout's starts; and the least and most
   * that one adds to sums' start, for each region of sums.
   */
  readonly moved?: {
    readonly x: number;
    readonly dout: number;
    readonly sums: readonly (readonly [least: number, most: number])[];
  };
}

/** Vectors of a row, or of several, that are multiplied in straight code. */
const STRAIGHT = 16;
const UNROLL = 8;

/** Where the sums of any of some tiles are put as pairs, if vectors come in pairs. */
export function layoutPairs(
  layout: Layout,
  { pairs }: Vector,
  tiles: readonly WeightTiles[],
): number | undefined {
  return pairs ? layout.region("pairs of sums", Math.max(...tiles.map(pairBytes))) : undefined;
}

/** Bytes of a tile's sums as pairs. */
function pairBytes({ blocks, channels }: WeightTiles): number {
  return 32 * Math.max(...blocks.map(({ size }) => size)) * mostTaps(channels);
}

/** The most taps of a group. */
function mostTaps(channels: WeightTiles["channels"]): number {
  return Math.max(...channels.flatMap(({ groups }) => groups.map((group) => group.length)));
}

/** Writes the sums as a function that calls another for each block of filters: see `writeConv`. */
export function writeWeightSums(assembly: Assembly, name: string, job: WeightSums): Func {
  const { tiles: { blocks, channels, tapRows }, x, dout, images, moved } = job;
  const parts = blocks.map(({ size }) => {
    const part = assembly.func(`${name}${size}`, ["i32", "i32", "i32", "i32"]);
    writeBlock(part, job, size);
    return part;
  });
  const taps = channels.flatMap(({ times, groups }) => Array(times).fill(groups.flat().length));
  const filterSums = tapRows.times * taps.reduce((a, b) => a + b, 0);
  const params = (moved ? 3 : 0) + (images ? 1 : 0);
  const f = assembly.func(name, Array<"i32">(params).fill("i32"));
  stateExtents(f, job, filterSums);
  const [xAt, doutAt, sums, block] = f.locals("i32", 4);
  pushSum(f, x.start, moved && 0).set(xAt);
  pushSum(f, dout.start, moved && 1).set(doutAt);
  pushSum(f, job.sums, moved && 2).set(sums);
  for (const [i, { size, times }] of blocks.entries()) {
    f.repeat(block, times, () => {
      f.get(xAt).get(doutAt).get(sums);
      if (images) f.get(params - 1);
      else f.const(1);
      f.call(parts[i]);
      f.advance(doutAt, size * dout.plane).advance(sums, size * filterSums * 16);
    });
  }
  return f;
}

/** States what the sums touch. */
function stateExtents(f: Func, job: WeightSums, filterSums: number): void {
  const { vector: { bytes }, tiles, x, dout, rows, columns } = job;
  const moved = job.moved ?? { x: 0, dout: 0, sums: [[0, 0]] };
  const images = job.images ?? { x: 0, dout: 0, most: 1 };
  const filters = tiles.blocks.reduce((sum, { size, times }) => sum + size * times, 0);
  const channels = tiles.channels.reduce((sum, { size, times }) => sum + size * times, 0);
  const width = Math.max(columns * bytes, 16);
  // Taps of a group are in its first channel or, for 1x1 kernels, in the channels after that.
  const lastTap = Math.max(
    ...tiles.channels.flatMap(({ size, groups }) =>
      groups.flat().map((at) => at - (size - 1) * x.plane)
    ),
  ) + (tiles.tapRows.times - 1) * tiles.tapRows.step;
  // Neighbors that share their loads load the vector behind.
  const behind = tiles.shifted ? 16 : 0;
  const xMost = moved.x + (images.most - 1) * images.x;
  const doutMost = moved.dout + (images.most - 1) * images.dout;
  f.reads(x.start, spanOf(x, channels, rows, width) + lastTap + behind + xMost);
  f.reads(dout.start, spanOf(dout, filters, rows, width) + doutMost);
  if (job.pairs !== undefined) f.writes(job.pairs, pairBytes(tiles));
  for (const [least, most] of moved.sums) {
    f.writes(job.sums + least, most - least + filters * filterSums * 16);
  }
}

/** Writes the sums of one block of filters; parameters say where everything is, and how many images. */
function writeBlock(f: Func, job: WeightSums, block: number): void {
  const { vector, fused, tiles, x, dout, rows, columns, images } = job;
  const { bytes, lanes } = vector;
  const [xTap, dBlock, sumAt, imageCount] = [0, 1, 2, 3];
  // A pair's two vectors have sums of their own. A row shorter than a pair has no place for one.
  const paired = job.pairs !== undefined && columns >= 2 * lanes;
  const halves = paired ? [0, 1] : [0], width = halves.length * lanes;
  const sums = f.locals("v128", block * mostTaps(tiles.channels) * halves.length);
  const douts = f.locals("v128", block * halves.length);
  const [low, high, ...values] = f.locals("v128", 2 + halves.length);
  const [xAt, dAt, dEnd, xPart, dPart, part, c, tapRow, image] = f.locals("i32", 9);
  const [longPart, dPartEnd] = f.locals("i32", 2);

  const whole = Math.floor(columns / width);
  const rest = columns % width;
  // Sums of many terms are taken out to the vectors after some rows, and within rows that are too long.
  const { mostTerms } = vector;
  const long = rows * (whole + 1) > mostTerms;
  const apart = long || paired || job.apart;
  const partRows = Math.max(1, Math.floor(mostTerms / (whole + 1)));
  // The last vector of a row starts earlier where it can; lanes that are counted already, or that lie
  // after the row, are masked in both factors, as even zero times infinity would be NaN.
  // A pair whose first vector is the second one of the pair before would tear that apart.
  const tailWidth = rest > lanes ? width : lanes, tail = Math.max(0, columns - tailWidth);
  const tailLanes = columns >= tailWidth ? [tailWidth - rest, tailWidth] : [0, columns];

  /** The products of one vector of dout's row for a block of filters and a group of taps. */
  function writeVector(
    group: readonly number[],
    xBase: Local,
    xOffset: number,
    dBase: Local,
    dOffset: number,
    masked: boolean,
    shifted: boolean,
  ): void {
    const mask = (half: number) => {
      const [from, to] = tailLanes.map((lane) => Math.max(0, lane - half * lanes));
      pushMask(f, vector, Math.min(from, lanes), Math.min(to, lanes));
      f.op("v128.and");
    };
    if (shifted) f.get(xBase).at("v128.load", xOffset + group[0] + 16).set(high);
    for (let i = 0; i < block; i++) {
      for (const half of halves) {
        f.get(dBase).at("v128.load", dOffset + i * dout.plane + half * 16);
        if (masked) mask(half);
        f.set(douts[i * halves.length + half]);
      }
    }
    for (const [tap, offset] of group.entries()) {
      let [input] = values;
      if (shifted && tap === 0) input = low;
      else if (shifted && tap === lanes) input = high;
      else if (shifted) {
        const shift = Array.from({ length: lanes }, (_, lane) => tap + lane);
        f.get(low).get(high).shuffle(shift).set(input);
      } else {
        for (const half of halves) {
          f.get(xBase).at("v128.load", xOffset + offset + half * 16);
          if (masked) mask(half);
          f.set(values[half]);
        }
      }
      for (let i = 0; i < block; i++) {
        for (const half of halves) {
          const sum = sums[(tap * block + i) * halves.length + half];
          const factor = half === 0 ? input : values[half];
          const other = douts[i * halves.length + half];
          multiplyAdd(f, vector, fused, sum, () => f.get(other), () => f.get(factor));
        }
      }
    }
    if (shifted) f.get(high).set(low);
  }

  /** A row of dout times the rows of x below its taps. */
  function writeRow(group: readonly number[], xOffset: number, dOffset: number) {
    // Neighboring taps share their loads: the vectors between are shuffled together.
    const shifted = tiles.shifted && group.length > 1 && !paired;
    const start = (base: Local, offset: number) => {
      if (shifted) f.get(base).at("v128.load", offset + group[0]).set(low);
    };
    if (whole <= STRAIGHT) {
      start(xAt, xOffset);
      for (let v = 0; v < whole; v++) {
        const at = v * width * bytes;
        writeVector(group, xAt, xOffset + at, dAt, dOffset + at, false, shifted);
      }
    } else {
      f.get(xAt).set(xPart).get(dAt).set(dPart);
      start(xPart, xOffset);
      const several = (count: number) => {
        for (let v = 0; v < count; v++) {
          const at = v * width * bytes;
          writeVector(group, xPart, xOffset + at, dPart, dOffset + at, false, shifted);
        }
      };
      const repeat = (times: number) =>
        f.repeat(part, times, () => {
          several(UNROLL);
          const step = UNROLL * width * bytes;
          f.advance(xPart, step).advance(dPart, step);
        });
      const times = Math.floor(whole / UNROLL), partTimes = Math.floor(mostTerms / UNROLL);
      f.repeat(longPart, Math.floor(times / partTimes), () => {
        repeat(partTimes);
        takeOutTile(block * group.length);
      });
      repeat(times % partTimes);
      several(whole % UNROLL);
    }
    if (rest > 0) {
      const at = tail * bytes;
      writeVector(group, xAt, xOffset + at, dAt, dOffset + at, true, false);
    }
  }

  /** Adds so many sums to their vectors. */
  function takeOutTile(count: number): void {
    const tile = sums.slice(0, count * halves.length);
    takeOut(f, vector, paired ? addPairs(f, vector, tile, job.pairs!) : tile, sumAt);
    // The first of each pair is 0 again.
    for (const sum of paired ? tile.filter((_, i) => i % 2 === 1) : []) {
      pushZero(f);
      f.set(sum);
    }
  }

  function writeTile(group: readonly number[]): void {
    const count = block * group.length;
    for (let i = 0; i < count * halves.length; i++) {
      if (apart) pushZero(f);
      else f.get(sumAt).at("v128.load", i * 16);
      f.set(sums[i]);
    }
    f.get(xTap).set(xAt).get(dBlock).set(dAt);
    const together = Math.max(1, Math.min(rows, Math.floor(UNROLL / (whole + 1))));
    const several = (count: number) => {
      for (let y = 0; y < count; y++) writeRow(group, y * x.row, y * dout.row);
    };
    const startPart = () => f.get(dAt).const(partRows * dout.row).op("i32.add").set(dPartEnd);
    const writeImage = () => {
      if (long) startPart();
      const straight = rows % together;
      f.get(dAt).const((rows - straight) * dout.row).op("i32.add").set(dEnd);
      f.loop(() => {
        several(together);
        f.advance(xAt, together * x.row);
        f.advance(dAt, together * dout.row);
        if (long) {
          f.get(dPartEnd).get(dAt).op("i32.lt_u").if(() => {
            takeOutTile(count);
            startPart();
          });
        }
        f.get(dAt).get(dEnd).op("i32.ne").branchIf(0);
      });
      several(straight);
    };
    if (images === undefined) {
      writeImage();
    } else {
      f.get(imageCount).set(image);
      f.loop(() => {
        writeImage();
        f.advance(xAt, images.x - (rows - rows % together) * x.row);
        f.advance(dAt, images.dout - (rows - rows % together) * dout.row);
        f.get(image).const(-1).op("i32.add").tee(image).branchIf(0);
      });
    }
    if (apart) takeOutTile(count);
    else for (let i = 0; i < count; i++) f.get(sumAt).get(sums[i]).at("v128.store", i * 16);
    f.advance(sumAt, count * 16);
  }

  for (const { size: channels, times, groups } of tiles.channels) {
    f.repeat(c, times, () => {
      f.repeat(tapRow, tiles.tapRows.times, () => {
        for (const group of groups) writeTile(group);
        f.advance(xTap, tiles.tapRows.step);
      });
      f.advance(xTap, channels * x.plane - tiles.tapRows.times * tiles.tapRows.step);
    });
  }
}

/** Writes the sums of dout's planes, onto one vector a filter; parameters may move both starts. */
export function writeBiasSums(
  f: Func,
  vector: Vector,
  filters: number,
  numbers: number,
  dout: number,
  sums: number,
  doutMoved: Moved,
  sumsMoved?: Moved,
): void {
  const { lanes, mostTerms } = vector;
  const parts = f.locals("v128", 4);
  const [from, sum, filter, loop, longPart] = f.locals("i32", 5);
  const whole = Math.floor(numbers / lanes), times = Math.floor(whole / 4);
  const long = times > mostTerms;
  const rest = numbers % lanes;
  const add = (part: number, offset: number, masked: boolean) => {
    f.get(parts[part]).get(from).at("v128.load", offset);
    if (masked) {
      pushMask(f, vector, 0, rest);
      f.op("v128.and");
    }
    f.op(vector.add).set(parts[part]);
  };
  f.reads(dout, filters * numbers * vector.bytes + doutMoved.range[1]);
  f.writes(sums, filters * 16 + (sumsMoved?.range[1] ?? 0));
  pushSum(f, dout, doutMoved.local).set(from);
  pushSum(f, sums, sumsMoved?.local).set(sum);
  f.repeat(filter, filters, () => {
    for (const [i, part] of parts.entries()) {
      if (i > 0 || long) pushZero(f);
      else f.get(sum).at("v128.load");
      f.set(part);
    }
    const repeat = (times: number) =>
      f.repeat(loop, times, () => {
        for (let i = 0; i < 4; i++) add(i, i * 16, false);
        f.advance(from, 64);
      });
    if (long) {
      f.repeat(longPart, Math.floor(times / mostTerms), () => {
        repeat(mostTerms);
        for (const part of parts) takeOut(f, vector, [part], sum);
      });
    }
    repeat(long ? times % mostTerms : times);
    for (let i = 0; i < whole % 4; i++) add(i, i * 16, false);
    if (rest > 0) add(3, (whole % 4) * 16, true);
    f.advance(from, (whole % 4) * 16 + rest * vector.bytes);
    f.get(sum);
    f.get(parts[0]).get(parts[1]).op(vector.add).get(parts[2]).get(parts[3]).op(vector.add);
    f.op(vector.add);
    if (long) f.get(sum).at("v128.load").op(vector.add);
    f.at("v128.store");
    f.advance(sum, 16);
  });
}
