/**
 * Batch normalization of float32 images that are memories of their own, channel by channel and in place: a
 * channel's planes are still in the cache when they are read again. The bits are those of normalization by
 * sums and arrays (nn/layers/norm_loops.ts), as nets use one or the other.
 *
 * @module
 */

import type { ChannelNorm } from "../kernel.ts";
import type { FloatArray } from "../tensor.ts";
import { Assembly, type Func, type Local } from "./assembler.ts";
import { runJob } from "./job.ts";
import { Lanes, type Place, type Value } from "./lanes.ts";
import { compile, inMemories, Layout, type Module } from "./memory.ts";
import {
  type FastArray,
  GRADIENT,
  RECTIFIED,
  roundedTables,
  SCALE,
  writePlane,
} from "./norm_steps.ts";
import { moments, products, writePlaneSums, type WriteSums } from "./norm_sums.ts";
import { addressOf } from "./queue.ts";
import { vectors } from "./vector.ts";

/** Channels that a call does at the most. */
const MOST = 256;
/** About how long a value takes, in nanoseconds. */
const VALUE_COST = 0.3;

const { float32: vector, float64 } = vectors;

/** What a direction does: it takes a memory for each array, the last of which it writes. */
interface Direction {
  /** How many arrays there are, tables that it reads and tables that it writes, of a value per channel. */
  readonly arrays: number;
  readonly reads: number;
  readonly writes: number;
  /** The sums of a plane, of all arrays but the last; what they add to the channel's totals. */
  readonly sums: WriteSums;
  readonly terms: (
    lanes: Lanes,
    sums: readonly Value[],
    tables: readonly Value[],
  ) => readonly Value[];
  readonly totals: number;
  /** From totals, settings and tables: the tables of the array, and those that it writes. */
  readonly between: (
    lanes: Lanes,
    totals: readonly Value[],
    settings: readonly Value[],
    tables: readonly Value[],
  ) => { readonly tables: readonly Value[]; readonly writes: readonly Value[] };
  readonly array: FastArray;
}

/** Tables: gamma, beta; mean, variance, 1 / deviation. Settings: values of a channel, eps. */
const FORWARD: Direction = {
  arrays: 2,
  reads: 2,
  writes: 3,
  sums: moments,
  terms: (_, sums) => sums,
  totals: 2,
  between(lanes, [sum, squares], [count, eps], [gamma, beta]) {
    const mean = lanes.div(sum, count);
    // Rounding may leave less than 0.
    const variance = lanes.pmax(
      lanes.sub(lanes.div(squares, count), lanes.mul(mean, mean)),
      lanes.constant(0),
    );
    const inverse = lanes.div(lanes.constant(1), lanes.sqrt(lanes.add(variance, eps)));
    return { tables: [mean, lanes.mul(gamma, inverse), beta], writes: [mean, variance, inverse] };
  },
  array: SCALE.fast,
};

/** Tables: mean, 1 / deviation, gamma; dgamma, dbeta. Settings: values that share statistics. */
const BACKWARD: Direction = {
  arrays: 3,
  reads: 3,
  writes: 2,
  sums: products,
  terms(lanes, [dout, product], [, inverse, gamma]) {
    const scaled = lanes.mul(product, inverse);
    return [dout, scaled, lanes.mul(gamma, dout), lanes.mul(gamma, scaled)];
  },
  totals: 4,
  between(lanes, [dbeta, dgamma, dxhat, product], [count], [mean, inverse, gamma]) {
    const scale = lanes.mul(gamma, inverse);
    const slope = lanes.div(lanes.mul(lanes.mul(inverse, inverse), product), count);
    const shift = lanes.div(lanes.mul(inverse, dxhat), count);
    return { tables: [mean, scale, slope, shift], writes: [dgamma, dbeta] };
  },
  array: GRADIENT.fast,
};

/** Batch normalization of planes of P values, in place. */
export function channelNorm(P: number, fused: boolean): ChannelNorm {
  const layout = new Layout();
  const settings = layout.region("settings", 16);
  const tables = Array.from({ length: 5 }, (_, i) => layout.region(`table ${i}`, MOST * 8));

  function runner(direction: Direction) {
    const { reads, writes } = direction, modules: Partial<Record<"shared" | "own", Module>> = {};
    const assemble = (shared: boolean) => {
      const assembly = new Assembly(shared);
      const arrays = Array.from({ length: direction.arrays }, () => "i32" as const);
      const f = assembly.func("channels", ["i32", "i32", "i32", ...arrays]);
      writeChannels(f, direction, P, fused, settings, tables);
      f.reads(settings, 16);
      for (const table of tables) f.writes(table, MOST * 8);
      return compile(assembly, layout, null);
    };
    return (
      C: number,
      set: readonly number[],
      arrays: readonly FloatArray[],
      known: readonly Float64Array[],
      results: readonly Float64Array[],
    ) => {
      const kind = inMemories(arrays)!, N = arrays[0].length / (C * P);
      const used = modules[kind] ??= assemble(kind === "shared"), values = Float64Array.from(set);
      runJob({
        cost: N * P * VALUE_COST,
        prepare(queue) {
          queue.use(used, arrays);
          queue.load(settings, values, 0, values.length);
          return true;
        },
        run(queue, from, to) {
          queue.use(used, arrays);
          for (let first = from; first < to; first += MOST) {
            const end = Math.min(to, first + MOST);
            for (let i = 0; i < reads; i++) queue.load(tables[i], known[i], first, end);
            const starts = arrays.map((array) => addressOf(array, first * P));
            queue.call("channels", end - first, N, C * P * vector.bytes, ...starts);
            for (let i = 0; i < writes; i++) {
              queue.store(results[i], first, end - first, tables[reads + i]);
            }
          }
          return to;
        },
      }, C);
    };
  }

  const forward = runner(FORWARD), backward = runner(BACKWARD);
  const rectified = runner({ ...FORWARD, array: RECTIFIED.fast });
  return {
    serves: (arrays) => arrays[0].length > 0 && inMemories(arrays) !== undefined,
    forward(x, gamma, beta, eps, relu, out, statistics) {
      const C = gamma.length, run = relu ? rectified : forward;
      const [, variance] = statistics;
      run(C, [x.length / C, eps], [x, out], [gamma, beta], statistics);
      // Squares of float32 may be too large for it, where those of float64 are not.
      return variance.every(Number.isFinite);
    },
    backward: (x, dout, mean, inverseStd, gamma, count, dx, gradients) =>
      backward(gamma.length, [count, 0], [x, dout, dx], [mean, inverseStd, gamma], gradients),
  };
}

/**
 * Writes a direction over channels. Parameters: how many, planes of each, bytes from one to the next, and where
 * the first one lies in each memory.
 */
function writeChannels(
  f: Func,
  { arrays, reads, writes, sums, terms, totals: count, between, array }: Direction,
  P: number,
  fused: boolean,
  settings: number,
  tables: readonly number[],
): void {
  const [channels, planes, step] = [0, 1, 2];
  const starts = Array.from({ length: arrays }, (_, i) => 3 + i);
  const pointers = f.locals("i32", arrays), plane = f.locals("i32", arrays);
  const [entry, base, counter, again] = f.locals("i32", 4), totals = f.locals("v128", count);
  const places: Place[] = plane.map((pointer, i) => ({ pointer, start: 0, memory: 1 + i }));
  const sources = places.slice(0, -1), target = places[arrays - 1];
  const one = new Lanes(f, float64, float64, float64.lanes);
  const lanesOf = (numbers: number) => new Lanes(f, vector, vector, numbers, new Map(), fused);
  const parts = [lanesOf(2 * vector.lanes), lanesOf(vector.lanes), lanesOf(1)];
  const write = sums(f, P, sources, tables.map((start) => ({ pointer: entry, start })));

  /** Writes what is done with each plane of a channel, from the pointers of some arrays on. */
  function eachPlane(count: Local, used: readonly number[], body: () => void): void {
    for (const i of used) f.get(starts[i]).set(pointers[i]);
    f.countDown(count, planes, () => {
      for (const i of used) f.get(pointers[i]).set(plane[i]);
      body();
      for (const i of used) f.advanceBy(pointers[i], step);
    });
  }

  f.countDown(channels, channels, () => {
    const set = [one.splat(base, settings), one.splat(base, settings + 8)];
    const known = tables.slice(0, reads).map((table) => one.splat(entry, table));
    for (const total of totals) f.vector(new Uint8Array(16)).set(total);
    eachPlane(counter, sources.map((_, i) => i), () => {
      const sums = writePlaneSums(f, write, P, fused, plane.slice(0, -1));
      const more = terms(one, sums.map((sum) => [sum]), known);
      for (const [i, total] of totals.entries()) {
        f.get(total).get(more[i][0]).op("f64x2.add").set(total);
      }
    });
    const made = between(one, totals.map((total) => [total]), set, known);
    for (let i = 0; i < writes; i++) {
      const [local] = made.writes[i];
      f.get(entry).get(local).laneAt("v128.store64_lane", 0, tables[reads + i]);
    }
    const rounded = roundedTables(f, array, parts[0], made.tables);
    eachPlane(again, starts.map((_, i) => i), () => {
      writePlane(f, P, vector.bytes, parts, plane, (lanes, offset) => {
        const inputs = sources.map(({ pointer, memory }) => lanes.load(pointer, offset, memory));
        lanes.store(target.pointer, array.lanes(lanes, inputs, rounded), offset, target.memory);
      });
    });
    for (const start of starts) f.advance(start, P * vector.bytes);
    f.advance(entry, 8);
  });
}
