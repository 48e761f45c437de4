/**
 * Geometry -> passes: which numbers of a source meet which taps for which numbers of a target, as data.
 *
 * Forward, the gradient of the input (dx) and the gradient of the weights (dw) are walks over positions.
 * Along each axis, position p reads source p * sourceStep + from(tap) and writes target p * targetStep +
 * to(tap), both counted from the walk's own origin, which lies before the first real number where there
 * is padding. Stride, padding, dilation, groups and transposition are expressed here and nowhere else but
 * in the naive loops, which prove it.
 *
 * - Forward, source is x and target is out: from(k) = k * dilation, to(k) = 0.
 * - For dx, source is dout and target is dx. With stride s, x index i gets tap k of output o where
 *   i + pad = o * s + k * dilation: from(k) = reach - floor(k * dilation / s) and to(k) = k * dilation
 *   mod s, so that one position writes s neighbors of dx, its phases. A transposed convolution is this
 *   pass run forward.
 * - dw walks as forward does, and sums products over positions.
 *
 * @module
 */

import { type AveragePoolShape, type ConvShape, extentOf, type WindowShape } from "./shape.ts";

/** Where a tap reads and writes, relative to the position's own place. */
export interface TapOffset {
  /** Offset in the source. */
  readonly from: number;
  /** Offset in the target. */
  readonly to: number;
}

/** Where a tensor's rows or columns lie in those of a walk. */
export interface View {
  /** How many the tensor has. */
  readonly size: number;
  /** Where the tensor's first lies; negative if some are left out. */
  readonly lead: number;
  /** How many the walk reaches. */
  readonly extent: number;
}

/** One axis of a pass: its rows or its columns. */
export interface Axis {
  /** How many positions are walked. */
  readonly positions: number;
  /** Source numbers from one position to the next. */
  readonly sourceStep: number;
  /** Target numbers from one position to the next. */
  readonly targetStep: number;
  readonly source: View;
  readonly target: View;
  /** By the number of the tap in the kernel. */
  readonly taps: readonly TapOffset[];
}

/** A pass over the planes of one group; all groups are alike. */
export interface Pass {
  /**
   * Whether this is the gradient of the input: its weights are rotated by 180 degrees, and it has no terms
   * of padding, where forward sums have zeros times weights.
   */
  readonly gradient: boolean;
  readonly rows: Axis;
  readonly columns: Axis;
  readonly groups: number;
  /** Planes of one group that are read. */
  readonly inputs: number;
  /** Planes of one group that are written. */
  readonly outputs: number;
  /** Numbers of w from one input plane, output plane, and group to the next. */
  readonly weights: { readonly input: number; readonly output: number; readonly group: number };
}

/** The taps of a forward walk. */
export function forwardTaps(K: number, dilation: number): TapOffset[] {
  return Array.from({ length: K }, (_, k) => ({ from: k * dilation, to: 0 }));
}

/** The taps of the gradient's walk. */
export function gradientTaps(K: number, stride: number, dilation: number): TapOffset[] {
  const reach = Math.floor((K - 1) * dilation / stride);
  return Array.from({ length: K }, (_, k) => ({
    from: reach - Math.floor(k * dilation / stride),
    to: (k * dilation) % stride,
  }));
}

/** The forward walk along one axis of a window: a convolution's or a pool's. */
function forwardAxis(
  size: number,
  positions: number,
  K: number,
  stride: number,
  pad: number,
  dilation: number,
): Axis {
  return {
    positions,
    sourceStep: stride,
    targetStep: 1,
    source: { size, lead: pad, extent: (positions - 1) * stride + extentOf(K, dilation) },
    target: { size: positions, lead: 0, extent: positions },
    taps: forwardTaps(K, dilation),
  };
}

/**
 * The gradient's walk along one axis. It starts at the last multiple of the stride at or above the first
 * real number, in padded coordinates.
 */
function gradientAxis(
  size: number,
  outputs: number,
  K: number,
  stride: number,
  pad: number,
  dilation: number,
): Axis {
  const skipped = Math.floor(pad / stride);
  const lead = pad - skipped * stride;
  const positions = Math.ceil((size + lead) / stride);
  const reach = Math.floor((K - 1) * dilation / stride);
  return {
    positions,
    sourceStep: 1,
    targetStep: stride,
    source: { size: outputs, lead: reach - skipped, extent: positions + reach },
    target: { size, lead, extent: positions * stride },
    taps: gradientTaps(K, stride, dilation),
  };
}

/** The walk of a window's rows and columns, forward. */
export function windowAxes(s: WindowShape): { readonly rows: Axis; readonly columns: Axis } {
  return {
    rows: forwardAxis(s.H, s.OH, s.KH, s.strideY, s.padTop, s.dilationY),
    columns: forwardAxis(s.W, s.OW, s.KW, s.strideX, s.padLeft, s.dilationX),
  };
}

/** The gradient's walk of a window's rows and columns. */
export function windowGradientAxes(
  s: WindowShape,
): { readonly rows: Axis; readonly columns: Axis } {
  return {
    rows: gradientAxis(s.H, s.OH, s.KH, s.strideY, s.padTop, s.dilationY),
    columns: gradientAxis(s.W, s.OW, s.KW, s.strideX, s.padLeft, s.dilationX),
  };
}

/** How many values each window of an average pool counts, output by output. */
export function averageCounts(s: AveragePoolShape): number[] {
  const along = (
    { positions, sourceStep, source: { lead, size } }: Axis,
    K: number,
    padAfter: number,
  ) => {
    const first = s.countIncludePad ? -lead : 0, end = size + (s.countIncludePad ? padAfter : 0);
    return Array.from({ length: positions }, (_, i) => {
      const start = i * sourceStep - lead;
      return Math.min(start + K, end) - Math.max(start, first);
    });
  };
  const { rows, columns } = windowAxes(s);
  const across = along(columns, s.KW, s.padRight);
  return along(rows, s.KH, s.padBottom).flatMap((row) => across.map((column) => row * column));
}

/** Numbers of w in a group, and in one of its filters. */
function weightSteps({ C, F, KH, KW, groups }: ConvShape) {
  const taps = KH * KW, filter = C / groups * taps;
  return { taps, filter, group: F / groups * filter };
}

/** The forward pass, whose walk is that of dw too. */
export function forwardPass(s: ConvShape): Pass {
  const { taps, filter, group } = weightSteps(s);
  return {
    ...windowAxes(s),
    gradient: false,
    groups: s.groups,
    inputs: s.C / s.groups,
    outputs: s.F / s.groups,
    weights: { input: taps, output: filter, group },
  };
}

/** The pass of the gradient of the input. */
export function gradientPass(s: ConvShape): Pass {
  const { taps, filter, group } = weightSteps(s);
  return {
    ...windowGradientAxes(s),
    gradient: true,
    groups: s.groups,
    inputs: s.F / s.groups,
    outputs: s.C / s.groups,
    weights: { input: filter, output: taps, group },
  };
}

/** Targets rest, rest + step, ... of an axis: those that the same taps reach. */
export interface Phase {
  /** The first target. */
  readonly rest: number;
  /** How many targets. */
  readonly count: number;
  /** The taps that reach them, in the order of the source. Both of their steps are the same in a phase. */
  readonly taps: readonly PhaseTap[];
}

/** A tap of a phase: target number i takes tap k from the source at i * sourceStep + from. */
export interface PhaseTap {
  readonly k: number;
  /** Counted from the source's first real number. */
  readonly from: number;
}

/** The phases of an axis: its targets by which taps reach them. Forward, there is one. */
export function phasesOf({ targetStep: step, source, target, taps }: Axis): Phase[] {
  const reaching = new Map<number, PhaseTap[]>();
  for (const [k, { from, to }] of taps.entries()) {
    const others = reaching.get(to);
    if (others === undefined) reaching.set(to, [{ k, from }]);
    else others.push({ k, from });
  }
  return Array.from({ length: Math.min(step, target.size) }, (_, rest) => {
    const place = rest + target.lead;
    const first = Math.floor(place / step) - source.lead;
    const found = reaching.get(place % step) ?? [];
    return {
      rest,
      count: Math.ceil((target.size - rest) / step),
      taps: found.map(({ k, from }) => ({ k, from: from + first })).sort((a, b) => a.from - b.from),
    };
  });
}

/** A target of an axis, and a source that it takes a tap's product of. */
export interface Meeting {
  readonly k: number;
  readonly source: number;
  readonly target: number;
}

/** Every product along an axis: what meets padding alone is left out. */
export function meetingsOf(axis: Axis): Meeting[] {
  return phasesOf(axis).flatMap(({ rest, count, taps }) =>
    taps.flatMap(({ k, from }) =>
      Array.from({ length: count }, (_, i) => ({
        k,
        source: i * axis.sourceStep + from,
        target: rest + i * axis.targetStep,
      })).filter(({ source }) => source >= 0 && source < axis.source.size)
    )
  );
}

/** Rows or columns that the phases read: how many before the source's first, and how many in all. */
export function haloOf(
  { sourceStep }: Axis,
  phases: readonly Phase[],
): { readonly before: number; readonly extent: number } {
  let first = 0, end = 0;
  for (const { taps, count } of phases) {
    if (taps.length === 0) continue;
    first = Math.min(first, taps[0].from);
    end = Math.max(end, (count - 1) * sourceStep + taps[taps.length - 1].from + 1);
  }
  return { before: -first, extent: end - first };
}
