/** What the tests of all tiers share: made data, and a kernel's results beside the naive ones. */

import { assert, assertEquals } from "@std/assert";
import type { AveragePoolKernel, PoolKernel, WeightedKernel } from "../../kernels/kernel.ts";
import { naiveAffine } from "../../kernels/naive/affine.ts";
import { naiveAveragePool } from "../../kernels/naive/average_pool.ts";
import { naiveConv } from "../../kernels/naive/conv.ts";
import { naiveMaxPool } from "../../kernels/naive/max_pool.ts";
import type { AffineShape, AveragePoolShape, ConvShape, PoolShape } from "../../kernels/shape.ts";
import type { DType, FloatArray } from "../../kernels/tensor.ts";
import { newArray } from "../../nn/tensor.ts";

/** Numbers for a test: whole ones make every tier exact, others show rounding. */
export type Fill = "integers" | "reals";

/** Random cases of a property test; more by SIMD_GEOMETRIES=100000 in front of the command. */
export const GEOMETRIES = Number(Deno.env.get("SIMD_GEOMETRIES") ?? 2000);

/** The seed of the random cases: a new one every time, unless SIMD_SEED says which. */
export const SEED = Number(Deno.env.get("SIMD_SEED") ?? Date.now() % 2 ** 31);

/** Numbers from a small generator, so that a case is the same every time it is tried. */
export function numbers(
  length: number,
  dtype: DType,
  seed: number,
  next: (u: number) => number,
): FloatArray {
  const array = newArray(length, dtype);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    array[i] = next((state >>> 8) / 2 ** 24);
  }
  return array;
}

let seed = 231;

/** An array of made numbers: whole ones from -4 to 4, or reals from -1 to 1. */
export function made(length: number, dtype: DType, fill: Fill): FloatArray {
  const next = fill === "integers"
    ? (u: number) => Math.floor(u * 9) - 4
    : (u: number) => u * 2 - 1;
  return numbers(length, dtype, seed++, next);
}

/** An array of NaN, so that what a kernel fails to write shows. */
export function unwritten(length: number, dtype: DType): FloatArray {
  return newArray(length, dtype).fill(NaN);
}

/**
 * Equal on whole numbers; else to 1e-12 (float64) or 1e-5 (float32) of the largest expected number, or of
 * the largest of others, or of a usual one.
 */
export function assertClose(
  actual: FloatArray,
  expected: FloatArray,
  fill: Fill,
  dtype: DType,
  what: string,
  sized = expected,
  usual = 0,
): void {
  const bound = fill === "integers" ? 0 : dtype === "float64" ? 1e-12 : 1e-5;
  let scale = usual;
  for (const value of sized) scale = Math.max(scale, Math.abs(value));
  for (let i = 0; i < expected.length; i++) {
    const same = actual[i] === expected[i] || Math.abs(actual[i] - expected[i]) <= bound * scale;
    assert(same, `${what}[${i}] is ${actual[i]}, by the definition ${expected[i]}`);
  }
  assertEquals(actual.length, expected.length, what);
}

/** What the passes of a layer with weights read. */
export interface Inputs {
  readonly x: FloatArray;
  readonly w: FloatArray;
  readonly b: FloatArray;
  readonly dout: FloatArray;
}

/** What they write. */
export interface Results {
  readonly out: FloatArray;
  readonly relu: FloatArray;
  readonly dx: FloatArray;
  readonly dw: FloatArray;
  readonly db: FloatArray;
}

/** Every pass of a kernel; results start as NaN, so that a number left out shows. */
export function runPasses(
  kernel: WeightedKernel,
  N: number,
  { x, w, b, dout }: Inputs,
): Results {
  const like = (array: FloatArray) => array.slice().fill(NaN);
  const results = { out: like(dout), relu: like(dout), dx: like(x), dw: like(w), db: like(b) };
  kernel.forward(N, x, w, results.out, { bias: b });
  kernel.forward(N, x, w, results.relu, { bias: b, relu: true });
  kernel.backwardData(N, dout, w, results.dx);
  kernel.backwardWeights(N, x, dout, results.dw, results.db);
  return results;
}

/**
 * Holds every array of a kernel's results against the naive one's; gradients of weights and biases are sums of
 * so many terms.
 */
function assertResults<R extends object>(
  actual: R,
  expected: R,
  fill: Fill,
  dtype: DType,
  what: string,
  terms = 0,
): void {
  for (const name of Object.keys(expected) as (keyof R & string)[]) {
    const arrays = [actual[name], expected[name]] as FloatArray[];
    // A sum may be all but zero where the others are negative.
    const sized = name === "relu" ? expected["out" as keyof R] as FloatArray : arrays[1];
    // Or where it is the only one: what sums of terms between -1 and 1 are like counts too.
    const usual = name === "dw" || name === "db" ? Math.sqrt(terms) / 3 : 0;
    assertClose(arrays[0], arrays[1], fill, dtype, `${what} ${name}`, sized, usual);
  }
}

/** Holds a convolution in all directions against the naive one. */
export function assertConv(
  kernel: WeightedKernel,
  shape: ConvShape,
  N: number,
  dtype: DType,
  fill: Fill,
): void {
  const { C, H, W, F, KH, KW, OH, OW } = shape;
  const inputs = {
    x: made(N * C * H * W, dtype, fill),
    w: made(F * C / shape.groups * KH * KW, dtype, fill),
    b: made(F, dtype, fill),
    dout: made(N * F * OH * OW, dtype, fill),
  };
  const actual = runPasses(kernel, N, inputs), expected = runPasses(naiveConv(shape), N, inputs);
  const what = `${kernel.name} ${dtype} ${JSON.stringify({ N, ...shape })}`;
  assertResults(actual, expected, fill, dtype, what, N * OH * OW);
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
  const what = `${kernel.name} ${dtype} ${JSON.stringify({ N, ...shape })}`;
  assertResults(run(kernel), run(naiveMaxPool(shape)), fill, dtype, what);
}

/** Holds an average pool in both directions against the naive one. */
export function assertAveragePool(
  kernel: AveragePoolKernel,
  shape: AveragePoolShape,
  N: number,
  dtype: DType,
  fill: Fill,
): void {
  const { C, H, W, OH, OW } = shape;
  const x = made(N * C * H * W, dtype, fill), dout = made(N * C * OH * OW, dtype, fill);
  const run = (pool: AveragePoolKernel) => {
    const out = unwritten(dout.length, dtype), dx = unwritten(x.length, dtype);
    pool.forward(N, x, out);
    pool.backward(N, dout, dx);
    return { out, dx };
  };
  const what = `${kernel.name} ${dtype} ${JSON.stringify({ N, ...shape })}`;
  assertResults(run(kernel), run(naiveAveragePool(shape)), fill, dtype, what);
}

/** Holds a fully-connected layer in all directions against the naive one. */
export function assertAffine(
  kernel: WeightedKernel,
  shape: AffineShape,
  N: number,
  dtype: DType,
  fill: Fill,
): void {
  const { D, M } = shape;
  const inputs = {
    x: made(N * D, dtype, fill),
    w: made(D * M, dtype, fill),
    b: made(M, dtype, fill),
    dout: made(N * M, dtype, fill),
  };
  const actual = runPasses(kernel, N, inputs), expected = runPasses(naiveAffine(shape), N, inputs);
  const what = `${kernel.name} ${dtype} ${JSON.stringify({ N, ...shape })}`;
  assertResults(actual, expected, fill, dtype, what, N);
}
