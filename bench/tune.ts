/**
 * `deno task tune`: times register tiles for the convolutions of the table, and records those that are
 * faster than the rule's as data that the SIMD kernels read.
 *
 * A candidate counts if it beats the rule in two measurements, each of which takes the candidates by
 * turns and keeps the least time of each.
 *
 * @module
 */

import { convConfigs, convConfigShape } from "../codegen/configs.ts";
import { flag, matching, scriptOptions, whole } from "../tools/options.ts";
import { RandomState } from "../mod.ts";
import type { WeightedKernel } from "../kernels/kernel.ts";
import { convLabel, type ConvShape } from "../kernels/shape.ts";
import type { DType, FloatArray } from "../kernels/tensor.ts";
import { simdConv } from "../kernels/simd/conv.ts";
import { features } from "../kernels/simd/features.ts";
import { convTiles, type Tile, tileKey, type TilePass, weightTiles } from "../kernels/simd/plan.ts";
import { tuned } from "../kernels/simd/tuned.ts";
import { type Vector, vectors } from "../kernels/simd/vector.ts";
import {
  planWinogradData,
  planWinogradForward,
  planWinogradWeights,
  winogradServes,
  winogradTiles,
  winogradWeightTiles,
} from "../kernels/simd/winograd.ts";
import { markdownTable } from "./markdown.ts";

/** What a tile must gain to be recorded. */
const GAIN = 1.05;
/** Milliseconds that a timed call should take, and the most images of one. */
const CALL = 2;
const MOST_IMAGES = 64;

/** Tiles that fit sixteen registers: filters, and vectors of outputs beside them. */
const outputTiles = [[1, 8], [2, 4], [2, 6], [3, 2], [3, 3], [4, 2], [5, 2], [6, 1], [8, 1]];
/** Filters, and taps or channels of a weight gradient. */
const gradientTiles = [[2, 4], [2, 5], [3, 2], [3, 3], [4, 1], [4, 2], [5, 1], [6, 1]];

const passes = ["forward", "dx", "dw"] as const;
type Pass = typeof passes[number];

/** A tile's kernel, ready to run, and the least milliseconds an image. */
interface Candidate {
  /** Undefined for the rule. */
  readonly tile?: Tile;
  readonly call: (N: number) => void;
  least: number;
}

/** Calls of one pass on the same numbers, whatever the kernel. */
function caller(
  shape: ConvShape,
  dtype: DType,
): (kernel: WeightedKernel, pass: Pass) => Candidate["call"] {
  const { C, H, W, F, KH, KW, OH, OW } = shape;
  const random = new RandomState(231);
  const numbers = (length: number) => random.randn([length], dtype).data;
  const xs = numbers(MOST_IMAGES * C * H * W), outs = numbers(MOST_IMAGES * F * OH * OW);
  const w = numbers(F * C * KH * KW), b = numbers(F);
  // What is computed goes elsewhere: numbers that run away would not be timed fairly.
  const dx = xs.slice(), dout = outs.slice(), dw = w.slice(), db = b.slice();
  const images = (array: FloatArray, N: number) =>
    array.subarray(0, N * array.length / MOST_IMAGES);
  return (kernel, pass) => (N) => {
    if (pass === "forward") kernel.forward(N, images(xs, N), w, images(dout, N), { bias: b });
    else if (pass === "dx") kernel.backwardData(N, images(outs, N), w, images(dx, N));
    else kernel.backwardWeights(N, images(xs, N), images(outs, N), dw, db);
  };
}

/** Plans of Winograd's algorithm by pass. */
const winograd = {
  forward: (shape: ConvShape, vector: Vector, fused: boolean) =>
    planWinogradForward(shape, vector, fused, false),
  dx: planWinogradData,
  dw: planWinogradWeights,
};

/** The name of the pass's tile: of the algorithm that goes first, as the other is a rare fallback. */
function tilePass(shape: ConvShape, dtype: DType, pass: Pass): TilePass {
  const { fused, reassociate } = features();
  const special = reassociate && winogradServes(shape) &&
    winograd[pass](shape, vectors[dtype], fused) !== undefined;
  return special ? `winograd ${pass}` : pass;
}

/** How a pass is cut, by the rule or with a tile; for strided dx, one phase of it. */
function tilesOf(
  shape: ConvShape,
  dtype: DType,
  pass: Pass,
  special: boolean,
  tile: Tile | undefined,
): { readonly size: string; readonly code: string } {
  const { C, H, W, F, KH, KW, OH, OW, strideY, strideX } = shape;
  const { lanes } = vectors[dtype];
  if (pass === "dw") {
    const offsets = Array.from({ length: KH }, () => Array<number>(KW).fill(0));
    const tiles = special
      ? winogradWeightTiles(vectors[dtype], shape, tile)
      : [weightTiles(F, C, offsets, 0, false, tile)];
    const size = `${tiles[0].blocks[0].size}x${tiles[0].channels[0].groups[0].length}`;
    return { size, code: JSON.stringify(tiles) };
  }
  const [outputs, OY, OX] = pass === "forward"
    ? [F, OH, OW]
    : [C, Math.ceil(H / strideY), Math.ceil(W / strideX)];
  const sizes = { channels: pass === "forward" ? C : F, filters: outputs, KH, KW, OH: OY, OW: OX };
  const tiles = special
    ? winogradTiles(vectors[dtype], sizes, tile)
    : convTiles(outputs, OY, OX, lanes, tile);
  const [{ size: filters, rows: [first] }] = tiles;
  const size = `${filters}x${first.rows * first.tiles[0].columns.length}`;
  return { size, code: JSON.stringify(tiles) };
}

/** The kernel with a tile of its own, or with the rule's; undefined if there is none. */
function kernelWith(
  shape: ConvShape,
  dtype: DType,
  key: string,
  tile: Tile | undefined,
): WeightedKernel | undefined {
  tuned.delete(key);
  if (tile !== undefined) tuned.set(key, tile);
  const { kernel } = simdConv(shape, dtype, features());
  tuned.delete(key);
  return kernel;
}

/** Times the candidates by turns. */
function measure(candidates: readonly Candidate[], images: number): void {
  for (const candidate of candidates) candidate.least = Infinity;
  for (let round = 0; round < rounds; round++) {
    for (const candidate of candidates) {
      const start = performance.now();
      candidate.call(images);
      candidate.least = Math.min(candidate.least, (performance.now() - start) / images);
    }
  }
}

/** Calls a kernel until its code is optimised; tells how many images a timed call should have. */
function warm({ call }: Candidate): number {
  let least = Infinity;
  const end = performance.now() + 30;
  for (let i = 0; i < 5 || performance.now() < end; i++) {
    const start = performance.now();
    call(1);
    least = Math.min(least, performance.now() - start);
  }
  return Math.max(1, Math.min(MOST_IMAGES, Math.round(CALL / least)));
}

/** A pass of a convolution, in a dtype, whose tile is looked for. */
interface Job {
  readonly shape: ConvShape;
  readonly dtype: DType;
  readonly pass: Pass;
  readonly full: TilePass;
  readonly key: string;
}

const jobs: readonly Job[] = convConfigs.map(convConfigShape).flatMap((shape) =>
  (["float32", "float64"] as const).flatMap((dtype) =>
    passes.map((pass) => {
      const full = tilePass(shape, dtype, pass);
      return { shape, dtype, pass, full, key: tileKey(convLabel(shape), dtype, full) };
    })
  )
);

const { "dry-run": dryRun, only, rounds } = scriptOptions({
  usage: "deno task tune",
  about: "Times register tiles by shape and writes kernels/simd/tuned.ts.",
  options: {
    "dry-run": flag("only print"),
    only: matching(
      jobs.map(({ key }) => key),
      'only tiles whose name has one of these texts, such as "31x31" or "float64 dw"',
    ),
    rounds: whole(20, [1, 10_000], "rounds of each measurement"),
  },
});

const found = new Map(tuned);
const rows = [["convolution", "dtype", "pass", "rule", "us", "best", "us", "gain", ""]];
for (const { shape, dtype, pass, full, key } of jobs) {
  if (!only.includes(key)) continue;
  const call = caller(shape, dtype);
  const candidates: Candidate[] = [];
  const codes = new Set<string>();
  const sizeOf = (tile?: Tile) => tilesOf(shape, dtype, pass, full !== pass, tile);
  const sizes = pass === "dw" ? gradientTiles : outputTiles;
  for (const tile of [undefined, ...sizes.map(([filters, width]) => ({ filters, width }))]) {
    const { code } = sizeOf(tile);
    // Sizes that give the same code would only measure noise.
    if (codes.has(code)) continue;
    codes.add(code);
    const kernel = kernelWith(shape, dtype, key, tile);
    if (kernel !== undefined) candidates.push({ tile, call: call(kernel, pass), least: 0 });
  }
  const images = Math.max(...candidates.map(warm));
  measure(candidates, images);
  const [rule] = candidates;
  const best = candidates.reduce((a, b) => b.least < a.least ? b : a);
  const gains = [rule.least / best.least];
  if (gains[0] >= GAIN) {
    measure([rule, best], images);
    gains.push(rule.least / best.least);
  }
  const gain = Math.min(...gains);
  const kept = best.tile !== undefined && gain >= GAIN;
  found.delete(key);
  if (best.tile !== undefined && kept) found.set(key, best.tile);
  rows.push([
    convLabel(shape),
    dtype,
    full,
    sizeOf().size,
    (rule.least * 1000).toFixed(1),
    sizeOf(best.tile).size,
    (best.least * 1000).toFixed(1),
    gain.toFixed(3),
    kept ? "tuned" : "",
  ]);
  console.error(rows.at(-1)!.join("  "));
}

console.log(markdownTable(rows));

if (!dryRun) {
  const file = new URL("../kernels/simd/tuned.ts", import.meta.url);
  const source = await Deno.readTextFile(file);
  const entries = [...found].map(([key, { filters, width }]) =>
    `  ["${key}", { filters: ${filters}, width: ${width} }],\n`
  );
  const list = entries.length === 0 ? "[]" : `[\n${entries.join("")}]`;
  await Deno.writeTextFile(file, source.replace(/new Map\(\[.*\]\)/s, () => `new Map(${list})`));
}
