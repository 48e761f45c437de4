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
import type { DType, FloatArray } from "../tensor.ts";
import { poolLabel, type PoolShape } from "../shape.ts";
import type { Answer } from "../tier.ts";
import { Assembly, type Func } from "./assembler.ts";
import { type Pool, writeBackward, writeForward } from "./emit_max_pool.ts";
import { type Features, features } from "./features.ts";
import { compile, Layout, type Region, reserve, scratch } from "./memory.ts";
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
/** Bytes of input that are copied at once. */
const CHUNK = 1 << 17;
/** Vectors beyond a region's last number that are read, or written with what was there. */
const SLACK = 128;
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
  const x = region("x", chunk * H * W + beyond);
  const y = region("y", chunk * OH * OW);
  const dx = region("dx", chunk * H * W);
  const needsFallback = layout.region("needs fallback", 16);
  const pool = { ...shape, vector, paddedW, paddedH, chunk, layout, x, y, dx, needsFallback };
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
interface Part {
  readonly data: FloatArray;
  readonly size: number;
  readonly at: number;
}

/**
 * The SIMD max-pool for one geometry.
 *
 * @param shape The geometry.
 * @param dtype The number type.
 * @param available What the host can do: found out if left out.
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
  const vector = vectors[dtype], { bytes, lanes } = vector;
  const pool = planPool(shape, vector);
  const { layout, chunk, paddedH, paddedW, padded } = pool;
  const refusal = reserve(layout.size);
  if (refusal !== undefined) return { reason: refusal };

  const xPart = (data: FloatArray) => ({ data, size: H * W, at: pool.x / bytes });
  const yPart = (data: FloatArray) => ({ data, size: OH * OW, at: pool.y / bytes });

  /** Runs a pass over all planes: copies some in, computes, and copies the result out. */
  function drive(
    N: number,
    run: (planes: number) => void,
    inputs: readonly Part[],
    result: Part,
    naive: (planes: number, ...parts: FloatArray[]) => void,
  ): void {
    const memory = scratch(dtype);
    const flag = pool.needsFallback / bytes;
    if (padded !== undefined) {
      // The kernel writes the inner part of the padded plane alone.
      memory.fill(-Infinity, padded / bytes, padded / bytes + paddedH * paddedW);
    }
    for (let first = 0; first < N * C; first += chunk) {
      const end = Math.min(N * C, first + chunk);
      const part = ({ data, size }: Part) => data.subarray(first * size, end * size);
      for (const input of inputs) memory.set(part(input), input.at);
      run(end - first);
      let fallback = false;
      for (let lane = 0; lane < lanes; lane++) fallback ||= memory[flag + lane] !== 0;
      if (fallback) {
        naive(end - first, ...[...inputs, result].map(part));
      } else {
        const { at, size } = result;
        part(result).set(memory.subarray(at, at + (end - first) * size));
      }
    }
  }

  const naive = naiveMaxPool({ ...shape, C: 1 });
  let joinForward: ReturnType<typeof compile> | undefined;
  let joinBackward: ReturnType<typeof compile> | undefined;
  const kernel: SimdPool = {
    name: `maxpool-${poolLabel(shape)}-${dtype === "float32" ? "f32" : "f64"}-simd`,
    tier: "simd",
    regions: layout.regions,
    forward(N, x, out) {
      joinForward ??= compilePass(pool, writeForward);
      drive(N, joinForward().pool, [xPart(x)], yPart(out), naive.forward);
    },
    backward(N, x, dout, dx) {
      joinBackward ??= compilePass(pool, writeBackward);
      const result = { ...xPart(dx), at: pool.dx / bytes };
      drive(N, joinBackward().pool, [xPart(x), yPart(dout)], result, naive.backward);
    },
  };
  return { kernel, reason: available.interpreted ? available.reason : "assembled for the shape" };
}

/** Compiles a function "pool" of the number of planes. */
function compilePass(pool: Pool, write: (f: Func, pool: Pool) => void): ReturnType<typeof compile> {
  const assembly = new Assembly();
  write(assembly.func("pool", ["i32"]), pool);
  return compile(assembly, pool.layout);
}
