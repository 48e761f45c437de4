/**
 * The WebAssembly of a shape's SIMD kernel as text: what the kernel assembles for one call.
 *
 * @module
 */

import { useArithmetic } from "../kernels/select.ts";
import { dump } from "../kernels/simd/dump.ts";
import { hasSimd } from "../kernels/simd/features.ts";
import * as simdTier from "../kernels/simd/tier.ts";
import type { DType } from "../kernels/tensor.ts";
import { newArray } from "../nn/tensor.ts";
import { ask, type KernelOf, type Offer, type Operation, type ShapeOf } from "../kernels/tier.ts";
import { type Geometry, geometryOf, geometryOptions } from "./geometry.ts";
import { flag, InputError, runCommand, type Values, word } from "./options.ts";

const options = {
  ...geometryOptions,
  dtype: word("float32", ["float32", "float64"], "data type"),
  direction: word("forward", ["forward", "dx", "dw"], "which of the kernel's passes"),
  relu: flag("a convolution's relu follows forward"),
  arithmetic: word("fast", ["fast", "reproducible"], "how the kernel may compute"),
};

const about = `Prints the WebAssembly of a shape's SIMD kernel as text.

  deno task dump --x 100,3,31,31 --w 25,3,3,3 --stride 2 --pad 1
  deno task dump --x 100,32,32,32 --pool 2,2 --stride 2 --direction dx --dtype float64`;

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
  readonly passes: Readonly<Record<string, () => void>>;
}

function callsOf(
  geometry: Geometry,
  N: number,
  { dtype, relu }: Pick<Values<typeof options>, "dtype" | "relu">,
): Calls {
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
  if (relu) throw new InputError("--relu is for convolutions");
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
    throw new InputError(`the simd tier does not serve such a shape: ${reason}`);
  }
  return kernel;
}

function main(values: Values<typeof options>): number {
  const geometry = geometryOf(values);
  const { dtype, direction } = values;
  const [N] = values.x!.length === 4 ? values.x! : [1];
  if (N < 1) throw new InputError("--x must hold an image: N is 0");
  using _ = useArithmetic(values.arithmetic);
  if (!hasSimd()) throw new InputError("this host's WebAssembly has no vectors");
  const { name, passes } = callsOf(geometry, N, values);
  const pass = passes[direction];
  if (pass === undefined) throw new InputError("--direction dw is for convolutions");
  const codes = compiledBy(pass);
  for (const [i, code] of codes.entries()) {
    const which = `module ${i + 1} of ${codes.length}, ${code.length} bytes`;
    console.log(`;; ${name} ${direction} ${dtype}: ${which}\n${dump(code)}`);
  }
  return 0;
}

if (import.meta.main) await runCommand({ usage: "deno task dump", about, options }, main);
