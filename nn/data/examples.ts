/**
 * Examples to learn from or to be measured by: a tensor, bytes, or what is read batch by batch.
 *
 * @module
 */

import { checkNonEmpty, checkShape, checkType, isBytes, isObject } from "../../kernels/check.ts";
import { ArgumentRangeError } from "../../kernels/errors.ts";
import { type DType, type FloatArray, show, sizeOf, type Tensor } from "../../kernels/tensor.ts";
import { checkBatch } from "../checks.ts";
import type { ArrayOf } from "../tensor.ts";

/**
 * Numbers from 0 to 255 as bytes, for example images, in a quarter of float32's memory. A solver takes
 * them as they are, and converts those of a batch to the model's data type.
 *
 * @example Images to learn from
 * ```ts
 * import { type ByteTensor, normalizedExamples, Solver, ThreeLayerConvNet } from "@cnn-layers/cnn-layers";
 *
 * const images: ByteTensor = { data: new Uint8Array(20 * 64).map((_, i) => i), shape: [20, 1, 8, 8] };
 * const y = Array.from({ length: 20 }, (_, i) => i % 10);
 * // Mean 0 and deviation 1 for each batch that is read: about as much memory as the bytes themselves.
 * const x = normalizedExamples(images, { mean: [128], deviation: [74] });
 * const model = new ThreeLayerConvNet({ inputDim: [1, 8, 8], filterSize: 3, numFilters: 2 });
 * const data = { xTrain: x, yTrain: y, xVal: x, yVal: y };
 * new Solver(model, data, { batchSize: 10, numEpochs: 1, verbose: false }).train();
 * ```
 */
export interface ByteTensor {
  /** The values, the last dimension varying fastest. */
  readonly data: Uint8Array;
  /** The size of each dimension, for example (N, C, H, W). */
  readonly shape: readonly number[];
}

/** The data type of images: that of a tensor, or "uint8" for a {@linkcode ByteTensor}. */
export type ImageType = DType | "uint8";

/** The array of a data type of images. */
export type ImageArray<T extends ImageType> = T extends DType ? ArrayOf<T> : Uint8Array;

/** Images in such an array. */
export type Images<A extends FloatArray | Uint8Array> = [A] extends [FloatArray] ? Tensor<A>
  : ByteTensor;

/** Examples of all kinds: in memory as a tensor or as bytes, or read batch by batch. */
export type ExampleSource = Tensor | ByteTensor | Examples;

/**
 * Examples that need not be in memory all at once: a solver reads those of a batch.
 *
 * @example A million examples that are made when they are asked for
 * ```ts
 * import type { Examples } from "@cnn-layers/cnn-layers";
 *
 * const squares: Examples = {
 *   shape: [1_000_000, 1],
 *   read: (picks, to) => picks.forEach((pick, i) => to[i] = pick * pick),
 * };
 * const batch = new Float32Array(2);
 * squares.read(Int32Array.of(3, 9), batch); // 9, 81
 * ```
 */
export interface Examples {
  /** The shape of a tensor that would hold them all, (N, ...). */
  readonly shape: readonly number[];
  /**
   * Reads some of them.
   *
   * @param picks Which, from 0 to N - 1, in any order.
   * @param to Where their numbers are written, one example after another.
   */
  read(picks: Int32Array, to: FloatArray): void;
}

/** Whether examples are read batch by batch. */
export function isRead(x: unknown): x is Examples {
  return isObject(x) && "read" in x;
}

/**
 * Checks that a value holds examples, one or more.
 *
 * @param name What the message calls it.
 * @param x The value to check.
 * @throws {TypeError} If it holds none, or has less than 2 dimensions.
 * @throws {RangeError} If there is no example, or a size is not whole.
 */
export function checkSource(name: string, x: unknown): asserts x is ExampleSource {
  if (isRead(x)) {
    checkType(typeof x.read === "function", `${name}.read`, "be a function", x.read);
    checkShape(`The shape of ${name}`, x.shape);
    checkType(x.shape.length >= 2, `${name}.shape`, "have 2 dimensions or more", x.shape);
  } else if (isByteTensor(x)) {
    checkShape(`The shape of ${name}`, x.shape);
    checkType(x.shape.length >= 2, `${name}.shape`, "have 2 dimensions or more", x.shape);
    if (x.data.length !== sizeOf(x.shape)) {
      throw new ArgumentRangeError(
        `The data of ${name} must hold ${sizeOf(x.shape)} bytes, the product of its shape ` +
          `${show(x.shape)}: it holds ${x.data.length}`,
      );
    }
  } else checkBatch(name, x);
  checkNonEmpty(name, x.shape, 0);
}

/** Whether examples are bytes. */
export function isByteTensor(x: unknown): x is ByteTensor {
  return isObject(x) && "data" in x && "shape" in x && isBytes(x.data);
}

/** Copies the examples that are picked into a batch; types are converted. */
export function gather(from: ExampleSource, picks: Int32Array, to: FloatArray): void {
  if (isRead(from)) return from.read(picks, to);
  const { data, shape: [N] } = from, size = data.length / N;
  for (const [i, pick] of picks.entries()) {
    to.set(data.subarray(pick * size, (pick + 1) * size), i * size);
  }
}
