/**
 * How many examples a model gets right.
 *
 * @module
 */

import { dtypeOf, type FloatArray, sizeOf, type Tensor } from "../../kernels/tensor.ts";
import { type ExampleSource, gather } from "../data/examples.ts";
import type { Labels, Model } from "../model.ts";
import { isHigher } from "../shaping.ts";
import type { RandomState } from "../random/random_state.ts";
import { zeros } from "../tensor.ts";
import type { Parallel } from "./parallel.ts";

/** Examples in a batch where only scores are computed, as in the course. */
export const CHECK_BATCH = 100;

/**
 * The part of examples whose highest score is that of their label.
 *
 * @param model Gives the scores; it pauses after each batch.
 * @param x Examples, (N, ...).
 * @param y Their labels.
 * @param picks Which of the examples.
 * @param batchSize How many are put through the model at a time.
 * @param parallel Who else does some of the batches. Default: nobody.
 * @returns A number from 0 to 1.
 */
export function* accuracyOf<A extends FloatArray>(
  model: Model<A>,
  x: ExampleSource,
  y: Labels,
  picks: Int32Array,
  batchSize: number,
  parallel?: Parallel,
): Generator<void, number> {
  const example = x.shape.slice(1);
  const count = picks.length, size = sizeOf(example);
  const batch = zerosForModel(model, [Math.min(batchSize, count), ...example]);
  let correct = 0;
  const { rank, size: ranks } = parallel ?? { rank: 0, size: 1 };
  for (let start = rank * batchSize; start < count; start += ranks * batchSize) {
    const batchPicks = picks.subarray(start, start + batchSize), n = batchPicks.length;
    gather(x, batchPicks, batch.data);
    const part = { data: batch.data.subarray(0, n * size) as A, shape: [n, ...example] };
    const scores = model.loss(part);
    for (let i = 0; i < n; i++) {
      if (highest(scores, i) === y[batchPicks[i]]) correct++;
    }
    yield;
  }
  const total = parallel?.gather(Float64Array.of(correct)).reduce((sum, more) => sum + more);
  return (total ?? correct) / count;
}

/** The values of all examples, or of so many drawn with replacement. */
export function drawExamples(
  { shape: [N] }: ExampleSource,
  numSamples: number | null,
  random: RandomState,
): Int32Array {
  return numSamples !== null && N > numSamples
    ? random.choice(N, numSamples)
    : Int32Array.from({ length: N }, (_, i) => i);
}

/** Zeros of the model's dtype. */
export function zerosForModel<A extends FloatArray>(
  { params }: Model<A>,
  shape: readonly number[],
): Tensor<A> {
  const [first] = Object.values(params);
  return zeros(shape, dtypeOf(first.data)) as Tensor<A>;
}

/** The column of a row's first maximum; a NaN wins, as in numpy's argmax. */
export function highest({ data, shape: [, classes] }: Tensor, row: number): number {
  let best = 0;
  for (let c = 1; c < classes; c++) {
    if (isHigher(data[row * classes + c], data[row * classes + best])) best = c;
  }
  return best;
}
