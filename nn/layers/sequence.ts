/**
 * Sequences (N, C, L) as images of one row, (N, C, 1, L): how the 1-d layers run. Messages about a window
 * that does not fit show the sizes of images.
 *
 * @module
 */

import type { Pad } from "../../kernels/shape.ts";
import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkType, checkWhole } from "../../kernels/check.ts";

/** Padding of a sequence: one number, [left, right], "valid" (none) or "same", as for images. */
export type Pad1d = number | readonly [left: number, right: number] | "same" | "valid";

/** Reads a size or a step that must be given. */
export function readSize(name: string, size: unknown): number {
  checkWhole(name, size, 1);
  return size;
}

/** Reads a step or a count. Default: 1. */
export function readStep(name: string, step: unknown = 1): number {
  return readSize(name, step);
}

/** Reads padding. Default: 0. Arrays are copied. */
export function readPad1d(name: string, pad: unknown = 0): Pad1d {
  if (typeof pad === "number") {
    checkWhole(name, pad, 0);
    return pad;
  }
  const expected = 'be a number, [left, right], "same" or "valid"';
  const right = pad === "same" || pad === "valid" || Array.isArray(pad) && pad.length === 2;
  checkType(right, name, expected, pad);
  if (!Array.isArray(pad)) return pad;
  for (const [i, side] of pad.entries()) checkWhole(`${name}[${i}]`, side, 0);
  return [pad[0], pad[1]];
}

/** A sequence's padding as an image's. */
export function rowPad(pad: Pad1d): Pad {
  if (typeof pad === "string") return pad;
  return typeof pad === "number" ? [0, pad] : [0, pad[0], 0, pad[1]];
}

/** A sequence, or 1-d filters, as an image of one row. */
export function asRow<A extends FloatArray>({ data, shape }: Tensor<A>): Tensor<A> {
  return { data, shape: rowShape(shape) };
}

/** A sequence's shape as an image's. */
export function rowShape([N, C, L]: readonly number[]): readonly number[] {
  return [N, C, 1, L];
}

/** An image of one row as a sequence. */
export function asSequence<A extends FloatArray>({ data, shape }: Tensor<A>): Tensor<A> {
  return { data, shape: [shape[0], shape[1], shape[3]] };
}
