/**
 * Fully-connected layers, dropout, the global average and losses.
 *
 * Source: nndl/layers.py of the CS231n / ECE C147 course. Its other layers have their own files:
 * relu.ts, normalization.ts and conv_layers.ts.
 *
 * @module
 */

import { select } from "../kernels/select.ts";
import type { AffineShape } from "../kernels/shape.ts";
import type { FloatArray, Tensor } from "../kernels/tensor.ts";
import {
  checkNonEmpty,
  checkSameDType,
  checkTensor,
  checkTensorShape,
  checkType,
  checkWhole,
  checkWithin,
} from "../kernels/check.ts";
import { dtypeOf, show, sizeOf } from "../kernels/tensor.ts";
import {
  checkBatch,
  checkCache,
  checkMode,
  type Mode,
  option,
  readOptions,
  required,
  whole,
} from "./checks.ts";
import {
  type BackwardOptions,
  type Gradients,
  type OptionalDx,
  runBackward,
} from "./conv_layers.ts";
import { exp } from "./elementary.ts";
import { log } from "./log.ts";
import type { Labels } from "./model.ts";
import { checkOneSource, checkRandom, RandomState } from "./random.ts";
import { zerosLike } from "./tensor.ts";

/** What a fully-connected layer's backward pass needs of its forward pass. */
export interface AffineCache<A extends FloatArray = FloatArray> {
  /** Input, (N, ...). */
  readonly x: Tensor<A>;
  /** Weights, (D, M). */
  readonly w: Tensor<A>;
  /** Biases, (M). */
  readonly b: Tensor<A>;
}

/** Which numbers dropout drops: the course's `dropout_param`. */
export interface DropoutParams {
  /** Whether numbers are dropped: in training they are, in use none is. */
  readonly mode: Mode;
  /** Probability to keep a number, above 0 and at most 1. */
  readonly p: number;
  /** Makes every call draw the same mask, which a numerical gradient needs. */
  readonly seed?: number;
  /** Where the mask is drawn from, if no seed is given. One that the library starts at 0 if left out. */
  readonly random?: RandomState;
}

/** What dropout's backward pass needs of its forward pass. */
export interface DropoutCache {
  /** 1 where a number was kept, 0 where it was dropped; undefined in test mode, where all are kept. */
  readonly kept: Uint8Array | undefined;
  /** What a kept number was multiplied by. */
  readonly scale: number;
  /** Shape of the input. */
  readonly shape: readonly number[];
}

/** A loss and its gradient. */
export interface Loss<A extends FloatArray = FloatArray> {
  /** The mean over the batch. */
  readonly loss: number;
  /** The gradient of the loss by the scores, (N, C). */
  readonly dx: Tensor<A>;
}

function checkAffine(x: unknown, w: unknown, b: unknown): AffineShape {
  checkBatch("x", x);
  checkTensor("w", w, 2);
  const D = sizeOf(x.shape.slice(1));
  const [rows, M] = w.shape;
  if (D !== rows) {
    throw new RangeError(
      `Cannot multiply x with w as an example's numbers must match the rows of w: ` +
        `x has shape ${show(x.shape)}, w has shape ${show(w.shape)}`,
    );
  }
  checkNonEmpty("w", w.shape, 0);
  checkTensorShape("b", b, [M], `one bias a column of w ${show(w.shape)}`);
  checkSameDType({ x, w, b });
  return { D, M };
}

function runAffineForward<A extends FloatArray>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: Tensor<A>,
  relu: boolean,
): { out: Tensor<A>; cache: AffineCache<A> } {
  const shape = checkAffine(x, w, b);
  const N = x.shape[0];
  const out = zerosLike(x, [N, shape.M]);
  const epilogue = { bias: b.data, relu };
  const kernel = select("affine", shape, dtypeOf(x.data), epilogue);
  kernel.forward(N, x.data, w.data, out.data, epilogue);
  return { out, cache: { x, w, b } };
}

/**
 * A fully-connected layer: each example as a row of D numbers, times w, plus b.
 *
 * Source: affine_forward in nndl/layers.py.
 *
 * @example
 * ```ts
 * import { affineForward, linspace } from "@cnn-layers/cnn-layers";
 *
 * const x = linspace(-0.1, 0.5, [2, 4, 5, 6]), w = linspace(-0.2, 0.3, [120, 3]);
 * const { out } = affineForward(x, w, linspace(-0.3, 0.1, [3]));
 * if (Math.abs(out.data[0] - 1.49834967) > 1e-8) throw new Error("not the course's number");
 * ```
 *
 * @param x Input, (N, ...): all dimensions but the first are flattened to D.
 * @param w Weights, (D, M).
 * @param b Biases, (M).
 * @returns `out` (N, M) and the cache.
 * @throws {TypeError} If a tensor has a wrong type, dtype or rank.
 * @throws {RangeError} If sizes do not fit each other, or D or M is 0.
 */
export function affineForward<A extends FloatArray>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: Tensor<A>,
): { out: Tensor<A>; cache: AffineCache<A> } {
  return runAffineForward(x, w, b, false);
}

/** {@linkcode affineForward} and relu in one pass over the output: for the cascaded layers. */
export function affineForwardFusedRelu<A extends FloatArray>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: Tensor<A>,
): { out: Tensor<A>; cache: AffineCache<A> } {
  return runAffineForward(x, w, b, true);
}

/**
 * Gradients of a fully-connected layer. Source: affine_backward in nndl/layers.py.
 *
 * @example
 * ```ts
 * import { affineBackward, affineForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([10, 2, 3]), w = random.randn([6, 5]), b = random.randn([5]);
 * const { out, cache } = affineForward(x, w, b);
 * const { dx, dw, db } = affineBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, M).
 * @param cache From the forward pass.
 * @param options `dx: false` leaves out dx.
 * @returns `dx` of x's shape, `dw` (D, M) and `db` (M).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function affineBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AffineCache<A>,
  options?: { readonly dx?: true },
): Gradients<A>;
/** The same, without dx if `options.dx` is false. */
export function affineBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AffineCache<A>,
  options: BackwardOptions,
): OptionalDx<Gradients<A>>;
export function affineBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AffineCache<A>,
  options: BackwardOptions = {},
): OptionalDx<Gradients<A>> {
  checkCache(cache, ["x", "w", "b"]);
  const { x, w, b } = cache;
  const shape = checkAffine(x, w, b);
  checkTensorShape("dout", dout, [x.shape[0], shape.M], "the layer's output");
  return runBackward(select("affine", shape, dtypeOf(x.data)), dout, cache, options);
}

/** What dropout draws from if it is told nothing: numpy's global generator, but always the same. */
const defaultRandom = new RandomState(0);

/**
 * Inverted dropout: in training, each number is kept with probability p and divided by p, or set to
 * 0; in use, all are kept as they are.
 *
 * Source: dropout_forward in nndl/layers.py; Srivastava et al., "Dropout", JMLR 15 (2014).
 *
 * @example
 * ```ts
 * import { dropoutForward, full } from "@cnn-layers/cnn-layers";
 *
 * const { out } = dropoutForward(full([100, 10], 1), { mode: "train", p: 0.5, seed: 123 });
 * if (out.data.some((value) => value !== 0 && value !== 2)) throw new Error("not 0 or 1 / p");
 * ```
 *
 * @param x Input, any shape.
 * @param dropoutParam Mode, probability to keep, and where the mask is drawn from.
 * @returns `out`, of x's shape, and the cache.
 * @throws {TypeError} If a type is wrong, an option unknown, or there are both a seed and a random.
 * @throws {RangeError} If p is not above 0, or above 1.
 */
export function dropoutForward<A extends FloatArray>(
  x: Tensor<A>,
  dropoutParam: DropoutParams,
): { out: Tensor<A>; cache: DropoutCache } {
  checkTensor("x", x);
  const { mode, p, seed, random } = readOptions("dropoutParam", dropoutParam, DROPOUT_PARAM);
  checkOneSource("dropoutParam", seed, random);
  // A copy: the cache is its own.
  const shape = [...x.shape];
  if (mode === "test") {
    const out = zerosLike(x);
    out.data.set(x.data);
    return { out, cache: { kept: undefined, scale: 1, shape } };
  }
  const source = random ?? (seed === undefined ? defaultRandom : new RandomState(seed));
  const out = zerosLike(x);
  const from = x.data, to = out.data;
  const kept = new Uint8Array(from.length);
  const scale = 1 / p;
  for (let i = 0; i < kept.length; i++) kept[i] = Number(source.rand() < p);
  for (let i = 0; i < kept.length; i++) to[i] = from[i] * (kept[i] * scale);
  return { out, cache: { kept, scale, shape } };
}

/** The parameters of dropout: the mode and p must be given. */
const DROPOUT_PARAM = {
  mode: required(checkMode),
  p: required(checkKeep),
  seed: option(whole(0)),
  random: option(checkRandom),
};

/** Checks a probability to keep a number, which must not be 0. */
export function checkKeep(name: string, p: unknown): asserts p is number {
  checkWithin(name, p, 0, 1);
  if (p === 0) throw new RangeError(`${name} must be above 0: received 0`);
}

/**
 * Gradient of dropout: the numbers that were kept, divided by p.
 *
 * @example
 * ```ts
 * import { dropoutBackward, dropoutForward, full } from "@cnn-layers/cnn-layers";
 *
 * const x = full([4, 5], 1);
 * const { out, cache } = dropoutForward(x, { mode: "train", p: 0.5, seed: 1 });
 * const dx = dropoutBackward(x, cache);
 * if (dx.data.join() !== out.data.join()) throw new Error("not the mask of the forward pass");
 * ```
 *
 * @param dout Gradient of the output.
 * @param cache From the forward pass.
 * @returns dx, of the input's shape.
 * @throws {TypeError} If dout or the cache has a wrong type or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function dropoutBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: DropoutCache,
): Tensor<A> {
  checkCache(cache, ["kept", "scale", "shape"]);
  const { kept, scale, shape } = cache;
  checkTensorShape("dout", dout, shape, "dropout's output");
  const dx = zerosLike(dout);
  const from = dout.data, to = dx.data;
  if (kept === undefined) to.set(from);
  else for (let i = 0; i < to.length; i++) to[i] = from[i] * (kept[i] * scale);
  return dx;
}

/** What a global average's backward pass needs of its forward pass. */
export interface GlobalAverageCache {
  /** Shape of the input, (N, C, H, W). */
  readonly shape: readonly number[];
}

/**
 * The mean of each channel of each picture: from (N, C, H, W) to (N, C), in place of a
 * fully-connected layer over all positions.
 *
 * Source: Lin, Chen and Yan, "Network in Network" (2013).
 *
 * @example
 * ```ts
 * import { full, globalAverageForward } from "@cnn-layers/cnn-layers";
 *
 * const { out } = globalAverageForward(full([2, 3, 4, 4], 7));
 * if (out.data.join() !== "7,7,7,7,7,7") throw new Error("not the mean");
 * ```
 *
 * @param x Input, (N, C, H, W).
 * @returns `out` (N, C) and the cache.
 * @throws {TypeError} If x has a wrong type or rank.
 * @throws {RangeError} If x has an empty dimension but the first.
 */
export function globalAverageForward<A extends FloatArray>(
  x: Tensor<A>,
): { out: Tensor<A>; cache: GlobalAverageCache } {
  checkTensor("x", x, 4);
  const { shape } = x, [N, C, H, W] = shape;
  checkNonEmpty("x", shape, 1);
  const out = zerosLike(x, [N, C]);
  const P = H * W, from = x.data, to = out.data;
  for (let plane = 0; plane < to.length; plane++) {
    let sum = 0;
    for (let i = plane * P; i < (plane + 1) * P; i++) sum += from[i];
    to[plane] = sum / P;
  }
  return { out, cache: { shape: [...shape] } };
}

/**
 * Gradient of a global average: each number of dout, shared out over its plane.
 *
 * @example
 * ```ts
 * import { full, globalAverageBackward, globalAverageForward } from "@cnn-layers/cnn-layers";
 *
 * const { out, cache } = globalAverageForward(full([1, 1, 2, 2], 8));
 * const dx = globalAverageBackward(out, cache);
 * if (dx.data.join() !== "2,2,2,2") throw new Error("not a quarter each");
 * ```
 *
 * @param dout Gradient of the output, (N, C).
 * @param cache From the forward pass.
 * @returns dx, (N, C, H, W).
 * @throws {TypeError} If dout or the cache has a wrong type or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function globalAverageBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: GlobalAverageCache,
): Tensor<A> {
  checkCache(cache, ["shape"]);
  const { shape } = cache, [N, C, H, W] = shape;
  checkTensorShape("dout", dout, [N, C], "the average's output");
  const dx = zerosLike(dout, shape);
  const P = H * W, from = dout.data, to = dx.data;
  for (let plane = 0; plane < from.length; plane++) {
    to.fill(from[plane] / P, plane * P, (plane + 1) * P);
  }
  return dx;
}

/**
 * Checks a batch's labels: whole numbers from 0 to one less than the number of classes.
 *
 * @param name What the message calls them.
 * @param y The value to check.
 * @param N How many there must be.
 * @param classes How many classes there are; any number if left out.
 * @throws {TypeError} If it is no array of numbers.
 * @throws {RangeError} If there are more or fewer than N, or one is not a class.
 */
export function checkLabels(
  name: string,
  y: unknown,
  N: number,
  classes = Infinity,
): asserts y is Labels {
  const isArray = Array.isArray(y) || (ArrayBuffer.isView(y) && "length" in y);
  checkType(isArray, name, "be an array of labels", y);
  const labels = y as ArrayLike<unknown>;
  if (labels.length !== N) {
    throw new RangeError(`${name} must hold one label an example, ${N}: it holds ${labels.length}`);
  }
  for (let i = 0; i < N; i++) {
    const label = labels[i];
    const right = Number.isSafeInteger(label) && label as number >= 0 && label as number < classes;
    if (!right) checkWhole(`${name}[${i}]`, label, 0, classes - 1);
  }
}

function checkScores(x: unknown, y: unknown): readonly [N: number, C: number] {
  checkTensor("x", x, 2);
  const [N, C] = x.shape;
  checkNonEmpty("x", x.shape, 0);
  checkLabels("y", y, N, C);
  return [N, C];
}

/**
 * The softmax loss: minus the logarithm of the probability of the right class, mean over the batch.
 *
 * Source: softmax_loss in nndl/layers.py.
 *
 * @example Scores that say nothing: the loss is log(classes)
 * ```ts
 * import { softmaxLoss, zeros } from "@cnn-layers/cnn-layers";
 *
 * const { loss } = softmaxLoss(zeros([3, 10]), [0, 5, 9]);
 * if (Math.abs(loss - Math.log(10)) > 1e-15) throw new Error("not log(10)");
 * ```
 *
 * @param x Scores, (N, C).
 * @param y The N labels, each from 0 to C - 1.
 * @returns The loss, and `dx` (N, C).
 * @throws {TypeError} If x is no matrix, or y no array of numbers.
 * @throws {RangeError} If there are not N labels, one is not whole or not a class, or N or C is 0.
 */
export function softmaxLoss<A extends FloatArray>(x: Tensor<A>, y: Labels): Loss<A> {
  const [N, C] = checkScores(x, y);
  const dx = zerosLike(x);
  const scores = x.data, gradient = dx.data;
  const exps = new Float64Array(C);
  let loss = 0;
  for (let n = 0; n < N; n++) {
    const row = n * C;
    let max = scores[row];
    for (let c = 1; c < C; c++) if (scores[row + c] > max) max = scores[row + c];
    let sum = 0;
    for (let c = 0; c < C; c++) {
      exps[c] = exp(scores[row + c] - max);
      sum += exps[c];
    }
    loss += log(sum) - (scores[row + y[n]] - max);
    for (let c = 0; c < C; c++) {
      gradient[row + c] = (exps[c] / sum - Number(c === y[n])) / N;
    }
  }
  return { loss: loss / N, dx };
}

/**
 * The multiclass SVM loss: by how much each wrong class comes closer than 1 to the right class's
 * score, summed over the classes, mean over the batch.
 *
 * Source: svm_loss in nndl/layers.py.
 *
 * @example
 * ```ts
 * import { svmLoss, zeros } from "@cnn-layers/cnn-layers";
 *
 * const { loss } = svmLoss(zeros([3, 10]), [0, 5, 9]);
 * if (loss !== 9) throw new Error("each of the 9 wrong classes is 1 too close");
 * ```
 *
 * @param x Scores, (N, C).
 * @param y The N labels, each from 0 to C - 1.
 * @returns The loss, and `dx` (N, C).
 * @throws {TypeError} If x is no matrix, or y no array of numbers.
 * @throws {RangeError} If there are not N labels, one is not whole or not a class, or N or C is 0.
 */
export function svmLoss<A extends FloatArray>(x: Tensor<A>, y: Labels): Loss<A> {
  const [N, C] = checkScores(x, y);
  const dx = zerosLike(x);
  const scores = x.data, gradient = dx.data;
  let loss = 0;
  for (let n = 0; n < N; n++) {
    const row = n * C;
    const right = scores[row + y[n]];
    let rowLoss = 0, tooClose = 0;
    for (let c = 0; c < C; c++) {
      if (c === y[n]) continue;
      const margin = scores[row + c] - right + 1;
      // Written so that a NaN gets through to the loss.
      if (margin <= 0) continue;
      rowLoss += margin;
      gradient[row + c] = 1 / N;
      tooClose++;
    }
    gradient[row + y[n]] = 0 - tooClose / N;
    loss += rowLoss;
  }
  return { loss: loss / N, dx };
}
