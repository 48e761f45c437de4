/**
 * Operations element by element: each output comes from the values at the same place of the inputs.
 *
 * A map is defined twice: by a loop, which is the naive tier's and what proves the other, and for the
 * SIMD tier as steps on several values at once. The loop computes in float64 and rounds what it stores; the
 * steps do the same under reproducible arithmetic, and else may compute in float32.
 *
 * @module
 */

import type { Lanes, Value } from "./simd/lanes.ts";
import type { DType, FloatArray } from "./tensor.ts";

/** What a map does with an array: arrays that it writes have the length of those that it reads. */
export type Access = "read" | "write" | "both";

/** Places whose sums are taken by themselves: a map's sums are those of such blocks, added in their order. */
export const SUM_BLOCK = 8192;

/** One operation element by element. */
export interface NumberMap {
  /** Its name, for example "gelu". */
  readonly name: string;
  /** What it does with each of its arrays. */
  readonly arrays: readonly Access[];
  /** How many settings it has: numbers that are the same for all places. Default: 0. */
  readonly settings?: number;
  /**
   * How many sums over all places it has, of terms in float64; such a map is not narrow. Where every array that
   * is read holds 0, the terms are 0. Default: 0.
   */
  readonly sums?: number;
  /**
   * The definition.
   *
   * @param arrays The arrays; one block of them, if there are sums.
   * @param settings The settings.
   * @param sums What it adds its sums to, each made of two: the terms of even places, and of odd ones.
   */
  loop(arrays: readonly FloatArray[], settings: readonly number[], sums: number[]): void;
  /** The data type that {@linkcode NumberMap.lanes} is precise enough for. Default: both. */
  readonly only?: DType;
  /**
   * Whether lanes of float32 are precise enough for float32 arrays, if results need not be reproducible.
   * Default: false, lanes are float64.
   */
  readonly narrow?: boolean;
  /**
   * The same on lanes of float64, or of what the arrays hold if that is precise enough.
   *
   * @param lanes Writes the steps.
   * @param inputs The arrays that are read, in order.
   * @param settings The settings.
   * @returns The arrays that are written, in order, and then the terms of the sums.
   */
  lanes(lanes: Lanes, inputs: readonly Value[], settings: readonly Value[]): readonly Value[];
}

/** A map as the geometry of an operation: the number tells two maps apart. */
export interface MapShape {
  readonly map: NumberMap;
  readonly number: number;
}

let count = 0;

/** Makes a map the geometry of an operation. Calls are marked as pure, so that bundlers leave out unused ones. */
export function mapShape(map: NumberMap): MapShape {
  return { map, number: count++ };
}
