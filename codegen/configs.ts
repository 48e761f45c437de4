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
  familyLabel,
  type PoolShape,
  poolShape,
} from "../kernels/shape.ts";
import type { ConvWindow } from "./schedule.ts";

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

/**
 * Exact convolutions, for the nets that everyone runs first, where forward gains 10 % or more on the
 * family. Elsewhere the family serves: an exact kernel would gain less than 15 % over its three passes on
 * the layers of VGG and ResNet, and nothing on 5x5 kernels of one channel and on 7x7 kernels.
 */
export const convConfigs: readonly ConvConfig[] = [
  { from: "CNN-Layers notebook", x: [3, 31, 31], w: [25, 3, 3, 3], stride: 2, pad: 1 },
  { from: "CNN-Layers notebook", x: [3, 16, 16], w: [3, 3, 3, 3], stride: 1, pad: 1 },
  { from: "CNN-Layers notebook", x: [3, 8, 8], w: [3, 3, 3, 3], stride: 1, pad: 1 },
  { from: "LeNet, MNIST", x: [8, 14, 14], w: [16, 8, 5, 5], stride: 1, pad: 2 },
];

/** The family of a square window. */
function family(K: number, stride: number, dilation = 1): Family {
  return {
    KH: K,
    KW: K,
    strideY: stride,
    strideX: stride,
    dilationY: dilation,
    dilationX: dilation,
  };
}

/** Families of convolutions. */
export const convFamilies: readonly ConvWindow[] = [
  ...[1, 3, 5, 7].flatMap((K) => [1, 2].map((stride) => family(K, stride))),
  ...[1, 2].map((stride) => ({ ...family(3, stride), depthwise: true })),
  family(3, 1, 2),
];

/** Exact max-pools, where they gain 10 % on their families. */
export const poolConfigs: readonly PoolConfig[] = [
  { from: "CNN-Layers notebook, CIFAR-10", x: [32, 32], window: [2, 2], stride: 2, pad: 0 },
  { from: "LeNet, MNIST", x: [28, 28], window: [2, 2], stride: 2, pad: 0 },
  { from: "LeNet, MNIST", x: [14, 14], window: [2, 2], stride: 2, pad: 0 },
];

/** Families of max-pools. */
export const poolFamilies: readonly Family[] = [
  family(2, 1),
  family(2, 2),
  family(3, 1),
  family(3, 2),
  family(3, 3),
];

/** Families of average pools. */
export const averagePoolFamilies: readonly Family[] = [family(2, 2)];

/** The label of a family of convolutions: `3x3-s1`, `3x3-s1-depthwise`. */
export function convFamilyLabel(window: ConvWindow): string {
  return familyLabel(window) + (window.depthwise ? "-depthwise" : "");
}

/** A row of a table of exact kernels, as the kernel's comment says it. */
export function rowLabel(table: string, { from, ...sizes }: ConvConfig | PoolConfig): string {
  const words = Object.entries(sizes).map(([name, value]) => `${name} ${value}`);
  return `${table}, ${from}: ${words.join("; ")}`;
}

/** The geometry of a table's convolution. */
export function convConfigShape({ x, w, stride, pad }: ConvConfig): ConvShape {
  return convShape([1, ...x], w, { stride, pad });
}

/** The geometry of a table's max-pool, for one plane. */
export function poolConfigShape({ x, window, stride, pad }: PoolConfig): PoolShape {
  const [poolHeight, poolWidth] = window;
  return poolShape([1, 1, ...x], { poolHeight, poolWidth, stride, pad });
}
