/**
 * Data sets in files: pictures in folders. An entry point of its own, as it needs packages.
 *
 * @module
 */

export type { DecodedPicture, PictureOptions, Pictures } from "./pictures.ts";
export { decodePicture, openPictures } from "./pictures.ts";
export type { FloatArray } from "../kernels/tensor.ts";
export type { Examples } from "../nn/data/examples.ts";
export type { ChannelStatistics } from "../nn/data/split.ts";
