/**
 * Every core: layers run on several threads, with the same numbers as on one.
 *
 * @module
 */

import { checkNumber, checkOptions } from "../check.ts";
import { ArgumentRangeError } from "../errors.ts";
import { setThreadNote } from "../select.ts";
import { MEMORY_LIMIT } from "../simd/memory.ts";
import { countShared, sharedBuffer } from "../simd/shared_copies.ts";
import { type JobRunner, setJobRunner } from "../simd/job.ts";
import { type Allocator, setAllocator } from "../tensor.ts";
import { threadedRunner } from "./run.ts";
import { Team } from "./team.ts";

/** Threads that are in force until they are disposed of. */
export interface Threads extends Disposable {
  /** How many threads layers run on: 1 if the host gives no more. */
  readonly count: number;
  /** Why there is one thread alone, if more were asked for. */
  readonly reason?: string;
}

/** Settings of {@linkcode useThreads}. */
export interface ThreadOptions {
  /** Milliseconds without progress after which a thread counts as dead. Default: 10,000. */
  readonly patience?: number;
}

/** The most threads: more than any host has. */
const MOST = 256;
const PAGE = 65536;

/** What is in force: of what was set last. */
interface InForce {
  readonly runner?: JobRunner;
  readonly allocator?: Allocator;
  /** What explanations of kernels say. */
  readonly note?: string;
}

const inForce: InForce[] = [];

function apply(): void {
  const last = inForce.at(-1);
  setJobRunner(last?.runner);
  setAllocator(last?.allocator);
  setThreadNote(last?.note);
}

/**
 * Runs layers on several threads from now on, until the result is disposed of: convolutions, pools,
 * fully-connected layers, normalizations, ReLU, GELU in float32, penalties, update rules and averages,
 * forward and backward, where a SIMD kernel runs. Results do not depend on how many threads there are,
 * to the last bit.
 *
 * Tensors that are made meanwhile lie in shared memory, where every thread finds them; they stay valid
 * afterwards. Others are copied there for each call. A page's main thread may not wait for others, and
 * a page without isolation headers, or whose policy forbids workers, has no threads: everything then
 * runs on one, and `reason` says why.
 *
 * @example Train on every core
 * ```ts
 * import { convForward, full, useThreads } from "@cnn-layers/cnn-layers";
 *
 * using threads = await useThreads();
 * const x = full([8, 3, 32, 32], 1), w = full([4, 3, 3, 3], 1), b = full([4], 0);
 * console.log(threads.count, convForward(x, w, b, { stride: 1, pad: 1 }).out.shape);
 * ```
 *
 * @param count How many threads, this one among them. Default: as many as the host has cores.
 * @param options Settings.
 * @returns The threads. Disposing of them ends the workers.
 * @throws {TypeError} If the count or a setting is not a number, or an option unknown.
 * @throws {RangeError} If the count is not a whole number from 1 to 256, or the patience is not positive.
 */
export async function useThreads(
  count: number = Math.min(globalThis.navigator?.hardwareConcurrency ?? 1, MOST),
  options: ThreadOptions = {},
): Promise<Threads> {
  checkOptions("options", options, ["patience"]);
  const { patience = 10_000 }: ThreadOptions = options;
  checkCount(count, patience);
  const team = count > 1 ? await Team.start(count, MEMORY_LIMIT / PAGE, patience) : undefined;
  if (team === undefined || typeof team === "string") {
    const note = team && `one thread: ${team}`;
    return { count: 1, reason: team, [Symbol.dispose]: putInForce({ note }) };
  }
  const remove = putInForce({
    note: `${count} threads`,
    runner: threadedRunner(team),
    allocator: sharedArray,
  });
  return {
    count,
    [Symbol.dispose]() {
      remove();
      team.close();
    },
  };
}

/** Bytes of the smallest array that is shared: smaller ones are copied as fast. */
const SHARED = 1 << 14;
/** Bytes of the smallest that may be a memory of its own, which is whole pages and takes longer to make. */
const MEMORY = 1 << 18;

/** An array of zeros in shared memory, if it is large. */
const sharedArray: Allocator = (dtype, length, lasts) => {
  const isSingle = dtype === "float32", bytes = length * (isSingle ? 4 : 8);
  if (bytes < SHARED) return undefined;
  let buffer = lasts && bytes >= MEMORY ? sharedBuffer(bytes) : undefined;
  if (buffer === undefined) countShared(buffer = new SharedArrayBuffer(bytes));
  return isSingle ? new Float32Array(buffer, 0, length) : new Float64Array(buffer, 0, length);
};

function checkCount(count: unknown, patience: unknown): void {
  checkNumber("count", count);
  checkNumber("patience", patience);
  if (!Number.isInteger(count) || count < 1 || count > MOST) {
    const expected = `count must be a whole number from 1 to ${MOST}`;
    throw new ArgumentRangeError(`${expected}: received ${count}`, "OUT_OF_RANGE");
  }
  if (!(patience > 0)) {
    throw new ArgumentRangeError(`patience must be positive: received ${patience}`, "OUT_OF_RANGE");
  }
}

/** Puts settings in force; returns what removes them, in whatever order that happens. */
function putInForce(entry: InForce): () => void {
  inForce.push(entry);
  apply();
  return () => {
    const at = inForce.indexOf(entry);
    if (at < 0) return;
    inForce.splice(at, 1);
    apply();
  };
}
