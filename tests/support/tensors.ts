/**
 * Tensors of any shape, for tests of files.
 *
 * @module
 */

import fc from "fast-check";
import { type DType, RandomState, type Tensor, zeros } from "../../mod.ts";

/** A tensor of up to four dimensions, empty ones among them. */
export const anyTensor = fc.tuple(
  fc.array(fc.nat(3), { maxLength: 4 }),
  fc.constantFrom<DType>("float32", "float64"),
  fc.nat(1000),
).map(([shape, dtype, seed]): Tensor => {
  const values = zeros(shape, dtype), random = new RandomState(seed);
  for (let i = 0; i < values.data.length; i++) values.data[i] = random.randn();
  return values;
});
