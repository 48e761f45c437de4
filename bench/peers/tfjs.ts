/**
 * TensorFlow.js: its WebAssembly and its plain JavaScript backend. Tensors are made before the clock
 * starts, in the layout it likes (NHWC), and nothing is read back: what it takes inside a net.
 *
 * @module
 */

import type { Job, Peer, Results, Runnable } from "./peer.ts";
import { load, runnable, toNCHW, toNHWC } from "./peer.ts";

const VERSION = "4.22.0";

interface TfTensor {
  dataSync(): Float32Array;
  dispose(): void;
}

interface Tf {
  tensor(data: Float32Array, shape: readonly number[]): TfTensor;
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  maxPool(x: TfTensor, size: number, stride: number, pad: number): TfTensor;
  sum(x: TfTensor, axes: number[]): TfTensor;
  fused: { conv2d(options: Record<string, unknown>): TfTensor };
  engine(): {
    runKernel(
      name: string,
      inputs: Record<string, TfTensor>,
      attributes: Record<string, unknown>,
    ): TfTensor;
  };
}

/** TensorFlow.js on one backend. */
export async function tfjs(backend: "wasm" | "cpu"): Promise<Peer> {
  const tf = await load<Tf>(`npm:@tensorflow/tfjs-core@${VERSION}`);
  const { setThreadsCount } = await load<{ setThreadsCount?: (threads: number) => void }>(
    `npm:@tensorflow/tfjs-backend-${backend}@${VERSION}`,
  );
  setThreadsCount?.(1);
  if (!await tf.setBackend(backend)) throw new Error(`tfjs has no ${backend} backend here`);
  await tf.ready();
  return {
    name: `tfjs ${backend}`,
    dtype: "float32",
    async prepare(job) {
      await tf.setBackend(backend);
      const { run, inputs } = bind(tf, job);
      let last: Record<string, TfTensor> = {};
      const drop = (tensors: Record<string, TfTensor>) =>
        Object.values(tensors).forEach((tensor) => tensor.dispose());
      const inner = runnable(
        () => {
          drop(last);
          last = {};
          last = run();
        },
        () => read(job, last),
        () => drop({ ...last, ...inputs }),
      );
      const onBackend = <T>(f: () => Promise<T>) => tf.setBackend(backend).then(f);
      return {
        ...inner,
        results: () => onBackend(inner.results),
        sample: (budget) => onBackend(() => inner.sample(budget)),
      } satisfies Runnable;
    },
  };
}

function bind(
  tf: Tf,
  job: Job,
): { run: () => Record<string, TfTensor>; inputs: Record<string, TfTensor> } {
  const { workload: { x: [, C, H, W], w: wShape, size, stride, pad }, N } = job;
  const [, F, OH, OW] = job.outShape;
  const x = tf.tensor(toNHWC(job.x, [N, C, H, W]), [N, H, W, C]);
  const dy = tf.tensor(toNHWC(job.dout, job.outShape), [N, OH, OW, F]);
  const kernel = (name: string, inputs: Record<string, TfTensor>, more: Record<string, unknown>) =>
    tf.engine().runKernel(name, inputs, { strides: [stride, stride], pad, ...more });
  if (wShape === undefined) {
    if (job.direction === "fwd") {
      return { run: () => ({ out: tf.maxPool(x, size, stride, pad) }), inputs: { x, dy } };
    }
    const output = tf.maxPool(x, size, stride, pad);
    const run = () => ({
      dx: kernel("MaxPoolGrad", { dy, input: x, output }, { filterSize: [size, size] }),
    });
    return { run, inputs: { x, dy, output } };
  }
  // (F, C, K, K) to (K, K, C, F): first (F, K*K, C), then its transpose.
  const filterShape = [size, size, C, F];
  const filter = tf.tensor(
    toNHWC(toNHWC(job.w, [F, C, size, size]), [1, F, size * size * C, 1]),
    filterShape,
  );
  const bias = tf.tensor(Float32Array.from(job.b), [F]);
  const inputs = { x, dy, filter, bias };
  const more = { dataFormat: "NHWC", dilations: [1, 1] };
  const run = job.direction === "fwd"
    ? () => ({ out: tf.fused.conv2d({ x, filter, bias, strides: stride, pad }) })
    : () => ({
      dx: kernel("Conv2DBackpropInput", { dy, filter }, { ...more, inputShape: [N, H, W, C] }),
      dw: kernel("Conv2DBackpropFilter", { x, dy }, { ...more, filterShape }),
      db: tf.sum(dy, [0, 1, 2]),
    });
  return { run, inputs };
}

function read(job: Job, last: Record<string, TfTensor>): Results {
  const { workload: { x: [, C, H, W], w, size }, N } = job;
  const shapes: Record<string, readonly number[]> = { out: job.outShape, dx: [N, C, H, W] };
  return Object.fromEntries(
    Object.entries(last).map(([name, tensor]) => {
      const data = tensor.dataSync();
      if (name === "db") return [name, data];
      if (name !== "dw") return [name, toNCHW(data, shapes[name])];
      const F = w?.[0] ?? 0;
      const byFilter = toNCHW(data, [1, F, size * size * C, 1]);
      return [name, toNCHW(byFilter, [F, C, size, size])];
    }),
  );
}
