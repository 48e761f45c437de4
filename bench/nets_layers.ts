/**
 * The layers of well-known nets, as workloads: convolutions, pools and fully-connected layers, each shape
 * once a net.
 *
 * @module
 */

import { affine, conv, depthwise, pool, type Workload } from "./peers/peer.ts";

/** A layer of a net, and the batch sizes that it is timed at. */
export interface NetLayer {
  readonly net: string;
  /** Its images are one; makeJob takes another number. */
  readonly workload: Workload;
  readonly batches: readonly number[];
}

/** Channels in and out, rows and columns, and the kernel of a convolution. */
type Conv = readonly [C: number, F: number, size: number, K: number, stride?: number, pad?: number];

const BATCHES = [1, 8] as const;
const AFFINE_BATCHES = [1, 8, 32, 128, 512] as const;

function convs(net: string, layers: readonly Conv[], batches: readonly number[]): NetLayer[] {
  return layers.map(([C, F, size, K, stride = 1, pad = K >> 1]) => {
    const step = stride > 1 ? ` s${stride}` : "";
    const name = `${net}: ${C}x${size}x${size} to ${F}, ${K}x${K}${step}`;
    const workload = conv(name, [1, C, size, size], [F, C, K, K], { stride, pad });
    return { net, workload, batches };
  });
}

/** Depthwise convolutions: channels, rows and columns, kernel, stride. */
function depthwises(net: string, layers: readonly (readonly number[])[]): NetLayer[] {
  return layers.map(([C, size, K, stride]) => {
    const name = `${net}: ${C}x${size}x${size} depthwise, ${K}x${K}${stride > 1 ? " s2" : ""}`;
    return { net, workload: depthwise(name, [1, C, size, size], K, stride), batches: BATCHES };
  });
}

/** Max-pools: channels, rows and columns, window, stride, padding. */
function pools(net: string, layers: readonly (readonly number[])[]): NetLayer[] {
  return layers.map(([C, size, window, stride, pad]) => {
    const name = `${net}: ${C}x${size}x${size} max pool ${window}x${window}`;
    const workload = pool(name, "maxPool", [1, C, size, size], window, stride, pad);
    return { net, workload, batches: BATCHES };
  });
}

/** Fully-connected layers: inputs and outputs. */
function affines(
  net: string,
  layers: readonly (readonly [D: number, M: number])[],
  batches: readonly number[] = AFFINE_BATCHES,
): NetLayer[] {
  return layers.map(([D, M]) => {
    const workload = affine(`${net}: fully connected, ${D} to ${M}`, 1, D, M);
    return { net, workload, batches };
  });
}

/** Every layer. */
export const netLayers: readonly NetLayer[] = [
  ...convs("fast", [
    [3, 24, 32, 2, 1, 0],
    [24, 64, 31, 3],
    [64, 64, 15, 3],
    [64, 256, 15, 3],
    [256, 256, 7, 3],
    [256, 256, 3, 3],
  ], [1, 8, 200]),
  ...convs("vgg16", [
    [3, 64, 224, 3],
    [64, 64, 224, 3],
    [64, 128, 112, 3],
    [128, 128, 112, 3],
    [128, 256, 56, 3],
    [256, 256, 56, 3],
    [256, 512, 28, 3],
    [512, 512, 28, 3],
    [512, 512, 14, 3],
  ], BATCHES),
  ...pools("vgg16", [
    [64, 224, 2, 2, 0],
    [128, 112, 2, 2, 0],
    [256, 56, 2, 2, 0],
    [512, 28, 2, 2, 0],
    [512, 14, 2, 2, 0],
  ]),
  ...affines("vgg16", [[25088, 4096]], BATCHES),
  ...affines("vgg16", [[4096, 4096], [4096, 1000]]),
  ...convs("resnet18", [
    [3, 64, 224, 7, 2],
    [64, 64, 56, 3],
    [64, 128, 56, 3, 2],
    [64, 128, 56, 1, 2],
    [128, 128, 28, 3],
    [128, 256, 28, 3, 2],
    [128, 256, 28, 1, 2],
    [256, 256, 14, 3],
    [256, 512, 14, 3, 2],
    [256, 512, 14, 1, 2],
    [512, 512, 7, 3],
  ], BATCHES),
  ...pools("resnet18", [[64, 112, 3, 2, 1]]),
  ...affines("resnet18", [[512, 1000]]),
  ...convs("resnet50", [[64, 256, 56, 1], [128, 128, 56, 3, 2]], BATCHES),
  ...convs("alexnet", [[3, 64, 224, 11, 4, 2]], BATCHES),
  ...convs("squeezenet", [
    [3, 64, 224, 3, 2, 0],
    [64, 16, 55, 1],
    [16, 64, 55, 1],
    [16, 64, 55, 3],
    [128, 16, 55, 1],
    [128, 32, 27, 1],
    [32, 128, 27, 1],
    [32, 128, 27, 3],
    [256, 32, 27, 1],
    [256, 48, 13, 1],
    [48, 192, 13, 1],
    [48, 192, 13, 3],
    [384, 48, 13, 1],
    [384, 64, 13, 1],
    [64, 256, 13, 1],
    [64, 256, 13, 3],
    [512, 64, 13, 1],
    [512, 1000, 13, 1],
  ], BATCHES),
  ...pools("squeezenet", [[64, 111, 3, 2, 0], [128, 55, 3, 2, 0], [256, 27, 3, 2, 0]]),
  ...convs("mobilenet2", [
    [3, 32, 224, 3, 2],
    [32, 16, 112, 1],
    [16, 96, 112, 1],
    [96, 24, 56, 1],
    [24, 144, 56, 1],
    [144, 24, 56, 1],
    [144, 32, 28, 1],
    [32, 192, 28, 1],
    [192, 32, 28, 1],
    [192, 64, 14, 1],
    [64, 384, 14, 1],
    [384, 64, 14, 1],
    [384, 96, 14, 1],
    [96, 576, 14, 1],
    [576, 96, 14, 1],
    [576, 160, 7, 1],
    [160, 960, 7, 1],
    [960, 160, 7, 1],
    [960, 320, 7, 1],
    [320, 1280, 7, 1],
  ], BATCHES),
  ...depthwises("mobilenet2", [
    [32, 112, 3, 1],
    [96, 112, 3, 2],
    [144, 56, 3, 1],
    [144, 56, 3, 2],
    [192, 28, 3, 1],
    [192, 28, 3, 2],
    [384, 14, 3, 1],
    [576, 14, 3, 1],
    [576, 14, 3, 2],
    [960, 7, 3, 1],
  ]),
  ...affines("mobilenet2", [[1280, 1000]]),
  ...convs("efficientnet", [
    [144, 40, 28, 1],
    [40, 240, 28, 1],
    [240, 40, 28, 1],
    [240, 80, 14, 1],
    [80, 480, 14, 1],
    [480, 80, 14, 1],
    [480, 112, 14, 1],
    [112, 672, 14, 1],
    [672, 112, 14, 1],
    [672, 192, 7, 1],
    [192, 1152, 7, 1],
    [1152, 192, 7, 1],
    [1152, 320, 7, 1],
  ], BATCHES),
  ...depthwises("efficientnet", [
    [144, 56, 5, 2],
    [240, 28, 5, 1],
    [240, 28, 3, 2],
    [480, 14, 3, 1],
    [480, 14, 5, 1],
    [672, 14, 5, 1],
    [672, 14, 5, 2],
    [1152, 7, 5, 1],
    [1152, 7, 3, 1],
  ]),
];
