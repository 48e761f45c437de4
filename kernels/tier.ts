/**
 * What a tier is: a partial table from operations to offers. What a tier does not name it refuses, so
 * that no field of a geometry or an epilogue can be ignored silently.
 *
 * @module
 */

import type { Epilogue } from "./epilogue.ts";
import type { AveragePoolKernel, KernelInfo, PoolKernel, Tier, WeightedKernel } from "./kernel.ts";
import type { AffineShape, AveragePoolShape, ConvShape, PoolShape } from "./shape.ts";
import type { DType } from "./tensor.ts";

/** Every operation that has kernels: its geometry, and what its kernels are. */
export interface Operations {
  readonly conv: { readonly shape: ConvShape; readonly kernel: WeightedKernel };
  readonly maxPool: { readonly shape: PoolShape; readonly kernel: PoolKernel };
  readonly averagePool: { readonly shape: AveragePoolShape; readonly kernel: AveragePoolKernel };
  readonly affine: { readonly shape: AffineShape; readonly kernel: WeightedKernel };
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

/** One tier: asked in order by select.ts. */
export interface KernelTier {
  readonly tier: Tier;
  readonly operations: { readonly [O in Operation]?: Offer<O> };
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
 * @param tier The tier.
 * @param operation The operation.
 * @param shape Its geometry.
 * @param dtype The number type.
 * @returns A kernel, or the reason why the tier does not serve this geometry.
 */
export function ask<O extends Operation>(
  { operations }: KernelTier,
  operation: O,
  shape: ShapeOf<O>,
  dtype: DType,
): Answer<KernelOf<O>> {
  const offer: Offer<O> | undefined = operations[operation];
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

/** Whether a tier's kernels of an operation understand an epilogue. */
export function finishes(
  { operations }: KernelTier,
  operation: Operation,
  epilogue: Epilogue,
): boolean {
  const known = operations[operation]?.epilogue;
  for (const field in epilogue) {
    const name = field as keyof Epilogue;
    if (epilogue[name] !== undefined && !known?.includes(name)) return false;
  }
  return true;
}
