/**
 * Staging: a pass's planes as a generated kernel sees them, in float64 scratch with their borders, and the
 * copies in and out.
 *
 * @module
 */

import type { Axis, Pass, View } from "../passes.ts";
import { forwardPass, gradientPass, windowAxes } from "../passes.ts";
import type { ConvShape, PoolShape } from "../shape.ts";
import type { FloatArray } from "../tensor.ts";
import type { PassSizes, PoolSizes } from "./kernel.ts";

/** Arrays that a kernel sees hold fewer values, 8 GB: kernels mask their indices with it. */
export const MAX_NUMBERS: number = 2 ** 30;

/** Where a plane of a tensor lies in the plane that a kernel walks over. */
export interface Placement {
  /** Height of the kernel's plane. */
  readonly height: number;
  /** Width of the kernel's plane. */
  readonly width: number;
  /** The row where the tensor's first row lies; negative if rows are left out. */
  readonly top: number;
  /** The column where the tensor's first column lies; negative if columns are left out. */
  readonly left: number;
}

/** How a generated convolution sees its tensors, group by group, or all at once if it is depthwise. */
export interface ConvStage {
  /** Sizes of the forward pass and of the gradient of the filters. */
  readonly forward: PassSizes;
  /** Sizes of the gradient of the input. */
  readonly backwardData: PassSizes;
  /** The input with the border that the windows reach. */
  readonly x: Placement;
  /** The gradient of the output with the border that the taps reach. */
  readonly dout: Placement;
  /** The gradient of the input. */
  readonly dx: Placement;
}

function placement(rows: View, columns: View): Placement {
  return { height: rows.extent, width: columns.extent, top: rows.lead, left: columns.lead };
}

const sourceOf = ({ rows, columns }: { readonly rows: Axis; readonly columns: Axis }) =>
  placement(rows.source, columns.source);
const targetOf = ({ rows, columns }: Pass) => placement(rows.target, columns.target);

/** The sizes of a pass over one group, or over all groups of a plane each. */
function sizesOf(pass: Pass, depthwise: boolean): PassSizes {
  const { rows, columns, groups, inputs, outputs, weights } = pass;
  return passSizes(
    depthwise ? [groups, groups] : [inputs, outputs],
    [rows.positions, columns.positions],
    sourceOf(pass),
    targetOf(pass),
    [weights.input, depthwise ? weights.group : weights.output],
  );
}

/** Whether a convolution has one filter for each channel, which sees that channel alone. */
export function isDepthwise({ C, F, groups }: ConvShape): boolean {
  return groups > 1 && groups === C && groups === F;
}

/** The staging of a convolution, for a kernel that may be depthwise. */
export function convStage(s: ConvShape, depthwise = false): ConvStage {
  const forward = forwardPass(s), gradient = gradientPass(s);
  return {
    x: sourceOf(forward),
    dout: sourceOf(gradient),
    dx: targetOf(gradient),
    forward: sizesOf(forward, depthwise),
    backwardData: sizesOf(gradient, depthwise),
  };
}

/** Numbers in the largest array of an image that a kernel sees. */
export function stagedNumbers(s: ConvShape | PoolShape): number {
  if (!("F" in s)) return s.C * poolStage(s).sizes.xPlane;
  const { forward, backwardData } = convStage(s);
  return Math.max(
    s.C * Math.max(forward.xPlane, backwardData.yPlane),
    s.F * Math.max(forward.yPlane, backwardData.xPlane),
  );
}

/** The sizes of a pass from planes like x to planes like y. */
export function passSizes(
  [inputs, outputs]: readonly [number, number],
  [rows, cols]: readonly [number, number],
  x: Pick<Placement, "height" | "width">,
  y: Pick<Placement, "height" | "width">,
  [wInput, wOutput]: readonly [number, number],
): PassSizes {
  return {
    inputs,
    outputs,
    rows,
    cols,
    xPitch: x.width,
    xPlane: x.height * x.width,
    yPitch: y.width,
    yPlane: y.height * y.width,
    wInput,
    wOutput,
  };
}

/** How a generated pool sees its input: with the border that the windows reach. */
export function poolStage(
  s: PoolShape,
): { readonly sizes: Omit<PoolSizes, "planes">; readonly x: Placement } {
  const reached = sourceOf(windowAxes(s));
  // Whole planes need no staging, though the windows may leave out their last rows and columns.
  const height = Math.max(reached.height, s.padTop + s.H);
  const width = Math.max(reached.width, s.padLeft + s.W);
  return {
    sizes: { rows: s.OH, cols: s.OW, xPitch: width, xPlane: height * width },
    x: { ...reached, height, width },
  };
}

/** The rows or columns of a plane of `size` that lie inside the kernel's plane of `extent`. */
function visible(size: number, lead: number, extent: number): [from: number, to: number] {
  return [Math.max(0, -lead), Math.min(size, extent - lead)];
}

/** Copies planes of H x W from `source` into the kernel's planes; the border is left as it is. */
export function stageIn(
  source: FloatArray,
  offset: number,
  planes: number,
  H: number,
  W: number,
  { height, width, top, left }: Placement,
  target: Float64Array,
): void {
  if (height === H && width === W && top === 0 && left === 0) {
    target.set(source.subarray(offset, offset + planes * H * W));
    return;
  }
  const [fromY, toY] = visible(H, top, height);
  const [fromX, toX] = visible(W, left, width);
  for (let p = 0; p < planes; p++) {
    for (let y = fromY; y < toY; y++) {
      const from = offset + (p * H + y) * W;
      const to = (p * height + y + top) * width + left;
      for (let x = fromX; x < toX; x++) target[to + x] = source[from + x];
    }
  }
}

/** Copies the kernel's planes out to planes of H x W, which they cover wholly. */
export function stageOut(
  source: Float64Array,
  planes: number,
  H: number,
  W: number,
  { height, width, top, left }: Placement,
  target: FloatArray,
  offset: number,
): void {
  if (height === H && width === W) {
    target.set(source, offset);
    return;
  }
  for (let p = 0; p < planes; p++) {
    for (let y = 0; y < H; y++) {
      const from = (p * height + y + top) * width + left;
      const to = offset + (p * H + y) * W;
      for (let x = 0; x < W; x++) target[to + x] = source[from + x];
    }
  }
}
