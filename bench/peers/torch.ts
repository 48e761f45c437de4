/**
 * PyTorch on so many threads, in a Python process of its own that answers over pipes.
 *
 * @module
 */

import type { DType } from "../../mod.ts";
import type { Job, Peer, Results } from "./peer.ts";

/** Debian's python3-torch belongs to Debian's Python. */
const PYTHON = "/usr/bin/python3";

/** A Python process: each request gets one line of JSON. */
interface Child {
  ask<T>(request: unknown): Promise<T>;
  close(): void;
}

async function start(threads: number): Promise<Child> {
  const child = new Deno.Command(PYTHON, {
    args: [new URL("torch_child.py", import.meta.url).pathname, `${threads}`],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const next = async () => {
    while (!text.includes("\n")) {
      const { value, done } = await lines.read();
      if (done) throw new Error(`${PYTHON} ended: it may have no torch`);
      text += value;
    }
    const at = text.indexOf("\n");
    const line = text.slice(0, at);
    text = text.slice(at + 1);
    return JSON.parse(line);
  };
  await next();
  return {
    async ask(request) {
      await writer.write(new TextEncoder().encode(JSON.stringify(request) + "\n"));
      return await next();
    },
    close() {
      writer.close().catch(() => {});
    },
  };
}

/** PyTorch in one dtype. */
export async function torch(dtype: DType, threads = 1): Promise<Peer> {
  const child = await start(threads);
  const file = await Deno.makeTempFile();
  return {
    name: `PyTorch, ${threads} thread${threads > 1 ? "s" : ""}`,
    dtype,
    async prepare(job) {
      await send(job, file, dtype, child);
      return {
        async results(): Promise<Results> {
          const { sizes } = await child.ask<{ sizes: Record<string, number> }>({
            do: "results",
            file,
          });
          const data = new Float64Array((await Deno.readFile(file)).buffer);
          let at = 0;
          return Object.fromEntries(
            Object.entries(sizes).map(([name, size]) => [name, data.subarray(at, at += size)]),
          );
        },
        async sample(budget) {
          return (await child.ask<{ times: number[] }>({ do: "sample", budget })).times;
        },
      };
    },
    dispose() {
      child.close();
      Deno.removeSync(file);
    },
  };
}

async function send(job: Job, file: string, dtype: DType, child: Child): Promise<void> {
  const { workload: { x, w, name: _, ...layer }, N, outShape, direction } = job;
  const parts = [job.x, job.w, job.b, job.dout];
  const all = new Float64Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  await Deno.writeFile(file, new Uint8Array(all.buffer));
  const shapes = [[N, ...x.slice(1)], w ?? [0], [job.b.length], outShape];
  await child.ask({ ...layer, do: "prepare", file, dtype, direction, shapes });
}
