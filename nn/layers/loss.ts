/**
 * Losses of a batch's scores.
 *
 * Source: nndl/layers.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import {
  checkNonEmpty,
  checkTensor,
  checkTensorShape,
  checkType,
  checkWhole,
  isObject,
} from "../../kernels/check.ts";
import { ArgumentRangeError } from "../../kernels/errors.ts";
import { option, readOptions, within } from "../checks.ts";
import { exp } from "../../kernels/elementary.ts";
import { log } from "../../kernels/log.ts";
import type { Labels, Targets } from "../model.ts";
import { zerosLike } from "../tensor.ts";

/** A loss and its gradient. */
export interface Loss<A extends FloatArray = FloatArray> {
  /** The mean over the batch. */
  readonly loss: number;
  /** The gradient of the loss with respect to the scores, (N, C). */
  readonly dx: Tensor<A>;
}

/**
 * Checks a batch's labels: whole numbers from 0 to one less than the number of classes.
 *
 * @param name What the message calls them.
 * @param y The value to check.
 * @param N How many there must be.
 * @param classes How many classes there are. Default: any number.
 * @throws {TypeError} If it is not an array of numbers.
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
    throw new ArgumentRangeError(
      `${name} must hold one label per example, ${N}: it holds ${labels.length}`,
    );
  }
  for (let i = 0; i < N; i++) {
    const label = labels[i];
    const right = Number.isSafeInteger(label) && label as number >= 0 && label as number < classes;
    if (!right) checkWhole(`${name}[${i}]`, label, 0, classes - 1);
  }
}

/** Whether targets are rows of probabilities. */
export function isRows(y: unknown): y is Tensor {
  return isObject(y) && "data" in y;
}

/** How much the probabilities of an example may add up to beside 1: float32 rounds them. */
const SUM_TOLERANCE = 1e-4;

/**
 * Checks what a batch should give: labels, or rows of probabilities.
 *
 * @param name What the message calls it.
 * @param y The value to check.
 * @param N How many examples there are.
 * @param classes How many classes there are.
 * @throws {TypeError} If it is neither.
 * @throws {RangeError} If a size differs, a label is not a class, or a row is not of probabilities.
 */
export function checkTargets(
  name: string,
  y: unknown,
  N: number,
  classes: number,
): asserts y is Targets {
  if (!isRows(y)) return checkLabels(name, y, N, classes);
  checkTensorShape(name, y, [N, classes], "the scores");
  for (let n = 0; n < N; n++) {
    const row = y.data.subarray(n * classes, (n + 1) * classes);
    let sum = 0;
    for (const p of row) sum += p >= 0 ? p : NaN;
    if (Math.abs(sum - 1) <= SUM_TOLERANCE) continue;
    throw new ArgumentRangeError(
      `${name} must hold probabilities: those of example ${n} are ${row}`,
      "OUT_OF_RANGE",
    );
  }
}

/** How {@linkcode softmaxLoss} reads its targets. */
export interface SoftmaxLossOptions {
  /**
   * How much of the probability of an example's class goes to all classes alike, from 0 to 1.
   * Default: 0. Source: section 7 of Szegedy et al., "Rethinking the Inception Architecture" (2016).
   */
  readonly labelSmoothing?: number;
}

function checkScores(x: unknown, y: unknown): readonly [N: number, C: number] {
  checkTensor("x", x, 2);
  const [N, C] = x.shape;
  checkNonEmpty("x", x.shape, 0);
  checkLabels("y", y, N, C);
  return [N, C];
}

/**
 * The softmax loss: minus the logarithm of the probability of the right class, mean over the batch. If
 * the targets are probabilities, minus the sum of the logarithms weighted by them.
 *
 * Source: softmax_loss in nndl/layers.py.
 *
 * @example Scores that say nothing: the loss is log(classes)
 * ```ts
 * import { softmaxLoss, zeros } from "@cnn-layers/cnn-layers";
 *
 * const { loss } = softmaxLoss(zeros([3, 10]), [0, 5, 9]);
 * if (Math.abs(loss - Math.log(10)) > 1e-15) throw new Error("not log(10)");
 * const smoothed = softmaxLoss(zeros([3, 10]), [0, 5, 9], { labelSmoothing: 0.1 });
 * ```
 *
 * @param x Scores, (N, C).
 * @param y The N labels, each from 0 to C - 1; or the probabilities of the classes, (N, C).
 * @param options Label smoothing.
 * @returns The loss, and `dx` (N, C).
 * @throws {TypeError} If x is not a matrix, y neither labels nor a matrix, or an option unknown.
 * @throws {RangeError} If there are not N labels or rows, one is not a class or not of probabilities, N or C
 * is 0, or labelSmoothing is not from 0 to 1.
 */
export function softmaxLoss<A extends FloatArray>(
  x: Tensor<A>,
  y: Targets,
  options: SoftmaxLossOptions = {},
): Loss<A> {
  const { labelSmoothing } = readOptions("options", options, {
    labelSmoothing: option(within(0, 1), 0),
  });
  checkTensor("x", x, 2);
  const [N, C] = x.shape;
  checkNonEmpty("x", x.shape, 0);
  checkTargets("y", y, N, C);
  const dx = zerosLike(x);
  const scores = x.data, gradient = dx.data;
  const exps = new Float64Array(C), targets = new Float64Array(C);
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
    targetsOf(y, n, labelSmoothing, targets);
    const logSum = log(sum);
    for (let c = 0; c < C; c++) {
      // A score may be -Infinity where the probability is to be 0.
      if (targets[c] > 0) loss += targets[c] * (logSum - (scores[row + c] - max));
      gradient[row + c] = (exps[c] / sum - targets[c]) / N;
    }
  }
  return { loss: loss / N, dx };
}

/** Writes the probabilities that example n should have. */
function targetsOf(y: Targets, n: number, smoothing: number, to: Float64Array): void {
  const C = to.length;
  if (isRows(y)) to.set(y.data.subarray(n * C, (n + 1) * C));
  else {
    to.fill(0);
    to[y[n]] = 1;
  }
  if (smoothing > 0) {
    for (let c = 0; c < C; c++) {
      to[c] = (1 - smoothing) * to[c] + smoothing / C;
    }
  }
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
 * @throws {TypeError} If x is not a matrix, or y not an array of numbers.
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
