/** What the tests of all tiers share: made data, and a kernel's results beside the naive ones. */

import { assert, assertEquals } from "@std/assert";
import type { AffineKernel, ConvKernel, PoolKernel } from "../kernels/kernel.ts";
import { naiveAffine } from "../kernels/naive/affine.ts";
import { naiveConv } from "../kernels/naive/conv.ts";
import { naiveMaxPool } from "../kernels/naive/pool.ts";
import type { AffineShape, ConvShape, DType, FloatArray, PoolShape } from "../kernels/shape.ts";
import { newArray } from "../nn/tensor.ts";

/** Numbers for a test: whole ones make every tier exact, others show rounding. */
export type Fill = "integers" | "reals";

/** A small generator of its own, so that kernels are tested without the library's. */
let state = 231;
function uniform(): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
}

/** An array of made numbers: whole ones from -4 to 4, or reals from -1 to 1. */
export function made(length: number, dtype: DType, fill: Fill): FloatArray {
  const data = newArray(length, dtype);
  for (let i = 0; i < length; i++) {
    data[i] = fill === "integers" ? Math.floor(uniform() * 9) - 4 : uniform() * 2 - 1;
  }
  return data;
}

/** An array of NaN, so that what a kernel fails to write shows. */
export function unwritten(length: number, dtype: DType): FloatArray {
  return newArray(length, dtype).fill(NaN);
}

/**
 * Equal on whole numbers; else to 1e-12 (float64) or 1e-5 (float32) of the largest expected number.
 */
export function assertClose(
  actual: FloatArray,
  expected: FloatArray,
  fill: Fill,
  dtype: DType,
  what: string,
): void {
  const bound = fill === "integers" ? 0 : dtype === "float64" ? 1e-12 : 1e-5;
  let scale = 0;
  for (const value of expected) scale = Math.max(scale, Math.abs(value));
  for (let i = 0; i < expected.length; i++) {
    const same = actual[i] === expected[i] || Math.abs(actual[i] - expected[i]) <= bound * scale;
    assert(same, `${what}[${i}] is ${actual[i]}, by the definition ${expected[i]}`);
  }
  assertEquals(actual.length, expected.length, what);
}

/** Holds a convolution in all directions against the naive one. */
export function assertConv(
  kernel: ConvKernel,
  shape: ConvShape,
  N: number,
  dtype: DType,
  fill: Fill,
): void {
  const { C, H, W, F, KH, KW, OH, OW } = shape;
  const x = made(N * C * H * W, dtype, fill), w = made(F * C * KH * KW, dtype, fill);
  const b = made(F, dtype, fill), dout = made(N * F * OH * OW, dtype, fill);
  const run = (conv: ConvKernel) => {
    const out = unwritten(dout.length, dtype), rectified = unwritten(dout.length, dtype);
    const dx = unwritten(x.length, dtype);
    const dw = unwritten(w.length, dtype), db = unwritten(F, dtype);
    conv.forward(N, x, w, b, out);
    conv.forward(N, x, w, b, rectified, true);
    conv.backwardData(N, dout, w, dx);
    conv.backwardWeights(N, x, dout, dw, db);
    return { out, rectified, dx, dw, db };
  };
  const actual = run(kernel);
  for (const [name, expected] of Object.entries(run(naiveConv(shape)))) {
    const what = `${kernel.name} ${dtype} ${JSON.stringify({ N, ...shape })} ${name}`;
    assertClose(actual[name as keyof typeof actual], expected, fill, dtype, what);
  }
}

/** Holds a max-pool in both directions against the naive one. */
export function assertMaxPool(
  kernel: PoolKernel,
  shape: PoolShape,
  N: number,
  dtype: DType,
  fill: Fill,
): void {
  const { C, H, W, OH, OW } = shape;
  const x = made(N * C * H * W, dtype, fill), dout = made(N * C * OH * OW, dtype, fill);
  const run = (pool: PoolKernel) => {
    const out = unwritten(dout.length, dtype), dx = unwritten(x.length, dtype);
    pool.forward(N, x, out);
    pool.backward(N, x, dout, dx);
    return { out, dx };
  };
  const actual = run(kernel);
  for (const [name, expected] of Object.entries(run(naiveMaxPool(shape)))) {
    const what = `${kernel.name} ${dtype} ${JSON.stringify({ N, ...shape })} ${name}`;
    assertClose(actual[name as keyof typeof actual], expected, fill, dtype, what);
  }
}

/** Holds a fully-connected layer in all directions against the naive one. */
export function assertAffine(
  kernel: AffineKernel,
  shape: AffineShape,
  N: number,
  dtype: DType,
  fill: Fill,
): void {
  const { D, M } = shape;
  const x = made(N * D, dtype, fill), w = made(D * M, dtype, fill), b = made(M, dtype, fill);
  const dout = made(N * M, dtype, fill);
  const run = (affine: AffineKernel) => {
    const out = unwritten(N * M, dtype), rectified = unwritten(N * M, dtype);
    const dx = unwritten(N * D, dtype), dw = unwritten(D * M, dtype), db = unwritten(M, dtype);
    affine.forward(N, x, w, b, out);
    affine.forward(N, x, w, b, rectified, true);
    affine.backwardData(N, dout, w, dx);
    affine.backwardWeights(N, x, dout, dw, db);
    return { out, rectified, dx, dw, db };
  };
  const actual = run(kernel);
  for (const [name, expected] of Object.entries(run(naiveAffine(shape)))) {
    const what = `${kernel.name} ${dtype} ${JSON.stringify({ N, ...shape })} ${name}`;
    assertClose(actual[name as keyof typeof actual], expected, fill, dtype, what);
  }
}
