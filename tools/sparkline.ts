/**
 * A curve in one line of text.
 *
 * @module
 */

const LEVELS = [..."▁▂▃▄▅▆▇█"];

/** What stands where no value can be drawn. */
const NONE = "·";

/** Values that are read for a column: a long training run is drawn as often as a short one. */
const MOST_READ = 64;

/**
 * Values as blocks, the earliest on the left, each column the mean of its part of them. The least column is
 * the lowest block and the greatest the highest: by their logarithms where all are positive, as losses fall
 * by factors.
 *
 * @param values The values; those that are not finite are left out.
 * @param width The most columns.
 * @returns As many characters as there are values, `width` at most. A column without a finite value is a dot.
 */
export function sparkline(values: readonly number[], width: number): string {
  const columns = Math.min(width, values.length);
  const means = Array.from({ length: columns }, (_, column) => {
    const [from, to] = [column, column + 1].map((i) => Math.floor(i * values.length / columns));
    return mean(values, from, to);
  });
  const finite = means.filter(Number.isFinite);
  const scale = finite.every((value) => value > 0) ? Math.log : (value: number) => value;
  const low = scale(Math.min(...finite)), high = scale(Math.max(...finite));
  return means.map((value) => {
    if (!Number.isFinite(value)) return NONE;
    const height = high > low ? (scale(value) - low) / (high - low) : 0.5;
    return LEVELS[Math.round(height * (LEVELS.length - 1))];
  }).join("");
}

/** The mean of some finite values of a part; NaN if it has none. */
function mean(values: readonly number[], from: number, to: number): number {
  const step = Math.ceil((to - from) / MOST_READ);
  let sum = 0, count = 0;
  for (let i = from; i < to; i += step) {
    if (!Number.isFinite(values[i])) continue;
    sum += values[i];
    count++;
  }
  return sum / count;
}
