/**
 * CIFAR-10 as the course splits it.
 *
 * Source: cs231n/data_utils.py of the CS231n / ECE C147 course; the binary version of Krizhevsky's
 * CIFAR-10, https://www.cs.toronto.edu/~kriz/cifar.html.
 *
 * @module
 */

import { checkDType, checkType, checkWhole, isBytes, isObject } from "../../kernels/check.ts";
import { ArgumentRangeError, ArgumentTypeError } from "../../kernels/errors.ts";
import { checkBoolean, checkFunction, option, readOptions, whole } from "../checks.ts";
import { type FloatArray, newArray, type Tensor } from "../tensor.ts";
import type { ImageArray, Images, ImageType } from "./examples.ts";
import { nodeFs } from "./node_fs.ts";

/** Bytes of one image: 3 planes, red, green and blue, of 32 rows of 32. */
const PIXELS = 3 * 32 * 32;
/** A record is one byte of label and the image. */
const RECORD = 1 + PIXELS;
/** Records of each of the official files. */
const PER_FILE = 10_000;
/** Official files to train on. */
const TRAIN_FILES = 5;
const TEST_FILE = "test_batch.bin";
/** The folder that the official archive holds. */
const INNER = "cifar-10-batches-bin";

/** The names of CIFAR-10's classes, by label. */
export const cifar10Classes: readonly string[] = [
  "airplane",
  "automobile",
  "bird",
  "cat",
  "deer",
  "dog",
  "frog",
  "horse",
  "ship",
  "truck",
];

/** The bytes of a file, whole or in pieces. */
export type FileBytes =
  | Uint8Array
  | AsyncIterable<Uint8Array>
  | ReadableStream<Uint8Array>;

/** Where {@linkcode getCifar10Data} reads, and how much. */
export interface Cifar10Options<T extends ImageType = ImageType> {
  /**
   * The folder that holds data_batch_1.bin to data_batch_5.bin and test_batch.bin, or the one that holds
   * their folder cifar-10-batches-bin: a path (Deno and Node), or a URL that fetch understands.
   */
  readonly directory?: string | URL;
  /** Gives the bytes of one of those files by its name, in place of a directory. */
  readonly readFile?: (name: string) => FileBytes | Promise<FileBytes>;
  /** Images to train on. Default: 49,000. */
  readonly numTraining?: number;
  /** Images to validate on: those that follow the ones to train on. Default: 1,000. */
  readonly numValidation?: number;
  /** Images to test on, from the test file. Default: 1,000. */
  readonly numTest?: number;
  /** Whether the mean of the training images is subtracted from all. Default: true, but not for bytes. */
  readonly subtractMean?: boolean;
  /** The data type of the images: "uint8" keeps their bytes. Default: "float64". */
  readonly dtype?: T;
}

/** CIFAR-10, split: images (N, 3, 32, 32) with values from 0 to 255, less the mean if it is subtracted. */
export interface Cifar10Data<A extends FloatArray | Uint8Array = FloatArray> {
  /** Images to train on. */
  readonly xTrain: Images<A>;
  /** Their labels. */
  readonly yTrain: Uint8Array;
  /** Images to validate on. */
  readonly xVal: Images<A>;
  /** Their labels. */
  readonly yVal: Uint8Array;
  /** Images to test on. */
  readonly xTest: Images<A>;
  /** Their labels. */
  readonly yTest: Uint8Array;
  /** What was subtracted from every image, (3, 32, 32): zeros if nothing was. */
  readonly meanImage: Tensor<Float64Array>;
}

/**
 * CIFAR-10 as the course splits it: 49,000 images to train on, the next 1,000 to validate and the
 * first 1,000 of the test file, less the mean image of the training set. The files are read in
 * pieces, so that memory stays near the size of the result.
 *
 * Source: get_CIFAR10_data in cs231n/data_utils.py; its binary files from
 * https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz.
 *
 * @example
 * ```ts
 * import { getCifar10Data } from "@cnn-layers/cnn-layers";
 *
 * // Zeros stand for the files here. Else: { directory: "cifar-10-batches-bin", dtype: "float32" }.
 * const readFile = () => new Uint8Array(10_000 * 3073);
 * const data = await getCifar10Data({ readFile, numTraining: 100, dtype: "float32" });
 * console.log(data.xTrain.shape); // [100, 3, 32, 32]
 * ```
 *
 * @param options Where to read, how much, and what to do with it.
 * @returns The images and labels, and the mean image.
 * @throws {TypeError} If an option is unknown or has a wrong type, or there is nowhere to read.
 * @throws {RangeError} If more is asked for than there is, a file has not its official size, or a label
 * is above 9.
 */
export async function getCifar10Data<T extends ImageType = "float64">(
  options: Cifar10Options<T>,
): Promise<Cifar10Data<ImageArray<T>>> {
  const { numTraining, numValidation, numTest, dtype, ...given } = //
    readOptions("options", options, cifar10Options());
  const { subtractMean = dtype !== "uint8", ...from } = given;
  checkType(!subtractMean || dtype !== "uint8", "subtractMean", "be false for bytes", subtractMean);
  checkWhole("numTraining", numTraining, Number(subtractMean));
  const known = TRAIN_FILES * PER_FILE;
  if (numTraining + numValidation > known) {
    throw new ArgumentRangeError(
      `numTraining and numValidation must be at most ${known} together: ` +
        `received ${numTraining} and ${numValidation}`,
    );
  }
  const readFile = fileReader(from);

  const training = records(numTraining + numValidation, dtype);
  for (let first = 0, i = 1; first < training.y.length; first += PER_FILE, i++) {
    await readRecords(`data_batch_${i}.bin`, readFile, training, first);
  }
  const test = records(numTest, dtype);
  if (numTest > 0) await readRecords(TEST_FILE, readFile, test, 0);

  const mean = new Float64Array(PIXELS);
  if (subtractMean) {
    addUp(training.x.subarray(0, numTraining * PIXELS), mean);
    for (let i = 0; i < PIXELS; i++) mean[i] /= numTraining;
    subtract(training.x, mean);
    subtract(test.x, mean);
  }
  const part = ({ x }: Records, from: number, to: number) => {
    const data = x.subarray(from * PIXELS, to * PIXELS);
    return { data, shape: [to - from, 3, 32, 32] } as unknown as Images<ImageArray<T>>;
  };
  const total = numTraining + numValidation;
  return {
    xTrain: part(training, 0, numTraining),
    yTrain: training.y.subarray(0, numTraining),
    xVal: part(training, numTraining, total),
    yVal: training.y.subarray(numTraining, total),
    xTest: part(test, 0, numTest),
    yTest: test.y,
    meanImage: { data: mean, shape: [3, 32, 32] },
  };
}

/** The options of getCifar10Data: a function, so that a bundle that does not use them leaves them out. */
const cifar10Options = () => ({
  directory: option(checkDirectory),
  readFile: option(checkFunction<ReadFile>),
  numTraining: option(whole(0), 49_000),
  numValidation: option(whole(0), 1_000),
  numTest: option(whole(0, PER_FILE), 1_000),
  subtractMean: option(checkBoolean),
  dtype: readImageType,
});

/** Reads a data type of images. Default: "float64". */
export function readImageType(_: string, value: unknown = "float64"): ImageType {
  return value === "uint8" ? value : checkDType(value);
}

/** Gives the bytes of a file by its name. */
type ReadFile = NonNullable<Cifar10Options["readFile"]>;

/** Images one after another, and their labels. */
interface Records {
  readonly x: FloatArray | Uint8Array;
  readonly y: Uint8Array;
}

function records(count: number, dtype: ImageType): Records {
  const length = count * PIXELS;
  const x = dtype === "uint8" ? new Uint8Array(length) : newArray(length, dtype);
  return { x, y: new Uint8Array(count) };
}

/**
 * Reads one official file into images, from the one with number `first` on, as far as there is room.
 * The whole file is read and checked even where less is kept: a truncated download must be noticed.
 */
async function readRecords(
  name: string,
  readFile: ReadFile,
  { x, y }: Records,
  first: number,
): Promise<void> {
  const expected = PER_FILE * RECORD;
  const keep = Math.min(PER_FILE, y.length - first);
  let position = 0;
  for await (const chunk of chunksOf(name, await readFile(name))) {
    // A chunk may begin and end anywhere in a record.
    for (let i = 0; i < chunk.length && position + i < expected;) {
      const record = Math.floor((position + i) / RECORD), within = (position + i) % RECORD;
      if (within === 0) {
        const label = chunk[i];
        if (label > 9) {
          throw new ArgumentRangeError(
            `${name} must have labels from 0 to 9: that of record ${record} is ${label}`,
            "OUT_OF_RANGE",
          );
        }
        if (record < keep) y[first + record] = label;
        i++;
        continue;
      }
      const length = Math.min(RECORD - within, chunk.length - i);
      if (record < keep) {
        x.set(chunk.subarray(i, i + length), (first + record) * PIXELS + within - 1);
      }
      i += length;
    }
    position += chunk.length;
  }
  if (position !== expected) {
    throw new ArgumentRangeError(
      `${name} must have ${expected} bytes, ${PER_FILE} records of ${RECORD}: it has ${position}`,
    );
  }
}

async function* chunksOf(name: string, bytes: FileBytes): AsyncGenerator<Uint8Array> {
  if (isBytes(bytes)) {
    yield bytes;
  } else if (bytes instanceof ReadableStream) {
    // Not every browser's streams can be iterated.
    const reader = bytes.getReader();
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        yield next.value;
      }
    } finally {
      await reader.cancel();
    }
  } else {
    const isStream = isObject(bytes) && Symbol.asyncIterator in bytes;
    checkType(isStream, "readFile", `give a Uint8Array or a stream of them for ${name}`, bytes);
    yield* bytes;
  }
}

function checkDirectory(name: string, value: unknown): asserts value is string | URL {
  const isPath = typeof value === "string" || value instanceof URL;
  checkType(isPath, name, "be a path or a URL", value);
}

/** What the options say about where to read, as a function. */
function fileReader(
  { directory, readFile }: Pick<Cifar10Options, "directory" | "readFile">,
): ReadFile {
  if ((directory === undefined) === (readFile === undefined)) {
    throw new ArgumentTypeError(`options must have either a directory or a readFile function`);
  }
  if (readFile !== undefined) return readFile;
  if (directory instanceof URL || /^https?:/.test(directory!)) {
    return urlReader(String(directory).replace(/\/?$/, "/"));
  }
  const fs = nodeFs("directory", directory);
  return (name) => {
    const inner = `${directory}/${INNER}/${name}`;
    const path = fs.existsSync(inner) ? inner : `${directory}/${name}`;
    return fs.createReadStream(path, { highWaterMark: 1 << 18 });
  };
}

/** Reads from a folder, or from the folder of CIFAR-10 in it. */
function urlReader(folder: string): ReadFile {
  return async (name) => {
    const refused: string[] = [];
    for (const path of [name, `${INNER}/${name}`]) {
      const { ok, url, status, statusText, body } = await fetch(new URL(path, folder));
      if (ok && body !== null) return body;
      await body?.cancel();
      refused.push(`${url}: ${status} ${statusText}`);
      if (status !== 404) break;
    }
    throw new Error(`Cannot fetch ${refused.join(", nor ")}`);
  };
}

/** Adds image after image to a sum. Whole numbers below 2^53: the sum is exact. */
function addUp(x: FloatArray | Uint8Array, sum: Float64Array): void {
  for (let start = 0; start < x.length; start += PIXELS) {
    for (let i = 0; i < PIXELS; i++) sum[i] += x[start + i];
  }
}

function subtract(x: FloatArray | Uint8Array, mean: Float64Array): void {
  for (let start = 0; start < x.length; start += PIXELS) {
    for (let i = 0; i < PIXELS; i++) x[start + i] -= mean[i];
  }
}
