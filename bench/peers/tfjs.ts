/**
 * TensorFlow.js: its WebAssembly and its plain JavaScript backend. Tensors are made before the clock
 * starts, in the layout it likes (NHWC), and nothing is read back: what it takes inside a net. It has
 * threads in browsers alone, and refuses them where it finds Node's API.
 *
 * @module
 */

import type { Job, Peer, Results, Runnable } from "./peer.ts";
import { load, runnable, toNCHW, toNHWC } from "./peer.ts";

const VERSION = "4.22.0";

/** A tensor of TensorFlow.js. */
export interface TfTensor {
  dataSync(): Float32Array;
  dispose(): void;
}

/** What is called of TensorFlow.js. */
export interface Tf {
  tensor(data: Float32Array, shape: readonly number[]): TfTensor;
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  maxPool(x: TfTensor, size: number, stride: number, pad: number): TfTensor;
  avgPool(x: TfTensor, size: number, stride: number, pad: number): TfTensor;
  add(a: TfTensor, b: TfTensor): TfTensor;
  sum(x: TfTensor, axes: number[]): TfTensor;
  matMul(a: TfTensor, b: TfTensor, transposeA?: boolean, transposeB?: boolean): TfTensor;
  fused: Record<
    "conv2d" | "depthwiseConv2d" | "matMul",
    (options: Record<string, unknown>) => TfTensor
  >;
  engine(): {
    runKernel(
      name: string,
      inputs: Record<string, TfTensor>,
      attributes: Record<string, unknown>,
    ): TfTensor;
  };
}

/** TensorFlow.js on one backend and one thread. */
export async function loadTfjs<T extends Tf = Tf>(backend: "wasm" | "cpu"): Promise<T> {
  const tf = await load<T>(`npm:@tensorflow/tfjs-core@${VERSION}`);
  const { setThreadsCount } = await load<{ setThreadsCount?: (threads: number) => void }>(
    `npm:@tensorflow/tfjs-backend-${backend}@${VERSION}`,
  );
  setThreadsCount?.(1);
  if (!await tf.setBackend(backend)) throw new Error(`tfjs has no ${backend} backend here`);
  await tf.ready();
  return tf;
}

/** TensorFlow.js on one backend as a peer. */
export async function tfjs(backend: "wasm" | "cpu"): Promise<Peer> {
  const tf = await loadTfjs(backend);
  return {
    name: `tfjs ${backend}`,
    dtype: "float32",
    async prepare(job) {
      await tf.setBackend(backend);
      const bound = bind(tf, job);
      if (bound === undefined) return undefined;
      const { run, inputs } = bound;
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

/** A job's run, and the tensors it is given. */
interface Bound {
  readonly run: () => Record<string, TfTensor>;
  readonly inputs: Record<string, TfTensor>;
}

/** What runs a job; undefined if there is no such operation. */
function bind(tf: Tf, job: Job): Bound | undefined {
  const { workload: { kind, x: [, C, H, W], size, stride, pad }, N } = job;
  const [, F, OH, OW] = job.outShape;
  if (kind === "affine") return bindAffine(tf, job);
  const x = tf.tensor(toNHWC(job.x, [N, C, H, W]), [N, H, W, C]);
  const dy = tf.tensor(toNHWC(job.dout, job.outShape), [N, OH, OW, F]);
  const kernel = (name: string, inputs: Record<string, TfTensor>, more: Record<string, unknown>) =>
    tf.engine().runKernel(name, inputs, { strides: [stride, stride], pad, ...more });
  if (kind === "conv" || kind === "convTranspose") return bindConv(tf, job, x, dy, kernel);
  const name = kind === "maxPool" ? "maxPool" : "avgPool";
  const forward = () => tf[name](x, size, stride, pad);
  if (job.direction === "fwd") return { run: () => ({ out: forward() }), inputs: { x, dy } };
  const more = { filterSize: [size, size] };
  if (kind === "averagePool") {
    const run = () => ({ dx: kernel("AvgPoolGrad", { dy, input: x }, more) });
    return { run, inputs: { x, dy } };
  }
  const output = forward();
  const run = () => ({ dx: kernel("MaxPoolGrad", { dy, input: x, output }, more) });
  return { run, inputs: { x, dy, output } };
}

/** A fully-connected layer: products of matrices. */
function bindAffine(tf: Tf, job: Job): Bound {
  const { N, direction, b: { length: M } } = job, D = job.x.length / N;
  const matrix = (data: Float64Array, shape: number[]) => tf.tensor(Float32Array.from(data), shape);
  const x = matrix(job.x, [N, D]), w = matrix(job.w, [D, M]);
  const b = matrix(job.b, [M]), dy = matrix(job.dout, [N, M]);
  const forward = () => ({ out: tf.fused.matMul({ a: x, b: w, bias: b }) });
  const backward = () => ({
    dx: tf.matMul(dy, w, false, true),
    dw: tf.matMul(x, dy, true),
    db: tf.sum(dy, [0]),
  });
  return { run: direction === "fwd" ? forward : backward, inputs: { x, w, b, dy } };
}

/** A convolution: plain, of one group a channel, or transposed. There are no other groups. */
function bindConv(
  tf: Tf,
  job: Job,
  x: TfTensor,
  dy: TfTensor,
  kernel: (
    name: string,
    inputs: Record<string, TfTensor>,
    more: Record<string, unknown>,
  ) => TfTensor,
): Bound | undefined {
  const { workload: { kind, x: [, C, H, W], w, stride, pad, dilation, groups, size }, N } = job;
  const [, F, OH, OW] = job.outShape;
  const depthwise = groups === C && F === C;
  if (w === undefined || (groups > 1 && !depthwise)) return undefined;
  // (F, C, K, K) to (K, K, C, F), and a depthwise (C, 1, K, K) to (K, K, C, 1).
  const filterShape = depthwise ? [size, size, C, 1] : [size, size, w[1], w[0]];
  const filter = tf.tensor(filterToTf(job.w, w), filterShape);
  const bias = tf.tensor(Float32Array.from(job.b), [F]);
  const inputs = { x, dy, filter, bias };
  const layout = { dataFormat: "NHWC", dilations: [1, 1] };
  const forward = (): TfTensor => {
    if (kind === "conv") {
      const conv = tf.fused[depthwise ? "depthwiseConv2d" : "conv2d"];
      return conv({ x, filter, bias, strides: stride, pad, dilations: dilation });
    }
    const inputShape = [N, OH, OW, F];
    const out = kernel("Conv2DBackpropInput", { dy: x, filter }, { ...layout, inputShape });
    const sum = tf.add(out, bias);
    out.dispose();
    return sum;
  };
  if (job.direction === "fwd") return { run: () => ({ out: forward() }), inputs };
  // Its gradients know no dilation.
  if (dilation > 1) return undefined;
  const db = () => tf.sum(dy, [0, 1, 2]);
  if (kind === "convTranspose") {
    const run = () => ({
      dx: kernel("Conv2D", { x: dy, filter }, layout),
      dw: kernel("Conv2DBackpropFilter", { x: dy, dy: x }, { ...layout, filterShape }),
      db: db(),
    });
    return { run, inputs };
  }
  const prefix = depthwise ? "DepthwiseConv2dNative" : "Conv2D";
  const inputShape = [N, H, W, C];
  const run = () => ({
    dx: kernel(`${prefix}BackpropInput`, { dy, filter }, { ...layout, inputShape }),
    dw: kernel(`${prefix}BackpropFilter`, { x, dy }, { ...layout, filterShape }),
    db: db(),
  });
  return { run, inputs };
}

/** (F, C, K, K) to (K, K, C, F): first (F, K*K, C), then its transpose; of one group a channel, (K, K, F). */
export function filterToTf(w: ArrayLike<number>, [F, C, K]: readonly number[]): Float32Array {
  return toNHWC(toNHWC(w, [F, C, K, K]), [1, F, K * K * C, 1]);
}

function read(job: Job, last: Record<string, TfTensor>): Results {
  const { workload: { kind, x: [, C, H, W], w, size }, N } = job;
  const shapes: Record<string, readonly number[]> = { out: job.outShape, dx: [N, C, H, W] };
  return Object.fromEntries(
    Object.entries(last).map(([name, tensor]) => {
      const data = tensor.dataSync();
      if (name === "db" || kind === "affine") return [name, data];
      if (name !== "dw") return [name, toNCHW(data, shapes[name])];
      const [F, inputs] = w ?? [0, 0];
      const byFilter = toNCHW(data, [1, F, size * size * inputs, 1]);
      return [name, toNCHW(byFilter, [F, inputs, size, size])];
    }),
  );
}
