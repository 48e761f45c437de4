/**
 * What the tests of layers and nets share: sums that tell results apart, and gradient errors.
 *
 * @module
 */

import { assert, assertAlmostEquals } from "@std/assert";
import { evalNumericalGradientArray, relError, type Tensor } from "../../mod.ts";

/** The sum of a tensor's numbers. */
export function sum({ data }: Tensor): number {
  let total = 0;
  for (const v of data) total += v;
  return total;
}

/** The sum of their squares. */
export function sumOfSquares({ data }: Tensor): number {
  let total = 0;
  for (const v of data) total += v * v;
  return total;
}

/** Asserts the sum of a tensor's numbers and, if given, of their squares, to 1e-9. */
export function assertSums(x: Tensor, expected: number, expectedSquares?: number): void {
  assertAlmostEquals(sum(x), expected, 1e-9 * Math.max(1, Math.abs(expected)));
  if (expectedSquares !== undefined) {
    assertAlmostEquals(sumOfSquares(x), expectedSquares, 1e-9 * expectedSquares);
  }
}

/** Asserts that numbers are the expected ones, to a tolerance. Default: that of 8 printed decimals. */
export function assertNumbers(
  actual: ArrayLike<number>,
  expected: readonly number[],
  tolerance = 1e-8,
): void {
  assert(actual.length === expected.length, `${actual.length} numbers, not ${expected.length}`);
  expected.forEach((value, i) => assertAlmostEquals(actual[i], value, tolerance, `number ${i}`));
}

/** One gradient to check: the input it belongs to, its value, and the largest error allowed. */
export type GradientCase = readonly [input: Tensor, gradient: Tensor, largest: number];

/**
 * Asserts that gradients agree with central differences.
 *
 * @param forward The output, computed from the inputs, one number of which changes.
 * @param dout The gradient of the output.
 * @param cases The gradients by name.
 * @param h The step of the differences.
 */
export function assertGradients(
  forward: () => Tensor,
  dout: Tensor,
  cases: Readonly<Record<string, GradientCase>>,
  h?: number,
): void {
  for (const [name, [input, gradient, largest]] of Object.entries(cases)) {
    const error = relError(gradient, evalNumericalGradientArray(forward, input, dout, h));
    assert(error <= largest, `${name} is off by ${error}, more than ${largest}`);
  }
}

/** Mean and standard deviation of each of the C channels of x (N, C, ...). */
export function channelStatistics({ data, shape: [N, C, ...plane] }: Tensor): {
  means: number[];
  stds: number[];
} {
  const P = plane.reduce((product, size) => product * size, 1);
  const channels = Array.from({ length: C }, (_, c) => {
    const numbers: number[] = [];
    for (let n = 0; n < N; n++) {
      for (let i = 0; i < P; i++) numbers.push(data[(n * C + c) * P + i]);
    }
    return numbers;
  });
  const mean = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0) / numbers.length;
  const means = channels.map(mean);
  const stds = channels.map((numbers, c) =>
    Math.sqrt(mean(numbers.map((v) => (v - means[c]) ** 2)))
  );
  return { means, stds };
}
