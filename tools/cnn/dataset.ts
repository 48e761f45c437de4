/**
 * Sets of images: a folder with a folder for each class, or the files of MNIST or CIFAR-10.
 *
 * @module
 */

import { join } from "node:path";
import { decodeMnist, openPictures } from "../../io/data.ts";
import {
  cifar10Classes,
  type Examples,
  type ExampleSource,
  getCifar10Data,
  type Labels,
  RandomState,
} from "../../mod.ts";
import { gather } from "../../nn/data/examples.ts";
import { orInputError, statOf } from "../files.ts";
import { asInputError, InputError, orRefused } from "../options.ts";

/** Images with their classes. */
export interface DataSet {
  /** The images, (N, C, H, W), with values from 0 to 255. */
  readonly x: ExampleSource;
  /** The class of each. */
  readonly y: Labels;
  /** The names of the classes. */
  readonly classes: readonly string[];
}

/** What is read of a set. */
export interface Wanted {
  /** Which part of a set: of folders of images, those of a folder of that name, if there is one. */
  readonly part: "train" | "test";
  /** 1 for gray images, 3 for colors; it is for folders of images. */
  readonly channels: 1 | 3;
  /** Height and width that a folder's images are brought to. Default: that of the first. */
  readonly size?: readonly [height: number, width: number];
  /** At most this many examples, drawn at random. */
  readonly limit: number;
  /** Seeds that draw. */
  readonly seed: number;
}

/**
 * Opens a set; what kind it is, its files tell.
 *
 * @param folder The folder.
 * @param wanted What is read of it.
 * @returns The images. Those of a folder of images are decoded batch by batch.
 * @throws {InputError} If there is no such set, or a file is damaged.
 */
export async function openDataSet(folder: string, wanted: Wanted): Promise<DataSet> {
  const found = await orInputError(`${folder} cannot be read`, () => statOf(folder));
  if (!found?.isDirectory) {
    throw new InputError(`${folder} must be a folder: it is ${found ? "a file" : "missing"}`);
  }
  try {
    return some(await readAny(folder, wanted), wanted);
  } catch (error) {
    throw asInputError(error);
  }
}

async function readAny(folder: string, wanted: Wanted): Promise<DataSet> {
  const mnist = await mnistFiles(folder, wanted.part);
  if (mnist !== undefined) return await readMnist(mnist);
  if (await isCifar10(folder)) return await readCifar10(folder, wanted);
  const { channels, size } = wanted;
  const { x, y, classes } = await orInputError(
    `${folder} cannot be read`,
    async () => openPictures(await partOf(folder, wanted.part), { channels, size }),
  );
  // A file that is damaged, or of another size than the first, shows when it is read.
  const read: Examples["read"] = (picks, to) => orRefused(() => x.read(picks, to));
  return { x: { shape: x.shape, read }, y, classes };
}

/** The folder of a part, if a set has one with folders for its classes; else the set's own. */
async function partOf(folder: string, part: Wanted["part"]): Promise<string> {
  const inner = join(folder, part);
  if (!(await statOf(inner))?.isDirectory) return folder;
  for await (const entry of Deno.readDir(inner)) if (entry.isDirectory) return inner;
  return folder;
}

/** The two IDX files of a part, packed or not; undefined if they are not there. */
async function mnistFiles(
  folder: string,
  part: Wanted["part"],
): Promise<readonly [string, string] | undefined> {
  const prefix = part === "train" ? "train" : "t10k";
  const files = ["images-idx3-ubyte", "labels-idx1-ubyte"].map(async (name) => {
    const path = join(folder, `${prefix}-${name}`);
    const found = await Promise.all([path, `${path}.gz`].map(statOf));
    return found[0] ? path : found[1] ? `${path}.gz` : undefined;
  });
  const [images, labels] = await Promise.all(files);
  return images && labels ? [images, labels] : undefined;
}

async function readMnist(paths: readonly [string, string]): Promise<DataSet> {
  const [images, labels] = await Promise.all(
    paths.map((path) => orInputError(`${path} cannot be read`, () => Deno.readFile(path))),
  );
  const { x, y } = await decodeMnist(images, labels, { names: paths });
  const count = y.reduce((most, label) => Math.max(most, label), 0) + 1;
  return { x, y, classes: Array.from({ length: Math.max(count, 10) }, (_, i) => String(i)) };
}

async function isCifar10(folder: string): Promise<boolean> {
  const paths = [folder, join(folder, "cifar-10-batches-bin")].flatMap((at) =>
    ["data_batch_1.bin", "test_batch.bin"].map((name) => join(at, name))
  );
  return (await Promise.all(paths.map(statOf))).some((found) => found !== undefined);
}

async function readCifar10(folder: string, { part, limit }: Wanted): Promise<DataSet> {
  const [numTraining, numTest] = part === "train"
    ? [Math.min(limit, 50_000), 0]
    : [0, Math.min(limit, 10_000)];
  const counts = { numTraining, numTest, numValidation: 0 };
  const data = await orInputError(
    `${folder} cannot be read`,
    () => getCifar10Data({ directory: folder, dtype: "uint8", ...counts }),
  );
  const [x, y] = part === "train" ? [data.xTrain, data.yTrain] : [data.xTest, data.yTest];
  return { x, y, classes: cifar10Classes };
}

/** At most this many examples. */
function some({ x, y, classes }: DataSet, { limit, seed }: Wanted): DataSet {
  const [N] = x.shape;
  if (N === 0) throw new InputError("there are no images");
  if (N <= limit) return { x, y, classes };
  const picks = new RandomState(seed).permutation(N).subarray(0, limit);
  return { x: pick(x, picks), y: picks.map((pick) => y[pick]), classes };
}

/** Some of the examples, which stay where they are. */
export function pick(x: ExampleSource, picks: Int32Array): Examples {
  return {
    shape: [picks.length, ...x.shape.slice(1)],
    read: (some, to) => gather(x, some.map((i) => picks[i]), to),
  };
}

/** The first examples, at most this many. */
export function first(x: ExampleSource, count: number): Examples {
  return pick(x, Int32Array.from({ length: Math.min(count, x.shape[0]) }, (_, i) => i));
}
