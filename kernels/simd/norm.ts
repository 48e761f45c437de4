/**
 * What normalisations need of planes: sums, and numbers scaled and shifted. Both dtypes are computed in
 * float64, in the order of the naive loops: the same bits.
 *
 * @module
 */

import type { NormKernel } from "../kernel.ts";
import type { NormShape } from "../shape.ts";
import type { DType, FloatArray } from "../tensor.ts";
import type { Answer } from "../tier.ts";
import { Assembly, type Func, type Local } from "./assembler.ts";
import type { Features } from "./features.ts";
import { Lanes, type Value } from "./lanes.ts";
import { compile, Layout, type Module, reserve } from "./memory.ts";
import { runJob } from "./program.ts";
import { type Vector, vectors } from "./vector.ts";

/** Bytes of an array that are held at once, if a plane has not more; and the most planes. */
const BLOCK = 1 << 16, MOST_PLANES = 1024;
/** Numbers of a step. */
const STEP = 4;

/** Steps over planes. They read one array or two, and one number a plane of each table. */
interface Steps {
  readonly arrays: 1 | 2;
  readonly tables: number;
  /** How many results are sums over a plane. Without any, the result is an array. */
  readonly sums: number;
  readonly lanes: (lanes: Lanes, arrays: readonly Value[], tables: readonly Value[]) => Value[];
}

const SUM: Steps = { arrays: 1, tables: 0, sums: 1, lanes: (_, [x]) => [x] };
const SQUARES: Steps = {
  arrays: 1,
  tables: 1,
  sums: 1,
  lanes(lanes, [x], [mean]) {
    const centred = lanes.sub(x, mean);
    return [lanes.mul(centred, centred)];
  },
};
const SCALE: Steps = {
  arrays: 1,
  tables: 3,
  sums: 0,
  lanes: (lanes, [x], [mean, scale, shift]) => [
    lanes.add(lanes.mul(lanes.sub(x, mean), scale), shift),
  ],
};
const PRODUCTS: Steps = {
  arrays: 2,
  tables: 1,
  sums: 2,
  lanes: (lanes, [x, dout], [mean]) => [dout, lanes.mul(lanes.sub(x, mean), dout)],
};
const GRADIENT: Steps = {
  arrays: 2,
  tables: 4,
  sums: 0,
  lanes(lanes, [x, dout], [mean, scale, slope, shift]) {
    const sloped = lanes.mul(lanes.sub(x, mean), slope);
    return [lanes.sub(lanes.sub(lanes.mul(dout, scale), sloped), shift)];
  },
};

/** Where the regions lie. */
interface Places {
  readonly arrays: readonly number[];
  readonly tables: readonly number[];
  readonly sums: readonly number[];
}

/** The SIMD kernel for planes of one size, or why there is none. */
export function simdNorm(
  { P }: NormShape,
  dtype: DType,
  { interpreted, reason }: Features,
): Answer<NormKernel> {
  if (P < STEP) return { reason: `a plane of ${P} is less than the ${STEP} numbers of a step` };
  const vector = vectors[dtype], { bytes } = vector;
  const planes = Math.min(MOST_PLANES, Math.max(1, Math.floor(BLOCK / (P * bytes))));
  const layout = new Layout();
  const regions = (name: string, count: number, size: number) =>
    Array.from({ length: count }, (_, i) => layout.region(`${name} ${i}`, planes * size));
  const places: Places = {
    arrays: regions("array", 2, P * bytes),
    tables: regions("table", 4, 8),
    sums: regions("sums", 2, 8),
  };
  const missing = reserve(layout.size);
  if (missing !== undefined) return { reason: missing };

  /** Makes the function that runs steps over any number of planes. */
  function runner(steps: Steps) {
    let module: Module | undefined;
    const assemble = () => {
      const assembly = new Assembly();
      const f = assembly.func("planes", ["i32"]);
      writeSteps(f, steps, P, vector, places);
      for (const start of places.arrays) f.writes(start, planes * P * bytes);
      for (const start of [...places.tables, ...places.sums]) f.writes(start, planes * 8);
      return compile(assembly, layout);
    };
    return (
      arrays: readonly FloatArray[],
      tables: readonly Float64Array[],
      results: readonly FloatArray[],
    ) => {
      const used = module ??= assemble();
      const isSum = steps.sums > 0, each = isSum ? 1 : P;
      const starts = isSum ? places.sums : places.arrays;
      runJob({
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
    };
  }

  const [sum, squares, scale, products, gradient] = [SUM, SQUARES, SCALE, PRODUCTS, GRADIENT]
    .map(runner);
  const kernel: NormKernel = {
    name: `norm-${P}-${dtype === "float32" ? "f32" : "f64"}-simd`,
    tier: "simd",
    sum: (x, sums) => sum([x], [], [sums]),
    squares: (x, mean, sums) => squares([x], [mean], [sums]),
    scale: (x, mean, by, shift, out) => scale([x], [mean, by, shift], [out]),
    products: (x, dout, mean, sums, more) => products([x, dout], [mean], [sums, more]),
    gradient: (x, dout, mean, by, slope, shift, dx) =>
      gradient([x, dout], [mean, by, slope, shift], [dx]),
  };
  return { kernel, reason: interpreted ? reason : "assembled for the size of a plane" };
}

/** Writes steps over planes, whose number is the parameter. */
function writeSteps(f: Func, steps: Steps, P: number, vector: Vector, places: Places): void {
  const { bytes } = vector;
  const [x, entry, step] = f.locals("i32", 3);
  const whole = new Lanes(f, vector, STEP), one = new Lanes(f, vector, 1);
  const accumulators = Array.from({ length: steps.sums }, () => f.locals("v128", 2));
  f.const(0).set(x).const(0).set(entry);
  f.countDown(0, 0, () => {
    const tables = places.tables.slice(0, steps.tables).map((start) => whole.splat(entry, start));
    for (const local of accumulators.flat()) f.vector(new Uint8Array(16)).set(local);
    const run = (lanes: Lanes) => {
      const arrays = places.arrays.slice(0, steps.arrays).map((start) => lanes.load(x, start));
      const results = steps.lanes(lanes, arrays, tables);
      if (steps.sums === 0) lanes.store(x, results[0], places.arrays[0]);
      for (const [i, sums] of accumulators.entries()) {
        for (const [k, term] of lanes.filled(results[i]).entries()) {
          f.get(sums[k]).get(term).op("f64x2.add").set(sums[k]);
        }
      }
      f.advance(x, lanes.numbers * bytes);
    };
    f.repeat(step, Math.floor(P / STEP), () => run(whole));
    for (let i = 0; i < P % STEP; i++) run(one);
    for (const [i, sums] of accumulators.entries()) {
      f.get(entry);
      for (const local of sums) f.get(local).get(local).get(local).shuffle([1, 0]).op("f64x2.add");
      f.op("f64x2.add");
      const total: Local = f.local("v128");
      f.set(total).get(total).laneAt("v128.store64_lane", 0, places.sums[i]);
    }
    f.advance(entry, 8);
  });
}
