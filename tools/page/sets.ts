/**
 * The images that the page brings along, made of those that npm carries: one manifest and some gzip
 * files for each set, as page/data/manifest.ts says.
 *
 * @module
 */

import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { readFashionBytes } from "../../examples/lib/fashion.ts";
import { readMnistBytes, SIDE, type Split } from "../../examples/lib/mnist.ts";
import type { Manifest, Piece } from "../../page/data/manifest.ts";

/** Images of the first piece, and of each that follows. */
const FIRST = 6000, FOLLOWING = 7000;

/** Images that the page validates on. */
const VALIDATION = 2000;

/** Bytes of an image. */
const SIZE = SIDE * SIDE;

interface Source extends Pick<Manifest, "name" | "about"> {
  readonly read: (limit: number) => Promise<Split>;
}

const SOURCES: Readonly<Record<string, Source>> = {
  mnist: {
    name: "MNIST",
    about: "handwritten digits",
    read: (limit) => readMnistBytes(undefined, limit),
  },
  fashion: { name: "Fashion-MNIST", about: "pieces of clothing", read: readFashionBytes },
};

/** The sets that there are. */
export const SET_NAMES: readonly string[] = Object.keys(SOURCES);

/**
 * Writes a set's files.
 *
 * @param folder The folder, which is there.
 * @param id Which set.
 * @param limit At most this many images to train on.
 */
export async function writeSet(folder: string, id: string, limit = Infinity): Promise<void> {
  const { name, about, read } = SOURCES[id];
  const { train, validation, classes, scale } = await read(limit);
  const write = async (file: string, ...parts: Uint8Array<ArrayBuffer>[]): Promise<string> => {
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
    await Deno.writeFile(join(folder, file), gzipSync(bytes, { level: 6 }));
    return file;
  };
  const piece = async (file: string, images: Uint8Array, from: number, to: number) => {
    const bytes = Uint8Array.from(images.subarray(from * SIZE, to * SIZE));
    return { file: await write(file, bytes), count: bytes.length / SIZE };
  };
  const count = train.labels.length, pieces: Piece[] = [];
  for (let from = 0, to = FIRST; from < count; from = to, to += FOLLOWING) {
    pieces.push(await piece(`${id}-${pieces.length}.bin`, train.images, from, to));
  }
  const valLabels = Uint8Array.from(validation.labels.subarray(0, VALIDATION));
  const manifest: Manifest = {
    ...{ id, name, about, classes, shape: [1, SIDE, SIDE] },
    mean: [scale.mean * 255],
    deviation: [scale.deviation * 255],
    labels: await write(`${id}-labels.bin`, valLabels, Uint8Array.from(train.labels)),
    validation: await piece(`${id}-validation.bin`, validation.images, 0, VALIDATION),
    train: pieces,
  };
  // Last, so that a set that has a manifest is whole.
  await Deno.writeTextFile(join(folder, `${id}.json`), JSON.stringify(manifest));
}
