/**
 * Data sets in files: images in folders, and IDX files such as MNIST's. A separate entry point, as it
 * needs packages. What takes bytes runs in browsers too; folders need a file system.
 *
 * @module
 */

export type { IdxArray, IdxNumbers, LabelledImages, MnistOptions } from "./idx.ts";
export { decodeIdx, decodeMnist } from "./idx.ts";

export type { DecodedPicture, ImageTensorOptions, PictureOptions, Pictures } from "./pictures.ts";
export { decodePicture, imageToTensor, openPictures } from "./pictures.ts";
export type { FloatArray } from "../kernels/tensor.ts";
export type { ArrayOf, DType, Tensor } from "../nn/tensor.ts";
export type { ByteTensor, Examples, ImageArray, Images, ImageType } from "../nn/data/examples.ts";
export type { ChannelStatistics } from "../nn/data/split.ts";
