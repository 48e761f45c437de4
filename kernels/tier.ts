/**
 * What a tier is: offers for some operations, each exported by the tier's own module under the
 * operation's name. What an offer does not name it refuses, so that no field of a geometry or an
 * epilogue can be ignored silently.
 *
 * @module
 */

import type { Epilogue } from "./epilogue.ts";
import type {
  AveragePoolKernel,
  KernelInfo,
  MapKernel,
  NormKernel,
  PoolKernel,
  WeightedKernel,
} from "./kernel.ts";
import type { MapShape } from "./map.ts";
import type { AffineShape, AveragePoolShape, ConvShape, NormShape, PoolShape } from "./shape.ts";
import type { DType } from "./tensor.ts";

/** Every operation that has kernels: its geometry, and what its kernels are. */
export interface Operations {
  readonly conv: { readonly shape: ConvShape; readonly kernel: WeightedKernel };
  readonly maxPool: { readonly shape: PoolShape; readonly kernel: PoolKernel };
  readonly averagePool: { readonly shape: AveragePoolShape; readonly kernel: AveragePoolKernel };
  readonly affine: { readonly shape: AffineShape; readonly kernel: WeightedKernel };
  readonly map: { readonly shape: MapShape; readonly kernel: MapKernel };
  readonly norm: { readonly shape: NormShape; readonly kernel: NormKernel };
}

/** The name of an operation. */
export type Operation = keyof Operations;

/** The geometry of an operation. */
export type ShapeOf<O extends Operation> = Operations[O]["shape"];

/** The kernel of an operation. */
export type KernelOf<O extends Operation> = Operations[O]["kernel"];

/** A tier's answer for one shape: a kernel, or none, and why. */
export interface Answer<K extends KernelInfo> {
  /** The kernel; undefined if the tier does not serve this shape. */
  readonly kernel?: K;
  /** Why this kernel, or why none. */
  readonly reason: string;
}

/** What a tier offers for one operation. */
export interface Offer<O extends Operation> {
  /** Fields of the geometry that it understands beyond the plain ones. */
  readonly fields?: readonly string[];
  /** Fields of an epilogue that it understands. */
  readonly epilogue?: readonly (keyof Epilogue)[];
  /** A kernel for a geometry and dtype, or why there is none. */
  plan(shape: ShapeOf<O>, dtype: DType): Answer<KernelOf<O>>;
}

/** The offers for one operation, by tier. naive serves everything, so that something always does. */
export interface Offers<O extends Operation> {
  readonly operation: O;
  readonly simd?: Offer<O>;
  readonly generated?: Offer<O>;
  readonly naive: Offer<O>;
}

/** Fields that every offer understands. */
const PLAIN = new Set(
  "C H W F KH KW D M strideY strideX padTop padLeft padBottom padRight OH OW".split(" "),
);

/** What fields say that mean nothing special; any other field is special whatever it says. */
const NEUTRAL: Readonly<Record<string, unknown>> = { dilationY: 1, dilationX: 1, groups: 1 };

/**
 * Asks a tier for a kernel.
 *
 * @param offer What the tier offers for the operation; undefined if nothing.
 * @param shape The operation's geometry.
 * @param dtype The data type.
 * @returns A kernel, or the reason why the tier does not serve this geometry.
 */
export function ask<O extends Operation>(
  offer: Offer<O> | undefined,
  shape: ShapeOf<O>,
  dtype: DType,
): Answer<KernelOf<O>> {
  if (offer === undefined) return { reason: `no kernels for this operation` };
  const special = Object.entries(shape).filter(([field, value]) =>
    !PLAIN.has(field) && !offer.fields?.includes(field) &&
    !(field in NEUTRAL && NEUTRAL[field] === value)
  );
  if (special.length === 0) return offer.plan(shape, dtype);
  return {
    reason: `does not serve ${special.map(([key, value]) => `${key} ${value}`).join(", ")}`,
  };
}

/** Whether an offer's kernels understand an epilogue. */
export function finishes<O extends Operation>(
  offer: Offer<O> | undefined,
  epilogue: Epilogue,
): boolean {
  for (const field in epilogue) {
    const name = field as keyof Epilogue;
    if (epilogue[name] !== undefined && !offer?.epilogue?.includes(name)) return false;
  }
  return true;
}
