/**
 * Training on several processes, as the solver sees it.
 *
 * @module
 */

import type { FloatArray } from "../../kernels/tensor.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { type PartialSum, totalOf } from "./pairwise_sum.ts";

/**
 * Processes that train one model together: they run the same program with the same data and options, and
 * each does some of the micro-batches of every update. The entry point `mpi` makes one of an MPI job.
 * All processes call the same functions in the same order.
 */
export interface Parallel {
  /** Which of the processes this one is, from 0. */
  readonly rank: number;
  /** How many there are. */
  readonly size: number;
  /**
   * Gives all what rank 0 has.
   *
   * @param checkpoint What this rank has.
   * @returns That of rank 0.
   */
  share(checkpoint: Checkpoint): Checkpoint;
  /**
   * Gives all what each has.
   *
   * @param own Numbers of this rank; others may have more or fewer.
   * @returns Those of all ranks, in their order.
   */
  gather(own: Float64Array): Float64Array;
  /**
   * Begins sums over the micro-batches of an update. The sums of the update before are not needed any more.
   *
   * @param count How many micro-batches all ranks have together; {@linkcode shareOf} says whose is which.
   * @returns The sums.
   */
  sums(count: number): ParallelSums;
}

/** Sums over the micro-batches of an update, to which each rank adds its own. */
export interface ParallelSums {
  /**
   * Gives this rank's part of a sum. It may be sent while others are still computed.
   *
   * @param parts What {@linkcode partialSums} says of its micro-batches; they must not change before the end.
   * @returns What gives the sum after the end: the same bits in every rank.
   */
  add(parts: readonly PartialSum[]): () => FloatArray;
  /** Waits for the sums. */
  end(): void;
}

/** Sums of a process that is alone. */
export class OwnSums implements ParallelSums {
  add(parts: readonly PartialSum[]): () => FloatArray {
    return () => totalOf(parts);
  }

  end(): void {}
}

/** The micro-batches of a rank: those from the first, up to the last exclusively. */
export function shareOf(
  count: number,
  { rank, size }: Pick<Parallel, "rank" | "size">,
): readonly [first: number, end: number] {
  return [Math.floor(rank * count / size), Math.floor((rank + 1) * count / size)];
}
