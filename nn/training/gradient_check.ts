/**
 * Gradients by central differences, to check the ones that backward passes compute.
 *
 * Meant for float64: with the usual step of 1e-5, float32 has too few digits for a difference.
 *
 * Source: cs231n/gradient_check.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import {
  checkNumber,
  checkTensor,
  checkTensorShape,
  checkType,
  checkWhole,
  isObject,
} from "../../kernels/check.ts";
import { ArgumentRangeError } from "../../kernels/errors.ts";
import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkFunction } from "../checks.ts";
import { RandomState } from "../random/random_state.ts";
import { zerosLike } from "../tensor.ts";

/** One value of a gradient, computed in two ways. */
export interface GradientCheck {
  /** Where the value is in the tensor: one index a dimension. */
  readonly index: readonly number[];
  /** The derivative by a central difference. */
  readonly numerical: number;
  /** The derivative that was to be checked. */
  readonly analytic: number;
  /** The relative error between the two, as {@linkcode relError} has it. */
  readonly relError: number;
}

/**
 * The gradient of a function of a tensor: (f(x + h) - f(x - h)) / 2h for each value of x.
 *
 * @example The gradient of a sum of squares
 * ```ts
 * import { evalNumericalGradient, linspace, relError, tensor } from "@cnn-layers/cnn-layers";
 *
 * const x = linspace(-1, 1, [2, 3]);
 * const dx = evalNumericalGradient((x) => x.data.reduce((sum, v) => sum + v * v, 0), x);
 * if (relError(dx, tensor(x.data.map((v) => 2 * v), [2, 3])) > 1e-8) throw new Error("wrong");
 * ```
 *
 * @param f The function. It is given x itself, with one number changed.
 * @param x Where the gradient is wanted. Unchanged afterwards, also if f throws.
 * @param h The step.
 * @returns The gradient, with the shape and dtype of x.
 * @throws {TypeError} If x is not a tensor, f not a function or does not return a number, or h not a number.
 * @throws {RangeError} If h is not above 0.
 */
export function evalNumericalGradient<A extends FloatArray>(
  f: (x: Tensor<A>) => number,
  x: Tensor<A>,
  h = 1e-5,
): Tensor<A> {
  checkArguments(f, x, h);
  const gradient = zerosLike(x);
  for (let i = 0; i < x.data.length; i++) gradient.data[i] = slope(f, x, i, h);
  return gradient;
}

/**
 * The gradient of a function from tensor to tensor, given the gradient of its output: for each value of x
 * the sum of (f(x + h) - f(x - h)) * df, over 2h.
 *
 * @example Check a convolution's gradient
 * ```ts
 * import {
 *   convBackward,
 *   convForward,
 *   evalNumericalGradientArray,
 *   RandomState,
 *   relError,
 * } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231), params = { stride: 1, pad: 1 };
 * const x = random.randn([1, 2, 4, 4]), w = random.randn([2, 2, 3, 3]), b = random.randn([2]);
 * const { out, cache } = convForward(x, w, b, params);
 * const dout = random.randn(out.shape);
 * const { dx } = convBackward(dout, cache);
 * const dxNum = evalNumericalGradientArray((x) => convForward(x, w, b, params).out, x, dout);
 * if (relError(dx, dxNum) > 1e-8) throw new Error("wrong gradient");
 * ```
 *
 * @param f The function. It is given x itself, with one number changed.
 * @param x Where the gradient is wanted. Unchanged afterwards, also if f throws.
 * @param df The gradient of f's output, in the output's shape.
 * @param h The step.
 * @returns The gradient, with the shape and dtype of x.
 * @throws {TypeError} If x, df or what f returns is not a tensor, f not a function, or h not a number.
 * @throws {RangeError} If the shapes of df and of f's output differ, or h is not above 0.
 */
export function evalNumericalGradientArray<A extends FloatArray>(
  f: (x: Tensor<A>) => Tensor,
  x: Tensor<A>,
  df: Tensor,
  h = 1e-5,
): Tensor<A> {
  checkArguments(f, x, h);
  checkTensor("df", df);
  const gradient = zerosLike(x);
  const run = (x: Tensor<A>) => {
    const out = f(x);
    checkTensorShape("What f returns", out, df.shape, "df");
    // A copy: f may write every result into one array, or return x.
    return out.data.slice();
  };
  for (let i = 0; i < x.data.length; i++) {
    const [above, below] = bothSides(run, x, i, h);
    let sum = 0;
    for (let j = 0; j < above.length; j++) sum += (above[j] - below[j]) * df.data[j];
    gradient.data[i] = sum / (2 * h);
  }
  return gradient;
}

/**
 * Compares some numbers of a gradient, at random, with central differences: for functions that take
 * too long to do so for all. The course's grad_check_sparse prints what this returns.
 *
 * @example A net's weights
 * ```ts
 * import { gradCheckSparse, linspace, tensor } from "@cnn-layers/cnn-layers";
 *
 * const w = linspace(-1, 1, [30, 20]);
 * const loss = () => w.data.reduce((sum, v) => sum + v ** 3, 0);
 * const dw = tensor(w.data.map((v) => 3 * v * v), w.shape);
 * const checks = gradCheckSparse(loss, w, dw, 5);
 * if (checks.some((check) => check.relError > 1e-4)) throw new Error("wrong gradient");
 * ```
 *
 * @param f The function. It is given x itself, with one number changed.
 * @param x Where the gradient is wanted. Unchanged afterwards, also if f throws.
 * @param analyticGrad The gradient to check, in the shape of x.
 * @param numChecks How many values to compare.
 * @param h The step.
 * @param random Draws the numbers. Default: a new RandomState(0).
 * @returns Each comparison.
 * @throws {TypeError} If a type is wrong, or f does not return a number.
 * @throws {RangeError} If the shapes of x and its gradient differ, x is empty, or h is not above 0.
 */
export function gradCheckSparse<A extends FloatArray>(
  f: (x: Tensor<A>) => number,
  x: Tensor<A>,
  analyticGrad: Tensor,
  numChecks = 10,
  h = 1e-5,
  random: RandomState = new RandomState(0),
): GradientCheck[] {
  checkArguments(f, x, h);
  checkTensorShape("analyticGrad", analyticGrad, x.shape, "x");
  checkWhole("numChecks", numChecks, 0);
  return Array.from(random.choice(x.data.length, numChecks), (i) => {
    const numerical = slope(f, x, i, h), analytic = analyticGrad.data[i];
    return {
      index: indexOf(i, x.shape),
      numerical,
      analytic,
      relError: relError([numerical], [analytic]),
    };
  });
}

/**
 * The largest relative error between two results: the maximum of |a - b| / max(1e-8, |a| + |b|).
 *
 * @example
 * ```ts
 * import { linspace, maxPoolForward, relError } from "@cnn-layers/cnn-layers";
 *
 * const pool = { poolHeight: 2, poolWidth: 2, stride: 2 };
 * const { out } = maxPoolForward(linspace(-0.3, 0.4, [1, 1, 4, 4]), pool);
 * if (relError(out, [-0.06666667, 0.02666667, 0.30666667, 0.4]) > 1e-6) throw new Error("wrong");
 * ```
 *
 * @param a A tensor, or an array of numbers.
 * @param b The same, with as many values; in the same shape if both are tensors.
 * @returns The error: 0 for empty results, NaN if there is a NaN anywhere.
 * @throws {TypeError} If one is neither a tensor nor an array of numbers, or the ranks differ.
 * @throws {RangeError} If the shapes or the lengths differ.
 */
export function relError(a: Tensor | ArrayLike<number>, b: Tensor | ArrayLike<number>): number {
  const x = numbersOf("a", a), y = numbersOf("b", b);
  if ("shape" in a && "shape" in b) checkTensorShape("b", b, a.shape, "a");
  if (x.length !== y.length) {
    throw new ArgumentRangeError(
      `b must have as many values as a, ${x.length}: received ${y.length}`,
    );
  }
  let largest = 0;
  for (let i = 0; i < x.length; i++) {
    const error = Math.abs(x[i] - y[i]) / Math.max(1e-8, Math.abs(x[i]) + Math.abs(y[i]));
    if (Number.isNaN(error)) return NaN;
    if (error > largest) largest = error;
  }
  return largest;
}

/** The derivative of f with respect to element i of x. */
function slope<A extends FloatArray>(
  f: (x: Tensor<A>) => number,
  x: Tensor<A>,
  i: number,
  h: number,
): number {
  const [above, below] = bothSides(f, x, i, h);
  const right = typeof above === "number" && typeof below === "number";
  checkType(right, "f", "return a number", above);
  return (above - below) / (2 * h);
}

/** What f gives with element i of x a little larger, and a little smaller. */
function bothSides<A extends FloatArray, R>(
  f: (x: Tensor<A>) => R,
  x: Tensor<A>,
  i: number,
  h: number,
): [above: R, below: R] {
  const value = x.data[i];
  const at = (moved: number) => {
    x.data[i] = moved;
    return f(x);
  };
  try {
    return [at(value + h), at(value - h)];
  } finally {
    x.data[i] = value;
  }
}

/** The indices of element i of a tensor, one per dimension. */
function indexOf(i: number, shape: readonly number[]): number[] {
  const index = new Array<number>(shape.length);
  for (let d = shape.length - 1; d >= 0; d--) {
    index[d] = i % shape[d];
    i = Math.floor(i / shape[d]);
  }
  return index;
}

function checkArguments(f: unknown, x: unknown, h: unknown): void {
  checkFunction("f", f);
  checkTensor("x", x);
  checkNumber("h", h);
  if (!(h > 0)) throw new ArgumentRangeError(`h must be above 0: received ${h}`, "OUT_OF_RANGE");
}

/** The values of a tensor or an array. */
function numbersOf(name: string, value: Tensor | ArrayLike<number>): ArrayLike<number> {
  if (isObject(value) && "data" in value) {
    checkTensor(name, value);
    return value.data;
  }
  const isArray = Array.isArray(value)
    ? value.every((item) => typeof item === "number")
    : ArrayBuffer.isView(value) && typeof value[0] !== "bigint" && !(value instanceof DataView);
  checkType(isArray, name, "be a tensor or an array of numbers", value);
  return value;
}
