/**
 * Examples split in two, and brought to one scale.
 *
 * @module
 */

import { checkTensor, checkType } from "../../kernels/check.ts";
import { ArgumentRangeError } from "../../kernels/errors.ts";
import { type FloatArray, show, sizeOf, type Tensor } from "../../kernels/tensor.ts";
import { checkBatch, option, readOptions, whole, within } from "../checks.ts";
import { checkLabels } from "../layers/loss.ts";
import type { Labels } from "../model.ts";
import { RandomState } from "../random/random_state.ts";
import { zerosLike } from "../tensor.ts";
import {
  type ByteTensor,
  checkSource,
  type Examples,
  type ExampleSource,
  gather,
  isByteTensor,
  isRead,
} from "./examples.ts";

/** How {@linkcode splitData} splits. */
export interface SplitOptions {
  /** The part of the examples that are kept for validation, or how many. Default: 0.1. */
  readonly validation?: number;
  /** Seeds the random order. Default: 0. */
  readonly seed?: number;
}

/**
 * Examples in random order, split into some to train on and some to validate on: what a solver takes.
 * Tensors are copied; examples that are read batch by batch stay where they are.
 *
 * @example
 * ```ts
 * import { RandomState, splitData } from "@cnn-layers/cnn-layers";
 *
 * const x = new RandomState(0).randn([100, 4]), y = Array.from({ length: 100 }, (_, i) => i % 2);
 * const { xTrain, xVal } = splitData(x, y, { validation: 0.2 });
 * console.log(xTrain.shape, xVal.shape); // [80, 4] [20, 4]
 * ```
 *
 * @param x Examples, (N, ...).
 * @param y Their labels.
 * @param options How many to validate on, and the seed.
 * @returns Examples and labels of both parts.
 * @throws {TypeError} If a type is wrong, or an option unknown.
 * @throws {RangeError} If there are not N labels, or one of the parts is empty.
 */
export function splitData<X extends ExampleSource>(
  x: X,
  y: Labels,
  options: SplitOptions = {},
): { xTrain: X; yTrain: Int32Array; xVal: X; yVal: Int32Array } {
  const { validation, seed } = readOptions("options", options, {
    validation: option(within(0), 0.1),
    seed: option(whole(0), 0),
  });
  checkSource("x", x);
  const [N] = x.shape;
  checkLabels("y", y, N);
  const count = validation < 1 ? Math.round(validation * N) : validation;
  if (!Number.isSafeInteger(count) || count < 1 || count >= N) {
    throw new ArgumentRangeError(
      `validation must leave an example or more in both parts of ${N}: received ${validation}`,
    );
  }
  const order = new RandomState(seed).permutation(N);
  const train = order.subarray(0, N - count), val = order.subarray(N - count);
  const labels = (picks: Int32Array) => Int32Array.from(picks, (pick) => y[pick]);
  return { xTrain: some(x, train), yTrain: labels(train), xVal: some(x, val), yVal: labels(val) };
}

/** Some of the examples. */
function some<X extends ExampleSource>(x: X, picks: Int32Array): X {
  const shape = [picks.length, ...x.shape.slice(1)];
  if (isRead(x)) {
    const read: Examples["read"] = (some, to) => x.read(some.map((pick) => picks[pick]), to);
    return { shape, read } satisfies Examples as unknown as X;
  }
  if (isByteTensor(x)) {
    const data = new Uint8Array(sizeOf(shape)), size = data.length / picks.length;
    picks.forEach((pick, i) => data.set(x.data.subarray(pick * size, (pick + 1) * size), i * size));
    return { data, shape } satisfies ByteTensor as unknown as X;
  }
  const part = zerosLike(x as Tensor, shape);
  gather(x, picks, part.data);
  return part as X & Tensor;
}

/** The mean and the standard deviation of each channel. */
export interface ChannelStatistics {
  /** The means. */
  readonly mean: readonly number[];
  /** The standard deviations. */
  readonly deviation: readonly number[];
}

/**
 * The mean and the standard deviation of each channel of images, or of each column of a matrix.
 *
 * @example See {@linkcode normalize}
 * ```ts
 * import { channelStatistics, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const { mean, deviation } = channelStatistics(new RandomState(0).randn([100, 3, 8, 8]));
 * console.log(mean, deviation); // about 0 and 1, three times
 * ```
 *
 * @param x Images, (N, C, ...), in memory, as bytes too, or read batch by batch.
 * @returns C means, and C deviations; both are those of all values of a channel.
 * @throws {TypeError} If x holds no examples, or has less than 2 dimensions.
 * @throws {RangeError} If there are none.
 */
export function channelStatistics(x: ExampleSource): ChannelStatistics {
  checkSource("x", x);
  const [N, C] = x.shape, size = sizeOf(x.shape.slice(1)), plane = size / C;
  const image = new Float64Array(size);
  const each = (use: (c: number, value: number) => void) => {
    for (let n = 0; n < N; n++) {
      gather(x, Int32Array.of(n), image);
      for (let i = 0; i < size; i++) use(Math.floor(i / plane), image[i]);
    }
  };
  const mean = Array<number>(C).fill(0), deviation = Array<number>(C).fill(0);
  const count = N * plane;
  each((c, value) => mean[c] += value / count);
  each((c, value) => deviation[c] += (value - mean[c]) * (value - mean[c]) / count);
  return { mean, deviation: deviation.map(Math.sqrt) };
}

/**
 * Brings each channel of images to mean 0 and deviation 1, in place, by statistics that were taken
 * from the images to train on. A channel that is the same everywhere is only shifted.
 *
 * @example
 * ```ts
 * import { channelStatistics, normalize, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const xTrain = new RandomState(0).rand([100, 3, 8, 8]), xTest = new RandomState(1).rand([10, 3, 8, 8]);
 * const statistics = channelStatistics(xTrain);
 * for (const x of [xTrain, xTest]) normalize(x, statistics);
 * ```
 *
 * @param x Images, (N, C, ...); changed in place.
 * @param statistics The mean and the deviation of each channel.
 * @returns x.
 * @throws {TypeError} If a type is wrong.
 * @throws {RangeError} If there are not C means and deviations.
 */
export function normalize<A extends FloatArray>(
  x: Tensor<A>,
  statistics: ChannelStatistics,
): Tensor<A> {
  checkTensor("x", x);
  checkBatch("x", x);
  checkStatistics(x.shape, statistics);
  scale(x.data, x.shape, statistics);
  return x;
}

/**
 * Examples that are brought to mean 0 and deviation 1 as they are read, batch by batch: what was given
 * stays as it is, and no copy of it is made. It serves images that are bytes, and those in files.
 *
 * @example A quarter of float32's memory
 * ```ts
 * import { channelStatistics, normalizedExamples, splitData } from "@cnn-layers/cnn-layers";
 *
 * const bytes = Uint8Array.from({ length: 100 * 3 * 64 }, (_, i) => i * i);
 * const images = { data: bytes, shape: [100, 3, 8, 8] }, labels = new Uint8Array(100);
 * const x = normalizedExamples(images, channelStatistics(images));
 * const data = splitData(x, labels); // for a solver
 * const batch = new Float32Array(2 * 3 * 64);
 * x.read(Int32Array.of(0, 7), batch); // for net.predict
 * ```
 *
 * @param x Images, (N, C, ...), or vectors, (N, C).
 * @param statistics The mean and the deviation of each channel.
 * @returns The examples.
 * @throws {TypeError} If a type is wrong.
 * @throws {RangeError} If there are none, or not C means and deviations.
 */
export function normalizedExamples(x: ExampleSource, statistics: ChannelStatistics): Examples {
  checkSource("x", x);
  const [, ...example] = x.shape;
  checkStatistics(x.shape, statistics);
  const read: Examples["read"] = (picks, to) => {
    gather(x, picks, to);
    scale(to, [picks.length, ...example], statistics);
  };
  return { shape: [...x.shape], read };
}

/** Checks that there are as many means and deviations as channels. */
function checkStatistics(shape: readonly number[], { mean, deviation }: ChannelStatistics): void {
  for (const [name, values] of Object.entries({ mean, deviation })) {
    checkType(Array.isArray(values), name, "be an array of numbers", values);
    if (values.length === shape[1]) continue;
    throw new ArgumentRangeError(
      `${name} must hold one value per channel of ${show(shape)}: it holds ${values.length}`,
    );
  }
}

/** Subtracts its channel's mean from each value, and divides it by the deviation, if that is not 0. */
function scale(
  data: FloatArray,
  [N, C, ...rest]: readonly number[],
  { mean, deviation }: ChannelStatistics,
): void {
  const plane = sizeOf(rest);
  for (let i = 0, end = 0; end < N * C * plane;) {
    const c = end / plane % C, shift = mean[c], divisor = deviation[c] || 1;
    for (end += plane; i < end; i++) data[i] = (data[i] - shift) / divisor;
  }
}
