/**
 * A progress bar for whatever takes long: on a terminal a line that moves, elsewhere a line now and then.
 *
 * @module
 */

// @ts-types="@types/cli-progress"
import { SingleBar } from "cli-progress";
import process from "node:process";
import type { Solver, TrainOptions, TrainResult } from "../mod.ts";

/** How often a line is printed where there is no terminal. */
const PLAIN_MILLISECONDS = 5000;

/** A bar on stderr, so that only results go to stdout. */
export function progressBar(format: string, isTerminal = process.stderr.isTTY): SingleBar {
  return new SingleBar({
    format,
    stream: process.stderr,
    barsize: 20,
    barCompleteChar: "█",
    barIncompleteChar: "░",
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

/**
 * Trains with a bar, until Ctrl-C is pressed: then the iteration is finished and what was reached counts.
 * A second Ctrl-C ends the program at once.
 *
 * @param solver What trains.
 * @param options Passed on to it.
 * @returns What was reached.
 */
export async function trainWithBar(
  solver: Pick<Solver, "iteration" | "iterations" | "trainAsync">,
  options: TrainOptions = {},
): Promise<TrainResult> {
  const bar = progressBar(
    "{bar} {value}/{total} | loss {loss} | train {train} val {val} | {rate} images/s | {left} left",
  );
  const none = { loss: "-", train: "-", val: "-", rate: "-", left: "-" };
  return await whileBarRuns(bar, (signal) => {
    bar.start(solver.iterations, solver.iteration, none);
    return solver.trainAsync({
      ...options,
      signal,
      onProgress: (progress) => {
        bar.update(progress.iteration, {
          loss: progress.loss.toFixed(4),
          train: percent(progress.trainAcc),
          val: percent(progress.valAcc),
          rate: progress.imagesPerSecond.toFixed(0),
          left: clock(progress.secondsLeft),
        });
        options.onProgress?.(progress);
      },
    });
  });
}
