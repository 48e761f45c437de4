/**
 * Operations element by element, two vectors at a time: in place where arrays are memories of their own.
 * Others are copied into the memory in blocks that the cache holds.
 *
 * @module
 */

import type { MapKernel } from "../kernel.ts";
import { type MapShape, type NumberMap, SUM_BLOCK as BLOCK } from "../map.ts";
import type { DType } from "../tensor.ts";
import type { Answer } from "../tier.ts";
import { Assembly, type Func } from "./assembler.ts";
import type { Features } from "./features.ts";
import { type Constants, Lanes, type Place } from "./lanes.ts";
import { compile, inMemories, Layout, type Module, reserve } from "./memory.ts";
import { runJob } from "./job.ts";
import { addressOf } from "./queue.ts";
import { type Vector, vectors } from "./vector.ts";

/** Vectors of a step. */
const VECTORS = 2;
/** About how long a value of an array takes, in nanoseconds. */
const VALUE_COST = 0.2;

/** The SIMD kernel of a map, or why there is none. */
export function simdMap(
  { map }: MapShape,
  dtype: DType,
  { interpreted, reassociate, reason }: Features,
): Answer<MapKernel> {
  const { name, arrays, only = dtype, settings = 0, sums = 0 } = map;
  if (only !== dtype) return { reason: `precise enough for ${only} alone` };
  const vector = vectors[dtype], { bytes } = vector;
  // Reproducible arithmetic has the bits of the loops, which compute in float64.
  const computed = map.narrow && reassociate ? vector : vectors.float64,
    step = VECTORS * computed.lanes;
  const layout = new Layout();
  const at = arrays.map((_, i) => layout.region(`array ${i}`, BLOCK * bytes));
  const set = layout.region("settings", Math.max(1, settings) * 8);
  const totals = layout.region("sums", Math.max(1, sums) * 8);
  const missing = reserve(layout.size);
  if (missing !== undefined) return { reason: missing };
  let copying: Module | undefined;
  const inPlace: Partial<Record<"shared" | "own", Module>> = {};

  /** The module that runs on blocks in the memory. */
  function assemble(): Module {
    const assembly = new Assembly();
    const f = assembly.func("map", ["i32"]), pointer = f.local("i32");
    const places = at.map((start) => ({ pointer, start }));
    writeMap(f, map, vector, computed, { at: places, set, totals });
    for (const start of at) f.writes(start, BLOCK * bytes);
    f.reads(set, settings * 8).writes(totals, sums * 8);
    return compile(assembly, layout);
  }

  /** The same on memories that arrays are: a parameter says where in each. */
  function assembleInPlace(shared: boolean): Module {
    const assembly = new Assembly(shared);
    const f = assembly.func("map", ["i32", ...at.map(() => "i32" as const)]);
    const places = at.map((_, i) => ({ pointer: 1 + i, start: 0, memory: 1 + i }));
    writeMap(f, map, vector, computed, { at: places, set, totals });
    f.reads(set, settings * 8).writes(totals, sums * 8);
    return compile(assembly, layout, null);
  }

  const kernel: MapKernel = {
    name: `${name}-${dtype === "float32" ? "f32" : "f64"}-simd`,
    tier: "simd",
    run(data, values = []) {
      const used = copying ??= assemble(), [{ length }] = data;
      const kind = inMemories(data);
      const direct = kind && (inPlace[kind] ??= assembleInPlace(kind === "shared"));
      const blocks = Math.ceil(length / BLOCK);
      const blockSums = sums > 0 ? new Float64Array(sums * blocks) : undefined;
      runJob({
        cost: VALUE_COST * arrays.length,
        together: BLOCK,
        prepare(queue) {
          queue.use(used);
          if (settings > 0) queue.load(set, Float64Array.from(values), 0, settings);
          return true;
        },
        run(queue, from, to) {
          let first = from;
          const storeSums = () => {
            if (blockSums) queue.store(blockSums, sums * first / BLOCK, sums, totals);
          };
          if (direct && to - from >= step) {
            // Sums are of blocks, the last of which may hold a part of a step.
            const whole = blockSums ? BLOCK : step, end = to - (to - from) % whole;
            queue.use(direct, data);
            for (const size = blockSums ? BLOCK : end - from; first < end; first += size) {
              queue.call("map", size / step, ...data.map((array) => addressOf(array, first)));
              storeSums();
            }
            if (first < to) queue.use(used);
          }
          for (; first < to; first += BLOCK) {
            const end = Math.min(to, first + BLOCK);
            for (let i = 0; i < at.length; i++) {
              if (arrays[i] !== "write") queue.load(at[i], data[i], first, end);
            }
            const count = end - first,
              steps = Math.ceil(count / step),
              beyond = steps * step - count;
            // What is beyond the end adds nothing to sums.
            for (let i = 0; sums * beyond > 0 && i < at.length; i++) {
              queue.clear(at[i] + count * bytes, beyond * bytes);
            }
            queue.call("map", steps);
            storeSums();
            for (let i = 0; i < at.length; i++) {
              if (arrays[i] !== "read") queue.store(data[i], first, count, at[i]);
            }
          }
          return to;
        },
      }, length);
      const total = Array<number>(sums).fill(0);
      blockSums?.forEach((sum, i) => total[i % sums] += sum);
      return total;
    },
  };
  return { kernel, reason: interpreted ? reason : "assembled for the operation" };
}

/** Where the regions lie. */
interface Places {
  readonly at: readonly Place[];
  readonly set: number;
  readonly totals: number;
}

/** Writes a map over a number of steps. Pointers are 0, or parameters. */
function writeMap(
  f: Func,
  map: NumberMap,
  stored: Vector,
  computed: Vector,
  { at, set, totals }: Places,
): void {
  const constants: Constants = new Map();
  const step = VECTORS * computed.lanes;
  const lanes = new Lanes(f, stored, computed, step, constants);
  const base = f.local("i32"), pointers = new Set(at.map(({ pointer }) => pointer));
  f.const(set).set(base);
  const settings = Array.from(
    { length: map.settings ?? 0 },
    (_, i) => {
      const setting = lanes.splat(base, i * 8);
      return computed.dtype === "float32" ? lanes.rounded(setting)[0] : lanes.same(setting);
    },
  );
  // Once into the air, to learn which constants there are.
  const known: Constants = new Map();
  const air = new Lanes(new Assembly().func(map.name), stored, computed, step, known);
  map.lanes(air, at.map(() => [0, 0]), settings);
  for (const constant of known.keys()) lanes.constant(constant === "-0" ? -0 : constant);

  const sums = Array.from({ length: map.sums ?? 0 }, () => f.local("v128"));
  const places = (access: string) => at.filter((_, i) => map.arrays[i] !== access);
  f.countDown(0, 0, () => {
    const inputs = places("write").map(({ pointer, start, memory }) =>
      lanes.load(pointer, start, memory)
    );
    const outputs = map.lanes(lanes, inputs, settings);
    for (const [i, { pointer, start, memory }] of places("read").entries()) {
      lanes.store(pointer, outputs[i], start, memory);
    }
    for (const [k, sum] of sums.entries()) {
      lanes.addTo(sum, outputs[outputs.length - sums.length + k]);
    }
    for (const pointer of pointers) f.advance(pointer, step * stored.bytes);
  });
  for (const [k, sum] of sums.entries()) lanes.storeTotal(totals + 8 * k, sum);
}
