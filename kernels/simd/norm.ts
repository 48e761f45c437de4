/**
 * What normalizations need of planes: sums, and values scaled and shifted. Under fast arithmetic float32
 * is computed in float32; everything else in float64, with the bits of the naive loops.
 *
 * @module
 */

import type { NormKernel } from "../kernel.ts";
import type { NormShape } from "../shape.ts";
import type { DType, FloatArray } from "../tensor.ts";
import type { Answer } from "../tier.ts";
import { Assembly, type Func, type Local } from "./assembler.ts";
import type { Features } from "./features.ts";
import { Lanes, type Place } from "./lanes.ts";
import { compile, Layout, type Module, reserve } from "./memory.ts";
import { runJob } from "./job.ts";
import { channelNorm } from "./norm_channels.ts";
import {
  type FastArray,
  GRADIENT,
  MOMENTS,
  PRODUCTS,
  RECTIFIED,
  roundedTables,
  SCALE,
  SQUARES,
  type Steps,
  SUM,
  writePlane,
} from "./norm_steps.ts";
import { moments, writeFastSums } from "./norm_sums.ts";
import { type Vector, vectors } from "./vector.ts";

/** Bytes of an array that are held at once, if a plane has not more; and the most planes. */
const BLOCK = 1 << 16, MOST_PLANES = 1024;
/** The fewest values in a plane. */
const LEAST = 2;
/** About how long a value takes, in nanoseconds. */
const VALUE_COST = 0.15;

/** Runs steps on arrays and tables. */
type Run = (
  arrays: readonly FloatArray[],
  tables: readonly Float64Array[],
  results: readonly FloatArray[],
) => void;

/** The SIMD kernel for planes of one size, or why there is none. */
export function simdNorm(
  { P }: NormShape,
  dtype: DType,
  { interpreted, fused, reassociate, reason }: Features,
): Answer<NormKernel> {
  if (P < LEAST) {
    return { reason: `a plane of ${P} value is less than the ${LEAST} that gain something` };
  }
  const vector = vectors[dtype], { bytes } = vector;
  // Elsewhere steps have the bits of the loops, which compute in float64.
  const isFast = reassociate && dtype === "float32";
  const planes = Math.min(MOST_PLANES, Math.max(1, Math.floor(BLOCK / (P * bytes))));
  const layout = new Layout();
  const regions = (name: string, count: number, size: number) =>
    Array.from({ length: count }, (_, i) => layout.region(`${name} ${i}`, planes * size));
  const places = {
    arrays: regions("array", 2, P * bytes),
    tables: regions("table", 4, 8),
    sums: regions("sums", 2, 8),
  };
  const missing = reserve(layout.size);
  if (missing !== undefined) return { reason: missing };

  /** Makes the function that runs steps over any number of planes. */
  function runner(steps: Steps, exactly = false): Run {
    const fast = isFast && !exactly ? steps.fast : undefined;
    const isSum = steps.sums > 0, each = isSum ? 1 : P;
    const starts = isSum ? places.sums : places.arrays;
    let module: Module | undefined, exact: Run | undefined;
    function assemble(): Module {
      const assembly = new Assembly();
      const f = assembly.func("planes", ["i32"]), [x, entry] = f.locals("i32", 2);
      const at = (pointer: Local) => (start: number) => ({ pointer, start });
      const lists = [
        places.arrays.slice(0, steps.arrays).map(at(x)),
        places.tables.slice(0, steps.tables).map(at(entry)),
        places.sums.map(at(entry)),
      ];
      if (typeof fast === "function") writeFastSums(f, fast, P, fused, lists);
      else {
        const computed = fast ? vector : vectors.float64;
        writeSteps(f, steps, P, vector, computed, lists, fast, fused);
      }
      for (const start of places.arrays) f.writes(start, planes * P * bytes);
      for (const start of [...places.tables, ...places.sums]) f.writes(start, planes * 8);
      return compile(assembly, layout);
    }
    return (arrays, tables, results) => {
      const used = module ??= assemble();
      runJob({
        cost: P * VALUE_COST,
        together: planes,
        prepare(queue) {
          queue.use(used);
          return true;
        },
        run(queue, from, to) {
          for (let first = from; first < to; first += planes) {
            const end = Math.min(to, first + planes);
            for (const [i, array] of arrays.entries()) {
              queue.load(places.arrays[i], array, first * P, end * P);
            }
            for (const [i, table] of tables.entries()) {
              queue.load(places.tables[i], table, first, end);
            }
            queue.call("planes", end - first);
            for (const [i, result] of results.entries()) {
              queue.store(result, first * each, (end - first) * each, starts[i]);
            }
          }
          return to;
        },
      }, arrays[0].length / P);
      // Squares of float32 may be too large for it, where those of float64 are not.
      if (fast !== moments || results.every((sums) => sums.every(Number.isFinite))) return;
      exact ??= runner(steps, true);
      exact(arrays, tables, results);
    };
  }

  const [sum, both, squares, scale, positive, gradients, gradient] = [
    ...[SUM, MOMENTS, SQUARES, SCALE, RECTIFIED, PRODUCTS, GRADIENT],
  ].map((steps) => runner(steps));
  const kernel: NormKernel = {
    name: `norm-${P}-${dtype === "float32" ? "f32" : "f64"}-simd`,
    tier: "simd",
    sum: (x, sums) => sum([x], [], [sums]),
    squares: (x, mean, sums) => squares([x], [mean], [sums]),
    moments: isFast ? (x, ...sums) => both([x], [], sums) : undefined,
    channels: isFast ? channelNorm(P, fused) : undefined,
    scale: (x, mean, by, shift, out, relu) =>
      (relu ? positive : scale)([x], [mean, by, shift], [out]),
    products: (x, dout, mean, sums, more) => gradients([x, dout], [mean], [sums, more]),
    gradient: (x, dout, mean, by, slope, shift, dx) =>
      gradient([x, dout], [mean, by, slope, shift], [dx]),
  };
  return { kernel, reason: interpreted ? reason : "assembled for the size of a plane" };
}

/** Writes steps over planes, whose number is the parameter. */
function writeSteps(
  f: Func,
  steps: Steps,
  P: number,
  stored: Vector,
  vector: Vector,
  [arrays, tables, results]: readonly (readonly Place[])[],
  fast?: FastArray,
  fused = false,
): void {
  const [{ pointer: x }] = arrays, [{ pointer: entry }] = results, isSum = steps.sums > 0;
  const sums = Array.from({ length: steps.sums }, () => f.locals("v128", 2));
  const lanesOf = (numbers: number) => new Lanes(f, stored, vector, numbers, new Map(), fused);
  // Sums have the order of the loops: four parts, and the rest to the first of them.
  const whole = lanesOf(2 * vector.lanes);
  const parts = isSum ? [whole, lanesOf(1)] : [whole, lanesOf(vector.lanes), lanesOf(1)];
  f.countDown(0, 0, () => {
    const numbers = tables.map(({ start }) => whole.splat(entry, start));
    const known = fast
      ? roundedTables(f, fast, whole, numbers)
      : numbers.map((number) => whole.same(number));
    for (const local of sums.flat()) f.vector(new Uint8Array(16)).set(local);
    writePlane(f, P, stored.bytes, parts, [x], (lanes, offset) => {
      const inputs = arrays.map(({ start }) => lanes.load(x, start + offset));
      if (fast) return lanes.store(x, fast.lanes(lanes, inputs, known), arrays[0].start + offset);
      const values = steps.lanes(lanes, inputs, known);
      if (!isSum) return lanes.store(x, values[0], arrays[0].start + offset);
      for (const [i, sum] of sums.entries()) {
        for (const [k, term] of lanes.filled(values[i]).entries()) {
          f.get(sum[k]).get(term).op("f64x2.add").set(sum[k]);
        }
      }
    });
    for (const [i, sum] of sums.entries()) writeTotal(f, entry, sum, results[i].start);
    f.advance(entry, 8);
  });
}

/** Stores the total of two vectors' four parts. */
function writeTotal(f: Func, entry: Local, sum: readonly Local[], place: number): void {
  const total = f.local("v128");
  for (const local of sum) f.get(local).get(local).get(local).shuffle([1, 0]).op("f64x2.add");
  f.op("f64x2.add").set(total);
  f.get(entry).get(total).laneAt("v128.store64_lane", 0, place);
}
