/**
 * A progress bar for whatever takes long: on a terminal a line that moves, elsewhere a line now and then.
 *
 * @module
 */

// @ts-types="@types/cli-progress"
import { type GenericFormatter, SingleBar } from "cli-progress";
import process from "node:process";
import type { Progress, Solver, TrainOptions, TrainResult } from "../mod.ts";
import { sparkline } from "./sparkline.ts";

/** How often a line is printed where there is no terminal. */
const PLAIN_MILLISECONDS = 5000;

/** Columns of a bar, and what it is made of. */
const BAR = 20, COMPLETE = "█", INCOMPLETE = "░";

/** Columns of a curve: fewer show nothing, more are not needed. */
const CURVE = { least: 5, most: 20 };

/** A bar on stderr, so that only results go to stdout. */
export function progressBar(
  format: string | GenericFormatter,
  isTerminal = process.stderr.isTTY,
): SingleBar {
  return new SingleBar({
    format,
    stream: process.stderr,
    barsize: BAR,
    barCompleteChar: COMPLETE,
    barIncompleteChar: INCOMPLETE,
    hideCursor: true,
    noTTYOutput: !isTerminal,
    notTTYSchedule: PLAIN_MILLISECONDS,
    linewrap: !isTerminal,
    etaBuffer: 100,
  });
}

/** `1:05`: a time for a bar. */
export function clock(seconds: number): string {
  const whole = Math.ceil(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** `96.1%`, or a dash for a number that is not known yet. */
export function percent(part: number): string {
  return Number.isNaN(part) ? "-" : `${(100 * part).toFixed(1)}%`;
}

/** A warning on a line of its own, in place of a bar, which continues below it. */
export function warn(message: string): void {
  // The bar comes back at the end to the place that the terminal has saved.
  const [clear, save] = process.stderr.isTTY ? ["\r\x1b[K", "\x1b7"] : ["", ""];
  process.stderr.write(`${clear}Warning: ${message}\n${save}`);
}

/**
 * Does what takes long, and hears Ctrl-C meanwhile.
 *
 * @param bar The bar that shows how far it is. It stops at the end, which gives the terminal its cursor
 * and its line wrap back.
 * @param work What is done; it starts the bar. The signal is aborted by the first Ctrl-C; the next one ends the program.
 * @param patient Whether it heeds the signal. If not, the first Ctrl-C ends the program.
 * @returns What the work returned.
 */
export async function whileBarRuns<T>(
  bar: SingleBar,
  work: (signal: AbortSignal) => Promise<T>,
  patient = true,
): Promise<T> {
  const stop = new AbortController();
  const onInterrupt = () => {
    if (patient && !stop.signal.aborted) return stop.abort();
    bar.stop();
    Deno.exit(130);
  };
  Deno.addSignalListener("SIGINT", onInterrupt);
  try {
    return await work(stop.signal);
  } finally {
    bar.stop();
    Deno.removeSignalListener("SIGINT", onInterrupt);
  }
}

/** Where a training run is, for its line. */
export interface Standing {
  /** Iterations done. */
  readonly iteration: number;
  /** Iterations in all. */
  readonly iterations: number;
  /** The loss of each iteration, for the curve; undefined for none. */
  readonly losses?: readonly number[];
  /** What is known of it; undefined before the first iteration. */
  readonly progress?: Omit<Progress, "iteration" | "iterations">;
}

/**
 * The line of a training run. Where there is not enough room the least important parts are left out, and
 * the curve of the losses takes what the others leave.
 *
 * @param standing Where it is.
 * @param columns The room.
 * @returns The line; it is longer only if its counts alone are.
 */
export function trainingLine(standing: Standing, columns: number): string {
  const { losses } = standing, layouts = layoutsOf(standing);
  const fits = (curve: string) => (line: Layout) => line(curve).length <= columns;
  const plain = layouts.find(fits("")) ?? layouts.at(-1)!;
  if (losses === undefined) return plain("");
  const line = layouts.slice(0, -1).find(fits("▁".repeat(CURVE.least))) ?? plain;
  const room = Math.min(columns - line("").length - 1, CURVE.most);
  return line(room < CURVE.least ? "" : sparkline(losses, room));
}

/** A line, given its curve. */
type Layout = (curve: string) => string;

/** The lines that tell a training run, from all that is known to the counts alone. */
function layoutsOf({ iteration, iterations, progress }: Standing): Layout[] {
  const shown = (text: (progress: NonNullable<Standing["progress"]>) => string) =>
    progress === undefined ? "-" : text(progress);
  const accuracies = [
    `train ${shown((p) => percent(p.trainAcc))}`,
    `val ${shown((p) => percent(p.valAcc))}`,
  ].join(" ");
  const rate = `${shown((p) => p.imagesPerSecond.toFixed(0))} images/s`;
  const left = `${shown((p) => clock(p.secondsLeft))} left`;
  const count = `${iteration}/${iterations}`, loss = `loss ${shown((p) => p.loss.toFixed(4))}`;
  const line = (width: number, ...rest: string[]) => (curve: string) => {
    // A run that is resumed for fewer epochs may have done more.
    const full = Math.round(width * Math.min(1, iteration / iterations));
    const bar = COMPLETE.repeat(full) + INCOMPLETE.repeat(width - full);
    const lossAndCurve = curve === "" ? loss : `${loss} ${curve}`;
    return (width > 0 ? `${bar} ` : "") + [count, lossAndCurve, ...rest].join(" | ");
  };
  return [
    line(BAR, accuracies, rate, left),
    line(BAR, accuracies, left),
    line(BAR / 2, accuracies, left),
    line(BAR / 2, left),
    line(0, left),
    line(0),
    () => count,
  ];
}

/**
 * Trains with a bar, until Ctrl-C is pressed: then the iteration is finished and what was reached counts.
 * A second Ctrl-C ends the program at once.
 *
 * @param solver What trains.
 * @param options Passed on to it.
 * @returns What was reached.
 */
export async function trainWithBar(
  solver: Pick<Solver, "iteration" | "iterations" | "lossHistory" | "trainAsync">,
  options: TrainOptions = {},
): Promise<TrainResult> {
  let progress: Progress | undefined;
  const bar = progressBar((_, { value, total, maxWidth }) => {
    const losses = process.stderr.isTTY ? solver.lossHistory : undefined;
    return trainingLine({ iteration: value, iterations: total, progress, losses }, maxWidth);
  });
  return await whileBarRuns(bar, (signal) => {
    bar.start(solver.iterations, solver.iteration);
    return solver.trainAsync({
      ...options,
      signal,
      onProgress: (reached) => {
        progress = reached;
        bar.update(reached.iteration);
        options.onProgress?.(reached);
      },
    });
  });
}
