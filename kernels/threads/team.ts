/**
 * The threads of a process: the main one, and workers that wait for its jobs.
 *
 * @module
 */

import { COPYING } from "../simd/shared_copies.ts";
import { CONTROL, type Mail, type WorkerSetup, workerText } from "./worker.ts";

/** Numbers that a job may take. */
const COMMANDS = 1 << 19;

/** Milliseconds in which workers must have started. */
const START = 10_000;

/** Chunks of a job. */
export const MOST_CHUNKS: number = CONTROL.words - CONTROL.done;

/** A worker of any host. */
interface Host {
  send(message: WorkerSetup | Mail): void;
  end(): void;
}

/** How a host starts workers from a text; `onError` hears of those that cannot start. */
type Start = (text: string, onError: (reason: string) => void) => Host;

/** What Node's node:worker_threads has of use here. */
interface WorkerThreads {
  readonly Worker: new (text: string, options: { eval: boolean }) => {
    postMessage(message: WorkerSetup | Mail): void;
    on(event: "error", listener: (error: Error) => void): void;
    terminate(): void;
    unref(): void;
  };
}

/** How this host starts workers; undefined if it has none. */
function starter(): Start | undefined {
  const { process } = globalThis as {
    process?: { getBuiltinModule?: (name: string) => unknown };
  };
  // Node, Deno and Bun: such workers do not keep a process alive.
  const threads = process?.getBuiltinModule?.("node:worker_threads") as WorkerThreads | undefined;
  if (threads?.Worker !== undefined) {
    return (text, onError) => {
      const worker = new threads.Worker(text, { eval: true });
      worker.on("error", ({ message }) => onError(message));
      worker.unref();
      return { send: (message) => worker.postMessage(message), end: () => worker.terminate() };
    };
  }
  if (typeof Worker === "undefined") return undefined;
  return (text, onError) => {
    // Of this page's origin, which a data: URL is not: only such workers may share memory.
    const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    const worker = new Worker(url, { type: "module" });
    worker.onerror = (event) => {
      event.preventDefault();
      onError(event.message);
    };
    return { send: (message) => worker.postMessage(message), end: () => worker.terminate() };
  };
}

/** The threads. */
export class Team {
  readonly count: number;
  readonly stream: Float64Array;
  readonly #words: Int32Array;
  readonly #hosts: readonly Host[];
  readonly #patience: number;
  #closed = false;

  private constructor(
    count: number,
    stream: Float64Array,
    words: Int32Array,
    hosts: readonly Host[],
    patience: number,
  ) {
    this.count = count;
    this.stream = stream;
    this.#words = words;
    this.#hosts = hosts;
    this.#patience = patience;
  }

  /**
   * Starts workers.
   *
   * @param count How many threads, the main one among them.
   * @param maximumPages The most memory that a kernel may need, in pages.
   * @param patience Milliseconds without a step after which a worker counts as dead.
   * @returns The team, or the reason why there is none.
   */
  static async start(
    count: number,
    maximumPages: number,
    patience: number,
  ): Promise<Team | string> {
    if (typeof SharedArrayBuffer === "undefined") {
      return "this host has no shared memory (a page must be isolated by its headers)";
    }
    const start = starter();
    if (start === undefined) return "this host has no workers";
    const control = new SharedArrayBuffer(4 * CONTROL.words);
    const commands = new SharedArrayBuffer(8 * COMMANDS);
    const words = new Int32Array(control);
    try {
      // A page's main thread may not wait.
      Atomics.wait(words, CONTROL.job, 1, 0);
    } catch {
      return "the main thread of a page may not wait for others: use threads inside a Worker";
    }
    let failure: string | undefined;
    const hosts: Host[] = [];
    const text = workerText();
    try {
      for (let worker = 0; worker < count - 1; worker++) {
        const host = start(text, (reason) => failure ??= reason);
        hosts.push(host);
        host.send({ worker, control, commands, maximumPages, copying: COPYING });
      }
    } catch (error) {
      failure = String(error);
    }
    const limit = performance.now() + START;
    while (failure === undefined && words[CONTROL.ready] < count - 1) {
      if (performance.now() > limit) failure = `workers did not start within ${START} ms`;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    if (failure !== undefined) {
      for (const host of hosts) host.end();
      return `workers cannot start: ${failure}`;
    }
    return new Team(count, new Float64Array(commands), words, hosts, patience);
  }

  /** Sends workers what the next job uses. They read it before they take the job. */
  send(mail: Mail): void {
    for (const host of this.#hosts) host.send(mail);
    Atomics.add(this.#words, CONTROL.mail, 1);
  }

  /** Whether jobs can be run. */
  get isOpen(): boolean {
    return !this.#closed;
  }

  /**
   * Runs a job whose commands are in the stream.
   *
   * @param chunks How many chunks it has.
   * @param own Runs a chunk in this thread; returns like a worker's, how many images it did of a chunk
   * that it left, or else -1.
   * @param writeNext Writes a chunk down, after the first one which is; returns false if that chunk and those
   * after it must be left to this thread. Default: all are written down.
   * @returns What each chunk returned.
   * @throws {Error} If a worker failed, was ended or has not moved for long; the team is then closed.
   */
  run(
    chunks: number,
    own: (chunk: number) => number,
    writeNext?: (chunk: number) => boolean,
  ): Int32Array {
    const words = this.#words;
    const workers = this.count - 1;
    let written = writeNext === undefined ? chunks : 1;
    words[CONTROL.chunks] = words[CONTROL.end] = chunks;
    words[CONTROL.written] = written;
    words[CONTROL.nextChunk] = words[CONTROL.failed] = 0;
    Atomics.store(words, CONTROL.busy, workers);
    Atomics.add(words, CONTROL.job, 1);
    Atomics.notify(words, CONTROL.job);
    let failure: unknown;
    try {
      for (; written < chunks && writeNext!(written); written++) this.#release(written + 1);
      if (written < chunks) this.#leave(written, chunks);
      for (;;) {
        const chunk = Atomics.add(words, CONTROL.nextChunk, 1);
        if (chunk >= written) break;
        words[CONTROL.done + chunk] = own(chunk);
      }
      for (let chunk = written; chunk < chunks; chunk++) words[CONTROL.done + chunk] = own(chunk);
    } catch (error) {
      failure = error;
      // Nobody starts another chunk.
      Atomics.store(words, CONTROL.nextChunk, chunks);
      this.#leave(0, chunks);
    }
    this.#join();
    if (failure !== undefined) throw failure;
    return words.subarray(CONTROL.done, CONTROL.done + chunks);
  }

  /** Lets workers run so many chunks. */
  #release(written: number): void {
    Atomics.store(this.#words, CONTROL.written, written);
    Atomics.notify(this.#words, CONTROL.written);
  }

  /** Lets workers go that have taken a chunk from the first on that is left to this thread. */
  #leave(first: number, chunks: number): void {
    Atomics.store(this.#words, CONTROL.end, first);
    this.#release(chunks);
  }

  /** Waits until every worker is done. */
  #join(): void {
    const words = this.#words;
    let steps = -1;
    for (;;) {
      const busy = Atomics.load(words, CONTROL.busy);
      if (busy === 0) break;
      if (Atomics.wait(words, CONTROL.busy, busy, this.#patience) !== "timed-out") continue;
      const before = steps;
      steps = Atomics.load(words, CONTROL.progress);
      if (steps !== before) continue;
      this.close();
      throw new Error(`${busy} of ${this.count - 1} worker threads have ended or hang`);
    }
    const worker = words[CONTROL.failed];
    if (worker === 0) return;
    this.close();
    const bytes = new Uint8Array(words.buffer, 4 * CONTROL.message, words[CONTROL.messageLength]);
    throw new Error(`Worker thread ${worker} failed: ${new TextDecoder().decode(bytes.slice())}`);
  }

  /** The control block. */
  get control(): SharedArrayBuffer {
    return this.#words.buffer as SharedArrayBuffer;
  }

  /** Has the host end the workers, whatever they do. */
  endWorkers(): void {
    for (const host of this.#hosts) host.end();
  }

  /** Ends the workers. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#words[CONTROL.quit] = 1;
    Atomics.add(this.#words, CONTROL.job, 1);
    Atomics.notify(this.#words, CONTROL.job);
    this.endWorkers();
  }
}
