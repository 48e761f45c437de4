/**
 * Where a pass's planes lie in the memory: the source padded and split as the walk needs, the target in
 * phases that are merged into its rows.
 *
 * So every phase of the target is a sum of taps at stride 1. Forward there is one phase; the gradient at
 * stride s has one for each remainder of its rows and columns. Phases whose taps lie alike are computed
 * as one, as if their targets were more planes.
 *
 * @module
 */

import { type Axis, haloOf, type Pass, type Phase, phasesOf } from "../passes.ts";
import type { Assembly, Func, Local } from "./assembler.ts";
import type { Layout } from "./memory.ts";
import {
  mergeRow,
  type Padded,
  padded,
  type PaddedShape,
  type Planes,
  writeCopy,
} from "./planes.ts";
import type { ImageProgram } from "./program.ts";
import type { Queue } from "./queue.ts";
import { pushSum, type Vector } from "./vector.ts";
import type { FloatArray } from "../tensor.ts";

/** What is laid out: a pass, or as much of it as is held at a time. */
export interface Walk {
  readonly rows: Axis;
  readonly columns: Axis;
  /** Groups of planes that are held at a time. */
  readonly groups: number;
  /** Planes of a group that are read. */
  readonly inputs: number;
  /** Planes of a group that are written. */
  readonly outputs: number;
}

/** Phases whose taps lie alike: one sum of taps, for all their planes of a group. */
export interface PhaseSum {
  readonly phases: readonly { readonly y: Phase; readonly x: Phase }[];
  /** Planes of a group, and those of the sums before. */
  readonly count: number;
  readonly before: number;
  /** Rows and columns of a plane of targets. */
  readonly rows: number;
  readonly columns: number;
  /** The first tap of target (0, 0); `row` is the step from one row of targets to the next. */
  readonly input: Planes;
  readonly output: Planes;
  /** Byte offsets of a row's taps, and from one row of taps to the next. */
  readonly taps: readonly number[];
  readonly tapRow: number;
}

/** A pass in the memory. */
export interface PassLayout {
  readonly source: Padded;
  /** Where the target lies at last, and its bytes. */
  readonly target: number;
  readonly sums: readonly PhaseSum[];
  /** Phases of all sums. */
  readonly phaseCount: number;
  /** Steps from one tap of a phase to the next in the kernel. */
  readonly tapStep: { readonly row: number; readonly column: number };
  /** Bytes from one group to the next. */
  readonly step: { readonly source: number; readonly sums: number; readonly target: number };
  /** Writes the merge of a group's sums into the target, if it takes one; locals may move both. */
  writeMerge(assembly: Assembly, f: Func, from?: Local, to?: Local): void;
}

/** Bytes of source planes that groups held at a time should fill. */
const GROUP_BYTES = 1 << 18;

/** How many groups are held at a time: a divisor of all, so that each part of an image is like it. */
export function groupBatch({ groups, inputs, rows, columns }: Pass, { bytes }: Vector): number {
  const size = inputs * rows.source.extent * columns.source.extent * bytes;
  return divisorWithin(groups, GROUP_BYTES / size);
}

/** The largest divisor of a number that is not above some limit; 1 if the limit is below. */
export function divisorWithin(number: number, limit: number): number {
  let divisor = Math.min(number, Math.max(1, Math.floor(limit)));
  while (number % divisor !== 0) divisor--;
  return divisor;
}

/** Loads the biases of all groups' planes, once for each phase. */
export function loadBiases(
  queue: Queue,
  at: number,
  bias: FloatArray,
  outputs: number,
  phaseCount: number,
): void {
  if (phaseCount === 1) return queue.load(at, bias, 0, bias.length);
  const step = outputs * bias.BYTES_PER_ELEMENT;
  for (let plane = 0; plane < bias.length; plane += outputs) {
    for (let phase = 0; phase < phaseCount; phase++, at += step) {
      queue.load(at, bias, plane, plane + outputs);
    }
  }
}

function groupPhases(ys: readonly Phase[], xs: readonly Phase[]): PhaseSum["phases"][] {
  const groups = new Map<string, { y: Phase; x: Phase }[]>();
  // Rows last: rows of a group, whose planes follow each other, are then merged by the same code.
  for (const x of xs) {
    for (const y of ys) {
      const key = [y.taps.length, y.taps[0]?.from, x.taps.length, x.taps[0]?.from].join();
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [{ y, x }]);
      else group.push({ y, x });
    }
  }
  return [...groups.values()];
}

/** The steps from one tap of a phase to the next, in the kernel and in the source. */
function tapSteps(phases: readonly Phase[]): { readonly k: number; readonly from: number } {
  const [first, second] = phases.find(({ taps }) => taps.length > 1)?.taps ?? [];
  if (second === undefined) return { k: 0, from: 0 };
  return { k: second.k - first.k, from: second.from - first.from };
}

/**
 * Writes the sums of the groups that are held, one after the other, and their merges.
 *
 * @param assembly The module.
 * @param image The function to write into; its parameters move the weights and the biases.
 * @param batch How many groups are held.
 * @param funcs The sums of a group: parameters move the source, the target, weights and biases.
 * @param layout The pass in the memory.
 * @param groupStep Bytes from the weights and the biases of one group to the next's.
 */
export function writeGroups(
  assembly: Assembly,
  image: Func,
  batch: number,
  funcs: readonly Func[],
  { step, writeMerge }: PassLayout,
  groupStep: { readonly weights: number; readonly biases: number },
): void {
  const [weight, biasAt] = [0, 1];
  const [group, from, to, targetAt] = image.locals("i32", 4);
  image.repeat(group, batch, () => {
    for (const f of funcs) image.get(from).get(to).get(weight).get(biasAt).call(f);
    writeMerge(assembly, image, to, targetAt);
    image.advance(from, step.source).advance(to, step.sums).advance(targetAt, step.target);
    image.advance(weight, groupStep.weights).advance(biasAt, groupStep.biases);
  });
}

/**
 * Runs images part by part, each as many groups as are held.
 *
 * @param parts Parts of an image.
 * @param source Loads a part.
 * @param target Where a part's result lies, and how many values it has.
 * @param call Runs the part with a number, counted in its image.
 * @returns What runs images of a program.
 */
export function partRunner(
  parts: number,
  source: Pick<Padded, "load">,
  target: { readonly at: number; readonly size: number },
  call: (queue: Queue, part: number) => void,
): ImageProgram["run"] {
  return (queue, images, results, first, end) => {
    // Parts of images lie one after the other, as images do.
    for (let i = first * parts; i < end * parts; i++) {
      source.load(queue, images, i, i + 1);
      call(queue, i % parts);
      queue.store(results, i * target.size, target.size, target.at);
    }
    return end;
  };
}

/** The planes that a pass reads, with the padding that it needs, split by its stride. */
export function sourceShape(
  { rows, columns }: { readonly rows: Axis; readonly columns: Axis },
  planes: number,
): PaddedShape {
  const haloY = haloOf(rows, phasesOf(rows)), haloX = haloOf(columns, phasesOf(columns));
  return {
    planes,
    H: rows.source.size,
    W: columns.source.size,
    top: haloY.before,
    left: haloX.before,
    rows: haloY.extent,
    columns: haloX.extent,
    stride: columns.sourceStep,
  };
}

/** Lays out a pass. */
export function layoutPass(layout: Layout, vector: Vector, walk: Walk): PassLayout {
  const { rows, columns, groups, inputs, outputs } = walk;
  const { bytes, lanes } = vector;
  const ys = phasesOf(rows), xs = phasesOf(columns);
  const shape = sourceShape(walk, groups * inputs), { top, left, stride } = shape;
  const source = padded(layout, vector, "source", { ...shape, apart: true });
  const sourceRow = source.planes.row;
  /** The byte of a place in a row of the source, which is split by the stride. */
  const columnByte = (from: number) => {
    const place = left + from;
    return ((place % stride) * source.pitch + Math.floor(place / stride)) * bytes;
  };

  const H = rows.target.size, W = columns.target.size;
  const target = layout.region("target", groups * outputs * H * W * bytes);
  const result: Planes = { start: target, plane: H * W * bytes, row: W * bytes };
  const all = groupPhases(ys, xs);
  // Whole rows of a single phase are stored where they belong; others are merged from their planes.
  const stored = columns.targetStep === 1 && W >= lanes && all.every(({ length }) => length === 1);
  const row = Math.max(Math.ceil(W / columns.targetStep), lanes) * bytes;
  const plane = Math.ceil(H / rows.targetStep) * row;
  const phaseCount = ys.length * xs.length;
  const step = {
    source: inputs * source.planes.plane,
    // Phases are merged group by group, so that one place serves all.
    sums: stored ? outputs * result.plane : 0,
    target: outputs * result.plane,
  };
  const phasePlanes = stored ? 0 : layout.region("phases", phaseCount * outputs * plane);
  const stepY = tapSteps(ys), stepX = tapSteps(xs);
  /** Where the planes of a phase start. */
  const starts = new Map<string, number>();
  const sums = all.map((phases): PhaseSum => {
    const [{ y, x }] = phases;
    const before = starts.size * outputs;
    for (const phase of phases) {
      const at = phasePlanes + starts.size * outputs * plane;
      starts.set(`${phase.y.rest},${phase.x.rest}`, at);
    }
    const none = y.taps.length * x.taps.length === 0;
    const first = none ? 0 : columnByte(x.taps[0].from);
    const start = none ? 0 : (top + y.taps[0].from) * sourceRow + first;
    return {
      phases,
      count: phases.length * outputs,
      before,
      rows: Math.max(...phases.map((phase) => phase.y.count)),
      columns: Math.max(...phases.map((phase) => phase.x.count)),
      input: {
        start: source.planes.start + start,
        plane: source.planes.plane,
        row: rows.sourceStep * sourceRow,
      },
      output: stored
        ? { ...result, start: target + y.rest * W * bytes, row: rows.targetStep * W * bytes }
        : { start: phasePlanes + before * plane, plane, row },
      taps: none ? [] : x.taps.map(({ from }) => columnByte(from) - first),
      tapRow: stepY.from * sourceRow,
    };
  });

  /** Rows whose phases lie alike share their code. */
  function writeMerge(assembly: Assembly, f: Func, from?: Local, to?: Local): void {
    if (stored) return;
    const placesOf = (y: Phase) => xs.map((x) => starts.get(`${y.rest},${x.rest}`)!);
    const alike = new Map<string, Phase[]>();
    for (const y of ys) {
      const places = placesOf(y);
      const key = [y.count, ...places.map((place) => place - places[0])].join();
      alike.set(key, [...alike.get(key) ?? [], y]);
    }
    for (const [key, phases] of alike) {
      const [count, ...offsets] = key.split(",").map(Number);
      const merge = assembly.func(`merge${phases[0].rest}`, ["i32", "i32"]);
      const sources = phases.map((y) => placesOf(y)[0]);
      const targets = phases.map((y) => target + y.rest * W * bytes);
      const rangeOf = (places: readonly number[], step: number) =>
        [Math.min(...places), Math.max(...places) + (groups - 1) * step] as const;
      const merged = { ...result, start: 0, row: rows.targetStep * W * bytes };
      const copyRow = mergeRow(vector, W, offsets);
      writeCopy(merge, outputs, count, { start: 0, plane, row }, merged, copyRow, {
        from: { local: 0, range: rangeOf(sources, step.sums) },
        to: { local: 1, range: rangeOf(targets, step.target) },
      });
      for (const [i, source] of sources.entries()) {
        pushSum(f, source, from);
        pushSum(f, targets[i], to).call(merge);
      }
    }
  }

  return {
    source,
    target,
    sums,
    phaseCount,
    tapStep: { row: stepY.k, column: stepX.k },
    step,
    writeMerge,
  };
}
