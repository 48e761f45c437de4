/**
 * The curves of a training run: loss, accuracies, learning rate, norms of gradients.
 *
 * @module
 */

import { Plot } from "./drawing.ts";
import { PALE, palette, titledSvg } from "./figure.ts";
import { epochsOf, type Series, seriesOf } from "./series.ts";
import { logTicks, plainNumber } from "./ticks.ts";

/** What a solver records. */
export interface Histories {
  readonly lossHistory: readonly number[];
  readonly trainAccHistory: readonly number[];
  readonly valAccHistory: readonly number[];
  readonly gradNormHistory: readonly number[];
  readonly learningRateHistory: readonly number[];
}

/** The loss of each iteration, as SVG. */
export function lossSvg({ lossHistory }: Histories): string {
  return noisyCurve({
    title: "Loss",
    subtitle: "cross-entropy of each batch, with the L2 penalty if there is one",
    label: "loss (nats)",
    values: lossHistory,
    color: palette.blue,
  });
}

/** The norm of all gradients of each iteration, as SVG. */
export function gradientNormSvg({ gradNormHistory }: Histories): string {
  return noisyCurve({
    title: "Norm of the gradients",
    subtitle: "root of the sum of the squares of all gradients, before clipping",
    label: "L2 norm",
    values: gradNormHistory,
    color: palette.green,
  });
}

/** The learning rate of each iteration, as SVG. */
export function learningRateSvg({ learningRateHistory }: Histories): string {
  const { points } = seriesOf(learningRateHistory);
  return titledSvg({
    title: "Learning rate",
    subtitle: "that of the first parameter that learns, with the schedule",
    plot: {
      ...iterationAxis(points.length),
      y: { label: "learning rate", grid: true, zero: true, nice: true, tickFormat: plainNumber },
      marks: [
        Plot.ruleY([0]),
        Plot.line(points, { x: "iteration", y: "mean", stroke: palette.blue, strokeWidth: 2 }),
        ...dotsOfFew(points, "mean", palette.blue),
      ],
    },
  });
}

/** Accuracies of training and validation images, epoch by epoch, as SVG. */
export function accuracySvg(histories: Histories, perEpoch: number): string {
  const { trainAccHistory, valAccHistory } = histories;
  const percents = (history: readonly number[]) => {
    const epochs = epochsOf(history.length, perEpoch);
    return history.map((accuracy, i) => ({ epoch: epochs[i], percent: 100 * accuracy }));
  };
  const training = percents(trainAccHistory), validation = percents(valAccHistory);
  const epochs = epochsOf(valAccHistory.length, perEpoch), best = Math.max(...valAccHistory);
  const bestEpoch = epochs[valAccHistory.indexOf(best)];
  const place = { x: "epoch", y: "percent" };
  return titledSvg({
    title: "Accuracy",
    subtitle: valAccHistory.length === 0
      ? "not measured yet"
      : `best validation accuracy ${(100 * best).toFixed(1)} % after ${epochText(bestEpoch)}`,
    legend: [
      { text: "training images (a sample)", color: palette.blue, sign: "squares" },
      { text: "validation images", color: palette.vermillion, sign: "circles" },
    ],
    plot: {
      x: {
        label: "epoch",
        domain: [0, Math.max(1, epochs.at(-1) ?? 1)],
        ...wholeTicks(epochs.at(-1) ?? 1),
      },
      y: { label: "accuracy (%)", grid: true, nice: true },
      marks: [
        // Wider than what may lie on it.
        Plot.line(training, { ...place, stroke: palette.blue, strokeWidth: 3.5 }),
        Plot.dot(training, { ...place, fill: palette.blue, symbol: "square", r: 5 }),
        Plot.line(validation, { ...place, stroke: palette.vermillion, strokeWidth: 1.5 }),
        Plot.dot(validation, { ...place, fill: palette.vermillion, r: 3 }),
      ],
    },
  });
}

function epochText(epoch: number): string {
  return epoch < 1 ? "the first iteration" : `epoch ${epoch}`;
}

interface NoisyCurve {
  readonly title: string;
  readonly subtitle: string;
  readonly label: string;
  readonly values: readonly number[];
  readonly color: string;
}

/** Values that jump from iteration to iteration: pale, with their moving mean above. */
function noisyCurve({ title, subtitle, label, values, color }: NoisyCurve): string {
  const series = seriesOf(values), { points, perPoint, smoothed } = series;
  const each = perPoint === 1
    ? { text: "each iteration", color, sign: "pale" as const }
    : { text: `least to greatest of ${perPoint} iterations`, color, sign: "band" as const };
  const mean = { text: `mean of ${smoothed} iterations`, color };
  const isSmoothed = smoothed > 1;
  return titledSvg({
    title,
    subtitle,
    legend: isSmoothed ? [each, mean] : [{ text: "each iteration", color }],
    plot: {
      ...iterationAxis(points.length),
      y: { label, grid: true, ...valueScale(series) },
      marks: [
        perPoint === 1
          ? Plot.line(points, {
            ...{ x: "iteration", y: "mean", stroke: color },
            strokeOpacity: isSmoothed ? PALE : 1,
          })
          : Plot.areaY(points, {
            ...{ x: "iteration", y1: "low", y2: "high", fill: color, fillOpacity: PALE },
          }),
        Plot.line(points, { x: "iteration", y: "smooth", stroke: color, strokeWidth: 2 }),
        ...dotsOfFew(points, "mean", color),
      ],
    },
  });
}

/** Dots where there are too few points for a line to be seen. */
function dotsOfFew(points: Series["points"], y: string, fill: string) {
  return points.length > 20 ? [] : [Plot.dot(points, { x: "iteration", y, fill, r: 2.5 })];
}

function iterationAxis(count: number) {
  return { x: { label: "iteration", ...wholeTicks(count) } };
}

/** Ticks at whole numbers alone. */
function wholeTicks(most: number) {
  const few = Array.from({ length: Math.ceil(most) + 1 }, (_, i) => i);
  return most > 8 ? {} : { ticks: few, tickFormat: String };
}

/** A logarithmic scale for values that fall by factors. */
function valueScale({ points }: Series): Plot.ScaleOptions {
  const known = points.flatMap(({ low, high }) => Number.isNaN(low) ? [] : [low, high]);
  const low = Math.min(...known), high = Math.max(...known);
  if (!(low > 0 && high / low > 4)) return { nice: true, tickFormat: plainNumber };
  return {
    type: "log",
    domain: [low, high],
    ticks: logTicks(low, high, 12),
    tickFormat: plainNumber,
  };
}
