/**
 * The report of a training run: a folder of figures, and a page that holds them all. It is written after
 * epochs too, so that a long run can be watched.
 *
 * @module
 */

import { join } from "node:path";
import type {
  DType,
  ExampleSource,
  FloatArray,
  Labels,
  LayeredNet,
  Progress,
  Solver,
  TrainResult,
} from "../../mod.ts";
import { orInputError, replaceFile, tryFolder } from "../files.ts";
import { path } from "../options.ts";
import { warn } from "../progress.ts";

/** The option of every command that trains: where the report goes. */
export const plots = path(
  "folder for a report: report.html and its figures as SVG and PNG, written after epochs and at the end",
);

/** The figures, each the name of its files. */
export const FIGURES = [
  ...["loss", "accuracy", "learning-rate", "gradient-norm"] as const,
  ...["confusion", "filters", "wrong-examples"] as const,
];

/** The page. */
export const PAGE = "report.html";

const FILES = [PAGE, ...FIGURES.flatMap((name) => [`${name}.svg`, `${name}.png`])];

/** After an epoch the report is written if writing takes at most this part of the time since the last one. */
const SHARE = 0.1;

/** What a report tells of a training run. */
export interface ReportedRun {
  readonly title: string;
  /** The command and its settings by name; what is undefined is left out. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly net: LayeredNet<DType>;
  readonly solver: Pick<Solver<FloatArray>, Recorded>;
  /** Threads that the net runs on. */
  readonly threads: number;
  /** The names of the classes. */
  readonly classes: readonly string[];
  /** The validation images, (N, C, H, W), and their classes. */
  readonly x: ExampleSource;
  readonly y: Labels;
  /** From value i of an image to that of the pixel, from 0 to 255. */
  readonly pixel: (value: number, i: number) => number;
}

type Recorded =
  | "lossHistory"
  | "trainAccHistory"
  | "valAccHistory"
  | "gradNormHistory"
  | "learningRateHistory"
  | "iteration";

/** Where a run stands when its report is written. */
export interface Standing {
  /** How far it is, or what it reached. */
  readonly progress: Progress | TrainResult;
  /** What was measured at the end, in the order of the table; undefined while it trains. */
  readonly results?: readonly (readonly [name: string, value: string])[];
  /** When this process began with it, and how many seconds it trained. */
  readonly start: Date;
  readonly seconds: number;
  /** Iterations that an earlier process did. */
  readonly resumedFrom: number;
}

/** A report that is written again and again. */
export class Report {
  readonly folder: string;
  readonly #run: ReportedRun;
  readonly #start = new Date();
  readonly #startTime = performance.now();
  #resumedFrom = 0;
  #progress: Progress | undefined;
  /** When it was written last, and how long that took. */
  #written = -Infinity;
  #took = 0;

  /**
   * A report of a training run that begins now.
   *
   * @param folder Where it goes, as {@linkcode tryReport} has tried it.
   * @param run The run.
   */
  constructor(folder: string, run: ReportedRun) {
    this.folder = folder;
    this.#run = run;
  }

  /** Is told that training begins, or continues. */
  begin(): void {
    this.#resumedFrom = this.#run.solver.iteration;
  }

  /** Is told how far the training run is. */
  readonly follow = (progress: Progress): void => {
    this.#progress = progress;
  };

  /** Writes the report after an epoch, unless that takes too much time. What fails must not end the run. */
  async afterEpoch(): Promise<void> {
    const begin = performance.now(), progress = this.#progress;
    if (progress === undefined || this.#took > SHARE * (begin - this.#written)) return;
    try {
      await this.#write(progress);
    } catch (error) {
      const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
      warn(`the report in ${this.folder} is not written after epoch ${progress.epoch}: ${reason}`);
    }
    this.#written = performance.now();
    this.#took = this.#written - begin;
  }

  /**
   * Writes the report at the end.
   *
   * @param result What the training run reached.
   * @param results What was measured, in the order of the table.
   * @returns The page.
   * @throws {InputError} If it cannot be written.
   */
  async finish(result: TrainResult, results: NonNullable<Standing["results"]>): Promise<string> {
    await orInputError(
      `${this.folder} cannot be written`,
      () => this.#write(result, results),
    );
    return join(this.folder, PAGE);
  }

  async #write(progress: Progress | TrainResult, results?: Standing["results"]): Promise<void> {
    // Loaded only where it is wanted, as it takes its time.
    const { drawReport } = await import("./draw.ts");
    const files = drawReport(this.#run, {
      ...{ progress, results, start: this.#start, resumedFrom: this.#resumedFrom },
      seconds: (performance.now() - this.#startTime) / 1000,
    });
    // A figure that this run does not have must not be an earlier one's.
    for (const name of FILES.filter((name) => !files.has(name))) {
      await Deno.remove(join(this.folder, name)).catch(() => {});
    }
    for (const [name, bytes] of files) await replaceFile(join(this.folder, name), bytes);
  }
}

/**
 * Makes the folder of a report if it is missing, and tries to write into it.
 *
 * @param folder The folder; undefined for no report.
 * @throws {InputError} If that will not work.
 */
export async function tryReport(folder: string | undefined): Promise<void> {
  if (folder !== undefined) await tryFolder(folder, FILES);
}
