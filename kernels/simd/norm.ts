/**
 * What normalizations need of planes: sums, in float64 and in the order of the naive loops, and values
 * scaled and shifted, in the dtype of x.
 *
 * @module
 */

import type { NormKernel } from "../kernel.ts";
import { rectified } from "../maps/relu.ts";
import type { NormShape } from "../shape.ts";
import type { DType, FloatArray } from "../tensor.ts";
import type { Answer } from "../tier.ts";
import { Assembly, type Func, type Local } from "./assembler.ts";
import type { Features } from "./features.ts";
import { Lanes, type Value } from "./lanes.ts";
import { compile, Layout, type Module, reserve } from "./memory.ts";
import { runJob } from "./job.ts";
import { type Vector, vectors } from "./vector.ts";

/** Bytes of an array that are held at once, if a plane has not more; and the most planes. */
const BLOCK = 1 << 16, MOST_PLANES = 1024;
/** The fewest values in a plane. */
const LEAST = 2;
/** Steps that a loop does each time. */
const UNROLL = 4;
/** About how long a value takes, in nanoseconds. */
const VALUE_COST = 0.15;

/** One value per plane, in every lane: as the lanes compute, and what rounding has left of it. */
interface Entry {
  readonly high: Value;
  readonly low?: Value;
}

/** Steps over planes. They read one array or two, and one value per plane of each table. */
interface Steps {
  readonly arrays: 1 | 2;
  readonly tables: number;
  /** How many results are sums over a plane, in float64. Without any, the result is an array. */
  readonly sums: number;
  readonly lanes: (lanes: Lanes, arrays: readonly Value[], tables: readonly Entry[]) => Value[];
}

/** x - mean. A mean that is large beside the differences keeps its digits. */
function centered(lanes: Lanes, x: Value, { high, low }: Entry): Value {
  const difference = lanes.sub(x, high);
  return low === undefined ? difference : lanes.sub(difference, low);
}

const SUM: Steps = { arrays: 1, tables: 0, sums: 1, lanes: (_, [x]) => [x] };
const MOMENTS: Steps = { ...SUM, sums: 2, lanes: (lanes, [x]) => [x, lanes.mul(x, x)] };
const SQUARES: Steps = {
  arrays: 1,
  tables: 1,
  sums: 1,
  lanes(lanes, [x], [mean]) {
    const difference = centered(lanes, x, mean);
    return [lanes.mul(difference, difference)];
  },
};
const SCALE: Steps = {
  arrays: 1,
  tables: 3,
  sums: 0,
  lanes: (lanes, [x], [mean, scale, shift]) => [
    lanes.add(lanes.mul(centered(lanes, x, mean), scale.high), shift.high),
  ],
};
const RECTIFIED: Steps = {
  ...SCALE,
  lanes: (lanes, ...inputs) => [rectified(lanes, SCALE.lanes(lanes, ...inputs)[0])],
};
const PRODUCTS: Steps = {
  arrays: 2,
  tables: 1,
  sums: 2,
  lanes: (lanes, [x, dout], [mean]) => [dout, lanes.mul(centered(lanes, x, mean), dout)],
};
const GRADIENT: Steps = {
  arrays: 2,
  tables: 4,
  sums: 0,
  lanes(lanes, [x, dout], [mean, scale, slope, shift]) {
    const sloped = lanes.mul(centered(lanes, x, mean), slope.high);
    return [lanes.sub(lanes.sub(lanes.mul(dout, scale.high), sloped), shift.high)];
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
  { interpreted, reassociate, reason }: Features,
): Answer<NormKernel> {
  if (P < LEAST) {
    return { reason: `a plane of ${P} value is less than the ${LEAST} that gain something` };
  }
  const vector = vectors[dtype], { bytes } = vector;
  // Reproducible arithmetic has the bits of the loops, which compute in float64.
  const computed = reassociate ? vector : vectors.float64;
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
      writeSteps(f, steps, P, vector, steps.sums > 0 ? vectors.float64 : computed, places);
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
    };
  }

  const [sum, moments, squares, scale, rectified, products, gradient] = [
    ...[SUM, MOMENTS, SQUARES, SCALE, RECTIFIED, PRODUCTS, GRADIENT],
  ].map(runner);
  const kernel: NormKernel = {
    name: `norm-${P}-${dtype === "float32" ? "f32" : "f64"}-simd`,
    tier: "simd",
    sum: (x, sums) => sum([x], [], [sums]),
    squares: (x, mean, sums) => squares([x], [mean], [sums]),
    moments: dtype === "float32" && reassociate
      ? (x, ...sums) => moments([x], [], sums)
      : undefined,
    scale: (x, mean, by, shift, out, relu) =>
      (relu ? rectified : scale)([x], [mean, by, shift], [out]),
    products: (x, dout, mean, sums, more) => products([x, dout], [mean], [sums, more]),
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
  places: Places,
): void {
  const { bytes } = stored, isSum = steps.sums > 0;
  const [x, entry, counter] = f.locals("i32", 3);
  const sums = Array.from({ length: steps.sums }, () => f.locals("v128", 2));
  const lanesOf = (numbers: number) => new Lanes(f, stored, vector, numbers);
  // Sums have the order of the loops: four parts, and the rest to the first of them.
  const whole = lanesOf(2 * vector.lanes);
  const parts = isSum ? [whole, lanesOf(1)] : [whole, lanesOf(vector.lanes), lanesOf(1)];

  function readTables(): Entry[] {
    return places.tables.slice(0, steps.tables).map((start) => {
      const number = whole.splat(entry, start);
      if (vector.dtype === "float64") return { high: whole.same(number) };
      const [high, low] = whole.rounded(number);
      return { high, low };
    });
  }

  function writeStep(lanes: Lanes, tables: readonly Entry[], offset: number): void {
    const arrays = places.arrays.slice(0, steps.arrays);
    const inputs = arrays.map((start) => lanes.load(x, start + offset));
    const results = steps.lanes(lanes, inputs, tables);
    if (!isSum) return lanes.store(x, results[0], places.arrays[0] + offset);
    for (const [i, sum] of sums.entries()) {
      for (const [k, term] of lanes.filled(results[i]).entries()) {
        f.get(sum[k]).get(term).op("f64x2.add").set(sum[k]);
      }
    }
  }

  f.const(0).set(x).const(0).set(entry);
  f.countDown(0, 0, () => {
    const tables = readTables();
    for (const local of sums.flat()) f.vector(new Uint8Array(16)).set(local);
    const unrolled = UNROLL * whole.numbers, rounds = Math.floor(P / unrolled);
    f.repeat(counter, rounds, () => {
      for (let i = 0; i < UNROLL; i++) writeStep(whole, tables, i * whole.numbers * bytes);
      f.advance(x, unrolled * bytes);
    });
    let done = 0;
    const rest = P - rounds * unrolled;
    for (const lanes of parts) {
      for (; done + lanes.numbers <= rest; done += lanes.numbers) {
        writeStep(lanes, tables, done * bytes);
      }
    }
    f.advance(x, rest * bytes);
    for (const [i, sum] of sums.entries()) writeTotal(f, entry, sum, places.sums[i]);
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
