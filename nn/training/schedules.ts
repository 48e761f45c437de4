/**
 * Learning-rate schedules: plain functions from how far a training run is to a factor.
 *
 * @module
 */

import { checkType, checkWithin } from "../../kernels/check.ts";
import { option, readOptions, within } from "../checks.ts";
import { power, sin } from "../../kernels/elementary.ts";

/**
 * What the learning rate is multiplied by when a training run is `progress` of its way: from 0 at the first
 * iteration up to, but not including, 1.
 */
export type Schedule = (progress: number) => number;

/** The start of a schedule. */
export interface WarmupOptions {
  /** The part of the training run in which the factor rises in a line from nearly 0. Default: 0. */
  readonly warmup?: number;
}

/** How {@linkcode cosineSchedule} falls. */
export interface CosineOptions extends WarmupOptions {
  /** The factor at the end. Default: 0. */
  readonly floor?: number;
}

/** How {@linkcode stepSchedule} falls. */
export interface StepOptions extends WarmupOptions {
  /** Where it falls, as parts of the training run. Default: [0.5, 0.75]. */
  readonly at?: readonly number[];
  /** What each step multiplies the learning rate by. Default: 0.1. */
  readonly factor?: number;
}

/**
 * Half a cosine wave from 1 down to a floor. Source: Loshchilov and Hutter, "SGDR" (2017), without restarts.
 *
 * @example
 * ```ts
 * import { cosineSchedule } from "@cnn-layers/cnn-layers";
 *
 * const schedule = cosineSchedule({ warmup: 0.1 });
 * if (schedule(0.05) !== 0.5 || schedule(0.1) !== 1) throw new Error("not warmed up");
 * ```
 *
 * @param options Warm-up and floor.
 * @returns The schedule.
 * @throws {TypeError} If an option is unknown, or not a number.
 * @throws {RangeError} If an option is not within 0 and 1.
 */
export function cosineSchedule(options: CosineOptions = {}): Schedule {
  const { warmup, floor } = readOptions("options", options, {
    warmup: option(share, 0),
    floor: option(share, 0),
  });
  return (progress) => {
    if (progress < warmup) return progress / warmup;
    const fallen = (progress - warmup) / (1 - warmup);
    return floor + (1 - floor) * halfCosine(fallen);
  };
}

/**
 * A constant that falls at a few points.
 *
 * @example
 * ```ts
 * import { stepSchedule } from "@cnn-layers/cnn-layers";
 *
 * const schedule = stepSchedule({ at: [0.5], factor: 0.1 });
 * if (schedule(0.49) !== 1 || schedule(0.5) !== 0.1) throw new Error("no step");
 * ```
 *
 * @param options Warm-up, where it falls, and by how much.
 * @returns The schedule.
 * @throws {TypeError} If an option is unknown, or has a wrong type.
 * @throws {RangeError} If an option is not within 0 and 1.
 */
export function stepSchedule(options: StepOptions = {}): Schedule {
  const { warmup, at, factor } = readOptions("options", options, {
    warmup: option(share, 0),
    at: option(checkShares, [0.5, 0.75]),
    factor: option(share, 0.1),
  });
  return (progress) => {
    if (progress < warmup) return progress / warmup;
    return power(factor, at.filter((part) => progress >= part).length);
  };
}

/** The corners of {@linkcode triangularSchedule}. */
export interface TriangularOptions {
  /** The factor at the first iteration. Default: 0. */
  readonly start?: number;
  /** Where it is 1, as a part of the training run. Default: 0.25. */
  readonly peak?: number;
  /** The factor at the end. Default: 0. */
  readonly end?: number;
}

/**
 * A line up to 1, and a line down. Source: Smith and Topin, "Super-Convergence" (2018), without its tail.
 *
 * @example
 * ```ts
 * import { triangularSchedule } from "@cnn-layers/cnn-layers";
 *
 * const schedule = triangularSchedule({ start: 0.2, peak: 0.5 });
 * if (schedule(0) !== 0.2 || schedule(0.5) !== 1) throw new Error("no triangle");
 * ```
 *
 * @param options Its corners.
 * @returns The schedule.
 * @throws {TypeError} If an option is unknown, or not a number.
 * @throws {RangeError} If an option is not within 0 and 1.
 */
export function triangularSchedule(options: TriangularOptions = {}): Schedule {
  const { start, peak, end } = readOptions("options", options, {
    start: option(share, 0),
    peak: option(share, 0.25),
    end: option(share, 0),
  });
  return (progress) => {
    if (progress < peak) return start + (1 - start) * (progress / peak);
    return progress > peak ? 1 - (1 - end) * ((progress - peak) / (1 - peak)) : 1;
  };
}

/** (1 + cos(pi t)) / 2 for t from 0 to 1, as 1 - sin(pi t / 2)^2. */
function halfCosine(t: number): number {
  const sine = sin(Math.PI / 2 * Math.min(t, 1 - t));
  return t < 0.5 ? 1 - sine * sine : sine * sine;
}

const share = within(0, 1);

function checkShares(name: string, value: unknown): asserts value is readonly number[] {
  checkType(Array.isArray(value), name, "be an array", value);
  for (const [i, part] of value.entries()) checkWithin(`${name}[${i}]`, part, 0, 1);
}
