/**
 * The WebAssembly of a shape's SIMD kernel as text: what the kernel assembles for one call.
 *
 * @module
 */

import { useArithmetic, useVectorPairs } from "../kernels/select.ts";
import { dump } from "../kernels/simd/dump.ts";
import { features, hasSimd } from "../kernels/simd/features.ts";
import { geometryOf, geometryOptions } from "./geometry.ts";
import { modulesOf } from "./modules.ts";
import { flag, InputError, orRefused, runCommand, type Values, word } from "./options.ts";

const options = {
  ...geometryOptions,
  dtype: word("float32", ["float32", "float64"], "data type"),
  direction: word("forward", ["forward", "dx", "dw"], "which of the kernel's passes"),
  relu: flag("a convolution's relu follows forward"),
  arithmetic: word("fast", ["fast", "reproducible"], "how the kernel may compute"),
  pairs: flag("the kernel for pairs of vectors, which V8 may run as one of 32 bytes"),
};

const about = `Prints the WebAssembly of a shape's SIMD kernel as text.

  deno task dump --x 100,3,31,31 --w 25,3,3,3 --stride 2 --pad 1
  deno task dump --x 100,32,32,32 --pool 2,2 --stride 2 --direction dx --dtype float64`;

function main(values: Values<typeof options>): number {
  const geometry = geometryOf(values);
  const { dtype, direction, relu } = values;
  if (geometry.operation !== "conv") {
    if (relu) throw new InputError("--relu is for convolutions");
    if (direction === "dw") throw new InputError("--direction dw is for convolutions");
  }
  const [N] = values.x!.length === 4 ? values.x! : [1];
  if (N < 1) throw new InputError("--x must hold an image: N is 0");
  using _ = useArithmetic(values.arithmetic);
  using _pairs = useVectorPairs(values.pairs);
  if (values.pairs && !features().pairs) {
    throw new InputError("--pairs needs fast arithmetic, and relaxed multiply-add");
  }
  if (!hasSimd()) throw new InputError("this host's WebAssembly has no vectors");
  const call = { images: N, dtype, direction, relu };
  const { name, modules } = orRefused(() => modulesOf(geometry, call));
  for (const [i, code] of modules.entries()) {
    const which = `module ${i + 1} of ${modules.length}, ${code.length} bytes`;
    console.log(`;; ${name} ${direction} ${dtype}: ${which}\n${dump(code)}`);
  }
  return 0;
}

if (import.meta.main) await runCommand({ usage: "deno task dump", about, options }, main);
