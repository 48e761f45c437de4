/**
 * Measures of a classifier beside its accuracy: functions of scores and labels.
 *
 * @module
 */

import { checkNonEmpty, checkTensor, checkWhole } from "../../kernels/check.ts";
import { ArgumentRangeError } from "../../kernels/errors.ts";
import type { Tensor } from "../../kernels/tensor.ts";
import { checkLabels } from "../layers/loss.ts";
import type { Labels } from "../model.ts";
import { argmax } from "../shaping.ts";

function checkScores(scores: unknown, y: unknown): readonly [N: number, C: number] {
  checkTensor("scores", scores, 2);
  checkNonEmpty("scores", scores.shape, 0);
  const [N, C] = scores.shape;
  checkLabels("y", y, N, C);
  return [N, C];
}

/**
 * The class of each example: that of its highest score, the first of several.
 *
 * @example
 * ```ts
 * import { predictedClasses, tensor } from "@cnn-layers/cnn-layers";
 *
 * const scores = tensor(Float64Array.of(0.1, 0.7, 0.2, 3, 1, 2), [2, 3]);
 * if (predictedClasses(scores).join() !== "1,0") throw new Error("not the highest");
 * ```
 *
 * @param scores The scores, (N, C).
 * @returns N classes.
 * @throws {TypeError} If the scores are no matrix.
 * @throws {RangeError} If there are none.
 */
export function predictedClasses(scores: Tensor): Int32Array<ArrayBuffer> {
  checkTensor("scores", scores, 2);
  checkNonEmpty("scores", scores.shape, 0);
  return argmax(scores, 1);
}

/**
 * The part of examples whose class is among their k highest scores. Of equal scores the first counts as
 * the higher, so that with k = 1 it is the accuracy that a solver measures.
 *
 * @example
 * ```ts
 * import { tensor, topKAccuracy } from "@cnn-layers/cnn-layers";
 *
 * const scores = tensor(Float64Array.of(0.1, 0.7, 0.2, 3, 1, 2), [2, 3]);
 * if (topKAccuracy(scores, [2, 1], 2) !== 0.5) throw new Error("2 is second best, 1 is worst");
 * ```
 *
 * @param scores The scores, (N, C).
 * @param y The N labels.
 * @param k How many of the highest scores count. Default: 1.
 * @returns A number from 0 to 1.
 * @throws {TypeError} If a type is wrong.
 * @throws {RangeError} If there are not N labels, one is not a class, or k is not from 1 to C.
 */
export function topKAccuracy(scores: Tensor, y: Labels, k = 1): number {
  const [N, C] = checkScores(scores, y);
  checkWhole("k", k, 1, C);
  let right = 0;
  for (let n = 0; n < N; n++) {
    const row = scores.data.subarray(n * C, (n + 1) * C), own = row[y[n]];
    let better = 0;
    for (let c = 0; c < C; c++) {
      // A NaN is above all values, as in numpy's argmax.
      const above = row[c] > own || (Number.isNaN(row[c]) && !Number.isNaN(own));
      const same = row[c] === own || (Number.isNaN(row[c]) && Number.isNaN(own));
      if (above || (same && c < y[n])) better++;
    }
    if (better < k) right++;
  }
  return right / N;
}

/**
 * How often examples of each class were taken for each class.
 *
 * @example
 * ```ts
 * import { confusionMatrix, tensor } from "@cnn-layers/cnn-layers";
 *
 * const scores = tensor(Float64Array.of(2, 1, 1, 2, 2, 1), [3, 2]);
 * const [ofClass0, ofClass1] = confusionMatrix(scores, [0, 0, 1]);
 * if (ofClass0.join() !== "1,1" || ofClass1.join() !== "1,0") throw new Error("wrong counts");
 * ```
 *
 * @param scores The scores, (N, C).
 * @param y The N labels.
 * @returns C rows of C counts: row r, column c has the examples of class r whose highest score is c.
 * @throws {TypeError} If a type is wrong.
 * @throws {RangeError} If there are not N labels, or one is not a class.
 */
export function confusionMatrix(scores: Tensor, y: Labels): number[][] {
  const [, C] = checkScores(scores, y);
  const counts = Array.from({ length: C }, () => Array<number>(C).fill(0));
  for (const [n, predicted] of predictedClasses(scores).entries()) counts[y[n]][predicted]++;
  return counts;
}

/** How well one class is known. */
export interface ClassReport {
  /** The part of what was taken for this class that is of it; NaN if nothing was. */
  readonly precision: number;
  /** The part of this class's examples that was taken for it; NaN if there are none. */
  readonly recall: number;
  /** Examples of this class. */
  readonly support: number;
}

/**
 * Precision and recall of each class.
 *
 * @example
 * ```ts
 * import { classReports } from "@cnn-layers/cnn-layers";
 *
 * const [cat, dog] = classReports([[8, 2], [4, 6]]);
 * if (cat.recall !== 0.8 || dog.precision !== 0.75) throw new Error("wrong parts");
 * ```
 *
 * @param counts A matrix of {@linkcode confusionMatrix}.
 * @returns A report for each class.
 * @throws {TypeError} If a count is not a number.
 * @throws {RangeError} If the matrix is not square, or a count not whole.
 */
export function classReports(counts: readonly (readonly number[])[]): ClassReport[] {
  for (const [r, row] of counts.entries()) {
    if (row.length !== counts.length) {
      throw new ArgumentRangeError(
        `counts must be square, ${counts.length} values in a row: row ${r} has ${row.length}`,
      );
    }
    for (const [c, count] of row.entries()) checkWhole(`counts[${r}][${c}]`, count, 0);
  }
  const sum = (numbers: readonly number[]) => numbers.reduce((total, count) => total + count, 0);
  return counts.map((row, c) => {
    const support = sum(row), right = row[c];
    return {
      precision: right / sum(counts.map((other) => other[c])),
      recall: right / support,
      support,
    };
  });
}
