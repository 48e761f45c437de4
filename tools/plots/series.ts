/**
 * What a curve is drawn from: values of iterations, as few as a figure can show.
 *
 * @module
 */

/** Points of a curve: more than the pixels of its width would only make the file larger. */
const MOST_POINTS = 600;

/** A curve smooths this part of its points. */
const SMOOTHED = 1 / 50;

/** What is drawn of one or several iterations. */
export interface SeriesPoint {
  /** The last of the iterations, counted from 1. */
  readonly iteration: number;
  /** The mean, the least and the greatest of their finite values; NaN if there is none. */
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  /** The mean of this point and those around it; NaN where the mean is. */
  readonly smooth: number;
}

/** Values of iterations, drawn together where there are many. */
export interface Series {
  readonly points: readonly SeriesPoint[];
  /** Iterations of a point. */
  readonly perPoint: number;
  /** Iterations that a smooth value is the mean of. */
  readonly smoothed: number;
}

/**
 * The points of a curve.
 *
 * @param values The value of each iteration; those that are not finite are left out.
 * @returns The points, 600 at most, every iteration in one of them.
 */
export function seriesOf(values: readonly number[]): Series {
  const perPoint = Math.max(1, Math.ceil(values.length / MOST_POINTS));
  const count = Math.ceil(values.length / perPoint);
  const points = Array.from({ length: count }, (_, i) => {
    const part = values.slice(i * perPoint, (i + 1) * perPoint).filter(Number.isFinite);
    const iteration = Math.min((i + 1) * perPoint, values.length);
    return { iteration, mean: meanOf(part), ...rangeOf(part) };
  });
  // As many on both sides.
  const side = Math.round(count * SMOOTHED / 2);
  return {
    points: points.map((point, i) => {
      const around = points.slice(Math.max(0, i - side), i + side + 1).map(({ mean }) => mean);
      const smooth = Number.isNaN(point.mean) ? NaN : meanOf(around.filter(Number.isFinite));
      return { ...point, smooth };
    }),
    perPoint,
    smoothed: perPoint * (2 * side + 1),
  };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function rangeOf(values: readonly number[]): { readonly low: number; readonly high: number } {
  if (values.length === 0) return { low: NaN, high: NaN };
  return { low: Math.min(...values), high: Math.max(...values) };
}

/**
 * The epochs that a solver's accuracies belong to. The first accuracy is that of the first iteration.
 *
 * @param count How many accuracies there are.
 * @param perEpoch Iterations of an epoch.
 * @returns As many numbers of epochs.
 */
export function epochsOf(count: number, perEpoch: number): number[] {
  // Where an epoch is one iteration, the first is an epoch's too.
  return Array.from(
    { length: count },
    (_, i) => perEpoch === 1 ? i + 1 : i === 0 ? 1 / perEpoch : i,
  );
}
