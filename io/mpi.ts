/**
 * Training on several machines: the processes of an MPI job train one model together. A separate entry
 * point, `@cnn-layers/cnn-layers/mpi`, for Deno alone: it calls Open MPI or MPICH, which must be installed,
 * through Deno's foreign function interface (`--allow-ffi`). Other runtimes may import it, but not call it.
 *
 * @module
 */

export type { MpiOptions } from "./mpi/job.ts";
export { Mpi, withMpi } from "./mpi/job.ts";
export { MpiError } from "./mpi/library.ts";
export type { Transfer } from "./mpi/communicator.ts";
export type { FloatArray } from "../kernels/tensor.ts";
export type { Checkpoint } from "../nn/training/checkpoint.ts";
export type { Parallel, ParallelSums } from "../nn/training/parallel.ts";
export type { PartialSum } from "../nn/training/pairwise_sum.ts";
