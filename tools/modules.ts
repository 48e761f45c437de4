/**
 * The WebAssembly that a SIMD kernel assembles for one call of a pass.
 *
 * @module
 */

import { ArgumentRangeError } from "../kernels/errors.ts";
import type { AveragePoolShape, ConvShape, PoolShape } from "../kernels/shape.ts";
import * as simdTier from "../kernels/simd/tier.ts";
import type { DType } from "../kernels/tensor.ts";
import { ask, type KernelOf, type Offer, type Operation, type ShapeOf } from "../kernels/tier.ts";
import { newArray } from "../nn/tensor.ts";

/** An operation with windows, and its geometry. */
export type Geometry =
  | { readonly operation: "conv"; readonly shape: ConvShape }
  | { readonly operation: "maxPool"; readonly shape: PoolShape }
  | { readonly operation: "averagePool"; readonly shape: AveragePoolShape };

/** Which of a kernel's passes. */
export type Direction = "forward" | "dx" | "dw";

/** A call of a kernel. */
export interface KernelCall {
  /** Images of the call. */
  readonly images: number;
  readonly dtype: DType;
  readonly direction: Direction;
  /** Whether a convolution's relu follows forward. Default: false. */
  readonly relu?: boolean;
}

/**
 * The modules that a call of a SIMD kernel compiles: it runs, on zeros.
 *
 * @param geometry What is computed.
 * @param call How it is called.
 * @returns The kernel's name, and the bytes of each module.
 * @throws {RangeError} If the tier does not serve the geometry, or the operation has no such pass.
 */
export function modulesOf(
  geometry: Geometry,
  call: KernelCall,
): { readonly name: string; readonly modules: readonly Uint8Array[] } {
  const { name, passes } = callsOf(geometry, call);
  const pass = passes[call.direction];
  if (pass === undefined) throw new ArgumentRangeError("dw is for convolutions");
  return { name, modules: compiledBy(pass) };
}

/** Runs something, and gives the code of every module that it compiled. */
function compiledBy(run: () => void): Uint8Array[] {
  const codes: Uint8Array[] = [];
  const { Module } = WebAssembly;
  WebAssembly.Module = new Proxy(Module, {
    construct(target, [bytes]: [Uint8Array<ArrayBuffer>]) {
      codes.push(bytes.slice());
      return new target(bytes);
    },
  });
  try {
    run();
  } finally {
    WebAssembly.Module = Module;
  }
  return codes;
}

/** A kernel's name, and one call of each of its passes, on zeros. */
interface Calls {
  readonly name: string;
  readonly passes: Readonly<Partial<Record<Direction, () => void>>>;
}

function callsOf(geometry: Geometry, { images: N, dtype, relu = false }: KernelCall): Calls {
  const { C, H, W, OH, OW } = geometry.shape;
  const zeros = (length: number) => newArray(length, dtype);
  const x = zeros(N * C * H * W), dx = zeros(x.length);
  if (geometry.operation === "conv") {
    const { F, KH, KW, groups } = geometry.shape;
    const kernel = kernelOf(simdTier.conv, geometry.shape, dtype);
    const w = zeros(F * C / groups * KH * KW), bias = zeros(F), out = zeros(N * F * OH * OW);
    const passes = {
      forward: () => kernel.forward(N, x, w, out, { bias, relu }),
      dx: () => kernel.backwardData(N, out, w, dx),
      dw: () => kernel.backwardWeights(N, x, out, w, bias),
    };
    return { name: kernel.name, passes };
  }
  if (relu) throw new ArgumentRangeError("relu is for convolutions");
  const out = zeros(N * C * OH * OW);
  if (geometry.operation === "maxPool") {
    const kernel = kernelOf(simdTier.maxPool, geometry.shape, dtype);
    const forward = () => kernel.forward(N, x, out);
    return { name: kernel.name, passes: { forward, dx: () => kernel.backward(N, x, out, dx) } };
  }
  const kernel = kernelOf(simdTier.averagePool, geometry.shape, dtype);
  const forward = () => kernel.forward(N, x, out);
  return { name: kernel.name, passes: { forward, dx: () => kernel.backward(N, out, dx) } };
}

/** The SIMD kernel of a geometry. */
function kernelOf<O extends Operation>(
  offer: Offer<O>,
  shape: ShapeOf<O>,
  dtype: DType,
): KernelOf<O> {
  const { kernel, reason } = ask(offer, shape, dtype);
  if (kernel === undefined) {
    throw new ArgumentRangeError(`the simd tier does not serve such a shape: ${reason}`);
  }
  return kernel;
}
