/**
 * What normalizations need of planes: sums, and values scaled and shifted. Under fast arithmetic float32
 * is computed in float32; everything else in float64, with the bits of the naive loops.
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
import { moments, products, type SumPlaces, writeFastSums } from "./norm_sums.ts";
import { type Vector, vectors } from "./vector.ts";

/** Bytes of an array that are held at once, if a plane has not more; and the most planes. */
const BLOCK = 1 << 16, MOST_PLANES = 1024;
/** The fewest values in a plane. */
const LEAST = 2;
/** Steps that a loop does each time. */
const UNROLL = 4;
/** About how long a value takes, in nanoseconds. */
const VALUE_COST = 0.15;

/** Steps over planes. They read one array or two, and one value per plane of each table. */
interface Steps {
  readonly arrays: 1 | 2;
  readonly tables: number;
  /** How many results are sums over a plane, in float64. Without any, the result is an array. */
  readonly sums: number;
  readonly lanes: (lanes: Lanes, arrays: readonly Value[], tables: readonly Value[]) => Value[];
  /** The same in float32, if that is faster than float64 and rounds enough: sums, or an array. */
  readonly fast?: Parameters<typeof writeFastSums>[1] | FastArray;
}

/** An array in float32. */
interface FastArray {
  /** Tables in float64, from those that there are and from what rounding leaves of the first of them. */
  readonly tables: (lanes: Lanes, tables: readonly Value[], left: Value) => Value[];
  readonly lanes: (lanes: Lanes, arrays: readonly Value[], tables: readonly Value[]) => Value;
}

const SUM: Steps = { arrays: 1, tables: 0, sums: 1, lanes: (_, [x]) => [x] };
const MOMENTS: Steps = {
  ...SUM,
  sums: 2,
  lanes: (lanes, [x]) => [x, lanes.mul(x, x)],
  fast: moments,
};
const SQUARES: Steps = {
  arrays: 1,
  tables: 1,
  sums: 1,
  lanes(lanes, [x], [mean]) {
    const difference = lanes.sub(x, mean);
    return [lanes.mul(difference, difference)];
  },
};
const SCALE = {
  arrays: 1,
  tables: 3,
  sums: 0,
  lanes: (lanes, [x], [mean, scale, shift]) => [
    lanes.add(lanes.mul(lanes.sub(x, mean), scale), shift),
  ],
  fast: {
    // A mean that is large beside the differences keeps its digits.
    tables: (lanes, [mean, scale, shift], left) => [
      mean,
      scale,
      lanes.sub(shift, lanes.mul(left, scale)),
    ],
    lanes: (lanes, [x], [mean, scale, shift]) => lanes.madd(lanes.sub(x, mean), scale, shift),
  },
} as const satisfies Steps;
const RECTIFIED: Steps = {
  ...SCALE,
  lanes: (lanes, ...inputs) => [rectified(lanes, SCALE.lanes(lanes, ...inputs)[0])],
  fast: {
    ...SCALE.fast,
    lanes: (lanes, ...inputs) => rectified(lanes, SCALE.fast.lanes(lanes, ...inputs)),
  },
};
const PRODUCTS: Steps = {
  arrays: 2,
  tables: 1,
  sums: 2,
  lanes: (lanes, [x, dout], [mean]) => [dout, lanes.mul(lanes.sub(x, mean), dout)],
  fast: products,
};
const GRADIENT: Steps = {
  arrays: 2,
  tables: 4,
  sums: 0,
  lanes(lanes, [x, dout], [mean, scale, slope, shift]) {
    const sloped = lanes.mul(lanes.sub(x, mean), slope);
    return [lanes.sub(lanes.sub(lanes.mul(dout, scale), sloped), shift)];
  },
  fast: {
    tables(lanes, [mean, scale, slope, shift], left) {
      const minus = lanes.constant(-0);
      return [
        mean,
        scale,
        lanes.flip(slope, minus),
        lanes.sub(lanes.mul(left, slope), shift),
      ];
    },
    lanes: (lanes, [x, dout], [mean, scale, slope, shift]) =>
      lanes.madd(lanes.sub(x, mean), slope, lanes.madd(dout, scale, shift)),
  },
};

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
  const places: SumPlaces = {
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
      const f = assembly.func("planes", ["i32"]);
      if (typeof fast === "function") writeFastSums(f, fast, P, fused, places);
      else {
        const computed = fast ? vector : vectors.float64;
        writeSteps(f, steps, P, vector, computed, places, fast, fused);
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
      // Products of float32 may be too large for it, where those of float64 are not.
      if (typeof fast !== "function" || results.every((sums) => sums.every(Number.isFinite))) {
        return;
      }
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
  places: SumPlaces,
  fast?: FastArray,
  fused = false,
): void {
  const { bytes } = stored, isSum = steps.sums > 0;
  const [x, entry, counter] = f.locals("i32", 3);
  const sums = Array.from({ length: steps.sums }, () => f.locals("v128", 2));
  const lanesOf = (numbers: number) => new Lanes(f, stored, vector, numbers, new Map(), fused);
  // Sums have the order of the loops: four parts, and the rest to the first of them.
  const whole = lanesOf(2 * vector.lanes);
  const wide = new Lanes(f, vectors.float64, vectors.float64, vectors.float64.lanes);
  const parts = isSum ? [whole, lanesOf(1)] : [whole, lanesOf(vector.lanes), lanesOf(1)];

  function readTables(): Value[] {
    const tables = places.tables.slice(0, steps.tables).map((start) => whole.splat(entry, start));
    if (fast === undefined) return tables.map((table) => whole.same(table));
    const left = whole.rounded(tables[0])[1];
    return fast.tables(wide, tables, left).map((table) => whole.rounded(table)[0]);
  }

  function writeStep(lanes: Lanes, tables: readonly Value[], offset: number): void {
    const arrays = places.arrays.slice(0, steps.arrays);
    const inputs = arrays.map((start) => lanes.load(x, start + offset));
    const results = fast ? [fast.lanes(lanes, inputs, tables)] : steps.lanes(lanes, inputs, tables);
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
