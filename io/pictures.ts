/**
 * A folder of images by class, read batch by batch.
 *
 * @module
 */

import { decode as decodePng } from "fast-png";
import { decode as decodeJpeg } from "jpeg-js";
import { checkNonEmpty, checkShape, checkType, isObject } from "../kernels/check.ts";
import { ArgumentRangeError, ArgumentTypeError } from "../kernels/errors.ts";
import { type ArrayOf, type DType, type FloatArray, type Tensor, zeros } from "../nn/tensor.ts";
import { option, readDType, readOptions } from "../nn/checks.ts";
import type { Examples } from "../nn/data/examples.ts";
import { type NodeFs, nodeFs } from "../nn/data/node_fs.ts";
import type { ChannelStatistics } from "../nn/data/split.ts";
import { resized } from "./resize.ts";

/** How {@linkcode openPictures} reads. */
export interface PictureOptions {
  /** 3 for red, green and blue, 1 for gray. Default: 3. */
  readonly channels?: 1 | 3;
  /** Brings each channel to mean 0 and deviation 1 if the images have these. Default: values from 0 to 255. */
  readonly statistics?: ChannelStatistics;
  /**
   * Height and width that images are brought to: their middle is kept, as large as the proportions allow,
   * and resampled. Default: that of the first image, which the others must have too.
   */
  readonly size?: readonly [height: number, width: number];
}

/** A folder of images. */
export interface Pictures {
  /** The images, (N, channels, H, W). */
  readonly x: Examples;
  /** The class of each: the place of its folder's name among the classes. */
  readonly y: Int32Array;
  /** The names of the folders, sorted. */
  readonly classes: readonly string[];
  /** The file of each image. */
  readonly files: readonly string[];
}

/** A decoded image: bytes of red, green, blue and opacity, or of some of these. */
export interface DecodedPicture {
  /** Pixels in a row. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  /** Values of a pixel: gray, gray and opacity, 3 colors, 3 colors and opacity. */
  readonly channels: number;
  /** The values, from 0 to 255, row by row. */
  readonly data: Uint8Array;
}

/**
 * A folder whose folders are the classes, as most sets of images come: `cat/1.png`, `dog/7.jpg` and so
 * on. Only the names are read now; the images are, when a solver needs them, so that they need not
 * fit into memory. All must have the size of the first, unless a size is given.
 *
 * @example
 * ```ts ignore
 * import { openPictures } from "@cnn-layers/cnn-layers/data";
 * import { channelStatistics, Solver, splitData } from "@cnn-layers/cnn-layers";
 *
 * const statistics = channelStatistics(openPictures("pets").x);
 * const { x, y, classes } = openPictures("pets", { statistics });
 * const solver = new Solver(model, splitData(x, y, { validation: 0.1 }));
 * ```
 *
 * @param folder The folder.
 * @param options Colors or gray, and how they are scaled.
 * @returns The images, their classes and files.
 * @throws {TypeError} If an option is unknown or has a wrong type.
 * @throws {RangeError} If there is no image, or a class without one. Reading throws if an image has
 * another size than the first, or its file is damaged.
 */
export function openPictures(folder: string, options: PictureOptions = {}): Pictures {
  const { channels, statistics, size } = readOptions("options", options, PICTURE);
  const fs = nodeFs("folder", folder);
  const entries = (path: string) => fs.readdirSync(path, { withFileTypes: true });
  const classes = entries(folder)
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
  const files: string[] = [], labels: number[] = [];
  for (const [label, name] of classes.entries()) {
    const found = entries(`${folder}/${name}`)
      .map((entry) => entry.name)
      .filter((file) => isPicture(file))
      .sort();
    if (found.length === 0) {
      throw new ArgumentRangeError(`${folder}/${name} must have a PNG or JPEG image`);
    }
    for (const file of found) {
      files.push(`${folder}/${name}/${file}`);
      labels.push(label);
    }
  }
  if (files.length === 0) {
    throw new ArgumentRangeError(
      `${folder} must have folders of PNG or JPEG images, one per class`,
    );
  }
  checkCounts(statistics, channels);
  const { height, width } = size === undefined
    ? readPicture(fs, files[0])
    : { height: size[0], width: size[1] };
  const length = channels * height * width;
  const read: Examples["read"] = (picks, to) => {
    for (const [i, pick] of picks.entries()) {
      const file = files[pick], found = readPicture(fs, file);
      const picture = size === undefined ? found : resized(found, size);
      if (picture.height !== height || picture.width !== width) {
        throw new ArgumentRangeError(
          `${file} must be ${height} x ${width} like ${
            files[0]
          }: it is ${picture.height} x ${picture.width}`,
        );
      }
      toPlanes(picture, channels, to.subarray(i * length, (i + 1) * length), statistics);
    }
  };
  const shape = [files.length, channels, height, width];
  return { x: { shape, read }, y: Int32Array.from(labels), classes, files };
}

function isPicture(file: string): boolean {
  return /\.(png|jpe?g)$/i.test(file) && !file.startsWith(".");
}

function readPicture(fs: NodeFs, file: string): DecodedPicture {
  try {
    return decodePicture(fs.readFileSync(file));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ArgumentRangeError(
      `${file} must be a PNG or JPEG image: ${reason}`,
      "INVALID_SIZE",
      { cause },
    );
  }
}

/**
 * Decodes a PNG or JPEG image; which of them it is, its first bytes tell.
 *
 * @example
 * ```ts ignore
 * import { decodePicture } from "@cnn-layers/cnn-layers/data";
 *
 * const { width, height, data } = decodePicture(await Deno.readFile("cat.jpg"));
 * ```
 *
 * @param bytes The file.
 * @returns The image.
 * @throws {TypeError} If the bytes are neither, have more than 8 bits per color, or parts that are not opaque.
 */
export function decodePicture(bytes: Uint8Array): DecodedPicture {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) {
    const { width, height, data } = decodeJpeg(bytes, { useTArray: true, formatAsRGBA: false });
    return { width, height, channels: 3, data };
  }
  if (bytes[0] !== 0x89 || bytes[1] !== 0x50) {
    throw new ArgumentTypeError("its first bytes are of neither");
  }
  const { width, height, channels, depth, data, palette } = decodePng(bytes, { checkCrc: true });
  if (depth !== 8 && !(depth < 8 && (palette !== undefined || channels === 1))) {
    throw new ArgumentTypeError(`it must have up to 8 bits per color: it has ${depth}`);
  }
  const numbers = unpackBits(Uint8Array.from(data), width * channels, height, depth);
  if (palette !== undefined) {
    const colors = palette[0].length;
    const pixels = Uint8Array.from(
      { length: numbers.length * colors },
      (_, i) => palette[numbers[Math.floor(i / colors)]][i % colors],
    );
    return opaque({ width, height, channels: colors, data: pixels });
  }
  const most = 2 ** depth - 1;
  return opaque({
    width,
    height,
    channels,
    data: depth === 8 ? numbers : numbers.map((value) => Math.round(value * 255 / most)),
  });
}

/** Numbers of 1, 2 or 4 bits, each row of which begins with a byte, as bytes. */
function unpackBits(data: Uint8Array, columns: number, rows: number, depth: number): Uint8Array {
  if (depth === 8) return data;
  const perByte = 8 / depth, rowBytes = Math.ceil(columns / perByte);
  if (data.length !== rowBytes * rows) return data;
  return Uint8Array.from({ length: columns * rows }, (_, i) => {
    const column = i % columns,
      byte = data[Math.floor(i / columns) * rowBytes + Math.floor(column / perByte)];
    return byte >> (8 - depth * (column % perByte + 1)) & (2 ** depth - 1);
  });
}

/** Refuses what has parts that one can see through. */
function opaque(picture: DecodedPicture): DecodedPicture {
  const { channels, data } = picture;
  if (channels % 2 === 1) return picture;
  for (let i = channels - 1; i < data.length; i += channels) {
    if (data[i] !== 255) {
      throw new ArgumentTypeError("it must be opaque: it has parts that are not");
    }
  }
  return picture;
}

/** How {@linkcode imageToTensor} reads an image. */
export interface ImageTensorOptions<D extends DType = DType> extends PictureOptions {
  /** The data type. Default: "float64". */
  readonly dtype?: D;
}

/**
 * A decoded image as a batch of one, for a net to predict.
 *
 * @example
 * ```ts
 * import { imageToTensor } from "@cnn-layers/cnn-layers/data";
 *
 * // One red pixel, as decodePicture gives it of a file.
 * const image = { width: 1, height: 1, channels: 3, data: Uint8Array.of(255, 0, 0) };
 * const { data, shape } = imageToTensor(image, { dtype: "float32" });
 * console.log(shape, data); // [1, 3, 1, 1] Float32Array [255, 0, 0]
 * ```
 *
 * @param image The image.
 * @param options Colors or gray, how they are scaled, the size, and the data type.
 * @returns The tensor, (1, channels, H, W): red, green and blue, or gray.
 * @throws {TypeError} If an option is unknown or has a wrong type.
 * @throws {RangeError} If there are not as many statistics as channels.
 */
export function imageToTensor<D extends DType = "float64">(
  image: DecodedPicture,
  options: ImageTensorOptions<D> = {},
): Tensor<ArrayOf<D>> {
  const { channels, statistics, size, dtype } = readOptions("options", options, {
    ...PICTURE,
    dtype: readDType,
  });
  checkCounts(statistics, channels);
  const picture = size === undefined ? image : resized(image, size);
  const result = zeros([1, channels, picture.height, picture.width], dtype as D);
  toPlanes(picture, channels, result.data, statistics);
  return result;
}

/** The options that say how images are read. */
const PICTURE = {
  channels: option(checkChannels, 3),
  statistics: option(checkStatistics),
  size: option(checkSize),
};

/** Checks that there is a mean and a deviation for each channel. */
function checkCounts(statistics: ChannelStatistics | undefined, channels: number): void {
  for (const [name, values] of Object.entries(statistics ?? {})) {
    if (values.length === channels) continue;
    throw new ArgumentRangeError(
      `statistics.${name} must hold ${channels} values: it holds ${values.length}`,
    );
  }
}

/** Writes an image plane by plane. Gray is the luma of ITU-R BT.601, as JPEG has it. */
function toPlanes(
  { width, height, channels: given, data }: DecodedPicture,
  channels: number,
  to: FloatArray,
  statistics: ChannelStatistics | undefined,
): void {
  const pixels = width * height, isGray = given < 3;
  for (let c = 0; c < channels; c++) {
    const mean = statistics?.mean[c] ?? 0, deviation = statistics?.deviation[c] || 1;
    for (let i = 0; i < pixels; i++) {
      const at = i * given;
      const value = isGray
        ? data[at]
        : channels === 3
        ? data[at + c]
        : 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
      to[c * pixels + i] = (value - mean) / deviation;
    }
  }
}

function checkSize(name: string, value: unknown): asserts value is readonly [number, number] {
  checkShape(name, value, 2);
  checkNonEmpty(name, value, 0);
}

function checkChannels(name: string, value: unknown): asserts value is 1 | 3 {
  checkType(value === 1 || value === 3, name, "be 1 or 3", value);
}

function checkStatistics(name: string, value: unknown): asserts value is ChannelStatistics {
  const { mean, deviation } = (isObject(value) ? value : {}) as Partial<ChannelStatistics>;
  checkType(
    Array.isArray(mean) && Array.isArray(deviation),
    name,
    "have mean and deviation",
    value,
  );
}
