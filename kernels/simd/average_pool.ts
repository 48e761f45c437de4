/**
 * Average pooling: a depthwise convolution whose weights are all one, divided by how many values each
 * window counts. Its gradient is divided first, and then spread by the same sums of taps.
 *
 * @module
 */

import type { AveragePoolKernel } from "../kernel.ts";
import { averageCounts, type Axis, windowAxes, windowGradientAxes } from "../passes.ts";
import { averagePoolLabel, type AveragePoolShape } from "../shape.ts";
import { type DType, type FloatArray, zerosOf } from "../tensor.ts";
import type { Answer } from "../tier.ts";
import { Assembly, type Func, type Local } from "./assembler.ts";
import { layoutSource } from "./depthwise.ts";
import { writePlane } from "./emit_depthwise.ts";
import type { Features } from "./features.ts";
import { compile, Layout, reserve } from "./memory.ts";
import type { PlainOp } from "./opcodes.ts";
import { chooseTiles } from "./plane_tiles.ts";
import { writeMoves } from "./planes.ts";
import { runJob } from "./job.ts";
import { type Vector, vectors } from "./vector.ts";

/** Taps that are written out. */
const TAPS = 64;
/** Phases that are written out: as many as the stride. */
const LARGEST_STRIDE = 16;
/** About how long a number of a plane takes, in nanoseconds. */
const PLACE_COST = 0.5;
/** Bytes of planes that are held at once. */
const CHUNK = 1 << 18;

/** Runs a direction over planes, one after the other. */
type Run = (planes: number, source: FloatArray, target: FloatArray) => void;

/** The SIMD average pool for one geometry, or why there is none. */
export function simdAveragePool(
  shape: AveragePoolShape,
  dtype: DType,
  { interpreted, reason }: Features,
): Answer<AveragePoolKernel> {
  const { C, KH, KW, strideY, strideX } = shape;
  if (KH * KW > TAPS) {
    return { reason: `a window of ${KH}x${KW} is more than the ${TAPS} numbers written out` };
  }
  if (Math.max(strideY, strideX) > LARGEST_STRIDE) {
    return { reason: `strides above ${LARGEST_STRIDE} would be too much code` };
  }
  const vector = vectors[dtype];
  const plan = (axes: Parameters<typeof planSums>[0], divideFirst: boolean) =>
    planSums(axes, averageCounts(shape), vector, divideFirst);
  const forward = plan(windowAxes(shape), false);
  const backward = plan(windowGradientAxes(shape), true);
  const missing = reserve(Math.max(forward.size, backward.size));
  if (missing !== undefined) return { reason: missing };
  let runForward: Run | undefined, runBackward: Run | undefined;
  const label = averagePoolLabel(shape);
  const kernel: AveragePoolKernel = {
    name: `averagepool-${label}-${dtype === "float32" ? "f32" : "f64"}-simd`,
    tier: "simd",
    forward: (N, x, out) => (runForward ??= forward.make())(N * C, x, out),
    backward: (N, dout, dx) => (runBackward ??= backward.make())(N * C, dout, dx),
  };
  return { kernel, reason: interpreted ? reason : "assembled for the shape" };
}

/** Plans sums of taps over planes, divided by counts: those of the target, or of the source first. */
function planSums(
  walk: { readonly rows: Axis; readonly columns: Axis },
  counts: readonly number[],
  vector: Vector,
  divideFirst: boolean,
): { readonly size: number; readonly make: () => Run } {
  const { rows, columns } = walk;
  const { bytes, lanes } = vector;
  const sourceSize = rows.source.size * columns.source.size;
  const targetSize = rows.target.size * columns.target.size;
  const held = Math.max(1, Math.floor(CHUNK / (Math.max(sourceSize, targetSize) * bytes)));
  const layout = new Layout();
  const { tiles, padded } = chooseTiles(rows, columns, lanes, false);
  const { planes, source, start } = layoutSource(layout, vector, walk, held, padded);
  const target = layout.region("target", held * targetSize * bytes);
  const divisors = layout.region("counts", counts.length * bytes);
  // Powers of two have exact reciprocals.
  const each = counts.some((count) => count !== counts[0]);
  const exact = !each && Number.isInteger(Math.log2(counts[0]));
  const op = exact ? "mul" : "div";
  const numbers = zerosOf(vector.dtype, counts.length);
  numbers.set(exact ? counts.map((count) => 1 / count) : counts);

  function make(): Run {
    const assembly = new Assembly();
    const pad = assembly.func("pad");
    planes.write(pad);
    const sums = assembly.func("plane", ["i32", "i32", "i32", "i32"]);
    const read = writePlane(sums, {
      ...{ vector, fused: false, rows, columns, tiles, source },
      weighted: false,
      last: divideFirst ? undefined : { op, each },
    });
    sums.reads(start, (held - 1) * planes.planes.plane + read);
    sums.writes(target, held * targetSize * bytes).reads(divisors, counts.length * bytes);
    const pool = assembly.func("pool", ["i32"]);
    const [plane, from, to] = pool.locals("i32", 3);
    if (divideFirst) {
      const divide = assembly.func("divide", ["i32"]);
      writeDivision(divide, vector, vector[op], counts.length, divisors);
      divide.reads(divisors, counts.length * bytes);
      divide.writes(planes.staged, held * sourceSize * bytes);
      pool.const(planes.staged).set(from);
      pool.countDown(plane, 0, () => {
        pool.get(from).call(divide).advance(from, sourceSize * bytes);
      });
    }
    pool.call(pad).const(start).set(from).const(target).set(to);
    pool.countDown(plane, 0, () => {
      pool.get(from).get(to).const(0).const(divisors).call(sums);
      pool.advance(from, planes.planes.plane).advance(to, targetSize * bytes);
    });
    const module = compile(assembly, layout);

    return (total, sources, targets) => {
      runJob({
        cost: (sourceSize + targetSize) * PLACE_COST,
        together: held,
        prepare(queue) {
          queue.use(module);
          planes.clear(queue);
          queue.load(divisors, numbers, 0, numbers.length);
          return true;
        },
        run(queue, from, to) {
          for (let first = from; first < to; first += held) {
            const end = Math.min(to, first + held);
            queue.load(planes.staged, sources, first * sourceSize, end * sourceSize);
            queue.call("pool", end - first);
            queue.store(targets, first * targetSize, (end - first) * targetSize, target);
          }
          return to;
        },
      }, total);
    };
  }
  return { size: layout.size, make };
}

/** Writes the division of a plane, from a parameter on, by the counts of its places. */
function writeDivision(
  f: Func,
  vector: Vector,
  op: PlainOp,
  size: number,
  divisors: number,
): void {
  const { bytes, lanes, loadSplat, storeLane } = vector;
  const counts = f.local("i32");
  f.const(divisors).set(counts);
  const whole = Math.floor(size / lanes);
  writeMoves(f, counts, 0, whole, 16, 16, (from, to, a, b) => {
    f.get(to).get(to).at("v128.load", b).get(from).at("v128.load", a).op(op).at("v128.store", b);
  });
  const rest: Local = f.local("v128");
  for (let i = whole * lanes; i < size; i++) {
    f.get(0).at(loadSplat, i * bytes).get(counts).at(loadSplat, i * bytes).op(op).set(rest);
    f.get(0).get(rest).laneAt(storeLane, 0, i * bytes);
  }
}
