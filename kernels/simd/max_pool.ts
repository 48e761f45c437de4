/**
 * Max-pooling for any window whose taps can be written out, assembled for the shape.
 *
 * Planes are copied into the memory some at a time, as many as the cache holds well.
 *
 * @module
 */

import type { PoolKernel } from "../kernel.ts";
import { naiveMaxPool } from "../naive/max_pool.ts";
import { windowAxes } from "../passes.ts";
import { type DType, type FloatArray, zerosOf } from "../tensor.ts";
import { poolLabel, type PoolShape } from "../shape.ts";
import type { Answer } from "../tier.ts";
import { Assembly, type Func } from "./assembler.ts";
import { type Pool, writeBackward, writeForward } from "./emit_max_pool.ts";
import { sharesRows, writeSharedRows } from "./emit_row_max.ts";
import { type Features, features } from "./features.ts";
import { compile, Layout, type Module, type Region, reserve } from "./memory.ts";
import { runJob } from "./job.ts";
import { type Vector, vectors } from "./vector.ts";

/** A pool's kernel, and where its data lie in the memory. */
export interface SimdPool extends PoolKernel {
  /** The regions of both passes. */
  readonly regions: readonly Region[];
}

/** Taps that are written out one by one. */
const TAPS = 25;
/** Phases of a row that are written out: as many as the stride. */
const LARGEST_STRIDE = 64;
/** About how long a number of a plane takes, in nanoseconds. */
const PLACE_COST = 0.2;
/** Bytes of input that are copied at once. */
const CHUNK = 1 << 17;
/** Vectors beyond a region's last number that are read, or written with what was there. */
const SLACK = 128;
/** Bytes before the planes that may be read. */
const LEAD = 64;

/** Lays out the memory for a geometry. */
function planPool(shape: PoolShape, vector: Vector): Pool {
  const { H, W, KH, KW, strideY, strideX, padTop, padLeft, OH, OW } = shape;
  const { bytes, lanes } = vector;
  // Windows may leave out the last rows and columns, and hang over them in ceil mode.
  const { rows, columns: across } = windowAxes(shape);
  const paddedH = Math.max(padTop + H, rows.source.extent);
  const paddedW = Math.max(padLeft + W, across.source.extent);
  const chunk = Math.max(1, Math.floor(CHUNK / (H * W * bytes)));
  const layout = new Layout();
  const region = (name: string, numbers: number) => layout.region(name, numbers * bytes + SLACK);
  // Lanes beyond a row that is shorter than a vector are read too, as far apart as the others.
  const beyond = OW < lanes ? (lanes - OW) * strideX : 0;
  const x = region("x", LEAD / bytes + chunk * H * W + beyond) + LEAD;
  const y = region("y", chunk * OH * OW);
  const dx = region("dx", chunk * H * W);
  const needsFallback = layout.region("needs fallback", 16);
  const line = sharesRows(shape, vector) ? region("line", OW) : undefined;
  const pool = { ...shape, vector, paddedW, paddedH, chunk, layout, x, y, dx, needsFallback, line };
  const isPadded = paddedW > W || paddedH > H;
  if (!isPadded && strideX === KW && strideY >= KH) return pool;
  const before = Math.floor((KW - 1) / strideX);
  const columns = Math.ceil(paddedW / strideX);
  const row = (before + Math.max(columns, OW) + lanes) * bytes;
  const plane = paddedH * row;
  // A stride beyond the window leaves columns without a gradient: zeros.
  const size = Math.ceil((Math.max(KW, strideX) * plane) / 16) * 16;
  const base = region("sums", size / bytes);
  return {
    ...pool,
    padded: isPadded ? region("padded", paddedH * paddedW + beyond) : undefined,
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

/** Numbers of all planes: how many a plane has, and where those of some planes lie in the memory. */
interface Planes {
  readonly data: FloatArray;
  readonly size: number;
  readonly at: number;
}

/**
 * The SIMD max-pool for one geometry.
 *
 * @param shape The geometry.
 * @param dtype The data type.
 * @param available What the host can do. Default: found out.
 * @returns The kernel, or why there is none.
 */
export function simdMaxPool(
  shape: PoolShape,
  dtype: DType,
  available: Features = features(),
): Answer<SimdPool> {
  const { C, H, W, KH, KW, OH, OW } = shape;
  if (KH * KW > TAPS) {
    return { reason: `a window of ${KH}x${KW} is more than the ${TAPS} numbers written out` };
  }
  if (shape.strideX > LARGEST_STRIDE) {
    return { reason: `horizontal strides above ${LARGEST_STRIDE} would be too much code` };
  }
  const vector = vectors[dtype];
  const pool = planPool(shape, vector);
  const { layout, chunk, paddedH, paddedW, padded, needsFallback, line } = pool;
  const refusal = reserve(layout.size);
  if (refusal !== undefined) return { reason: refusal };

  const xPlanes = (data: FloatArray) => ({ data, size: H * W, at: pool.x });
  const yPlanes = (data: FloatArray) => ({ data, size: OH * OW, at: pool.y });
  const border = padded && zerosOf(dtype, paddedH * paddedW).fill(-Infinity);

  /** Runs a pass over all planes, some at a time. Those that need the naive loops get them. */
  function drive(
    N: number,
    module: Module,
    inputs: readonly Planes[],
    result: Planes,
    readsPadding: boolean,
    naive: (planes: number, ...parts: FloatArray[]) => void,
  ): void {
    let done = 0;
    while (done < N * C) {
      const before = done;
      done += runJob({
        cost: H * W * PLACE_COST,
        together: chunk,
        prepare(queue) {
          queue.use(module);
          // The kernel writes the inner part of the padded plane alone.
          if (border && readsPadding) queue.load(padded!, border, 0, border.length);
          return true;
        },
        run(queue, from, to) {
          for (let first = from; first < to; first += chunk) {
            const end = Math.min(to, first + chunk), start = before + first;
            for (const { data, size, at } of inputs) {
              queue.load(at, data, start * size, (before + end) * size);
            }
            queue.call("pool", end - first);
            if (queue.isSet(needsFallback, first)) return first;
            queue.store(result.data, start * result.size, (end - first) * result.size, result.at);
          }
          return to;
        },
      }, N * C - before);
      const end = Math.min(N * C, done + chunk);
      const part = ({ data, size }: Planes) => data.subarray(done * size, end * size);
      if (done < end) naive(end - done, ...[...inputs, result].map(part));
      done = end;
    }
  }

  const naive = naiveMaxPool({ ...shape, C: 1 });
  let forward: Module | undefined, backward: Module | undefined;
  const kernel: SimdPool = {
    name: `maxpool-${poolLabel(shape)}-${dtype === "float32" ? "f32" : "f64"}-simd`,
    tier: "simd",
    regions: layout.regions,
    forward(N, x, out) {
      forward ??= compilePass(pool, line === undefined ? writeForward : writeSharedRows);
      drive(N, forward, [xPlanes(x)], yPlanes(out), line === undefined, naive.forward);
    },
    backward(N, x, dout, dx) {
      backward ??= compilePass(pool, writeBackward);
      const result = { ...xPlanes(dx), at: pool.dx };
      drive(N, backward, [xPlanes(x), yPlanes(dout)], result, true, naive.backward);
    },
  };
  return { kernel, reason: available.interpreted ? available.reason : "assembled for the shape" };
}

/** Compiles a function "pool" of the number of planes. */
function compilePass(pool: Pool, write: (f: Func, pool: Pool) => void): Module {
  const assembly = new Assembly();
  write(assembly.func("pool", ["i32"]), pool);
  return compile(assembly, pool.layout);
}
