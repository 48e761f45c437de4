/**
 * Geometry: the sizes of an operation from the shapes of its tensors and its parameters, checked.
 *
 * @module
 */

import { checkNonEmpty, checkOptions, checkShape, checkType, checkWhole } from "./check.ts";
import { ArgumentRangeError, ArgumentTypeError } from "./errors.ts";
import { show } from "./tensor.ts";

/** How a convolution walks over its input: the course's `conv_param`. */
export interface ConvParams {
  /** Step between windows: one number, or [vertical, horizontal]. Default: 1. */
  readonly stride?: number | readonly [number, number];
  /** Zeros around the input. Default: 0. */
  readonly pad?: Pad;
  /** Step between the taps of a kernel: one number, or [vertical, horizontal]. Default: 1. */
  readonly dilation?: number | readonly [number, number];
  /** Groups of channels, each convolved with filters of its own. Default: 1. */
  readonly groups?: number;
}

/** How a transposed convolution walks over its output. */
export interface ConvTransposeParams extends ConvParams {
  /**
   * Rows and columns added at the bottom and right of the output, less than the stride: one number, or
   * [vertical, horizontal]. Default: 0.
   */
  readonly outputPad?: number | readonly [number, number];
}

/**
 * Padding: one number, [vertical, horizontal], [top, left, bottom, right], "valid" (none), or "same":
 * as much as makes the output ceil(input / stride) large, an odd row or column at the bottom and right.
 */
export type Pad =
  | number
  | readonly [number, number]
  | readonly [number, number, number, number]
  | "same"
  | "valid";

/** How a max-pool walks over its input: the course's `pool_param`. Padding counts as minus infinity. */
export interface PoolParams {
  /** Height of the window. */
  readonly poolHeight: number;
  /** Width of the window. */
  readonly poolWidth: number;
  /** Step between windows: one number, or [vertical, horizontal]. */
  readonly stride: number | readonly [number, number];
  /** Rows and columns around the input, as for {@linkcode ConvParams}. Default: 0. */
  readonly pad?: Pad;
  /**
   * Whether a window that hangs over the bottom or right edge counts, as long as it does not start in the
   * padding there. Default: false.
   */
  readonly ceilMode?: boolean;
  /** Step between the taps of a window: one number, or [vertical, horizontal]. Default: 1. */
  readonly dilation?: number | readonly [number, number];
}

/** How an average pool walks over its input. */
export interface AveragePoolParams extends Omit<PoolParams, "dilation"> {
  /** Whether the zeros of the padding are averaged too. Default: true, as in PyTorch; ONNX has false. */
  readonly countIncludePad?: boolean;
}

/** A window that walks over a plane: what convolution and pooling have in common. */
export interface WindowShape {
  /** Channels of the input. */
  readonly C: number;
  /** Height of the input. */
  readonly H: number;
  /** Width of the input. */
  readonly W: number;
  /** Height of the window. */
  readonly KH: number;
  /** Width of the window. */
  readonly KW: number;
  /** Vertical step. */
  readonly strideY: number;
  /** Horizontal step. */
  readonly strideX: number;
  /** Rows of padding above. */
  readonly padTop: number;
  /** Columns of padding on the left. */
  readonly padLeft: number;
  /** Rows of padding below. */
  readonly padBottom: number;
  /** Columns of padding on the right. */
  readonly padRight: number;
  /** Rows from one tap to the next. */
  readonly dilationY: number;
  /** Columns from one tap to the next. */
  readonly dilationX: number;
  /** Height of the output, H'. */
  readonly OH: number;
  /** Width of the output, W'. */
  readonly OW: number;
}

/** A max-pool's geometry. The batch size N is not part of it: a kernel serves any. */
export type PoolShape = WindowShape;

/** An average pool's geometry. The batch size N is not part of it: a kernel serves any. */
export interface AveragePoolShape extends WindowShape {
  /** Whether a window's sum is divided by its size, padding included, or by its real numbers' count. */
  readonly countIncludePad: boolean;
}

/** A convolution's geometry. The batch size N is not part of it: a kernel serves any. */
export interface ConvShape extends WindowShape {
  /** Filters: channels of the output. */
  readonly F: number;
  /** Groups: the filters of one see its C / groups channels alone. */
  readonly groups: number;
}

/** A fully-connected layer's geometry: x is (N, D), w is (D, M). */
export interface AffineShape {
  /** Numbers in one example of the input. */
  readonly D: number;
  /** Numbers in one example of the output. */
  readonly M: number;
}

/** A normalization's geometry: any number of planes. */
export interface NormShape {
  /** Values in a plane. */
  readonly P: number;
}

/** Two numbers or four: one number for all, or an array of as many as one of the counts. */
function numbers(
  name: string,
  value: unknown,
  minimum: number,
  counts: readonly number[],
  forms: string,
): readonly number[] {
  if (!Array.isArray(value)) {
    checkWhole(name, value, minimum);
    return [value, value];
  }
  if (!counts.includes(value.length)) {
    throw new ArgumentTypeError(
      `${name} must be a number or ${forms}: received [${value.join(",")}]`,
    );
  }
  for (const [i, item] of value.entries()) checkWhole(`${name}[${i}]`, item, minimum);
  return value;
}

/** A step or a size in both directions. */
function pair(name: string, value: unknown, minimum: number): readonly number[] {
  return numbers(name, value, minimum, [2], "[vertical, horizontal]");
}

/** Rows or columns that a window covers, from its first tap to its last. */
export function extentOf(taps: number, dilation: number): number {
  return dilation * (taps - 1) + 1;
}

/** Padding on all four sides, from what was given. */
function padsOf(
  pad: unknown,
  [H, W]: readonly number[],
  [extentY, extentX]: readonly number[],
  [strideY, strideX]: readonly number[],
): readonly number[] {
  if (typeof pad !== "string") {
    const sides =
      'numbers as [vertical, horizontal] or [top, left, bottom, right], "same" or "valid"';
    const [top, left, bottom = top, right = left] = numbers("pad", pad, 0, [2, 4], sides);
    return [top, left, bottom, right];
  }
  checkType(pad === "same" || pad === "valid", "pad", 'be "same", "valid" or numbers', pad);
  if (pad === "valid") return [0, 0, 0, 0];
  const total = (size: number, extent: number, stride: number) =>
    Math.max(0, (Math.ceil(size / stride) - 1) * stride + extent - size);
  const y = total(H, extentY, strideY), x = total(W, extentX, strideX);
  return [Math.floor(y / 2), Math.floor(x / 2), Math.ceil(y / 2), Math.ceil(x / 2)];
}

/** How many windows fit. In ceil mode the last may hang over, but starts before the bottom or right padding. */
function positions(
  size: number,
  [before, after]: readonly [number, number],
  extent: number,
  stride: number,
  ceilMode: boolean,
): number {
  const steps = (before + size + after - extent) / stride;
  if (!ceilMode) return 1 + Math.floor(steps);
  const count = 1 + Math.ceil(steps);
  return (count - 1) * stride >= before + size ? count - 1 : count;
}

/** The options of a window's walk. */
interface Walk {
  readonly stride?: unknown;
  readonly pad?: unknown;
  readonly dilation?: unknown;
  readonly ceilMode?: boolean;
}

/** The window's walk over H x W, or a RangeError if the window does not fit. */
function windowShape(
  what: string,
  [C, H, W]: readonly [number, number, number],
  [KH, KW]: readonly [number, number],
  { stride = 1, pad = 0, dilation = 1, ceilMode = false }: Walk,
): WindowShape {
  const [strideY, strideX] = pair("stride", stride, 1);
  // The step between taps means nothing where there is only one.
  const [dilationY, dilationX] = pair("dilation", dilation, 1)
    .map((step, axis) => [KH, KW][axis] === 1 ? 1 : step);
  const extentY = extentOf(KH, dilationY), extentX = extentOf(KW, dilationX);
  const pads = padsOf(pad, [H, W], [extentY, extentX], [strideY, strideX]);
  const [padTop, padLeft, padBottom, padRight] = pads;
  const OH = positions(H, [padTop, padBottom], extentY, strideY, ceilMode);
  const OW = positions(W, [padLeft, padRight], extentX, strideX, ceilMode);
  if (OH < 1 || OW < 1) {
    const dilated = dilationY * dilationX === 1 ? "" : `, dilation ${show([dilationY, dilationX])}`;
    throw new ArgumentRangeError(
      `${what} must not be larger than the padded input: it is ${show([extentY, extentX])}, ` +
        `the padded input is ${show([H + padTop + padBottom, W + padLeft + padRight])} ` +
        `(input ${show([H, W])}, pad ${show(pads)}${dilated})`,
    );
  }
  return {
    C,
    H,
    W,
    KH,
    KW,
    strideY,
    strideX,
    padTop,
    padLeft,
    padBottom,
    padRight,
    dilationY,
    dilationX,
    OH,
    OW,
  };
}

/** A window's walk in full: a copy of what its caller gave, who may change that. */
function walkParams(s: WindowShape) {
  return {
    stride: [s.strideY, s.strideX],
    pad: [s.padTop, s.padLeft, s.padBottom, s.padRight],
    dilation: [s.dilationY, s.dilationX],
  } as const;
}

/** The parameters that give a convolution's geometry. */
export function convParams(shape: ConvShape): ConvParams {
  return { ...walkParams(shape), groups: shape.groups };
}

/** The parameters that give a transposed convolution, of the geometry of its adjoint. */
export function convTransposeParams(s: ConvShape): ConvTransposeParams {
  const pads = s.padTop + s.padBottom, sides = s.padLeft + s.padRight;
  const rows = (s.OH - 1) * s.strideY + extentOf(s.KH, s.dilationY) - pads;
  const columns = (s.OW - 1) * s.strideX + extentOf(s.KW, s.dilationX) - sides;
  return { ...convParams(s), outputPad: [s.H - rows, s.W - columns] };
}

/** The parameters that give a max-pool's geometry. */
export function poolParams(shape: PoolShape): PoolParams {
  const { KH: poolHeight, KW: poolWidth } = shape;
  return { poolHeight, poolWidth, ...walkParams(shape), ceilMode: hangsOver(shape) };
}

/** The parameters that give an average pool's geometry. */
export function averagePoolParams(shape: AveragePoolShape): AveragePoolParams {
  const { dilation: _, ...params } = poolParams(shape);
  return { ...params, countIncludePad: shape.countIncludePad };
}

/** Whether the last windows hang over the padded input, as ceil mode lets them. */
export function hangsOver(s: WindowShape): boolean {
  const rows = (s.OH - 1) * s.strideY + extentOf(s.KH, s.dilationY);
  const columns = (s.OW - 1) * s.strideX + extentOf(s.KW, s.dilationX);
  return rows > s.padTop + s.H + s.padBottom || columns > s.padLeft + s.W + s.padRight;
}

const CONV_OPTIONS = ["stride", "pad", "dilation", "groups"];

/** Checks ranks and sizes of a convolution's tensors, however it is called. */
function checkConvShapes(
  what: string,
  forms: string,
  xShape: readonly number[],
  wShape: readonly number[],
): void {
  checkShape("The shape of x", xShape);
  checkShape("The shape of w", wShape);
  if (xShape.length !== 4 || wShape.length !== 4) {
    throw new ArgumentTypeError(
      `${what} takes ${forms}: x has shape ${show(xShape)}, w has shape ${show(wShape)}`,
      "INVALID_RANK",
    );
  }
  checkNonEmpty("x", xShape, 1);
  checkNonEmpty("w", wShape, 0);
}

/**
 * Checks that groups divide channels and filters, and that each group's channels match.
 *
 * @param xShape Shape of the input, (N, C, ...).
 * @param wShape Shape of the filters, (F, C / groups, ...).
 * @param groups How many groups.
 * @throws {RangeError} If they do not.
 */
export function checkChannels(
  xShape: readonly number[],
  wShape: readonly number[],
  groups: number,
): void {
  const [, C] = xShape, [F, CW] = wShape;
  if (C % groups !== 0 || F % groups !== 0) {
    throw new ArgumentRangeError(
      `groups must divide the channels of x and the filters of w: received ${groups}, ` +
        `x has shape ${show(xShape)}, w has shape ${show(wShape)}`,
    );
  }
  if (C !== CW * groups) {
    const each = groups === 1 ? "" : `, x having those of ${groups} groups`;
    throw new ArgumentRangeError(
      `Cannot convolve x with w as their channels must match${each}: ` +
        `x has shape ${show(xShape)}, w has shape ${show(wShape)}`,
    );
  }
}

/**
 * The geometry of a convolution.
 *
 * @param xShape Shape of the input, (N, C, H, W).
 * @param wShape Shape of the filters, (F, C / groups, KH, KW).
 * @param params Stride (1), padding (0), dilation (1) and groups (1).
 * @returns The convolution's sizes, H' = 1 + floor((H + padTop + padBottom - dilationY * (KH - 1) - 1) /
 * strideY) among them.
 * @throws {TypeError} If a rank or a type is wrong, or an option unknown.
 * @throws {RangeError} If the channels differ, groups do not divide channels and filters, or the kernel is
 * larger than the padded input.
 */
export function convShape(
  xShape: readonly number[],
  wShape: readonly number[],
  params: ConvParams,
): ConvShape {
  const forms = "x of (N,C,H,W) and w of (F,C/groups,KH,KW)";
  checkConvShapes("A convolution", forms, xShape, wShape);
  checkOptions("convParam", params, CONV_OPTIONS);
  const { groups = 1 } = params;
  checkWhole("groups", groups, 1);
  checkChannels(xShape, wShape, groups);
  const [, C, H, W] = xShape;
  const [F, , KH, KW] = wShape;
  return { ...windowShape("The kernel", [C, H, W], [KH, KW], params), F, groups };
}

/**
 * The geometry of a transposed convolution: that of the convolution whose gradient of the input it is.
 * Its input (C, H, W) is the output of the transposed one, and its output (F, OH, OW) the input.
 *
 * @param xShape Shape of the input, (N, C, H, W).
 * @param wShape Shape of the filters, (C, F / groups, KH, KW), as in PyTorch and ONNX.
 * @param params Stride (1), padding (0), outputPad (0), dilation (1) and groups (1). The output has
 * H' = (H - 1) * strideY - padTop - padBottom + dilationY * (KH - 1) + outputPadY + 1 rows; with "same"
 * padding H * strideY.
 * @returns The sizes of the convolution.
 * @throws {TypeError} If a rank or a type is wrong, or an option unknown.
 * @throws {RangeError} If the channels differ, groups do not divide them, outputPad is not below the stride,
 * or nothing would be left of the output.
 */
export function convTransposeShape(
  xShape: readonly number[],
  wShape: readonly number[],
  params: ConvTransposeParams,
): ConvShape {
  const forms = "x of (N,C,H,W) and w of (C,F/groups,KH,KW)";
  checkConvShapes("A transposed convolution", forms, xShape, wShape);
  checkOptions("convParam", params, [...CONV_OPTIONS, "outputPad"]);
  const { groups = 1, stride = 1, dilation = 1, pad = 0, outputPad = 0 } = params;
  checkWhole("groups", groups, 1);
  const [, C, H, W] = xShape;
  const [CW, FG, KH, KW] = wShape;
  if (C !== CW || C % groups !== 0) {
    throw new ArgumentRangeError(
      `The channels of x and w must match, and groups must divide them: received groups ${groups}, ` +
        `x has shape ${show(xShape)}, w has shape ${show(wShape)}`,
    );
  }
  const strides = pair("stride", stride, 1), dilations = pair("dilation", dilation, 1);
  const outputPads = pair("outputPad", outputPad, 0);
  if (outputPads.some((extra, i) => extra >= strides[i])) {
    throw new ArgumentRangeError(
      `outputPad must be less than the stride: received ${show(outputPads)}, the stride is ` +
        show(strides),
      "OUT_OF_RANGE",
    );
  }
  const same = pad === "same";
  if (same && Math.max(...outputPads) > 0) {
    throw new ArgumentRangeError(
      `outputPad must be 0 with "same" padding: received ${show(outputPads)}`,
      "OUT_OF_RANGE",
    );
  }
  const extents = [extentOf(KH, dilations[0]), extentOf(KW, dilations[1])];
  const pads = same ? [0, 0, 0, 0] : padsOf(pad, [H, W], extents, strides);
  const size = (from: number, axis: 0 | 1) =>
    same
      ? from * strides[axis]
      : (from - 1) * strides[axis] - pads[axis] - pads[axis + 2] + extents[axis] + outputPads[axis];
  const outH = size(H, 0), outW = size(W, 1);
  if (outH < 1 || outW < 1) {
    throw new ArgumentRangeError(
      `The padding of a transposed convolution must leave something of its output: it would be ` +
        `${show([outH, outW])} (input ${show([H, W])}, pad ${show(pads)}, kernel ${show(extents)})`,
    );
  }
  const walk = { stride, dilation, pad: same ? pad : pads };
  const shape = windowShape("The kernel", [FG * groups, outH, outW], [KH, KW], walk);
  return { ...shape, F: C, groups };
}

const POOL_OPTIONS = ["poolHeight", "poolWidth", "stride", "pad", "ceilMode"];

/** The geometry of a pool's window over (N, C, H, W). */
function poolWindow(
  xShape: readonly number[],
  params: PoolParams,
  known: readonly string[],
): WindowShape {
  checkShape("The shape of x", xShape, 4);
  checkOptions("poolParam", params, known);
  checkNonEmpty("x", xShape, 1);
  const { poolHeight, poolWidth, stride, pad, dilation, ceilMode = false } = params;
  checkWhole("poolHeight", poolHeight, 1);
  checkWhole("poolWidth", poolWidth, 1);
  // Without a default: a pool's step is a decision.
  pair("stride", stride, 1);
  checkType(typeof ceilMode === "boolean", "ceilMode", "be true or false", ceilMode);
  const [, C, H, W] = xShape;
  const walk = { stride, pad, dilation, ceilMode };
  const shape = windowShape("The pool window", [C, H, W], [poolHeight, poolWidth], walk);
  checkWindowsMeet(xShape, shape);
  return shape;
}

/** Checks that every window of a pool holds a value of x. */
function checkWindowsMeet(xShape: readonly number[], s: WindowShape): void {
  const pads = [s.padTop, s.padLeft, s.padBottom, s.padRight];
  const extents = [extentOf(s.KH, s.dilationY), extentOf(s.KW, s.dilationX)];
  if (pads.some((pad, side) => pad >= extents[side % 2])) {
    throw new ArgumentRangeError(
      `The pad of a pool must be smaller than its window: pad is ${show(pads)}, the window ` +
        `${show(extents)}, x has shape ${show(xShape)}`,
    );
  }
  const meets = (size: number, K: number, stride: number, dilation: number, pad: number) => {
    // Windows that start inside hold what they start with.
    for (let start = -pad; start < 0; start += stride) {
      const tap = Math.ceil(-start / dilation);
      if (tap >= K || start + tap * dilation >= size) return false;
    }
    return true;
  };
  if (
    !meets(s.H, s.KH, s.strideY, s.dilationY, s.padTop) ||
    !meets(s.W, s.KW, s.strideX, s.dilationX, s.padLeft)
  ) {
    throw new ArgumentRangeError(
      `Every window of a pool must hold a value of x: a window of ${show([s.KH, s.KW])} with ` +
        `dilation ${show([s.dilationY, s.dilationX])} and pad ${show(pads)} misses x of shape ` +
        show(xShape),
    );
  }
}

/**
 * The geometry of a max-pool.
 *
 * @param xShape Shape of the input, (N, C, H, W).
 * @param params Window, stride, padding (0), dilation (1) and ceil mode (false).
 * @returns The pool's sizes.
 * @throws {TypeError} If a rank or a type is wrong, or an option unknown.
 * @throws {RangeError} If the window is larger than the padded input, the padding as large as the window, or
 * a window holds only padding.
 */
export function poolShape(xShape: readonly number[], params: PoolParams): PoolShape {
  return poolWindow(xShape, params, [...POOL_OPTIONS, "dilation"]);
}

/**
 * The geometry of an average pool.
 *
 * @param xShape Shape of the input, (N, C, H, W).
 * @param params Window, stride, padding (0), ceil mode (false) and whether padding counts (true).
 * @returns The pool's sizes.
 * @throws {TypeError} If a rank or a type is wrong, or an option unknown.
 * @throws {RangeError} If the window is larger than the padded input, or the padding as large as the window.
 */
export function averagePoolShape(
  xShape: readonly number[],
  params: AveragePoolParams,
): AveragePoolShape {
  const shape = poolWindow(xShape, params, [...POOL_OPTIONS, "countIncludePad"]);
  const { countIncludePad = true } = params;
  const isBoolean = typeof countIncludePad === "boolean";
  checkType(isBoolean, "countIncludePad", "be true or false", countIncludePad);
  return { ...shape, countIncludePad };
}

/** The shape part of a kernel's name: `3x31x31-25x3x3-s2p1`, with `d2` for dilation and `g4` for groups. */
export function convLabel(s: ConvShape): string {
  const groups = s.groups === 1 ? "" : `g${s.groups}`;
  return `${s.C}x${s.H}x${s.W}-${s.F}x${s.KH}x${s.KW}-${walkLabel(s)}${groups}`;
}

/** The shape part of a pool's name: `32x32-2x2-s2`. A pool's kernel serves any number of planes. */
export function poolLabel(s: PoolShape): string {
  return `${s.H}x${s.W}-${s.KH}x${s.KW}-${walkLabel(s)}`;
}

/** The shape part of an average pool's name: as a max-pool's, `x` at the end if padding does not count. */
export function averagePoolLabel(s: AveragePoolShape): string {
  return poolLabel(s) + (s.countIncludePad ? "" : "x");
}

function stepLabel(y: number, x: number): string {
  return y === x ? `${y}` : `${y}x${x}`;
}

/** A window's family: what a kernel that is made for it must know. */
export type Family = Pick<
  WindowShape,
  "KH" | "KW" | "strideY" | "strideX" | "dilationY" | "dilationX"
>;

/** The name of the family of a window: `3x3-s2`, sizes and padding free. */
export function familyLabel(s: Family): string {
  return `${s.KH}x${s.KW}-s${stepLabel(s.strideY, s.strideX)}${dilationLabel(s)}`;
}

function dilationLabel({ dilationY, dilationX }: Family): string {
  return dilationY * dilationX === 1 ? "" : `d${stepLabel(dilationY, dilationX)}`;
}

/**
 * Stride, padding and dilation as short as they can be said: `s2p1`, `s2x1p0x1`, `s1p0x1x2x3`, `s2`
 * without padding, `s1p2d2`. `o` stands at the end where the last windows hang over.
 */
function walkLabel(s: WindowShape): string {
  const symmetric = s.padTop === s.padBottom && s.padLeft === s.padRight;
  const pad = symmetric
    ? stepLabel(s.padTop, s.padLeft)
    : `${s.padTop}x${s.padLeft}x${s.padBottom}x${s.padRight}`;
  return `s${stepLabel(s.strideY, s.strideX)}` + (pad === "0" ? "" : `p${pad}`) + dilationLabel(s) +
    (hangsOver(s) ? "o" : "");
}
