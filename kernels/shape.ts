/**
 * Geometry: output sizes, and every check of a shape or a parameter, in one place.
 *
 * Every check throws before anything is written: a `TypeError` for a wrong type, dtype or rank, a
 * `RangeError` for a size that cannot be. Messages say what was expected and what came.
 *
 * @module
 */

/** The typed arrays that hold a tensor's numbers. */
export type FloatArray = Float32Array | Float64Array;

/** The name of a tensor's number type. */
export type DType = "float32" | "float64";

/** Numbers in row-major order, and the sizes of their dimensions. */
export interface Tensor<A extends FloatArray = FloatArray> {
  /** The numbers, the last dimension varying fastest. */
  readonly data: A;
  /** The size of each dimension, for example (N, C, H, W). */
  readonly shape: readonly number[];
}

/** How a convolution walks over its input: the course's `conv_param`. */
export interface ConvParams {
  /** Step between windows: one number, or [vertical, horizontal]. 1 if left out. */
  readonly stride?: number | readonly [number, number];
  /** Zeros around the input: a number, [vertical, horizontal] or [top, left, bottom, right]. 0 if left out. */
  readonly pad?: Pad;
}

/** Padding: one number, [vertical, horizontal] or [top, left, bottom, right]. */
export type Pad =
  | number
  | readonly [number, number]
  | readonly [number, number, number, number];

/** How a max-pool walks over its input: the course's `pool_param`. */
export interface PoolParams {
  /** Height of the window. */
  readonly poolHeight: number;
  /** Width of the window. */
  readonly poolWidth: number;
  /** Step between windows: one number, or [vertical, horizontal]. */
  readonly stride: number | readonly [number, number];
  /** Minus infinity around the input, as for {@linkcode ConvParams}. 0 if left out. */
  readonly pad?: Pad;
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
  /** Height of the output, H'. */
  readonly OH: number;
  /** Width of the output, W'. */
  readonly OW: number;
}

/** A max-pool's geometry. The batch size N is not part of it: a kernel serves any. */
export type PoolShape = WindowShape;

/** A convolution's geometry. The batch size N is not part of it: a kernel serves any. */
export interface ConvShape extends WindowShape {
  /** Filters: channels of the output. */
  readonly F: number;
}

/** A fully-connected layer's geometry: x is (N, D), w is (D, M). */
export interface AffineShape {
  /** Numbers in one example of the input. */
  readonly D: number;
  /** Numbers in one example of the output. */
  readonly M: number;
}

/** `[2,3,8,8]`: a shape as it stands in a message. */
export function show(shape: readonly number[]): string {
  return `[${shape.join(",")}]`;
}

/** A short account of any value, for a message that says what came. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return `an Array of length ${value.length}`;
  if (ArrayBuffer.isView(value)) {
    return `a ${value.constructor.name} of ${value.byteLength} bytes`;
  }
  if (typeof value === "object") return `an object with keys [${Object.keys(value).join(", ")}]`;
  if (typeof value === "string") return JSON.stringify(value);
  return typeof value === "function" ? "a function" : String(value);
}

/**
 * Checks that a value is of the right type.
 *
 * @param right Whether it is.
 * @param name What the message calls the value.
 * @param expected What it must do, for example "be an array".
 * @param value The value.
 * @throws {TypeError} If it is not.
 */
export function checkType(
  right: boolean,
  name: string,
  expected: string,
  value: unknown,
): asserts right {
  if (!right) throw new TypeError(`${name} must ${expected}: received ${describe(value)}`);
}

/** Checks that a value is a number. */
export function checkNumber(name: string, value: unknown): asserts value is number {
  checkType(typeof value === "number", name, "be a number", value);
}

/** Whether a value has properties. */
export function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** The product of a shape's sizes: how many numbers it holds. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The dtype of an array of numbers. */
export function dtypeOf(data: FloatArray): DType {
  return data[Symbol.toStringTag] === "Float32Array" ? "float32" : "float64";
}

/**
 * Whether a value is a typed array of one of these names. Unlike instanceof it knows those of another
 * realm, such as a frame's or a node:vm context's.
 */
function isTyped(value: unknown, names: readonly string[]): boolean {
  return ArrayBuffer.isView(value) &&
    names.some((name) => Object.prototype.toString.call(value) === `[object ${name}]`);
}

/** Whether a value is an array that can hold a tensor's numbers. */
export function isFloatArray(value: unknown): value is FloatArray {
  return value instanceof Float64Array || value instanceof Float32Array ||
    isTyped(value, ["Float64Array", "Float32Array"]);
}

/** Whether a value is an array of bytes. */
export function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array || isTyped(value, ["Uint8Array"]);
}

/**
 * Checks that a value names a dtype.
 *
 * @param dtype The value to check.
 * @returns The dtype.
 * @throws {TypeError} If it is neither "float64" nor "float32".
 */
export function checkDType(dtype: unknown): DType {
  const isDType = dtype === "float64" || dtype === "float32";
  checkType(isDType, "dtype", 'be "float64" or "float32"', dtype);
  return dtype;
}

/**
 * Checks that a value is a list of sizes.
 *
 * @param name What the message calls it.
 * @param shape The value to check.
 * @param rank How many sizes it must have; any number if left out.
 * @throws {TypeError} If it is not an array of numbers, or the rank differs.
 * @throws {RangeError} If a size is negative or not whole.
 */
export function checkShape(
  name: string,
  shape: unknown,
  rank?: number,
): asserts shape is readonly number[] {
  checkType(Array.isArray(shape), name, "be an array of sizes", shape);
  for (const size of shape) {
    if (typeof size !== "number") {
      throw new TypeError(`${name} must hold numbers: received ${describe(size)} in [${shape}]`);
    }
    if (!Number.isInteger(size) || size < 0) {
      throw new RangeError(`${name} must hold whole sizes of 0 or more: received ${show(shape)}`);
    }
  }
  if (rank !== undefined && shape.length !== rank) {
    throw new TypeError(`${name} must have ${rank} dimensions: received ${show(shape)}`);
  }
}

/**
 * Checks that a value is a tensor whose data fits its shape.
 *
 * @param name What the message calls it.
 * @param value The value to check.
 * @param rank The number of dimensions it must have; any number if left out.
 * @throws {TypeError} If it is no tensor, its data is no Float32Array or Float64Array, or its rank differs.
 * @throws {RangeError} If its data length is not the product of its shape.
 */
export function checkTensor(
  name: string,
  value: unknown,
  rank?: number,
): asserts value is Tensor {
  const isTensor = isObject(value) && "data" in value && "shape" in value;
  checkType(isTensor, name, "be a tensor { data, shape }", value);
  const { data, shape } = value;
  checkType(isFloatArray(data), `The data of ${name}`, "be a Float32Array or a Float64Array", data);
  checkShape(`The shape of ${name}`, shape, rank);
  if (data.length !== sizeOf(shape)) {
    throw new RangeError(
      `The data of ${name} must hold ${sizeOf(shape)} numbers, the product of its shape ` +
        `${show(shape)}: it holds ${data.length}`,
    );
  }
}

/**
 * Checks that tensors have one dtype.
 *
 * @param tensors The tensors by the names that the message gives them.
 * @throws {TypeError} If one is float32 and another float64.
 */
export function checkSameDType(tensors: Readonly<Record<string, Tensor>>): void {
  const dtypes = Object.values(tensors).map((t) => dtypeOf(t.data));
  if (dtypes.some((dtype) => dtype !== dtypes[0])) {
    const list = Object.entries(tensors).map(([name, { data, shape }]) =>
      `${name} is ${dtypeOf(data)} ${show(shape)}`
    );
    throw new TypeError(`Tensors of one call must have one dtype: ${list.join(", ")}`);
  }
}

/**
 * Checks that a tensor has exactly one shape.
 *
 * @param name What the message calls it.
 * @param value The tensor to check.
 * @param shape The shape it must have.
 * @param why What asks for that shape, for example "the output of the convolution".
 * @throws {TypeError} If it is no tensor, or its rank differs.
 * @throws {RangeError} If a size differs.
 */
export function checkTensorShape(
  name: string,
  value: unknown,
  shape: readonly number[],
  why: string,
): asserts value is Tensor {
  checkTensor(name, value);
  const same = value.shape.length === shape.length && shape.every((s, i) => s === value.shape[i]);
  if (same) return;
  const wrong = value.shape.length === shape.length ? RangeError : TypeError;
  throw new wrong(
    `${name} must have the shape of ${why}, ${show(shape)}: received ${show(value.shape)}`,
  );
}

/**
 * Checks that a value is an options object with known keys only.
 *
 * @param name What the message calls it.
 * @param value The value to check.
 * @param known The keys it may have.
 * @throws {TypeError} If it is no object, or has a key that is not known.
 */
export function checkOptions(
  name: string,
  value: unknown,
  known: readonly string[],
): asserts value is Record<string, unknown> {
  const isRecord = isObject(value) && !Array.isArray(value);
  checkType(isRecord, name, "be an object of options", value);
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) {
      throw new TypeError(`${name} has an unknown option "${key}": known are ${known.join(", ")}`);
    }
  }
}

/**
 * Checks that a value is a number within limits.
 *
 * @param name What the message calls it.
 * @param value The value to check.
 * @param minimum The smallest value allowed.
 * @param maximum The largest value allowed; any if left out.
 * @param whole Whether it must be whole.
 * @throws {TypeError} If it is not a number.
 * @throws {RangeError} If it is NaN, infinite, too small or too large, or not whole.
 */
export function checkWithin(
  name: string,
  value: unknown,
  minimum: number,
  maximum = Infinity,
  whole = false,
): asserts value is number {
  checkNumber(name, value);
  const right = whole ? Number.isSafeInteger(value) : Number.isFinite(value);
  if (right && value >= minimum && value <= maximum) return;
  const limits = maximum < Infinity ? `from ${minimum} to ${maximum}` : `of ${minimum} or more`;
  throw new RangeError(
    `${name} must be a ${whole ? "whole " : ""}number ${limits}: received ${value}`,
  );
}

/** Checks that a value is a whole number within limits: see {@linkcode checkWithin}. */
export function checkWhole(
  name: string,
  value: unknown,
  minimum: number,
  maximum?: number,
): asserts value is number {
  checkWithin(name, value, minimum, maximum, true);
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
    throw new TypeError(`${name} must be a number or ${forms}: received [${value.join(",")}]`);
  }
  for (const [i, item] of value.entries()) checkWhole(`${name}[${i}]`, item, minimum);
  return value;
}

/** The window's walk over H x W, or a RangeError if the window does not fit. */
function windowShape(
  what: string,
  [C, H, W]: readonly [number, number, number],
  [KH, KW]: readonly [number, number],
  stride: unknown,
  pad: unknown,
): WindowShape {
  const [strideY, strideX] = numbers("stride", stride, 1, [2], "[vertical, horizontal]");
  const sides = "[vertical, horizontal] or [top, left, bottom, right]";
  const [padTop, padLeft, padBottom = padTop, padRight = padLeft] = //
    numbers("pad", pad, 0, [2, 4], sides);
  const paddedH = H + padTop + padBottom;
  const paddedW = W + padLeft + padRight;
  if (KH > paddedH || KW > paddedW) {
    throw new RangeError(
      `${what} must not be larger than the padded input: it is ${show([KH, KW])}, ` +
        `the padded input is ${show([paddedH, paddedW])} (input ${show([H, W])}, ` +
        `pad ${show([padTop, padLeft, padBottom, padRight])})`,
    );
  }
  const OH = 1 + Math.floor((paddedH - KH) / strideY);
  const OW = 1 + Math.floor((paddedW - KW) / strideX);
  return { C, H, W, KH, KW, strideY, strideX, padTop, padLeft, padBottom, padRight, OH, OW };
}

/** A window's walk in full: a copy of what its caller gave, who may change that. */
export function walkParams({ strideY, strideX, ...s }: WindowShape): {
  readonly stride: readonly [number, number];
  readonly pad: readonly [number, number, number, number];
} {
  return { stride: [strideY, strideX], pad: [s.padTop, s.padLeft, s.padBottom, s.padRight] };
}

/** Checks that a shape, from one of its dimensions on, has no size of 0. */
export function checkNonEmpty(name: string, shape: readonly number[], from: number): void {
  if (shape.indexOf(0, from) >= 0) {
    throw new RangeError(`${name} must have no empty dimension: it has shape ${show(shape)}`);
  }
}

/**
 * The geometry of a convolution.
 *
 * @param xShape Shape of the input, (N, C, H, W).
 * @param wShape Shape of the filters, (F, C, KH, KW).
 * @param params Stride and padding.
 * @returns The convolution's sizes, H' = 1 + floor((H + padTop + padBottom - KH) / strideY) among them.
 * @throws {TypeError} If a rank or a type is wrong, or an option unknown.
 * @throws {RangeError} If the channels differ, or the kernel is larger than the padded input.
 */
export function convShape(
  xShape: readonly number[],
  wShape: readonly number[],
  params: ConvParams,
): ConvShape {
  checkShape("The shape of x", xShape);
  checkShape("The shape of w", wShape);
  if (xShape.length !== 4 || wShape.length !== 4) {
    throw new TypeError(
      `A convolution takes x of (N,C,H,W) and w of (F,C,KH,KW): ` +
        `x has shape ${show(xShape)}, w has shape ${show(wShape)}`,
    );
  }
  checkOptions("convParam", params, ["stride", "pad"]);
  checkNonEmpty("x", xShape, 1);
  checkNonEmpty("w", wShape, 0);
  const [, C, H, W] = xShape;
  const [F, CW, KH, KW] = wShape;
  if (C !== CW) {
    throw new RangeError(
      `Cannot convolve x with w as their channels must match: ` +
        `x has shape ${show(xShape)}, w has shape ${show(wShape)}`,
    );
  }
  const { stride = 1, pad = 0 } = params;
  return { ...windowShape("The kernel", [C, H, W], [KH, KW], stride, pad), F };
}

/**
 * The geometry of a max-pool.
 *
 * @param xShape Shape of the input, (N, C, H, W).
 * @param params Window, stride and padding.
 * @returns The pool's sizes.
 * @throws {TypeError} If a rank or a type is wrong, or an option unknown.
 * @throws {RangeError} If the window is larger than the padded input, or the padding as large as the window.
 */
export function poolShape(xShape: readonly number[], params: PoolParams): PoolShape {
  checkShape("The shape of x", xShape, 4);
  checkOptions("poolParam", params, ["poolHeight", "poolWidth", "stride", "pad"]);
  checkNonEmpty("x", xShape, 1);
  const { poolHeight, poolWidth, stride, pad = 0 } = params;
  checkWhole("poolHeight", poolHeight, 1);
  checkWhole("poolWidth", poolWidth, 1);
  const [, C, H, W] = xShape;
  const shape = windowShape("The pool window", [C, H, W], [poolHeight, poolWidth], stride, pad);
  // A window that lies wholly in the padding would have minus infinity as its maximum.
  const { padTop, padLeft, padBottom, padRight } = shape;
  if (Math.max(padTop, padBottom) >= poolHeight || Math.max(padLeft, padRight) >= poolWidth) {
    throw new RangeError(
      `The pad of a pool must be smaller than its window: pad is ` +
        `${show([padTop, padLeft, padBottom, padRight])}, the window ` +
        `${show([poolHeight, poolWidth])}, x has shape ${show(xShape)}`,
    );
  }
  return shape;
}

/** The shape part of a kernel's name: `3x31x31-25x3x3-s2p1`. */
export function convLabel(s: ConvShape): string {
  return `${s.C}x${s.H}x${s.W}-${s.F}x${s.KH}x${s.KW}-${walkLabel(s)}`;
}

/** The shape part of a pool's name: `32x32-2x2-s2`. A pool's kernel serves any number of planes. */
export function poolLabel(s: PoolShape): string {
  return `${s.H}x${s.W}-${s.KH}x${s.KW}-${walkLabel(s)}`;
}

/** The name of the family of a window: `3x3-s2`, sizes and padding free. */
export function familyLabel(s: Pick<WindowShape, "KH" | "KW" | "strideY" | "strideX">): string {
  return `${s.KH}x${s.KW}-s${strideLabel(s)}`;
}

function strideLabel(s: Pick<WindowShape, "strideY" | "strideX">): string {
  return s.strideY === s.strideX ? `${s.strideY}` : `${s.strideY}x${s.strideX}`;
}

/** Stride and padding as short as they can be said: `s2p1`, `s2x1p0x1`, `s1p0x1x2x3`, `s2` without padding. */
function walkLabel(s: WindowShape): string {
  const symmetric = s.padTop === s.padBottom && s.padLeft === s.padRight;
  const pad = !symmetric
    ? `${s.padTop}x${s.padLeft}x${s.padBottom}x${s.padRight}`
    : s.padTop === s.padLeft
    ? `${s.padTop}`
    : `${s.padTop}x${s.padLeft}`;
  return `s${strideLabel(s)}` + (pad === "0" ? "" : `p${pad}`);
}

/**
 * The sizes of one pass of a generated convolution kernel. A pass walks over rows x cols positions:
 * forward, they are the positions of the output; for the gradient of the input, the positions of the
 * output's gradient.
 */
export interface PassSizes {
  /** Planes that are read. */
  readonly inputs: number;
  /** Planes that are written. */
  readonly outputs: number;
  /** Positions from top to bottom. */
  readonly rows: number;
  /** Positions from left to right. */
  readonly cols: number;
  /** Numbers from one row of x to the next. */
  readonly xPitch: number;
  /** Numbers from one plane of x to the next. */
  readonly xPlane: number;
  /** Numbers from one row of y to the next. */
  readonly yPitch: number;
  /** Numbers from one plane of y to the next. */
  readonly yPlane: number;
  /** Numbers in w from the taps of one input plane to those of the next. */
  readonly wInput: number;
  /** Numbers in w from the taps of one output plane to those of the next. */
  readonly wOutput: number;
}

/** The sizes that a generated pool takes at run time. */
export interface PoolSizes {
  /** Planes of the input. */
  readonly planes: number;
  /** Height of the output. */
  readonly rows: number;
  /** Width of the output. */
  readonly cols: number;
  /** Numbers from one row of x to the next. */
  readonly xPitch: number;
  /** Numbers from one plane of x to the next. */
  readonly xPlane: number;
}

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

/** How a generated convolution sees its tensors. */
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

/**
 * The staging of a convolution.
 *
 * The gradient of the input is computed in padded coordinates, from the last multiple of the stride at
 * or above the first real row: position P writes rows P * stride to P * stride + stride - 1, and tap ky
 * reaches row ky mod stride from the output's row P - floor(ky / stride).
 */
export function convStage(s: ConvShape): ConvStage {
  const { C, F, KH, KW, strideY, strideX, padTop, padLeft, OH, OW } = s;
  const taps = KH * KW;
  const x = {
    height: (OH - 1) * strideY + KH,
    width: (OW - 1) * strideX + KW,
    top: padTop,
    left: padLeft,
  };
  const y = gradientWalk(s.H, KH, strideY, padTop);
  const xx = gradientWalk(s.W, KW, strideX, padLeft);
  const dout = { height: y.source, width: xx.source, top: y.lead, left: xx.lead };
  const dx = {
    height: y.positions * strideY,
    width: xx.positions * strideX,
    top: y.shift,
    left: xx.shift,
  };
  const out = { height: OH, width: OW };
  return {
    x,
    dout,
    dx,
    forward: passSizes([C, F], [OH, OW], x, out, [taps, C * taps]),
    backwardData: passSizes([F, C], [y.positions, xx.positions], dout, dx, [C * taps, taps]),
  };
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

/** One dimension of the gradient of the input. */
function gradientWalk(
  size: number,
  K: number,
  stride: number,
  pad: number,
): { positions: number; source: number; lead: number; shift: number } {
  const skipped = Math.floor(pad / stride);
  const shift = pad - skipped * stride;
  const positions = Math.ceil((size + shift) / stride);
  const reach = Math.floor((K - 1) / stride);
  return { positions, source: positions + reach, lead: reach - skipped, shift };
}

/** How a generated max-pool sees its input: with its whole border. */
export function poolStage(
  s: PoolShape,
): { readonly sizes: Omit<PoolSizes, "planes">; readonly x: Placement } {
  const height = s.padTop + s.H + s.padBottom, width = s.padLeft + s.W + s.padRight;
  return {
    sizes: { rows: s.OH, cols: s.OW, xPitch: width, xPlane: height * width },
    x: { height, width, top: s.padTop, left: s.padLeft },
  };
}
