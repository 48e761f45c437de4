/**
 * Own images from files: CIFAR-10's binary batches, IDX files, and images in folders or zip archives.
 *
 * @module
 */

import type { ByteTensor } from "../../mod.ts";
import { channelStatistics, cifar10Classes, getCifar10Data, RandomState } from "../../mod.ts";
import { type ImageSet, range, sharedBytes } from "../data/image_set.ts";
import { pause } from "../turns.ts";
import { messageOf } from "../format.ts";

/** The part of the images that are kept to validate on, and how many at most. */
const VALIDATION_PART = 0.1, MOST_VALIDATION = 2000;

/** Images that statistics are computed of. */
const MEASURED = 2000;

/** Larger images are made smaller, to SMALL x SMALL. */
const LARGEST = 64, SMALL = 32;

/** Bytes of images that a page holds. */
const MOST_BYTES = 400e6;

/** Milliseconds that one turn takes. */
const TURN = 15;

/** A file, and where it lies in what was dropped. */
export interface DroppedFile {
  readonly path: string;
  readonly size: number;
  bytes(): Promise<Uint8Array<ArrayBuffer>>;
}

/** Tells what is done, in a few words. */
export type OnStep = (what: string) => void;

/**
 * The images of files.
 *
 * @param dropped The files.
 * @param onStep Told what is done.
 * @returns The images, split.
 * @throws {Error} If there is nothing that can be read, or a file is damaged.
 */
export async function readOwnImages(
  dropped: readonly DroppedFile[],
  onStep: OnStep,
): Promise<ImageSet> {
  const files = (await unpacked(dropped)).filter(({ path }) => !/(^|\/)(\.|__MACOSX)/.test(path));
  const batches = files.filter(({ path }) => /\.bin$/i.test(path));
  if (batches.length > 0) return await readBatches(batches, onStep);
  const idx = files.filter(({ path }) => /idx\d-ubyte(\.gz)?$/i.test(path));
  if (idx.length > 0) return await readIdx(idx, onStep);
  const pictures = files.filter(({ path }) => /\.(png|jpe?g)$/i.test(path));
  if (pictures.length > 0) return await readPictures(pictures, onStep);
  const names = dropped.map(({ path }) => path), few = names.slice(0, 3).join(", ");
  throw new Error(
    `${few}${names.length > 3 ? ", …" : ""} cannot be read: this page takes CIFAR-10’s .bin ` +
      "batches, IDX files, folders or zip archives with a folder of PNG or JPEG images for each " +
      "class, and .safetensors files of weights",
  );
}

/** The files, and those in archives in their place. */
async function unpacked(dropped: readonly DroppedFile[]): Promise<readonly DroppedFile[]> {
  const files: DroppedFile[] = [];
  for (const file of dropped) {
    if (!/\.zip$/i.test(file.path)) {
      files.push(file);
      continue;
    }
    const { readZip } = await import("../../io/zip.ts");
    const bytes = await file.bytes();
    const entries = named(file.path, () => readZip(bytes));
    for (const [path, bytes] of entries) {
      const own = Uint8Array.from(bytes);
      files.push({ path, size: bytes.length, bytes: () => Promise.resolve(own) });
    }
  }
  return files;
}

/** Does what a file may be unfit for. */
function named<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Error(`${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

/** CIFAR-10's batches, any number of them. */
async function readBatches(files: readonly DroppedFile[], onStep: OnStep): Promise<ImageSet> {
  const sorted = [...files].sort((a, b) => a.path < b.path ? -1 : 1).slice(0, 5);
  const perFile = 10_000, numValidation = 1000;
  const { xTrain, yTrain, xVal, yVal } = await getCifar10Data({
    readFile: async (name) => {
      const i = Number(/\d+/.exec(name)![0]) - 1;
      onStep(`Reading ${sorted[i].path} …`);
      return await sorted[i].bytes();
    },
    numTraining: sorted.length * perFile - numValidation,
    numValidation,
    numTest: 0,
    dtype: "uint8",
  }).catch((error) => {
    const names = sorted.map(({ path }) => path).join(", ");
    throw new Error(`${names} cannot be read as CIFAR-10’s batches: ${messageOf(error)}`, {
      cause: error,
    });
  });
  return {
    ...{ id: "own", name: "CIFAR-10", classes: cifar10Classes, shape: [3, 32, 32] },
    statistics: channelStatistics(range(xTrain, 0, MEASURED)),
    ...{ xTrain: shared(xTrain), yTrain, xVal: shared(xVal), yVal },
  };
}

/** IDX files: one of images, and one of labels; those to train on, if there are others, too. */
async function readIdx(files: readonly DroppedFile[], onStep: OnStep): Promise<ImageSet> {
  const { decodeMnist } = await import("../../io/idx.ts");
  const find = (rank: number) => {
    const some = files.filter(({ path }) => path.includes(`idx${rank}-`));
    return some.find(({ path }) => path.includes("train")) ?? some[0];
  };
  const images = find(3), labels = find(1);
  if (images === undefined || labels === undefined) {
    throw new Error(
      `${
        files[0].path
      } has no partner: an IDX file of images (idx3) and one of labels (idx1) are needed`,
    );
  }
  onStep(`Reading ${images.path} …`);
  const { x, y } = await decodeMnist(await images.bytes(), await labels.bytes(), {
    names: [images.path, labels.path],
  });
  const [, , height, width] = x.shape;
  const classes = Array.from({ length: Math.max(...y) + 1 }, (_, label) => String(label));
  return split("own IDX files", classes, [1, height, width], x.data, y);
}

/** Images in folders that are the classes. */
async function readPictures(files: readonly DroppedFile[], onStep: OnStep): Promise<ImageSet> {
  const { decodePicture, imageToTensor } = await import("../../io/pictures.ts");
  const classOf = ({ path }: DroppedFile) => path.split("/").at(-2) ?? "";
  const classes = [...new Set(files.map(classOf))].sort();
  if (classes.length < 2) {
    throw new Error(
      `${files[0].path} must lie in the folder of its class, beside folders of other classes: ` +
        `found ${classes[0] === "" ? "no folder" : `one class, ${classes[0]}`}`,
    );
  }
  const decode = async (file: DroppedFile) => {
    const bytes = await file.bytes();
    return named(file.path, () => decodePicture(bytes));
  };
  const first = await decode(files[0]), channels = first.channels < 3 ? 1 : 3;
  const isLarge = Math.max(first.height, first.width) > LARGEST;
  const [height, width] = isLarge ? [SMALL, SMALL] : [first.height, first.width];
  const size = channels * height * width;
  if (files.length * size > MOST_BYTES) {
    throw new Error(`A page holds ${MOST_BYTES / 1e6} MB of images: these are more`);
  }
  const data = new Uint8Array(files.length * size), labels = new Uint8Array(files.length);
  // In random order, so that those to validate on are of all classes.
  const order = new RandomState(0).permutation(files.length);
  let turn = performance.now();
  for (const [to, from] of order.entries()) {
    const picture = await decode(files[from]);
    const { data: values } = imageToTensor(picture, { channels, size: [height, width] });
    for (let i = 0; i < size; i++) data[to * size + i] = Math.round(values[i]);
    labels[to] = classes.indexOf(classOf(files[from]));
    if (performance.now() - turn < TURN) continue;
    onStep(`Reading image ${to + 1} of ${files.length} …`);
    await pause(0);
    turn = performance.now();
  }
  return split("own images", classes, [channels, height, width], data, labels);
}

/** Images in shared memory, if the page may. */
function shared({ data, shape }: ByteTensor): ByteTensor {
  const own = sharedBytes(data.length);
  own.set(data);
  return { data: own, shape };
}

/** The last images to validate on, the others to train on. */
function split(
  name: string,
  classes: readonly string[],
  shape: ImageSet["shape"],
  data: Uint8Array,
  labels: Uint8Array,
): ImageSet {
  const count = labels.length, [C, H, W] = shape, all = { data, shape: [count, C, H, W] };
  const validation = Math.min(Math.ceil(count * VALIDATION_PART), MOST_VALIDATION);
  const from = count - validation;
  if (from < 1) throw new Error(`There must be two images or more: there are ${count}`);
  return {
    ...{ id: "own", name, classes, shape },
    statistics: channelStatistics(range(all, 0, Math.min(from, MEASURED))),
    xTrain: shared(range(all, 0, from)),
    yTrain: labels.slice(0, from),
    xVal: shared(range(all, from, count)),
    yVal: labels.slice(from),
  };
}
