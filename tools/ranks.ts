/**
 * What the commands that train share for training on the ranks of an MPI job.
 *
 * @module
 */

import type { Mpi } from "../io/mpi.ts";
import type { SolverOptions } from "../mod.ts";
import { flag, InputError, type Values, whole } from "./options.ts";

/** Micro-batches of a batch with --mpi: every recipe's batch is even. */
const DEFAULT_MICRO_BATCHES = 2;

/** The options of a command that trains on ranks. */
export const rankOptions = {
  mpi: flag("train on all ranks of an MPI job; each runs on one thread unless --threads says more"),
  "micro-batches": whole(
    undefined,
    [1, 5000],
    "parts of a batch, which ranks share out; the results are the same for any number of ranks " +
      `(default: ${DEFAULT_MICRO_BATCHES} with --mpi, otherwise 1)`,
  ),
  "sync-batchnorm": flag("give batch normalization the statistics of the batch, not of its parts"),
};

/**
 * Does a command's work, on all ranks if that is asked for.
 *
 * @param wanted Whether --mpi is given. If not, native libraries are out of reach from here on.
 * @param work What each rank does; it gets the job, undefined without --mpi.
 * @returns The exit code.
 * @throws {InputError} If MPI cannot be called.
 */
export async function onRanks(
  wanted: boolean,
  work: (mpi: Mpi | undefined) => Promise<number>,
): Promise<number> {
  if (!wanted) {
    Deno.permissions.revokeSync({ name: "ffi" });
    return await work(undefined);
  }
  const { MpiError, withMpi } = await import("../io/mpi.ts");
  try {
    return await withMpi(async (mpi) => {
      try {
        return await work(mpi);
      } catch (error) {
        if (!(error instanceof InputError) || mpi.size === 1) throw error;
        console.error(`Error: ${error.message}`);
        return mpi.abort(2);
      }
    });
  } catch (error) {
    throw error instanceof MpiError ? new InputError(error.message) : error;
  }
}

/** How a solver makes an update of a batch: some of its options. */
export type UpdateOptions = Pick<
  SolverOptions,
  "batchSize" | "accumulate" | "synchronizeBatchnorm" | "parallel"
>;

/**
 * How a solver makes an update of a batch.
 *
 * @param batch Examples in a batch.
 * @param values What the command was called with.
 * @param mpi The ranks; undefined for this process alone.
 * @returns Options of the solver.
 * @throws {InputError} If the batch has no such parts, or not one for each rank.
 */
export function updateOptions(
  batch: number,
  values: Values<typeof rankOptions>,
  mpi: Mpi | undefined,
): UpdateOptions {
  const accumulate = values["micro-batches"] ?? (values.mpi ? DEFAULT_MICRO_BATCHES : 1);
  const synchronizeBatchnorm = values["sync-batchnorm"];
  if (batch % accumulate !== 0) {
    throw new InputError(
      `--micro-batches must divide the batch of ${batch}: received ${accumulate}`,
    );
  }
  if (mpi !== undefined && accumulate < mpi.size) {
    throw new InputError(
      `--micro-batches must be the number of ranks, ${mpi.size}, or more: received ${accumulate}`,
    );
  }
  return { batchSize: batch / accumulate, accumulate, synchronizeBatchnorm, parallel: mpi };
}

/**
 * Reads what all ranks need: rank 0 first, which may fetch what the others find then.
 *
 * @param mpi The ranks; undefined for this process alone.
 * @param read Reads it.
 * @returns What was read.
 */
export async function readInTurn<T>(mpi: Mpi | undefined, read: () => Promise<T>): Promise<T> {
  if (mpi === undefined) return await read();
  const first = mpi.rank === 0 ? await read() : undefined;
  mpi.barrier();
  return first ?? await read();
}
