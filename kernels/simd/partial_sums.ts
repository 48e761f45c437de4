/**
 * Weight gradients in parts: where the sums of each part of a batch lie, and what adds them, in float64
 * and in their order.
 *
 * @module
 */

import { Scratch } from "../scratch.ts";
import { allocate, areShared, dtypeOf, type FloatArray, zerosOf } from "../tensor.ts";
import { Assembly } from "./assembler.ts";
import { hasSimd } from "./features.ts";
import { compile, Layout, type Module } from "./memory.ts";
import { runJob } from "./job.ts";

/** Sums that are added at once: a multiple of a step's, which are two vectors. */
const BLOCK = 4096, STEP = 4;
/** About how long a sum of a part takes, in nanoseconds. */
const SUM_COST = 0.5;

let partials = zerosOf("float64", 0), isShared = false;
const held = new Scratch(() => partials.byteLength, () => partials = zerosOf("float64", 0));

/** An array of so many numbers or more, whose content the next call may overwrite. */
export function partialSums(count: number): FloatArray {
  held.need(8 * count);
  if (partials.length < count || isShared !== areShared()) {
    partials = allocate("float64", count, true);
    isShared = areShared();
  }
  return partials;
}

const layout = new Layout();
const total = layout.region("totals", BLOCK * 8);
const part = layout.region("part", BLOCK * 8);
const rounded = layout.region("rounded", BLOCK * 4);

let module: Module | undefined, isForSimd: boolean | undefined;

/** Functions of a number of steps: "add" adds the part to the totals, "round" makes float32 of them. */
function moduleOfSums(): Module {
  // A page or a test may have replaced WebAssembly.
  if (module !== undefined && isForSimd === hasSimd()) return module;
  isForSimd = hasSimd();
  const assembly = new Assembly();
  const add = assembly.func("add", ["i32"]).reads(part, BLOCK * 8).writes(total, BLOCK * 8);
  const place = add.local("i32");
  add.const(0).set(place);
  add.countDown(0, 0, () => {
    for (const offset of [0, 16]) {
      add.get(place).get(place).at("v128.load", total + offset);
      add.get(place).at("v128.load", part + offset);
      add.op("f64x2.add").at("v128.store", total + offset);
    }
    add.advance(place, 32);
  });
  const round = assembly.func("round", ["i32"]).reads(total, BLOCK * 8).writes(rounded, BLOCK * 4);
  const [from, to] = round.locals("i32", 2);
  round.const(0).set(from).const(0).set(to);
  round.countDown(0, 0, () => {
    for (const i of [0, 1]) {
      round.get(to).get(from).at("v128.load", total + 16 * i).op("f32x4.demote_f64x2_zero");
      round.laneAt("v128.store64_lane", 0, rounded + 8 * i);
    }
    round.advance(from, 32).advance(to, 16);
  });
  return module = compile(assembly, layout);
}

/**
 * Adds the sums of parts, part by part.
 *
 * @param sums Those of the first part, then those of the others.
 * @param parts How many parts.
 * @param pitch How many numbers a part has.
 * @param first The first of them to add up.
 * @param results Where their totals go, rounded to its dtype once.
 */
export function addParts(
  sums: FloatArray,
  parts: number,
  pitch: number,
  first: number,
  results: FloatArray,
): void {
  if (parts === 1 || results.length < BLOCK) {
    // Not worth a module.
    for (let i = 0; i < results.length; i++) {
      let sum = sums[first + i];
      for (let k = 1; k < parts; k++) sum += sums[k * pitch + first + i];
      results[i] = sum;
    }
    return;
  }
  const isSingle = dtypeOf(results) === "float32", used = moduleOfSums();
  runJob({
    cost: parts * SUM_COST,
    together: BLOCK,
    prepare(queue) {
      queue.use(used);
      return true;
    },
    run(queue, from, to) {
      for (let start = from; start < to; start += BLOCK) {
        const end = Math.min(to, start + BLOCK), steps = Math.ceil((end - start) / STEP);
        for (let i = 0; i < parts; i++) {
          const at = i * pitch + first;
          queue.load(i === 0 ? total : part, sums, at + start, at + end);
          if (i > 0) queue.call("add", steps);
        }
        if (isSingle) queue.call("round", steps);
        queue.store(results, start, end - start, isSingle ? rounded : total);
      }
      return to;
    },
  }, results.length);
}
