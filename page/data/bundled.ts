/**
 * The sets that the page brings along. Training begins with the first piece; the others come meanwhile.
 *
 * @module
 */

import { type ImageSet, sharedBytes } from "./image_set.ts";
import { type Manifest, type Piece, SETS_FOLDER } from "./manifest.ts";

/** A set that may still be coming. */
export interface BundledSet {
  readonly set: ImageSet;
  /** How many of the images to train on are there so far. */
  readonly arrived: number;
  /**
   * Loads the rest. Until then copies of images that are there stand in its place, of the same classes.
   *
   * @param onArrival Called with how many are there.
   */
  loadRest(onArrival: (arrived: number) => void): Promise<void>;
}

/**
 * Loads the beginning of a set.
 *
 * @param id Which one.
 * @returns The set, with its first piece.
 * @throws {Error} If a file cannot be fetched.
 */
export async function openBundled(id: string): Promise<BundledSet> {
  const manifest: Manifest = await (await fetched(`${id}.json`)).json();
  const { name, classes, shape, mean, deviation, labels, validation, train } = manifest;
  const [first, ...rest] = train, size = shape.reduce((product, side) => product * side);
  const count = train.reduce((sum, piece) => sum + piece.count, 0);
  const xTrain = sharedBytes(count * size), xVal = sharedBytes(validation.count * size);
  const [y] = await Promise.all([
    unpacked(labels, validation.count + count),
    imagesOf(validation).then((images) => xVal.set(images)),
    imagesOf(first).then((images) => xTrain.set(images)),
  ]);
  const yTrain = y.subarray(validation.count);
  fillByClass(xTrain, yTrain, first.count);

  /** The images of a piece. */
  function imagesOf({ file, count }: Piece): Promise<Uint8Array> {
    return unpacked(file, count * size);
  }

  return {
    set: {
      ...{ id, name, classes, shape, statistics: { mean, deviation } },
      xTrain: { data: xTrain, shape: [count, ...shape] },
      yTrain,
      xVal: { data: xVal, shape: [validation.count, ...shape] },
      yVal: y.subarray(0, validation.count),
    },
    arrived: first.count,
    async loadRest(onArrival) {
      let arrived = first.count;
      for (const piece of rest) {
        xTrain.set(await imagesOf(piece), arrived * size);
        arrived += piece.count;
        onArrival(arrived);
      }
    },
  };
}

/** Puts an image of the same class, from among the first ones, where an image is still missing. */
function fillByClass(images: Uint8Array, labels: Uint8Array, known: number): void {
  const size = images.length / labels.length, byClass = new Map<number, number[]>();
  for (let n = 0; n < known; n++) {
    const found = byClass.get(labels[n]);
    if (found === undefined) byClass.set(labels[n], [n]);
    else found.push(n);
  }
  for (let n = known; n < labels.length; n++) {
    const candidates = byClass.get(labels[n]);
    if (candidates === undefined) continue;
    const from = candidates[n % candidates.length] * size;
    images.copyWithin(n * size, from, from + size);
  }
}

/** The bytes that a file was packed from. */
async function unpacked(file: string, length: number): Promise<Uint8Array> {
  const { body } = await fetched(file);
  const stream = body!.pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  if (bytes.length === length) return bytes;
  throw new Error(`${file} must have ${length} bytes: it has ${bytes.length}`);
}

async function fetched(file: string): Promise<Response> {
  const url = new URL(`${SETS_FOLDER}/${file}`, document.baseURI);
  const response = await fetch(url).catch(() => undefined);
  if (response?.ok && response.body !== null) return response;
  const why = response === undefined ? "there is no connection" : `it answers ${response.status}`;
  throw new Error(`${url.pathname} cannot be loaded: ${why}`);
}
