/**
 * Data sets in files: pictures in folders. An entry point of its own, as it needs packages.
 *
 * @module
 */

export type { DecodedPicture, PictureOptions, Pictures } from "./pictures.ts";
export { decodePicture, openPictures } from "./pictures.ts";
