/**
 * THE table of common configurations. The generator writes a kernel for each; tests and benches read
 * the same table.
 *
 * @module
 */

import {
  type ConvShape,
  convShape,
  type Family,
  type PoolShape,
  poolShape,
} from "../kernels/shape.ts";

/** An exact convolution: every size known, the batch alone free. */
export interface ConvConfig {
  /** Where the shape is common. */
  readonly from: string;
  /** Channels, height and width of the input. */
  readonly x: readonly [number, number, number];
  /** Filters, channels, height and width of the kernels. */
  readonly w: readonly [number, number, number, number];
  /** Step between windows. */
  readonly stride: number | readonly [number, number];
  /** Zeros around the input. */
  readonly pad: number | readonly [number, number] | readonly [number, number, number, number];
}

/** An exact max-pool: the plane known, the number of planes free. */
export interface PoolConfig {
  /** Where the shape is common. */
  readonly from: string;
  /** Height and width of the input. */
  readonly x: readonly [number, number];
  /** Height and width of the window. */
  readonly window: readonly [number, number];
  /** Step between windows. */
  readonly stride: number | readonly [number, number];
  /** Minus infinity around the input. */
  readonly pad: number | readonly [number, number] | readonly [number, number, number, number];
}

/** Exact convolutions. */
export const convConfigs: readonly ConvConfig[] = [
  { from: "CNN-Layers notebook", x: [3, 31, 31], w: [25, 3, 3, 3], stride: 2, pad: 1 },
  { from: "CNN-Layers notebook", x: [3, 16, 16], w: [3, 3, 3, 3], stride: 1, pad: 1 },
  { from: "CNN-Layers notebook", x: [3, 8, 8], w: [3, 3, 3, 3], stride: 1, pad: 1 },
  { from: "ThreeLayerConvNet, CIFAR-10", x: [3, 32, 32], w: [32, 3, 7, 7], stride: 1, pad: 3 },
  { from: "LeNet, MNIST", x: [1, 28, 28], w: [8, 1, 5, 5], stride: 1, pad: 2 },
  { from: "LeNet, MNIST", x: [8, 14, 14], w: [16, 8, 5, 5], stride: 1, pad: 2 },
  { from: "VGG and ResNet, 32 x 32", x: [3, 32, 32], w: [32, 3, 3, 3], stride: 1, pad: 1 },
  { from: "VGG and ResNet, 32 x 32", x: [32, 32, 32], w: [32, 32, 3, 3], stride: 1, pad: 1 },
  { from: "VGG and ResNet, 16 x 16", x: [32, 16, 16], w: [64, 32, 3, 3], stride: 1, pad: 1 },
  { from: "VGG and ResNet, 16 x 16", x: [64, 16, 16], w: [64, 64, 3, 3], stride: 1, pad: 1 },
  { from: "VGG and ResNet, 8 x 8", x: [64, 8, 8], w: [128, 64, 3, 3], stride: 1, pad: 1 },
  { from: "VGG and ResNet, 8 x 8", x: [128, 8, 8], w: [128, 128, 3, 3], stride: 1, pad: 1 },
  { from: "ResNet, 32 to 16", x: [32, 32, 32], w: [64, 32, 3, 3], stride: 2, pad: 1 },
  { from: "ResNet, 16 to 8", x: [64, 16, 16], w: [128, 64, 3, 3], stride: 2, pad: 1 },
];

/** The family of a square window. */
function family(K: number, stride: number): Family {
  return { KH: K, KW: K, strideY: stride, strideX: stride, dilationY: 1, dilationX: 1 };
}

/** Families of convolutions. */
export const convFamilies: readonly Family[] = [1, 3, 5, 7].flatMap((K) =>
  [1, 2].map((stride) => family(K, stride))
);

/** Exact max-pools. */
export const poolConfigs: readonly PoolConfig[] = [
  { from: "CNN-Layers notebook, CIFAR-10", x: [32, 32], window: [2, 2], stride: 2, pad: 0 },
  { from: "LeNet, MNIST", x: [28, 28], window: [2, 2], stride: 2, pad: 0 },
  { from: "VGG", x: [16, 16], window: [2, 2], stride: 2, pad: 0 },
  { from: "LeNet, MNIST", x: [14, 14], window: [2, 2], stride: 2, pad: 0 },
  { from: "VGG", x: [8, 8], window: [2, 2], stride: 2, pad: 0 },
];

/** Families of max-pools. */
export const poolFamilies: readonly Family[] = [
  family(2, 1),
  family(2, 2),
  family(3, 1),
  family(3, 2),
  family(3, 3),
];

/** The geometry of a table's convolution. */
export function convConfigShape({ x, w, stride, pad }: ConvConfig): ConvShape {
  return convShape([1, ...x], w, { stride, pad });
}

/** The geometry of a table's max-pool, for one plane. */
export function poolConfigShape({ x, window, stride, pad }: PoolConfig): PoolShape {
  const [poolHeight, poolWidth] = window;
  return poolShape([1, 1, ...x], { poolHeight, poolWidth, stride, pad });
}
