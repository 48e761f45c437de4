/**
 * What a thread beside the main one runs. Its text is sent to a worker: `runWorker` is whole in itself and
 * uses nothing of any module.
 *
 * A job is a list of numbers: where each chunk starts and the last one ends, what each thread does once,
 * and the chunks, which threads take until none is left, while the main one still writes. Threads wait for the next job without an event
 * loop, as waking one takes longer than a small job.
 *
 * @module
 */

/** What a worker gets when it starts. */
export interface WorkerSetup {
  /** The number of the worker, from 0. */
  readonly worker: number;
  readonly control: SharedArrayBuffer;
  readonly commands: SharedArrayBuffer;
  readonly maximumPages: number;
  /** The module that copies between two memories. */
  readonly copying: Uint8Array;
}

/** What a worker gets later: what the next job uses. */
export interface Mail {
  /** Whether everything that came before is to be forgotten. */
  readonly reset: boolean;
  readonly buffers: readonly (readonly [id: number, SharedArrayBuffer | WebAssembly.Memory])[];
  readonly modules: readonly (readonly [id: number, bytes: Uint8Array])[];
}

/** The places of the control block, in 32-bit words. */
export const CONTROL = {
  /** The number of the current job; workers wait for it to change. */
  job: 0,
  /** Workers that are still at the current job; the main thread waits for it to change. */
  busy: 1,
  /** The next chunk that no thread has taken. */
  nextChunk: 2,
  /** Chunks of the job. */
  chunks: 3,
  /** 1: workers return. */
  quit: 4,
  /** The worker that failed, plus 1, and the length of its message in bytes. */
  failed: 5,
  messageLength: 6,
  /** Workers that are ready for their first job. */
  ready: 7,
  /** A count of all workers' steps, by which one sees that they continue. */
  progress: 8,
  /** Messages that each worker has been sent after the first one. */
  mail: 9,
  /** Chunks that are written down; workers wait for it to change where they have taken another. */
  written: 10,
  /** The first chunk that is left to the main thread. */
  end: 11,
  /** Where a message lies, and the most words that it takes. */
  message: 16,
  messageMost: 256,
  /** What each chunk did, or -1 for everything. */
  done: 272,
  words: 272 + 4096,
} as const;

/** Commands; each is followed by its arguments. */
export const COMMAND = {
  /** What it is then, the bytes of memory that it needs, module, count of buffers that it joins, buffers. */
  use: 0,
  /** Place in the memory, buffer, place in it, bytes. */
  load: 1,
  /** Buffer, place in it, place in the memory, bytes. */
  store: 2,
  /** Place in the memory, bytes: sets them to zero. */
  clear: 3,
  /** Module as it was joined, function, count of arguments, arguments. */
  call: 4,
  /** Place in the memory of a flag of 16 bytes, images done: ends the chunk if the flag is not zero. */
  endIf: 5,
  /** Place in the memory, buffer, place in it, bytes from row to row there, bytes of a row, rows. */
  loadRows: 6,
  /** Buffer, place in it, place in the memory, bytes from row to row there, bytes of a row, rows. */
  storeRows: 7,
} as const;

/** The text of a worker. */
export function workerText(): string {
  // Bundlers that keep the names of functions wrap them in calls of __name.
  return `const __name = (f) => f; (${runWorker})(${JSON.stringify(CONTROL)}, ${
    JSON.stringify(COMMAND)
  });`;
}

/** The body of a worker. Everything that it uses comes in, or is the host's. */
function runWorker(C: typeof CONTROL, K: typeof COMMAND): void {
  interface Loaded {
    readonly exports: WebAssembly.Exports;
    readonly names: readonly string[];
  }

  /** Sets the worker up; returns what takes the mail. */
  function serve(
    { worker, control, commands, maximumPages, copying }: WorkerSetup,
  ): (mail: Mail) => void {
    const words = new Int32Array(control);
    const stream = new Float64Array(commands);
    const buffers = new Map<number, Uint8Array>();
    const pressure = new WeakMap<SharedArrayBuffer, ArrayBuffer>();
    /** Buffers that are memories too, and what copies between these and the memory. */
    const memories = new Map<number, WebAssembly.Memory>();
    const copies = new Map<number, WebAssembly.Exports>();
    let copyModule: WebAssembly.Module | undefined;
    const memory = new WebAssembly.Memory({ initial: 1, maximum: maximumPages });
    let own = new Uint8Array(memory.buffer), singles = new Float32Array(memory.buffer);
    const modules = new Map<number, WebAssembly.Module>();
    const joined = new Map<number, Loaded>();

    function use(id: number, need: number, module: number, others: Iterable<number>): void {
      if (!joined.has(id)) {
        const e: Record<string, WebAssembly.Memory> = { m: memory };
        let count = 0;
        for (const other of others) e[++count] = memories.get(other)!;
        const { exports } = new WebAssembly.Instance(modules.get(module)!, { e });
        joined.set(id, { exports, names: Object.keys(exports) });
      }
      const missing = need - own.length;
      if (missing <= 0) return;
      memory.grow(Math.ceil(missing / 65536));
      own = new Uint8Array(memory.buffer);
      singles = new Float32Array(memory.buffer);
    }

    function read({ reset, buffers: added, modules: more }: Mail): void {
      if (reset) {
        buffers.clear();
        memories.clear();
        copies.clear();
        modules.clear();
        joined.clear();
      }
      for (const [id, shared] of added) {
        let buffer: SharedArrayBuffer;
        if (shared instanceof WebAssembly.Memory) {
          buffer = shared.buffer as unknown as SharedArrayBuffer;
          copyModule ??= new WebAssembly.Module(copying as Uint8Array<ArrayBuffer>);
          const e = { m: memory, t: shared };
          memories.set(id, shared);
          copies.set(id, new WebAssembly.Instance(copyModule, { e }).exports);
        } else buffer = shared;
        buffers.set(id, new Uint8Array(buffer));
        // Engines do not count shared bytes when they decide whether to collect.
        pressure.set(buffer, new ArrayBuffer(buffer.byteLength >> 3));
      }
      for (const [id, bytes] of more) {
        modules.set(id, new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>));
      }
    }

    type Copy = (to: number, from: number, bytes: number) => void;

    function load(id: number, to: number, from: number, bytes: number): void {
      const copy = copies.get(id);
      if (copy !== undefined) (copy.load as Copy)(to, from, bytes);
      else own.set(buffers.get(id)!.subarray(from, from + bytes), to);
    }

    function store(id: number, to: number, from: number, bytes: number): void {
      const copy = copies.get(id);
      if (copy !== undefined) (copy.store as Copy)(to, from, bytes);
      else buffers.get(id)!.set(own.subarray(from, from + bytes), to);
    }

    /** Runs commands; returns how many images they did if they end early, or else -1. */
    function execute(from: number, to: number): number {
      for (let at = from; at < to;) {
        const a = stream[at + 1], b = stream[at + 2], c = stream[at + 3], d = stream[at + 4];
        switch (stream[at]) {
          case K.use:
            use(a, b, c, stream.subarray(at + 5, at + 5 + d));
            at += 5 + d;
            break;
          case K.load:
            load(b, a, c, d);
            at += 5;
            break;
          case K.store:
            store(a, b, c, d);
            at += 5;
            break;
          case K.clear:
            own.fill(0, a, a + b);
            at += 3;
            break;
          case K.call: {
            const { exports, names } = joined.get(a)!;
            const f = exports[names[b]] as (...args: number[]) => void;
            f(...stream.subarray(at + 4, at + 4 + c));
            at += 4 + c;
            break;
          }
          case K.endIf:
            for (let lane = a / 4; lane < a / 4 + 4; lane++) if (singles[lane] !== 0) return b;
            at += 3;
            break;
          case K.loadRows:
          case K.storeRows: {
            const [pitch, width, rows] = stream.subarray(at + 4, at + 7);
            const isLoad = stream[at] === K.loadRows;
            let [there, here] = isLoad ? [c, a] : [b, c];
            for (let i = 0; i < rows; i++, there += pitch, here += width) {
              if (isLoad) load(b, here, there, width);
              else store(a, there, here, width);
            }
            at += 7;
            break;
          }
          default:
            throw new Error(`Command ${stream[at]} at ${at} is none`);
        }
        Atomics.add(words, C.progress, 1);
      }
      return -1;
    }

    function work(): void {
      const chunks = words[C.chunks];
      let left: number | undefined;
      for (;;) {
        const chunk = Atomics.add(words, C.nextChunk, 1);
        if (chunk >= chunks) return;
        for (let written; (written = Atomics.load(words, C.written)) <= chunk;) {
          Atomics.wait(words, C.written, written);
        }
        if (chunk >= Atomics.load(words, C.end)) return;
        left ??= execute(chunks + 1, stream[0]);
        words[C.done + chunk] = left >= 0 ? left : execute(stream[chunk], stream[chunk + 1]);
      }
    }

    let job = 0, received = 0;
    /** Why mail could not be read. */
    let unread: unknown;

    /** Works on jobs until there is mail, which comes by the event loop. */
    function wait(): void {
      for (;;) {
        Atomics.wait(words, C.job, job);
        // The host ends a worker that is back in its event loop.
        if (words[C.quit] === 1) return;
        if (received < Atomics.load(words, C.mail)) return;
        job = Atomics.load(words, C.job);
        try {
          if (unread !== undefined) throw unread;
          work();
        } catch (error) {
          const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
          const bytes = new TextEncoder().encode(text).subarray(0, 4 * C.messageMost);
          new Uint8Array(control).set(bytes, 4 * C.message);
          words[C.messageLength] = bytes.length;
          Atomics.store(words, C.failed, worker + 1);
        }
        Atomics.sub(words, C.busy, 1);
        Atomics.notify(words, C.busy);
      }
    }

    Atomics.add(words, C.ready, 1);
    wait();
    return (mail) => {
      received++;
      try {
        read(mail);
      } catch (error) {
        unread = error;
      }
      if (received >= Atomics.load(words, C.mail)) wait();
    };
  }
  let take: ((mail: Mail) => void) | undefined;
  const receive = (data: WorkerSetup | Mail) => {
    if ("control" in data) take = serve(data);
    else take!(data);
  };
  // A worker of the web, or Node's.
  const scope = globalThis as {
    onmessage?: unknown;
    process?: { getBuiltinModule?: (name: string) => unknown };
  };
  const { parentPort } = (scope.process?.getBuiltinModule?.("node:worker_threads") ?? {}) as {
    parentPort?: { on(event: "message", listener: typeof receive): void } | null;
  };
  if (parentPort) parentPort.on("message", receive);
  else scope.onmessage = ({ data }: { data: WorkerSetup | Mail }) => receive(data);
}
