/**
 * A training run that is kept in a file, and resumed from it.
 *
 * @module
 */

import {
  type Checkpoint,
  decodeCheckpoint,
  encodeCheckpoint,
  type FloatArray,
  type Solver,
  type TrainResult,
} from "../mod.ts";
import { type OwnFile, ownFile, replaceFile, statOf, systemReason } from "./files.ts";
import { InputError } from "./options.ts";
import type { Report } from "./plots/report.ts";
import { trainWithBar, warn } from "./progress.ts";

/** The file of a training run's checkpoint; no other process has it. */
export class CheckpointFile implements AsyncDisposable {
  readonly #given: string;
  readonly #file: OwnFile;

  private constructor(given: string, file: OwnFile) {
    this.#given = given;
    this.#file = file;
  }

  /**
   * Takes a file for this process.
   *
   * @param path The file; it may be missing, but not its folder.
   * @returns The file.
   * @throws {InputError} If it cannot be written, or another process trains with it.
   */
  static async open(path: string): Promise<CheckpointFile> {
    return new CheckpointFile(path, await ownFile(path));
  }

  /**
   * Continues where the file's training stopped; a missing file has nothing to continue.
   *
   * @param solver The solver.
   * @throws {InputError} If the file is not a checkpoint of this training run.
   */
  async resume(solver: Pick<Solver, "resume" | "iteration">): Promise<void> {
    if (await statOf(this.#file.path) === undefined) return;
    try {
      solver.resume(decodeCheckpoint(await Deno.readFile(this.#file.path)));
    } catch (error) {
      throw new InputError(`${this.#given} cannot be resumed from: ${(error as Error).message}`);
    }
    console.error(`resumed from ${this.#given} after ${solver.iteration} iterations`);
  }

  /** Keeps where a training run stands; a disk that is full is no reason to end it. */
  readonly keep = async (checkpoint: Checkpoint): Promise<void> => {
    try {
      await replaceFile(this.#file.path, encodeCheckpoint(checkpoint));
    } catch (error) {
      const reason = systemReason(error);
      if (reason === undefined) throw error;
      warn(
        `${this.#given} cannot be written after ${checkpoint.iteration} iterations: ${reason}; ` +
          `what it held before stays`,
      );
    }
  };

  /** Lets the file go. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
  }
}

/** How a training run is shown. */
export interface RunOptions {
  /** Whether this process shows how it goes; of those that train together one does. Default: true. */
  readonly leads?: boolean;
  /** A report that is written after epochs; that of the end, with what is measured then, is the caller's. */
  readonly report?: Report;
}

/**
 * Trains from where a file's training stopped, and keeps it in that file: after every epoch and at the end.
 *
 * @param solver What trains, with a bar.
 * @param file The file; undefined to keep nothing.
 * @param options Whether it is shown, and its report.
 * @returns What was reached.
 * @throws {InputError} If the file is not a checkpoint of this training run.
 */
export async function trainAndKeep<A extends FloatArray>(
  solver: Solver<A>,
  file: CheckpointFile | undefined,
  { leads = true, report }: RunOptions = {},
): Promise<TrainResult> {
  if (!leads) return await solver.trainAsync();
  await file?.resume(solver);
  report?.begin();
  const onEpoch = async (checkpoint: Checkpoint) => {
    await file?.keep(checkpoint);
    await report?.afterEpoch();
  };
  const result = await trainWithBar(solver, {
    onProgress: report?.follow,
    onCheckpoint: file === undefined && report === undefined ? undefined : onEpoch,
  });
  // What diverged can lead nowhere, and would take the place of the last epoch.
  if (result.end !== "diverged") await file?.keep(solver.checkpoint());
  return result;
}
