/**
 * How a worker is started, spoken to, and found to have ended, on any host.
 *
 * @module
 */

import type { FromWorker, ToWorker } from "./messages.ts";

/** A worker: that of pages, Deno and Bun, or that of Node's worker_threads. */
export interface AnyWorker {
  /**
   * Sends it a message.
   *
   * @param message What it is sent.
   * @param transfer Buffers that are moved there.
   */
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  /** Ends it. */
  terminate(): unknown;
}

/** What a page's worker calls. */
interface WebWorker extends AnyWorker {
  onmessage: (event: { readonly data: FromWorker }) => void;
  onmessageerror: () => void;
  onerror: (event: { readonly message?: string; preventDefault?(): void }) => void;
}

/** What a worker of node:worker_threads calls. */
interface NodeWorker extends AnyWorker {
  on(event: "message", listener: (message: FromWorker) => void): void;
  on(event: "error", listener: (error: unknown) => void): void;
  on(event: "messageerror" | "exit", listener: () => void): void;
}

/** Who hears of a worker. */
export interface Owner {
  /** It said something. */
  hear(message: FromWorker): void;
  /** It has failed or ended. */
  lose(error: Error): void;
}

const ENDED = "The training worker has ended";

/** Starts the library's own file, which is JavaScript in the npm package. */
function ownWorker(): AnyWorker {
  // In the words by which bundlers find the file.
  if (typeof Worker !== "undefined") {
    return new Worker(new URL("./training_worker.ts", import.meta.url), { type: "module" });
  }
  const { process } = globalThis as {
    process?: { getBuiltinModule?: (name: string) => unknown };
  };
  const threads = process?.getBuiltinModule?.("node:worker_threads") as
    | { readonly Worker: new (file: URL) => AnyWorker }
    | undefined;
  if (threads === undefined) throw new Error("This host has no workers to train in");
  const { url } = import.meta;
  return new threads.Worker(new URL("./training_worker.ts", url));
}

/** A worker that runs a training run. */
export class Host {
  readonly #worker: AnyWorker;
  readonly #owner: Owner;
  readonly #lock: string = `cnn-layers training ${crypto.randomUUID()}`;
  readonly #waiting = new AbortController();

  constructor(create: () => AnyWorker = ownWorker, owner: Owner) {
    this.#owner = owner;
    this.#worker = create();
    const lose = (reason: string) => this.#lose(new Error(reason));
    if ("on" in this.#worker) {
      const worker = this.#worker as NodeWorker;
      worker.on("message", this.#hear);
      worker.on("error", (error) => this.#lose(asError(error)));
      worker.on("exit", () => lose(ENDED));
      worker.on("messageerror", () => lose("A message of the training worker could not be read"));
      return;
    }
    const worker = this.#worker as WebWorker;
    worker.onmessage = ({ data }) => this.#hear(data);
    worker.onmessageerror = () => lose("A message of the training worker could not be read");
    worker.onerror = (event) => {
      event.preventDefault?.();
      lose(event.message || "The training worker cannot start");
    };
  }

  /** What the worker holds as long as it lives. */
  get lock(): string {
    return this.#lock;
  }

  /** Sends it a message, and moves buffers there. */
  send(message: ToWorker, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  /** Ends it. */
  end(): void {
    this.#waiting.abort();
    this.#worker.terminate();
  }

  readonly #hear = (message: FromWorker): void => {
    if (message.kind === "holds lock") this.#awaitEnd();
    else this.#owner.hear(message);
  };

  #lose(error: Error): void {
    if (!this.#waiting.signal.aborted) this.#owner.lose(error);
  }

  /** Waits for the lock that the worker holds: web workers that are ended from outside say nothing. */
  #awaitEnd(): void {
    const { locks } = globalThis.navigator as {
      locks?: {
        request(name: string, how: { signal: AbortSignal }, held: () => void): Promise<unknown>;
      };
    };
    const { signal } = this.#waiting;
    locks?.request(this.#lock, { signal }, () => this.#lose(new Error(ENDED))).catch(() => {});
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
