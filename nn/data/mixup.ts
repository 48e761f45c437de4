/**
 * Augmentation: examples mixed in pairs.
 *
 * @module
 */

import { checkTensor, checkWithin } from "../../kernels/check.ts";
import { ArgumentRangeError } from "../../kernels/errors.ts";
import { dtypeOf } from "../../kernels/tensor.ts";
import { option, readOptions, required, whole } from "../checks.ts";
import { exp } from "../../kernels/elementary.ts";
import { log } from "../../kernels/log.ts";
import type { RandomState } from "../random/random_state.ts";
import { newArray, type Tensor } from "../tensor.ts";
import type { BatchInfo } from "../training/solver_options.ts";

/** How {@linkcode mixup} mixes. */
export interface MixupOptions {
  /** How many classes there are. */
  readonly classes: number;
  /**
   * From just above 0 to 1: the part of the first example is drawn from the beta distribution with both
   * parameters alpha. Default: 0.2; 1 draws all parts alike.
   */
  readonly alpha?: number;
}

function checkAlpha(name: string, value: unknown): asserts value is number {
  checkWithin(name, value, 0, 1);
  if (value === 0) throw new ArgumentRangeError(`${name} must be above 0: received 0`);
}

/**
 * Augmentation for a solver: each example of a batch becomes p times itself and 1 - p times another of
 * the batch, and its target p times its class and 1 - p times the other's. One p is drawn per batch.
 *
 * Source: Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond Empirical Risk Minimization" (2018).
 *
 * @example After another augmentation, as what it returns takes the place of the labels
 * ```ts
 * import { type Augment, cropAndMirror, mixup } from "@cnn-layers/cnn-layers";
 *
 * const crop = cropAndMirror(), mix = mixup({ classes: 10 });
 * const augment: Augment = (x, random, batch) => {
 *   crop(x, random, batch);
 *   return mix(x, random, batch);
 * };
 * ```
 *
 * @param options How many classes, and how it mixes.
 * @returns A function that changes a batch in place and returns probabilities, (N, classes).
 * @throws {TypeError} If an option is unknown, or not a number.
 * @throws {RangeError} If classes is not whole or below 1, or alpha not above 0 and up to 1; when a batch
 * comes, if a label is not a class.
 */
export function mixup(
  options: MixupOptions,
): (x: Tensor, random: RandomState, batch: Pick<BatchInfo, "y">) => Tensor {
  const { classes, alpha } = readOptions("options", options, {
    classes: required(whole(1)),
    alpha: option(checkAlpha, 0.2),
  });
  return (x, random, { y }) => {
    checkTensor("x", x);
    const [N] = x.shape, size = x.data.length / N;
    const dtype = dtypeOf(x.data);
    const targets = { data: newArray(N * classes, dtype), shape: [N, classes] };
    const wrong = y.findIndex((label) => label >= classes);
    if (wrong >= 0) {
      throw new ArgumentRangeError(
        `y[${wrong}] must be below classes, ${classes}: it is ${y[wrong]}`,
      );
    }
    const p = betaOf(alpha, random), others = random.permutation(N);
    const before = x.data.slice();
    for (let n = 0; n < N; n++) {
      const own = n * size, other = others[n] * size;
      for (let i = 0; i < size; i++) {
        x.data[own + i] = p * before[own + i] + (1 - p) * before[other + i];
      }
      targets.data[n * classes + y[n]] = p;
      targets.data[n * classes + y[others[n]]] += 1 - p;
    }
    return targets;
  };
}

/**
 * A number of the beta distribution with both parameters alpha, as numpy.random.beta draws it.
 * Source: Joehnk (1964).
 */
function betaOf(alpha: number, random: RandomState): number {
  for (;;) {
    const u = random.rand(), v = random.rand();
    // Both powers relative to the larger one, which for a small alpha would be 0 itself.
    const logU = log(u) / alpha, logV = log(v) / alpha, most = Math.max(logU, logV);
    const a = exp(logU - most), b = exp(logV - most);
    if (most + log(a + b) <= 0) return a / (a + b);
  }
}
