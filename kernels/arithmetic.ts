/**
 * How results may be rounded: as fast as the host can, or the same on every host.
 *
 * @module
 */

import { describe } from "./shape.ts";
import { forgetChoices } from "./select.ts";
import { type Arithmetic, setArithmetic } from "./simd/features.ts";

export type { Arithmetic } from "./simd/features.ts";

const choices: readonly Arithmetic[] = ["fast", "reproducible"];

/**
 * Sets how kernels compute from now on: "fast" (the default) uses fused multiply-add and Winograd's
 * algorithm where the host and the shape allow, "reproducible" neither, so that every host gives the
 * same bits.
 *
 * @example
 * ```ts
 * import { convForward, full, useArithmetic } from "@cnn-layers/cnn-layers";
 *
 * using _ = useArithmetic("reproducible");
 * const x = full([1, 1, 4, 4], 0.1), w = full([1, 1, 3, 3], 0.1), b = full([1], 0);
 * console.log(convForward(x, w, b, { pad: 1 }).out.data[0]);
 * ```
 *
 * @param arithmetic The choice.
 * @returns A Disposable that restores the choice that was in force.
 * @throws {TypeError} If the choice is neither "fast" nor "reproducible".
 */
export function useArithmetic(arithmetic: Arithmetic): Disposable {
  if (!choices.includes(arithmetic)) {
    throw new TypeError(
      `arithmetic must be one of ${choices.join(", ")}: received ${describe(arithmetic)}`,
    );
  }
  const previous = setArithmetic(arithmetic);
  forgetChoices();
  return {
    [Symbol.dispose]: () => {
      setArithmetic(previous);
      forgetChoices();
    },
  };
}
