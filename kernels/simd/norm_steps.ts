/**
 * What normalizations do with planes, as steps on lanes: in float64, as the naive loops do, and in float32,
 * which is faster.
 *
 * @module
 */

import { rectified } from "../maps/relu.ts";
import type { Func, Local } from "./assembler.ts";
import { Lanes, type Value } from "./lanes.ts";
import { moments, products, type WriteSums } from "./norm_sums.ts";
import { vectors } from "./vector.ts";

/** Steps that a loop does each time. */
const UNROLL = 4;

/** Steps over planes. They read one array or two, and one value per plane of each table. */
export interface Steps {
  readonly arrays: 1 | 2;
  readonly tables: number;
  /** How many results are sums over a plane, in float64. Without any, the result is an array. */
  readonly sums: number;
  readonly lanes: (lanes: Lanes, arrays: readonly Value[], tables: readonly Value[]) => Value[];
  /** The same in float32, if that is faster than float64 and rounds enough: sums, or an array. */
  readonly fast?: WriteSums | FastArray;
}

/** An array in float32. */
export interface FastArray {
  /** Tables in float64, from those that there are and from what rounding leaves of the first of them. */
  readonly tables: (lanes: Lanes, tables: readonly Value[], left: Value) => Value[];
  readonly lanes: (lanes: Lanes, arrays: readonly Value[], tables: readonly Value[]) => Value;
}

export const SUM: Steps = { arrays: 1, tables: 0, sums: 1, lanes: (_, [x]) => [x] };
export const MOMENTS: Steps = {
  ...SUM,
  sums: 2,
  lanes: (lanes, [x]) => [x, lanes.mul(x, x)],
  fast: moments,
};
export const SQUARES: Steps = {
  arrays: 1,
  tables: 1,
  sums: 1,
  lanes(lanes, [x], [mean]) {
    const difference = lanes.sub(x, mean);
    return [lanes.mul(difference, difference)];
  },
};
export const SCALE = {
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
export const RECTIFIED = {
  ...SCALE,
  lanes: (lanes, ...inputs) => [rectified(lanes, SCALE.lanes(lanes, ...inputs)[0])],
  fast: {
    ...SCALE.fast,
    lanes: (lanes, ...inputs) => rectified(lanes, SCALE.fast.lanes(lanes, ...inputs)),
  },
} as const satisfies Steps;
export const PRODUCTS: Steps = {
  arrays: 2,
  tables: 1,
  sums: 2,
  lanes: (lanes, [x, dout], [mean]) => [dout, lanes.mul(lanes.sub(x, mean), dout)],
  fast: products,
};
export const GRADIENT = {
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
} as const satisfies Steps;

/** Tables as a fast array takes them, from those that there are: float64 in both lanes of a vector each. */
export function roundedTables(
  f: Func,
  fast: FastArray,
  lanes: Lanes,
  tables: readonly Value[],
): Value[] {
  const wide = new Lanes(f, vectors.float64, vectors.float64, vectors.float64.lanes);
  return fast.tables(wide, tables, lanes.rounded(tables[0])[1])
    .map((table) => lanes.rounded(table)[0]);
}

/**
 * Writes steps along a plane of P values of so many bytes, after which the pointers are.
 *
 * @param parts Lanes of many values, and those of fewer for what is left.
 * @param step Writes the step of some lanes, at an offset from the pointers.
 */
export function writePlane(
  f: Func,
  P: number,
  bytes: number,
  parts: readonly Lanes[],
  pointers: Iterable<Local>,
  step: (lanes: Lanes, offset: number) => void,
): void {
  const [whole] = parts, counter = f.local("i32");
  const unrolled = UNROLL * whole.numbers, rounds = Math.floor(P / unrolled);
  f.repeat(counter, rounds, () => {
    for (let i = 0; i < UNROLL; i++) step(whole, i * whole.numbers * bytes);
    for (const pointer of pointers) f.advance(pointer, unrolled * bytes);
  });
  let done = 0;
  const rest = P - rounds * unrolled;
  for (const lanes of parts) {
    for (; done + lanes.numbers <= rest; done += lanes.numbers) step(lanes, done * bytes);
  }
  for (const pointer of pointers) f.advance(pointer, rest * bytes);
}
