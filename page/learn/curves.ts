/**
 * The curves of loss and accuracy.
 *
 * @module
 */

import uPlot from "uplot";
import { byId, color, onColors } from "../dom.ts";
import { percent } from "../format.ts";
import type { Accuracy, Session } from "./session.ts";

/** Points that a curve has at most. */
const MOST = 500;

/** Losses that are averaged for the smooth curve: a part of what is shown, at least these. */
const WINDOW = 10, WINDOW_PART = 0.04;

/** What a chart shows, in the colors of now. */
type Look = () => Pick<uPlot.Options, "series" | "axes" | "scales">;

/** A chart that is made anew when the colors change, and fits its place. */
class Chart {
  readonly #place: HTMLElement;
  readonly #options: Look;
  #plot: uPlot | undefined;
  #data: uPlot.AlignedData = [[]];

  constructor(place: HTMLElement, options: Look) {
    this.#place = place;
    this.#options = options;
    onColors(() => this.#make());
    new ResizeObserver(() => this.#plot?.setSize(this.#size)).observe(place);
  }

  set data(data: uPlot.AlignedData) {
    this.#data = data;
    this.#plot?.setData(data);
  }

  get #size() {
    return { width: Math.max(this.#place.clientWidth, 100), height: 190 };
  }

  #make(): void {
    this.#plot?.destroy();
    this.#plot = new uPlot(
      {
        ...this.#size,
        legend: { show: false },
        cursor: { y: false, points: { show: false } },
        padding: [8, 8, 0, 0],
        ...this.#options(),
      },
      this.#data,
      this.#place,
    );
  }
}

/** An axis in the page's colors. */
function axis(values: uPlot.Axis["values"], size: number): uPlot.Axis {
  return {
    stroke: color("muted"),
    grid: { stroke: color("line"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui, sans-serif",
    size,
    values,
  };
}

const thousands: uPlot.Axis["values"] = (_, splits) => splits.map((v) => v.toLocaleString("en"));

/** Shows the curves of a session. */
export function showCurves(session: Session): void {
  const lossPlace = byId("loss-curve", HTMLElement);
  const accuracyPlace = byId("accuracy-curve", HTMLElement);
  const loss = new Chart(lossPlace, () => ({
    scales: {
      x: { time: false },
      y: { range: (_, __, most) => [0, Number.isFinite(most) && most > 0 ? most * 1.05 : 2.5] },
    },
    axes: [axis(thousands, 26), axis((_, splits) => splits.map(String), 40)],
    series: [
      {},
      { stroke: color("raw"), width: 1, points: { show: false } },
      { stroke: color("train"), width: 2, points: { show: false } },
    ],
  }));
  const accuracy = new Chart(accuracyPlace, () => ({
    scales: { x: { time: false }, y: { range: (_, least) => [floorOf(least), 1] } },
    axes: [
      axis(thousands, 26),
      axis((_, splits) => splits.map((v) => `${Math.round(100 * v)}%`), 46),
    ],
    series: [
      {},
      { stroke: color("train"), width: 2, dash: [5, 4], spanGaps: true },
      { stroke: color("validation"), width: 2, spanGaps: true, points: { show: false } },
    ],
  }));
  const show = () => {
    const { losses, train, validation } = session.history;
    loss.data = lossData(losses);
    accuracy.data = accuracyData(train, validation);
    const last = losses.length === 0
      ? "nothing yet"
      : `${smoothed(losses, losses.length).toFixed(3)} after ${losses.length} iterations`;
    lossPlace.setAttribute("aria-label", `Loss: ${last}`);
    const best = validation.at(-1);
    const reached = best === undefined ? "nothing yet" : `${percent(best.value)} in validation`;
    accuracyPlace.setAttribute("aria-label", `Accuracy: ${reached}`);
  };
  session.weightsChanged.listen(show);
  session.evaluated.listen(show);
  show();
}

/** Where the axis begins: high accuracies differ little. */
function floorOf(least: number): number {
  if (!Number.isFinite(least) || least < 0.5) return 0;
  return least < 0.8 ? 0.5 : 0.8;
}

/** The mean of the losses before an iteration. */
function smoothed(losses: readonly number[], iteration: number): number {
  const window = Math.max(WINDOW, Math.round(WINDOW_PART * losses.length));
  const part = losses.slice(Math.max(0, iteration - window), iteration);
  return part.reduce((sum, value) => sum + value, 0) / part.length;
}

function lossData(losses: readonly number[]): uPlot.AlignedData {
  const step = Math.max(1, Math.ceil(losses.length / MOST)), iterations: number[] = [];
  for (let i = step; i <= losses.length; i += step) iterations.push(i);
  return [
    iterations,
    iterations.map((i) => losses[i - 1]),
    iterations.map((i) => smoothed(losses, i)),
  ];
}

/** Both curves on the iterations of either. */
function accuracyData(
  train: readonly Accuracy[],
  validation: readonly Accuracy[],
): uPlot.AlignedData {
  const byIteration = (values: readonly Accuracy[]) =>
    new Map(values.map(({ iteration, value }) => [iteration, value]));
  const a = byIteration(train), b = byIteration(validation);
  const iterations = [...new Set([...a.keys(), ...b.keys()])].sort((x, y) => x - y);
  const of = (values: Map<number, number>) => iterations.map((i) => values.get(i) ?? null);
  return [iterations, of(a), of(b)];
}
