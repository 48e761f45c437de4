/**
 * An MPI job, as a program sees it.
 *
 * @module
 */

import { checkType, checkWhole, isFloatArray } from "../../kernels/check.ts";
import type { FloatArray } from "../../kernels/tensor.ts";
import { option, readOptions, whole } from "../../nn/checks.ts";
import type { Checkpoint } from "../../nn/training/checkpoint.ts";
import { decodeCheckpoint, encodeCheckpoint } from "../../nn/training/checkpoint_file.ts";
import { OwnSums, type Parallel, type ParallelSums } from "../../nn/training/parallel.ts";
import { Communicator, type Transfer } from "./communicator.ts";
import { environment, type Library, MpiError, openLibrary } from "./library.ts";
import { BucketedSums } from "./sums.ts";

/** What is sent at once, in bytes: MPI counts in 32 bits. */
const MOST_BYTES = 2 ** 30;

/** How an MPI job is opened. */
export interface MpiOptions {
  /** The MPI library. Default: Open MPI's or MPICH's, where the system looks for libraries. */
  readonly library?: string;
  /** How many bytes of gradients are sent together. Default: 2^20. */
  readonly bucketBytes?: number;
}

/** The processes of an MPI job, "ranks", and this one among them. A {@linkcode Solver} trains on all of them. */
export class Mpi implements Parallel {
  /** Which of the ranks this is, from 0. */
  readonly rank: number;
  /** How many ranks there are. */
  readonly size: number;
  /** What the MPI library says of itself, in one line. */
  readonly library: string;
  readonly #world: Communicator;
  readonly #sums: BucketedSums | undefined;

  /** Made by {@linkcode withMpi}. */
  constructor(library: Library, world: Communicator, bucketBytes: number) {
    this.rank = world.rank;
    this.size = world.size;
    this.library = library.version;
    this.#world = world;
    this.#sums = this.size > 1 ? new BucketedSums(world, bucketBytes) : undefined;
  }

  /**
   * Gives all ranks the numbers of one.
   *
   * @param array Numbers, as many in every rank; those of the others are replaced.
   * @param root Whose numbers they are. Default: 0.
   * @throws {TypeError} If it is not a Float32Array, Float64Array or Uint8Array.
   * @throws {RangeError} If there is no such rank.
   */
  broadcast(array: FloatArray | Uint8Array, root = 0): void {
    const isArray = isFloatArray(array) || array instanceof Uint8Array;
    checkType(isArray, "array", "be a Float32Array, Float64Array or Uint8Array", array);
    checkWhole("root", root, 0, this.size - 1);
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    for (let start = 0; start < bytes.length; start += MOST_BYTES) {
      const part = bytes.subarray(start, start + MOST_BYTES),
        copy = new Uint8Array(part.slice().buffer);
      this.#world.broadcast(copy, root).wait();
      part.set(copy);
    }
  }

  /**
   * Adds arrays of all ranks, number by number. MPI chooses the order of the sums, so that their last bits
   * depend on the number of ranks.
   *
   * @param array Numbers, as many in every rank; they become the sums when the transfer is done.
   * @returns What is under way; this rank may do other things before it waits.
   * @throws {TypeError} If it is not a Float32Array or Float64Array.
   */
  allReduce(array: FloatArray): Transfer {
    checkType(isFloatArray(array), "array", "be a Float32Array or Float64Array", array);
    const fixed = array instanceof Float32Array ? fixed32 : fixed64;
    const from = fixed(array.length), to = fixed(array.length);
    from.set(array);
    const transfer = this.#world.sum(from, to);
    let done = false;
    const finish = () => {
      if (!done) array.set(to);
      done = true;
    };
    return {
      test() {
        if (!transfer.test()) return false;
        finish();
        return true;
      },
      wait() {
        transfer.wait();
        finish();
      },
    };
  }

  /**
   * Gives all ranks the numbers of each.
   *
   * @param own Numbers of this rank; others may have more or fewer.
   * @returns Those of all ranks, in their order.
   */
  gather(own: Float64Array): Float64Array {
    checkType(own instanceof Float64Array, "own", "be a Float64Array", own);
    const gathered = (own: Float64Array, lengths: readonly number[]) => {
      const from = fixed64(own.length), to = fixed64(lengths.reduce((sum, more) => sum + more, 0));
      from.set(own);
      this.#world.gather(from, to, lengths.map((length) => 8 * length)).wait();
      return to;
    };
    const lengths = gathered(Float64Array.of(own.length), Array<number>(this.size).fill(1));
    return gathered(own, [...lengths]);
  }

  /** Waits until every rank has come here. */
  barrier(): void {
    this.gather(new Float64Array(0));
  }

  /**
   * Ends all ranks, this one too.
   *
   * @param code The exit code. Default: 1.
   */
  abort(code = 1): never {
    this.#world.abort(code);
    // MPI has ended the process.
    throw new Error("MPI_Abort has returned");
  }

  /** Gives all ranks the checkpoint of rank 0: what a {@linkcode Solver} does at its start. */
  share(checkpoint: Checkpoint): Checkpoint {
    const length = new Float64Array(1);
    const own = this.rank === 0 ? encodeCheckpoint(checkpoint) : undefined;
    if (own !== undefined) length[0] = own.length;
    this.broadcast(length);
    const bytes = own ?? new Uint8Array(length[0]);
    this.broadcast(bytes);
    return this.rank === 0 ? checkpoint : decodeCheckpoint(bytes);
  }

  /** Begins the sums of an update: what a {@linkcode Solver} does in every iteration. */
  sums(count: number): ParallelSums {
    return this.#sums?.begin(count) ?? new OwnSums();
  }
}

/**
 * Does some work in an MPI job, as one of its ranks. All ranks call this with the same work; each once, as
 * MPI can be opened once in a process. Without mpirun there is one rank.
 *
 * If the work throws in one rank, the error is printed and the whole job ends, as the others would wait
 * for this rank forever.
 *
 * @example Train on all ranks, with the bits of one
 * ```ts ignore
 * import { affine, Net, RandomState, relu, Solver } from "@cnn-layers/cnn-layers";
 * import { withMpi } from "@cnn-layers/cnn-layers/mpi";
 *
 * const x = new RandomState(0).randn([120, 4]), y = Array.from({ length: 120 }, (_, i) => i % 2);
 * await withMpi(async (mpi) => {
 *   const net = new Net({ inputDim: 4, layers: [affine(8), relu(), affine(2)] });
 *   const data = { xTrain: x, yTrain: y, xVal: x, yVal: y };
 *   // An update is made from 6 times 10 examples, whoever computes them.
 *   const solver = new Solver(net, data, { batchSize: 10, accumulate: 6, parallel: mpi });
 *   await solver.trainAsync();
 *   if (mpi.rank === 0) console.log(solver.bestValAcc);
 * });
 * ```
 *
 * @param work What is done; it gets the job.
 * @param options Which library, and how much is sent together.
 * @returns What the work returned.
 * @throws {TypeError} If an option is unknown or has a wrong type.
 * @throws {RangeError} If bucketBytes is not a whole number from 1.
 * @throws {MpiError} If this is not Deno, --allow-ffi is missing, there is no MPI library, or it is not one
 * whose codes are known; and what the work throws, if there is one rank.
 */
export async function withMpi<T>(
  work: (mpi: Mpi) => T | Promise<T>,
  options: MpiOptions = {},
): Promise<T> {
  const { library: path, bucketBytes } = readOptions("options", options, {
    library: option(checkPath),
    bucketBytes: option(whole(1), 2 ** 20),
  });
  const library = openLibrary(path), { symbols, codes } = library;
  let result: T | undefined;
  try {
    const world = new Communicator(library, codes.world);
    checkWorld(library, world);
    const mpi = new Mpi(library, world, bucketBytes);
    checkSums(mpi);
    try {
      result = await work(mpi);
    } catch (error) {
      if (mpi.size === 1) throw error;
      console.error(`Rank ${mpi.rank} of ${mpi.size} ends the job:`, error);
      mpi.abort();
    }
  } finally {
    symbols.MPI_Finalize();
  }
  return result as T;
}

function checkPath(name: string, value: unknown): asserts value is string {
  checkType(typeof value === "string", name, "be the path of a library", value);
}

/** Checks what the codes of the library mean, before anything depends on them. */
function checkWorld({ symbols, codes, version }: Library, { rank, size }: Communicator): void {
  const bytes = new Int32Array(1), wrong = `${version} has other codes than known`;
  for (const [type, expected] of Object.entries({ byte: 1, float32: 4, float64: 8 } as const)) {
    symbols.MPI_Type_size(codes[type as "byte"], bytes);
    if (bytes[0] !== expected) throw new MpiError(`${wrong}: ${type} has ${bytes[0]} bytes`);
  }
  if (!(rank >= 0 && rank < size)) throw new MpiError(`${wrong}: rank ${rank} of ${size}`);
  // What has started this process knows how many it has started.
  const started = Number(
    environment("OMPI_COMM_WORLD_SIZE") ?? environment("PMI_SIZE") ??
      environment("SLURM_STEP_NUM_TASKS") ?? size,
  );
  if (size > 1 || started === 1) return;
  throw new MpiError(
    `${started} processes were started, but ${version} sees this one alone: it is not the MPI of the ` +
      "mpirun that was called; say which library to open",
  );
}

/** Checks that sums are sums. */
function checkSums(mpi: Mpi): void {
  for (const array of [new Float32Array(3).fill(3), new Float64Array(3).fill(3)]) {
    mpi.allReduce(array).wait();
    if (array.every((value) => value === 3 * mpi.size)) continue;
    throw new MpiError(
      `${mpi.library} has other codes than known: ${mpi.size} times 3 is ${array[0]}`,
    );
  }
}

function fixed32(length: number): Float32Array<ArrayBuffer> {
  return new Float32Array(new ArrayBuffer(4 * length));
}

function fixed64(length: number): Float64Array<ArrayBuffer> {
  return new Float64Array(new ArrayBuffer(8 * length));
}
