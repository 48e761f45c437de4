/**
 * IDX files, the format of MNIST and its like: two bytes of 0, the data type, the number of dimensions,
 * the sizes as big-endian words, then the numbers, big-endian too.
 *
 * Source: http://yann.lecun.com/exdb/mnist/.
 *
 * @module
 */

import { checkType, isBytes } from "../kernels/check.ts";
import { ArgumentRangeError, ArgumentTypeError } from "../kernels/errors.ts";
import { type FloatArray, newArray } from "../nn/tensor.ts";
import { option, readOptions } from "../nn/checks.ts";
import type { ImageArray, Images, ImageType } from "../nn/data/examples.ts";
import { readImageType } from "../nn/data/cifar10.ts";

/** The arrays that hold the numbers of IDX files. */
export type IdxNumbers =
  | Uint8Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** What an IDX file holds. */
export interface IdxArray {
  /** The values, the last dimension varying fastest. */
  readonly data: IdxNumbers;
  /** The size of each dimension. */
  readonly shape: readonly number[];
}

/** The data types by their codes: how many bytes a number has, and how some are read. */
const TYPES: Readonly<Record<number, readonly [bytes: number, read: Read]>> = {
  0x08: [1, (bytes) => bytes],
  0x09: [1, (bytes) => numbersOf(bytes, 1, Int8Array, (view, at) => view.getInt8(at))],
  0x0b: [2, (bytes) => numbersOf(bytes, 2, Int16Array, (view, at) => view.getInt16(at))],
  0x0c: [4, (bytes) => numbersOf(bytes, 4, Int32Array, (view, at) => view.getInt32(at))],
  0x0d: [4, (bytes) => numbersOf(bytes, 4, Float32Array, (view, at) => view.getFloat32(at))],
  0x0e: [8, (bytes) => numbersOf(bytes, 8, Float64Array, (view, at) => view.getFloat64(at))],
};

type Read = (bytes: Uint8Array) => IdxNumbers;

function numbersOf<T extends IdxNumbers>(
  bytes: Uint8Array,
  size: number,
  Numbers: { new (length: number): T },
  read: (view: DataView, at: number) => number,
): T {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const numbers = new Numbers(bytes.length / size);
  for (let i = 0; i < numbers.length; i++) numbers[i] = read(view, i * size);
  return numbers;
}

/**
 * Reads an IDX file, packed with gzip or not. It runs in browsers too: the bytes come from wherever you
 * have them.
 *
 * @example
 * ```ts
 * import { decodeIdx } from "@cnn-layers/cnn-layers/data";
 *
 * // 0x08: bytes, 2 dimensions, 2 rows of 3. Else: new Uint8Array(await (await fetch(url)).arrayBuffer()).
 * const file = Uint8Array.of(0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6);
 * const { data, shape } = await decodeIdx(file);
 * console.log(shape, data); // [2, 3] Uint8Array [1, 2, 3, 4, 5, 6]
 * ```
 *
 * @param bytes The file.
 * @param name What messages call it. Default: "bytes".
 * @returns Its numbers, in an array of its data type, and their shape. Bytes that were not packed are
 * those of the file, not copied.
 * @throws {TypeError} If it is not an IDX file, or a gzip file that is damaged.
 * @throws {RangeError} If it is truncated, or too long.
 */
export async function decodeIdx(bytes: Uint8Array, name = "bytes"): Promise<IdxArray> {
  checkType(isBytes(bytes), name, "be a Uint8Array", bytes);
  const file = await unzipped(bytes, name);
  const [zero, zero2, type, rank] = file;
  const known = Object.hasOwn(TYPES, type ?? -1) && zero === 0 && zero2 === 0;
  if (!known) {
    const start = Array.from(file.subarray(0, 4), (byte) => byte.toString(16).padStart(2, "0"));
    throw new ArgumentTypeError(
      `${name} must be an IDX file, which starts with 0, 0, a data type (8, 9, b, c, d or e) and ` +
        `the number of dimensions: it starts with ${start.join(" ") || "nothing"}`,
      "INVALID_FORMAT",
    );
  }
  const start = 4 + 4 * (rank ?? 0);
  if (file.length < start || rank === undefined) {
    throw new ArgumentRangeError(
      `${name} must have a header of ${start} bytes: it has ${file.length}`,
    );
  }
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const [width, read] = TYPES[type];
  const size = start + shape.reduce((product, length) => product * length, width);
  if (file.length !== size) {
    throw new ArgumentRangeError(
      `${name} must have ${size} bytes for its shape [${shape}]: it has ${file.length}`,
    );
  }
  return { data: read(file.subarray(start)), shape };
}

/** The contents of a gzip file; those of another file are its bytes. */
async function unzipped(bytes: Uint8Array, name: string): Promise<Uint8Array> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const packed = new Blob([bytes as Uint8Array<ArrayBuffer>]);
  const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
  try {
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (cause) {
    const message = `${name} must be a whole gzip file: it is truncated or damaged`;
    throw new ArgumentTypeError(message, "INVALID_FORMAT", { cause });
  }
}

/** How {@linkcode decodeMnist} gives images. */
export interface MnistOptions<T extends ImageType = ImageType> {
  /**
   * Their data type; all have numbers from 0 to 255. Bytes, which a solver takes as they are, need a
   * quarter of float32's memory. Default: "uint8".
   */
  readonly dtype?: T;
  /** What messages call the two files. Default: ["images", "labels"]. */
  readonly names?: readonly [images: string, labels: string];
}

/** Images with their labels. */
export interface LabelledImages<A extends FloatArray | Uint8Array = Uint8Array> {
  /** The images, (N, 1, H, W). */
  readonly x: Images<A>;
  /** Their labels. */
  readonly y: Uint8Array;
}

/**
 * The images and labels of MNIST, or of a set in the same format: Fashion-MNIST, KMNIST, EMNIST.
 *
 * @example
 * ```ts ignore
 * import { decodeMnist } from "@cnn-layers/cnn-layers/data";
 * import { channelStatistics, normalizedExamples, Solver, splitData } from "@cnn-layers/cnn-layers";
 *
 * const bytesOf = async (file: string) => new Uint8Array(await (await fetch(file)).arrayBuffer());
 * const { x, y } = await decodeMnist(
 *   await bytesOf("train-images-idx3-ubyte.gz"),
 *   await bytesOf("train-labels-idx1-ubyte.gz"),
 * );
 * const digits = normalizedExamples(x, channelStatistics(x));
 * const solver = new Solver(model, splitData(digits, y));
 * ```
 *
 * @param images The IDX file of the images, packed with gzip or not.
 * @param labels That of the labels.
 * @param options The images' data type.
 * @returns The images, (N, 1, H, W), and the labels.
 * @throws {TypeError} If one is not an IDX file of bytes with 3 dimensions, or with 1, or damaged.
 * @throws {RangeError} If one is truncated, or there are not as many labels as images.
 */
export async function decodeMnist<T extends ImageType = "uint8">(
  images: Uint8Array,
  labels: Uint8Array,
  options: MnistOptions<T> = {},
): Promise<LabelledImages<ImageArray<T>>> {
  const { dtype, names: [imagesName, labelsName] } = readOptions("options", options, {
    dtype: (name: string, value: unknown = "uint8") => readImageType(name, value),
    names: option(checkNames, ["images", "labels"] as const),
  });
  const { data: pixels, shape: [N, H, W] } = await decodeBytes(images, 3, imagesName);
  const { data: y } = await decodeBytes(labels, 1, labelsName);
  if (y.length !== N) {
    throw new ArgumentRangeError(
      `${labelsName} must have ${N} labels, one per image: it has ${y.length}`,
    );
  }
  const data = dtype === "uint8" ? pixels : newArray(pixels.length, dtype);
  if (data !== pixels) data.set(pixels);
  return { x: { data, shape: [N, 1, H, W] } as unknown as Images<ImageArray<T>>, y };
}

/** Reads an IDX file of bytes. */
async function decodeBytes(bytes: Uint8Array, rank: number, name: string) {
  const { data, shape } = await decodeIdx(bytes, name);
  if (data instanceof Uint8Array && shape.length === rank) return { data, shape };
  const kind = data.constructor.name.replace("Array", "");
  throw new ArgumentTypeError(
    `${name} must be an IDX file of bytes with ${rank} dimensions: it has ${shape.length} and ` +
      `numbers of type ${kind}`,
    "INVALID_FORMAT",
  );
}

function checkNames(name: string, value: unknown): asserts value is readonly [string, string] {
  const right = Array.isArray(value) && value.length === 2 &&
    value.every((part) => typeof part === "string");
  checkType(right, name, "be two strings", value);
}
