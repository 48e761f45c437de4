/**
 * Losses of a batch's scores.
 *
 * Source: nndl/layers.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkNonEmpty, checkTensor, checkType, checkWhole } from "../../kernels/check.ts";
import { exp } from "../elementary.ts";
import { log } from "../log.ts";
import type { Labels } from "../model.ts";
import { zerosLike } from "../tensor.ts";

/** A loss and its gradient. */
export interface Loss<A extends FloatArray = FloatArray> {
  /** The mean over the batch. */
  readonly loss: number;
  /** The gradient of the loss by the scores, (N, C). */
  readonly dx: Tensor<A>;
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
