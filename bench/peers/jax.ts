/**
 * jax-js on its WebAssembly backend, forward jitted, backward by vjp. Arrays are made before the clock
 * starts, and nothing is read back.
 *
 * @module
 */

import type { Job, Peer, Results } from "./peer.ts";
import { load, runnable } from "./peer.ts";

interface JaxArray {
  /** The same array, held once more: an operation lets go of what it is given. */
  readonly ref: JaxArray;
  add(other: JaxArray): JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  data(): Promise<ArrayLike<number>>;
  dispose(): void;
}

type JaxFunction = (...inputs: JaxArray[]) => JaxArray;

interface Jax {
  init(device: string): Promise<string[]>;
  defaultDevice(device: string): string;
  jit(f: JaxFunction): JaxFunction;
  vjp(f: JaxFunction, inputs: JaxArray[]): [JaxArray, (dout: JaxArray) => JaxArray[]];
  blockUntilReady<T extends JaxArray | JaxArray[]>(arrays: T): Promise<T>;
  numpy: { array(data: Float32Array): JaxArray; max(x: JaxArray): JaxArray };
  lax: {
    convGeneralDilated(
      x: JaxArray,
      w: JaxArray,
      strides: number[],
      padding: number[][],
      more: { rhsDilation: number[]; featureGroupCount: number },
    ): JaxArray;
    reduceWindow(
      x: JaxArray,
      computation: (x: JaxArray) => JaxArray,
      window: number[],
      strides: number[],
    ): JaxArray;
  };
}

/** The loaders of other libraries put Node's Worker in its place, and jax-js needs this one. */
const { Worker } = globalThis;

/** jax-js. */
export async function jax(): Promise<Peer> {
  const lib = await load<Jax>("npm:@jax-js/jax@0.1.25");
  if (!(await lib.init("wasm")).includes("wasm")) throw new Error("jax-js has no wasm device here");
  lib.defaultDevice("wasm");
  return {
    name: "jax-js wasm",
    dtype: "float32",
    async prepare(job) {
      // It has no average pool that leaves padding out; its transposed convolutions do not rotate weights.
      if (job.workload.kind === "averagePool" || job.workload.kind === "convTranspose") return;
      globalThis.Worker = Worker;
      const { f, inputs } = bind(lib, job);
      const pass = job.direction === "fwd"
        ? forward(f, inputs)
        : await backward(lib, f, inputs, job);
      const names = job.direction === "fwd" ? ["out"] : ["dx", "dw", "db"];
      let last: JaxArray[] = [];
      return runnable(
        async () => {
          for (const old of last) old.dispose();
          last = pass();
          await lib.blockUntilReady(last);
        },
        async (): Promise<Results> =>
          Object.fromEntries(
            await Promise.all(last.map(async (x, i) => [names[i], await x.ref.data()])),
          ),
      );
    },
  };
}

function forward(f: JaxFunction, inputs: JaxArray[]): () => JaxArray[] {
  return () => [f(...inputs.map((x) => x.ref))];
}

async function backward(
  lib: Jax,
  f: JaxFunction,
  inputs: JaxArray[],
  job: Job,
): Promise<() => JaxArray[]> {
  const [out, pullback] = lib.vjp(f, inputs.map((x) => x.ref));
  await lib.blockUntilReady(out);
  const dout = array(lib, job.dout, job.outShape);
  return () => pullback(dout.ref);
}

function array(lib: Jax, data: Float64Array, shape: readonly number[]): JaxArray {
  return lib.numpy.array(Float32Array.from(data)).reshape(shape);
}

function bind(lib: Jax, job: Job): { f: JaxFunction; inputs: JaxArray[] } {
  const { workload: { x, w, size, stride, pad, dilation, groups }, N } = job;
  const inputs = [array(lib, job.x, [N, ...x.slice(1)])];
  if (w === undefined) {
    const { lax, numpy } = lib;
    const f = lib.jit((x) => lax.reduceWindow(x, numpy.max, [size, size], [stride, stride]));
    return { f, inputs };
  }
  inputs.push(array(lib, job.w, w), array(lib, job.b, [1, w[0], 1, 1]));
  const padding = [[pad, pad], [pad, pad]];
  const more = { rhsDilation: [dilation, dilation], featureGroupCount: groups };
  const f = lib.jit((x, w, b) =>
    lib.lax.convGeneralDilated(x, w, [stride, stride], padding, more).add(b)
  );
  return { f, inputs };
}
