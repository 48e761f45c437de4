/**
 * Numbers along the axes of figures.
 *
 * @module
 */

/** Multiples of the powers of ten that stand at the ticks of a logarithmic axis, the most first. */
const MULTIPLES = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1]];

/**
 * Ticks of a logarithmic axis: powers of ten, and multiples of these if there is room.
 *
 * @param low The least value of the axis, above 0.
 * @param high The greatest.
 * @param most How many ticks there is room for; where the powers of ten alone are more, all of them.
 * @returns The ticks between the two.
 */
export function logTicks(low: number, high: number, most: number): number[] {
  const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const powers = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  const choices = MULTIPLES.map((multiples) =>
    powers.flatMap((power) => multiples.map((multiple) => Number(`${multiple}e${power}`)))
      .filter((tick) => tick >= low && tick <= high)
  );
  return choices.find(({ length }) => length <= most) ?? choices.at(-1)!;
}

/**
 * A number for an axis: 0.002 and 1e-7, where Plot would say 2m and 100n.
 *
 * @param value The number.
 * @returns Its text.
 */
export function plainNumber(value: number): string {
  const rounded = Number(value.toPrecision(6));
  return Math.abs(rounded) >= 1e-4 || rounded === 0
    ? rounded.toLocaleString("en", { maximumFractionDigits: 6 })
    : rounded.toExponential();
}
