/**
 * Depthwise convolutions: as many groups as channels and filters. Forward passes and gradients of the
 * input are both a sum of taps over each plane by itself; planes are run one after the other by the same
 * code, a part of an image at a time in the memory.
 *
 * @module
 */

import { haloOf, type Pass, phasesOf } from "../passes.ts";
import type { Epilogue } from "../epilogue.ts";
import { Assembly } from "./assembler.ts";
import { directCost, nanosecondsOf } from "./costs.ts";
import { EDGE, type PlaneSource, writePlane } from "./emit_depthwise.ts";
import { compile, Layout, type Plan } from "./memory.ts";
import { groupBatch, partRunner } from "./pass_layout.ts";
import { chooseTiles } from "./plane_tiles.ts";
import { type Padded, padded } from "./planes.ts";
import type { ImageProgram } from "./program.ts";
import type { Vector } from "./vector.ts";
import { writeFiniteCheck } from "./weights.ts";

/** Planes that are read, with zeros around or without. */
export interface SourcePlanes {
  readonly planes: Padded;
  /** How one of them lies, and where the first is. */
  readonly source: PlaneSource;
  readonly start: number;
}

/** Lays out planes that are read. */
export function layoutSource(
  layout: Layout,
  vector: Vector,
  { rows, columns }: Pick<Pass, "rows" | "columns">,
  count: number,
  isPadded: boolean,
): SourcePlanes {
  const { size: H } = rows.source, { size: W } = columns.source;
  const bare = { before: 0, extent: 0 };
  const haloY = isPadded ? haloOf(rows, phasesOf(rows)) : bare;
  const haloX = isPadded ? haloOf(columns, phasesOf(columns)) : bare;
  const planes = padded(layout, vector, "source", {
    planes: count,
    H,
    W,
    top: haloY.before,
    left: haloX.before,
    rows: haloY.extent,
    columns: haloX.extent,
    stride: 1,
    edge: isPadded ? 0 : EDGE,
  });
  const { row, start } = planes.planes;
  const lead = isPadded ? haloX.before * vector.bytes : EDGE;
  return {
    planes,
    source: { padded: isPadded, row, firstRow: -haloY.before, lead },
    start: isPadded ? start : start - EDGE,
  };
}

/** Plans a pass. */
export function planDepthwise(pass: Pass, vector: Vector, fused: boolean): Plan<ImageProgram> {
  const { rows, columns, groups } = pass;
  const { bytes, lanes } = vector;
  const layout = new Layout();
  const batch = groupBatch(pass, vector), parts = groups / batch;
  const taps = rows.taps.length * columns.taps.length;
  const { tiles, padded } = chooseTiles(rows, columns, lanes, true);
  const { planes, source, start } = layoutSource(layout, vector, pass, batch, padded);
  const targetSize = rows.target.size * columns.target.size;
  const target = layout.region("target", batch * targetSize * bytes);
  const weights = layout.region("weights", groups * taps * bytes);
  const biases = layout.region("biases", groups * bytes);
  const nonFiniteFlag = layout.region("non-finite flag", 16);

  function make({ bias, relu }: Epilogue): ImageProgram {
    const assembly = new Assembly();
    const pad = assembly.func("pad");
    planes.write(pad);
    const plane = assembly.func("plane", ["i32", "i32", "i32", "i32"]);
    const read = writePlane(plane, {
      ...{ vector, fused, rows, columns, tiles, source, weighted: true, relu },
      last: bias && { op: "add", each: false },
    });
    plane.reads(start, (batch - 1) * planes.planes.plane + read);
    plane.writes(target, batch * targetSize * bytes);
    plane.reads(weights, groups * taps * bytes).reads(biases, groups * bytes);
    const image = assembly.func("image", ["i32", "i32"]).call(pad);
    const [weight, biasAt] = [0, 1];
    const [group, from, to] = image.locals("i32", 3);
    image.const(start).set(from).const(target).set(to);
    image.repeat(group, batch, () => {
      image.get(from).get(to).get(weight).get(biasAt).call(plane);
      image.advance(from, planes.planes.plane).advance(to, targetSize * bytes);
      image.advance(weight, taps * bytes).advance(biasAt, bytes);
    });
    if (pass.gradient) {
      writeFiniteCheck(assembly.func("check"), vector, weights, groups * taps, nonFiniteFlag);
    }
    const module = compile(assembly, layout);

    const size = batch * targetSize;
    return {
      cost: nanosecondsOf(directCost(pass, vector)),
      prepare(queue, w, { bias }) {
        queue.use(module);
        queue.load(weights, w, 0, w.length);
        if (pass.gradient) {
          queue.call("check");
          // The padding's zeros times infinity would be NaN, where the definition has no term.
          if (queue.isSet(nonFiniteFlag, 0)) return false;
        }
        if (bias) queue.load(biases, bias, 0, bias.length);
        planes.clear(queue);
        return true;
      },
      run: partRunner(parts, planes, { at: target, size }, (queue, part) => {
        const before = part * batch * bytes;
        queue.call("image", weights + before * taps, biases + before);
      }),
    };
  }
  return { layout, make };
}
