/**
 * How the page's own images are stored: a manifest for each set, and pieces that it names.
 *
 * Files are packed with gzip: images as bytes, plane by plane, and labels, a byte each.
 *
 * @module
 */

/** One file of images. */
export interface Piece {
  /** Its name, beside the manifest. */
  readonly file: string;
  /** How many images it holds. */
  readonly count: number;
}

/** A set of images. */
export interface Manifest {
  /** What files and addresses call it. */
  readonly id: string;
  /** What people call it. */
  readonly name: string;
  /** What the images show, in a few words. */
  readonly about: string;
  /** The names of the classes, by label. */
  readonly classes: readonly string[];
  /** The shape of an image, (C, H, W). */
  readonly shape: readonly [C: number, H: number, W: number];
  /** The mean of each channel, on the scale of bytes. */
  readonly mean: readonly number[];
  /** The standard deviation of each channel, on the scale of bytes. */
  readonly deviation: readonly number[];
  /** The file of all labels: of the images to validate on, then of those to train on. */
  readonly labels: string;
  /** Images to validate on. */
  readonly validation: Piece;
  /** Images to train on. The first piece is small, so that training begins at once. */
  readonly train: readonly Piece[];
}

/** The folder of the manifests, beside the page. */
export const SETS_FOLDER = "sets";
