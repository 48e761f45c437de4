/**
 * Max-pooling for any window that fits straight code, assembled for the shape.
 *
 * Planes are copied into the memory some at a time, as many as the cache holds well. Lanes run along
 * the outputs of a row: a tap of the window is a vector of inputs a stride apart, and the taps are
 * compared in row-major order, so that the first maximum wins. Gradients go straight to their places
 * where windows are side by side; where they overlap, each column of taps is summed on its own, by
 * outputs, and the sums are merged into rows at last.
 *
 * @module
 */

import type { Answer, PoolKernel } from "../kernel.ts";
import { type DType, type FloatArray, poolLabel, type PoolShape } from "../shape.ts";
import { Assembly, type Func, type Local } from "./assembler.ts";
import { instantiate, Layout, type Region, reserve, scratch } from "./memory.ts";
import { mergeRow, plainRow } from "./planes.ts";
import { pushMask, pushZero, type Vector, vectors } from "./vector.ts";

/** A pool's kernel, and where its data lie in the memory. */
export interface SimdPool extends PoolKernel {
  /** The regions of the forward pass and of the backward pass. */
  readonly regions: { readonly forward: readonly Region[]; readonly backward: readonly Region[] };
}

/** Taps that are written out one by one. */
const TAPS = 25;
/** Bytes of input that are copied at once. */
const CHUNK = 1 << 17;
/** Vectors beyond a region's last number that are read, or written with what was there. */
const SLACK = 128;
/** Tiles that are written out in a row. */
const UNROLL = 4;

/** What both passes know. */
interface Pool extends PoolShape {
  readonly vector: Vector;
  /** Size of a padded plane, and how far its rows are apart, in numbers. */
  readonly paddedW: number;
  readonly paddedH: number;
  readonly padded: boolean;
  /** Planes copied at once. */
  readonly chunk: number;
}

/**
 * The SIMD max-pool for one geometry.
 *
 * @param shape The geometry.
 * @param dtype The number type.
 * @returns The kernel, or why there is none.
 */
export function simdMaxPool(shape: PoolShape, dtype: DType): Answer<SimdPool> {
  const { H, W, KH, KW, OH, OW } = shape;
  if (KH * KW > TAPS) {
    return { reason: `a window of ${KH}x${KW} is more than the ${TAPS} numbers written out` };
  }
  const vector = vectors[dtype];
  const pool: Pool = {
    ...shape,
    vector,
    paddedW: W + shape.padLeft + shape.padRight,
    paddedH: H + shape.padTop + shape.padBottom,
    padded: shape.padTop + shape.padLeft + shape.padBottom + shape.padRight > 0,
    chunk: Math.max(1, Math.floor(CHUNK / (H * W * vector.bytes))),
  };
  const forward = planForward(pool);
  const backward = planBackward(pool);
  const refusal = reserve(Math.max(forward.layout.size, backward.layout.size));
  if (refusal !== undefined) return { reason: refusal };

  const inSize = H * W, outSize = OH * OW;
  const number = (address: number) => address / vector.bytes;
  let runForward: ((planes: number) => void) | undefined;
  let runBackward: ((planes: number) => void) | undefined;

  return {
    kernel: {
      name: `maxpool-${poolLabel(shape)}-${dtype === "float32" ? "f32" : "f64"}-simd`,
      tier: "simd",
      regions: { forward: forward.layout.regions, backward: backward.layout.regions },
      forward(N: number, x: FloatArray, out: FloatArray): void {
        runForward ??= compile((f) => writeForward(f, pool, forward));
        const memory = scratch(dtype);
        const xAt = number(forward.x), outAt = number(forward.out);
        if (pool.padded) fillPadding(memory, pool, number(forward.padded));
        const total = N * shape.C;
        for (let first = 0; first < total; first += pool.chunk) {
          const end = Math.min(total, first + pool.chunk);
          memory.set(x.subarray(first * inSize, end * inSize), xAt);
          runForward(end - first);
          out.set(memory.subarray(outAt, outAt + (end - first) * outSize), first * outSize);
        }
      },
      backward(N: number, x: FloatArray, dout: FloatArray, dx: FloatArray): void {
        runBackward ??= compile((f) => writeBackward(f, pool, backward));
        const memory = scratch(dtype);
        const xAt = number(backward.x), doutAt = number(backward.dout);
        const dxAt = number(backward.dx);
        if (pool.padded) {
          fillPadding(memory, pool, number(backward.padded));
          fillInside(memory, pool, number(backward.inside));
        }
        const total = N * shape.C;
        for (let first = 0; first < total; first += pool.chunk) {
          const end = Math.min(total, first + pool.chunk);
          memory.set(x.subarray(first * inSize, end * inSize), xAt);
          memory.set(dout.subarray(first * outSize, end * outSize), doutAt);
          runBackward(end - first);
          dx.set(memory.subarray(dxAt, dxAt + (end - first) * inSize), first * inSize);
        }
      },
    },
    reason: "assembled for the shape",
  };
}

/** A function of the number of planes, written and compiled. */
function compile(write: (f: Func) => void): (planes: number) => void {
  const assembly = new Assembly();
  write(assembly.func("pool", ["i32"]));
  return instantiate(assembly).pool;
}

/** Minus infinity all over the padded plane: the kernel writes its inner part alone. */
function fillPadding(memory: FloatArray, pool: Pool, start: number): void {
  memory.fill(-Infinity, start, start + pool.paddedH * pool.paddedW);
}

/** 1 where the padded plane is x, 0 where it is padding. */
function fillInside(memory: FloatArray, pool: Pool, start: number): void {
  const { H, W, padTop, padLeft, paddedW, paddedH } = pool;
  memory.fill(0, start, start + paddedH * paddedW);
  for (let y = 0; y < H; y++) {
    const row = start + (padTop + y) * paddedW + padLeft;
    memory.fill(1, row, row + W);
  }
}

interface ForwardPlan {
  readonly layout: Layout;
  readonly x: number;
  readonly out: number;
  /** One plane with its padding. */
  readonly padded: number;
}

function planForward(pool: Pool): ForwardPlan {
  const { H, W, OH, OW, chunk, vector: { bytes } } = pool;
  const layout = new Layout();
  return {
    layout,
    x: layout.region("x", chunk * H * W * bytes + SLACK),
    out: layout.region("out", chunk * OH * OW * bytes),
    padded: pool.padded ? layout.region("padded", paddedBytes(pool)) : 0,
  };
}

function paddedBytes({ paddedH, paddedW, vector }: Pool): number {
  return paddedH * paddedW * vector.bytes + SLACK;
}

interface BackwardPlan {
  readonly layout: Layout;
  readonly x: number;
  readonly dout: number;
  readonly dx: number;
  readonly padded: number;
  /** As large: 1 where the padded plane is x, 0 where it is padding. */
  readonly inside: number;
  /** Sums by column of the window, where windows overlap or planes are padded: see {@linkcode Sums}. */
  readonly sums?: Sums;
}

/**
 * Gradients of one padded plane, a plane for each column kx of the window: number (y, ox) is for the input
 * at row y and column ox * strideX + kx. So the sums of neighbouring outputs are neighbours.
 */
interface Sums {
  /** Address of (kx, y, ox) = (0, 0, 0). */
  readonly start: number;
  readonly row: number;
  readonly plane: number;
  /** Vectors of a row that hold a column of x. */
  readonly vectors: number;
  /** All of it, zeros before and after each row included. */
  readonly base: number;
  readonly bytes: number;
}

function planBackward(pool: Pool): BackwardPlan {
  const { H, W, KH, KW, strideY, strideX, OH, OW, chunk, vector: { bytes, lanes } } = pool;
  const layout = new Layout();
  const plan = {
    layout,
    x: layout.region("x", chunk * H * W * bytes + SLACK),
    dout: layout.region("dout", chunk * OH * OW * bytes + SLACK),
    dx: layout.region("dx", chunk * H * W * bytes + SLACK),
    padded: pool.padded ? layout.region("padded", paddedBytes(pool)) : 0,
    inside: pool.padded ? layout.region("inside", paddedBytes(pool)) : 0,
  };
  if (!pool.padded && strideX === KW && strideY >= KH) return plan;
  const before = Math.floor((KW - 1) / strideX);
  const columns = Math.ceil(pool.paddedW / strideX);
  const row = (before + Math.max(columns, OW) + lanes) * bytes;
  const plane = pool.paddedH * row;
  // A stride beyond the window leaves columns without a gradient: zeros.
  const size = Math.ceil((Math.max(KW, strideX) * plane) / 16) * 16;
  const base = layout.region("sums", size + SLACK);
  return {
    ...plan,
    sums: {
      start: base + before * bytes,
      row,
      plane,
      vectors: Math.ceil(columns / lanes),
      base,
      bytes: size,
    },
  };
}

/** The vectors that a tile works with. */
interface Registers {
  /** The inputs of each tap, in row-major order: a lane for each output. Backward, then its gradients. */
  readonly taps: readonly Local[];
  /** The largest of each window, the first of equals. */
  readonly most: Local;
  /** Masks: where a window holds a NaN. */
  readonly nan: Local;
  /** Gradients that no tap has won yet. */
  readonly left: Local;
  readonly spare: readonly [Local, Local];
}

function registers(f: Func, { KH, KW }: Pool): Registers {
  const taps = f.locals("v128", KH * KW);
  const [most, nan, left, low, high] = f.locals("v128", 5);
  return { taps, most, nan, left, spare: [low, high] };
}

/** A number of outputs side by side, from `start` on: all lanes of a vector, or the first `valid`. */
interface Tile {
  /** The first output, relative to the pointers. */
  readonly start: number;
  /** How many lanes are outputs of the row. */
  readonly valid: number;
  /** How many of them an earlier tile has done too. */
  readonly repeated: number;
}

/**
 * Writes a row of outputs as tiles. The last tile starts earlier where the row's length is no multiple
 * of the vector's; a row shorter than a vector is one tile with few valid lanes.
 */
function writeTiles(
  f: Func,
  { OW, vector: { lanes } }: Pool,
  pointers: readonly { readonly local: Local; readonly step: number }[],
  counter: Local,
  body: (tile: Tile) => void,
): void {
  if (OW < lanes) return body({ start: 0, valid: OW, repeated: 0 });
  const whole = Math.floor(OW / lanes);
  // A last tile that starts earlier must not start before where the pointers are by then.
  const rest = OW % lanes;
  const rounds = Math.floor((rest === 0 ? whole : whole - 1) / UNROLL);
  const full = { valid: lanes, repeated: 0 };
  let done = 0;
  if (rounds > 1) {
    f.repeat(counter, rounds, () => {
      for (let i = 0; i < UNROLL; i++) body({ start: i * lanes, ...full });
      for (const { local, step } of pointers) f.advance(local, UNROLL * lanes * step);
    });
    done = rounds * UNROLL;
  }
  for (let i = 0; i < whole - done; i++) body({ start: i * lanes, ...full });
  if (rest === 0) return;
  body({ start: OW - lanes - done * lanes, valid: lanes, repeated: lanes - rest });
}

/** Loads every tap of a tile, whose first input is at `from` plus an offset. */
function writeTaps(f: Func, pool: Pool, from: Local, offset: number, held: Registers): void {
  for (const [i, tap] of held.taps.entries()) writeTap(f, pool, from, offset, i, held, tap);
}

/** Loads tap i = ky * KW + kx: lane l is the input at row ky and column kx + l * strideX. */
function writeTap(
  f: Func,
  pool: Pool,
  from: Local,
  offset: number,
  i: number,
  { spare: [low, high] }: Registers,
  tap: Local,
): void {
  const { KW, strideX, paddedW, vector: { bytes, lanes, loadSplat, loadLane } } = pool;
  const kx = i % KW;
  const at = offset + (Math.floor(i / KW) * paddedW + kx) * bytes;
  if (strideX === 1) {
    f.get(from).at("v128.load", at).set(tap);
  } else if (strideX === 2) {
    // Two vectors serve two taps: the even and the odd columns.
    if (kx % 2 === 0) {
      f.get(from).at("v128.load", at).set(low);
      f.get(from).at("v128.load", at + 16).set(high);
    }
    f.get(low).get(high).shuffle(everySecond(lanes, kx % 2)).set(tap);
  } else {
    f.get(from).at(loadSplat, at).set(tap);
    for (let lane = 1; lane < lanes; lane++) {
      f.get(from).get(tap).laneAt(loadLane, lane, at + lane * strideX * bytes).set(tap);
    }
  }
}

function everySecond(lanes: number, from: number): number[] {
  return Array.from({ length: lanes }, (_, i) => 2 * i + from);
}

/**
 * Finds the largest number of each window, and which windows hold a NaN among the taps from `tested` on. A
 * NaN in the first tap stays the largest by itself.
 */
function writeMaximum(
  f: Func,
  { vector }: Pool,
  { taps, most, nan }: Registers,
  tested: 0 | 1,
): void {
  for (const [i, tap] of taps.entries()) {
    // pmax keeps its first operand unless the second is larger.
    if (i === 0) f.get(tap).set(most);
    else f.get(most).get(tap).op(vector.pmax).set(most);
    if (i < tested) continue;
    if (i > tested) f.get(nan);
    f.get(tap).get(tap).op(vector.ne);
    if (i > tested) f.op("v128.or");
    f.set(nan);
  }
}

/** Copies the plane at a pointer into the padded plane, and leaves the latter's address in `to`. */
function writePadding(f: Func, pool: Pool, from: Local, padded: number, to: Local): void {
  const { H, W, padTop, padLeft, paddedW, vector } = pool;
  const [source, target, y] = f.locals("i32", 3);
  f.get(from).set(source);
  f.const(padded + (padTop * paddedW + padLeft) * vector.bytes).set(target);
  f.repeat(y, H, () => {
    plainRow(vector, W)(f, source, target);
    f.advance(source, W * vector.bytes).advance(target, paddedW * vector.bytes);
  });
  f.const(padded).set(to);
}

/** Runs the body as often as the function's parameter says. */
function repeatPlanes(f: Func, body: () => void): void {
  const planes = 0;
  f.loop(() => {
    body();
    f.get(planes).const(-1).op("i32.add").tee(planes).branchIf(0);
  });
}

/** The forward pass over some planes. */
function writeForward(f: Func, pool: Pool, plan: ForwardPlan): void {
  const { H, W, strideY, strideX, OH, OW, vector } = pool;
  const { bytes } = vector;
  const [plane, row, x, out, outRow, y, column] = f.locals("i32", 7);
  const held = registers(f, pool);
  const { most, nan } = held;

  f.const(plan.x).set(plane).const(plan.out).set(outRow);
  repeatPlanes(f, () => {
    if (pool.padded) writePadding(f, pool, plane, plan.padded, row);
    else f.get(plane).set(row);
    f.repeat(y, OH, () => {
      f.get(row).set(x).get(outRow).set(out);
      const pointers = [{ local: x, step: strideX * bytes }, { local: out, step: bytes }];
      writeTiles(f, pool, pointers, column, ({ start, valid }) => {
        writeTaps(f, pool, x, start * strideX * bytes, held);
        writeMaximum(f, pool, held, 1);
        // A mask has every bit set: a NaN.
        f.get(most).get(nan).op("v128.or").set(most);
        if (valid === vector.lanes) f.get(out).get(most).at("v128.store", start * bytes);
        for (let i = 0; valid < vector.lanes && i < valid; i++) {
          f.get(out).get(most).laneAt(vector.storeLane, i, (start + i) * bytes);
        }
      });
      f.advance(row, strideY * pool.paddedW * bytes).advance(outRow, OW * bytes);
    });
    f.advance(plane, H * W * bytes);
  });
}

/** The backward pass over some planes. */
function writeBackward(f: Func, pool: Pool, plan: BackwardPlan): void {
  const { H, W, KH, KW, strideY, strideX, OH, OW, vector } = pool;
  const { bytes, lanes } = vector;
  const { sums } = plan;
  const [plane, row, x, dout, doutRow, to, toRow, dxPlane, y, column] = f.locals("i32", 10);
  const held = registers(f, pool);
  const { taps, left } = held;
  const inSize = H * W * bytes;
  const everyInput = KH === strideY && KW === strideX && OH * KH === H && OW * KW === W;

  f.const(plan.x).set(plane).const(plan.dout).set(doutRow).const(plan.dx).set(dxPlane);
  repeatPlanes(f, () => {
    if (pool.padded) writePadding(f, pool, plane, plan.padded, row);
    else f.get(plane).set(row);
    if (sums) {
      f.const(sums.start).set(toRow).const(sums.base).set(to);
      writeZeros(f, to, sums.bytes);
    } else {
      f.get(dxPlane).tee(toRow).set(to);
      // Beyond the plane lies the next, which is written later.
      if (!everyInput) writeZeros(f, to, Math.ceil(inSize / 16) * 16);
    }
    f.repeat(y, OH, () => {
      f.get(row).set(x).get(doutRow).set(dout).get(toRow).set(to);
      const pointers = [
        { local: x, step: strideX * bytes },
        { local: dout, step: bytes },
        { local: to, step: (sums ? 1 : strideX) * bytes },
      ];
      writeTiles(f, pool, pointers, column, (tile) => {
        writeTaps(f, pool, x, tile.start * strideX * bytes, held);
        writeMaximum(f, pool, held, 0);
        const toInside = plan.inside - plan.padded;
        writeRareWindows(f, pool, held, toInside, x, tile.start * strideX * bytes);
        f.get(dout).at("v128.load", tile.start * bytes);
        // Sums start at 0, which turns -0 into 0.
        pushZero(f);
        f.op(vector.add).set(left);
        if (sums) {
          // What is added must be added once: no lane of another tile, none beyond the row.
          if (tile.repeated > 0 || tile.valid < lanes) {
            f.get(left);
            pushMask(f, vector, tile.repeated, tile.valid);
            f.op("v128.and").set(left);
          }
        }
        writeWinners(f, pool, held);
        if (sums) writeSums(f, pool, sums, to, tile, taps);
        else writeGradients(f, pool, to, tile, taps);
      });
      f.advance(row, strideY * pool.paddedW * bytes).advance(doutRow, OW * bytes);
      f.advance(toRow, strideY * (sums ? sums.row : W * bytes));
    });
    if (sums) writeMerge(f, pool, sums, dxPlane);
    f.advance(plane, inSize).advance(dxPlane, inSize);
  });
}

/** Zeros at a pointer: a number of bytes that sixteen divides. */
function writeZeros(f: Func, start: Local, bytes: number): void {
  const [at, counter] = f.locals("i32", 2);
  const unroll = 8;
  const vectors = bytes / 16;
  f.get(start).set(at);
  const store = (count: number) => {
    for (let i = 0; i < count; i++) {
      f.get(at);
      pushZero(f);
      f.at("v128.store", i * 16);
    }
  };
  f.repeat(counter, Math.floor(vectors / unroll), () => {
    store(unroll);
    f.advance(at, unroll * 16);
  });
  store(vectors % unroll);
}

/**
 * Prepares the rare windows whose winner is not simply the first tap that equals the maximum: there the
 * taps become 1 where they may win and 0 elsewhere, and the maximum 1. A NaN wins over numbers; minus
 * infinity in x wins over the same in the padding.
 */
function writeRareWindows(
  f: Func,
  pool: Pool,
  held: Registers,
  insideFrom: number,
  x: Local,
  offset: number,
): void {
  const { taps, most, nan, left } = held;
  const { vector } = pool;
  const replaceMost = () => {
    pushNumber(f, vector, 1);
    f.get(most).get(nan).op("v128.bitselect").set(most);
  };
  f.get(nan).op("v128.any_true").if(() => {
    for (const tap of taps) {
      f.get(tap).get(tap).op(vector.ne);
      pushNumber(f, vector, 1);
      f.op("v128.and").get(tap).get(nan).op("v128.bitselect").set(tap);
    }
    replaceMost();
  });
  if (!pool.padded) return;
  f.get(most);
  pushNumber(f, vector, -Infinity);
  f.op(vector.eq).tee(nan).op("v128.any_true").if(() => {
    for (const [i, tap] of taps.entries()) {
      writeTap(f, pool, x, insideFrom + offset, i, held, left);
      f.get(left).get(tap).get(nan).op("v128.bitselect").set(tap);
    }
    replaceMost();
  });
}

/** Pushes a number, repeated in every lane. */
function pushNumber(f: Func, { dtype, lanes }: Vector, value: number): void {
  const numbers = dtype === "float32" ? new Float32Array(lanes) : new Float64Array(lanes);
  f.vector(new Uint8Array(numbers.fill(value).buffer));
}

/** Each tap becomes the gradient `left` where it is its window's first maximum, 0 elsewhere. */
function writeWinners(f: Func, { vector }: Pool, registers: Registers): void {
  const { taps, most, left, spare: [wins] } = registers;
  for (const [i, tap] of taps.entries()) {
    if (i === taps.length - 1) {
      // Nobody else has won.
      f.get(left).set(tap);
      break;
    }
    f.get(tap).get(most).op(vector.eq).set(wins);
    f.get(left).get(wins).op("v128.and").set(tap);
    f.get(left).get(wins).op("v128.andnot").set(left);
  }
}

/** Stores a tile's gradients where windows lie side by side. */
function writeGradients(
  f: Func,
  { W, KH, KW, vector: { bytes, lanes, storeLane } }: Pool,
  to: Local,
  { start, valid }: Tile,
  taps: readonly Local[],
): void {
  const straight = valid === lanes && KW <= 2;
  for (let ky = 0; ky < KH; ky++) {
    const at = (ky * W + start * KW) * bytes;
    const row = taps.slice(ky * KW, (ky + 1) * KW);
    if (straight && KW === 1) {
      f.get(to).get(row[0]).at("v128.store", at);
    } else if (straight) {
      const lower = Array.from({ length: lanes }, (_, i) => (i >> 1) + (i & 1) * lanes);
      const upper = lower.map((lane) => lane + lanes / 2);
      f.get(to).get(row[0]).get(row[1]).shuffle(lower).at("v128.store", at);
      f.get(to).get(row[0]).get(row[1]).shuffle(upper).at("v128.store", at + 16);
    } else {
      for (let i = 0; i < valid; i++) {
        for (let kx = 0; kx < KW; kx++) {
          f.get(to).get(row[kx]).laneAt(storeLane, i, at + (i * KW + kx) * bytes);
        }
      }
    }
  }
}

/** Adds a tile's gradients to the sums. */
function writeSums(
  f: Func,
  { KH, KW, vector }: Pool,
  sums: Sums,
  to: Local,
  { start }: Tile,
  taps: readonly Local[],
): void {
  for (let ky = 0; ky < KH; ky++) {
    for (let kx = 0; kx < KW; kx++) {
      const at = kx * sums.plane + ky * sums.row + start * vector.bytes;
      f.get(to).get(to).at("v128.load", at).get(taps[ky * KW + kx]).op(vector.add);
      f.at("v128.store", at);
    }
  }
}

/** Writes the plane of dx from the sums. */
function writeMerge(f: Func, pool: Pool, sums: Sums, dxPlane: Local): void {
  const { H, W, KW, strideX, padTop, padLeft, vector } = pool;
  const { bytes } = vector;
  const [row, source, target, y, at, column] = f.locals("i32", 6);
  // Column x of the padded plane is number floor(x / strideX) of phase x % strideX.
  const phases = Array.from(
    { length: strideX },
    (_, i) => ((i + padLeft) % strideX) * sums.plane + Math.floor((i + padLeft) / strideX) * bytes,
  );
  const first = Math.min(...phases);
  f.const(sums.start + padTop * sums.row).set(row).get(dxPlane).set(target);
  f.repeat(y, H, () => {
    if (KW > strideX) {
      f.get(row).set(at);
      f.repeat(column, sums.vectors, () => {
        for (let phase = 0; phase < strideX && phase + strideX < KW; phase++) {
          f.get(at).get(at).at("v128.load", phase * sums.plane);
          for (let kx = phase + strideX, back = 1; kx < KW; kx += strideX, back++) {
            // An offset is not negative: the address steps back.
            f.get(at).const(kx * sums.plane - back * bytes).op("i32.add").at("v128.load");
            f.op(vector.add);
          }
          f.at("v128.store", phase * sums.plane);
        }
        f.advance(at, 16);
      });
    }
    f.get(row).const(first).op("i32.add").set(source);
    mergeRow(vector, W, phases.map((phase) => phase - first))(f, source, target);
    f.advance(row, sums.row).advance(target, W * bytes);
  });
}
