/**
 * What a worker runs: the training runs of {@linkcode trainInWorker}.
 *
 * @module
 */

import type { FromWorker, ToWorker } from "./messages.ts";
import { type Send, Session } from "./session.ts";

/** What a worker hears and speaks through: its global scope, or Node's parentPort. */
interface Port {
  postMessage(message: FromWorker, transfer: readonly ArrayBuffer[]): void;
  addEventListener?(type: "message", listener: (event: { data: ToWorker }) => void): void;
  on?(type: "message", listener: (message: ToWorker) => void): void;
}

function ownPort(): Port {
  const { postMessage, process } = globalThis as {
    postMessage?: unknown;
    process?: { getBuiltinModule?: (name: string) => unknown };
  };
  if (typeof postMessage === "function") return globalThis as unknown as Port;
  const threads = process?.getBuiltinModule?.("node:worker_threads");
  const { parentPort } = (threads ?? {}) as { parentPort?: Port | null };
  if (parentPort) return parentPort;
  throw new Error("serveTraining must be called in a worker");
}

/**
 * Serves a training run of {@linkcode trainInWorker}: all that the file of a worker has to do. The
 * library has such a file; where a bundler does not find it, a program has its own, and tells
 * trainInWorker by the option `worker`.
 *
 * @example training_worker.ts
 * ```ts ignore
 * import { serveTraining } from "@cnn-layers/cnn-layers/worker";
 *
 * serveTraining();
 * ```
 *
 * @throws {Error} If this is not a worker.
 */
export function serveTraining(): void {
  const port = ownPort();
  const send: Send = (message, transfer = []) => port.postMessage(message, transfer);
  let session: Session | undefined;
  const receive = (message: ToWorker) => {
    if (message.kind === "start") {
      session ??= new Session(message.setup, send);
      holdLock(message.lock, send);
    } else session?.receive(message);
  };
  if (port.on !== undefined) port.on("message", receive);
  else port.addEventListener?.("message", ({ data }) => receive(data));
}

/** A worker that ends, however that happens, gives back its locks: its owner waits for this one. */
function holdLock(name: string, send: Send): void {
  const { locks } = (globalThis.navigator ?? {}) as {
    locks?: { request(name: string, held: () => Promise<void>): Promise<void> };
  };
  locks?.request(name, () => {
    send({ kind: "holds lock" });
    return new Promise(() => {});
  });
}
