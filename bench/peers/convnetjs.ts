/**
 * ConvNetJS: plain JavaScript in float64, one image a call.
 *
 * @module
 */

import type { Job, Peer } from "./peer.ts";
import { load, runnable } from "./peer.ts";

interface Vol {
  w: Float64Array;
  dw: Float64Array;
}

interface Layer {
  in_act: Vol;
  out_act: Vol;
  filters: Vol[];
  biases: Vol;
  forward(x: Vol, isTraining: boolean): Vol;
  backward(): void;
}

interface ConvNetJs {
  Vol: new (width: number, height: number, depth: number, fill: number) => Vol;
  ConvLayer: new (options: Record<string, number>) => Layer;
  PoolLayer: new (options: Record<string, number>) => Layer;
}

/** ConvNetJS. */
export async function convnetjs(): Promise<Peer> {
  const lib = await load<ConvNetJs>("npm:convnetjs@0.3.0");
  return {
    name: "convnetjs",
    dtype: "float64",
    prepare: (job) => Promise.resolve(serves(job) ? bind(lib, job) : undefined),
  };
}

/** It has neither groups nor dilation, transposed convolutions nor average pools. */
function serves({ workload: { kind, dilation, groups } }: Job): boolean {
  return (kind === "conv" || kind === "maxPool") && dilation * groups === 1;
}

function bind(lib: ConvNetJs, job: Job) {
  const { workload: { x: [, C, H, W], w, size, stride, pad }, N } = job;
  const [, F, OH, OW] = job.outShape;
  const options = { in_depth: C, in_sx: W, in_sy: H, sx: size, stride, pad };
  // A pool's layer remembers where the maxima were, so that every image needs its own.
  const layers = Array.from(
    { length: w ? 1 : N },
    () => w ? new lib.ConvLayer({ ...options, filters: F }) : new lib.PoolLayer(options),
  );
  const [conv] = layers;
  if (w) {
    conv.filters.forEach((filter, f) =>
      filter.w = swapped(job.w.subarray(f * C * size * size), C, size * size)
    );
    conv.biases.w = job.b.slice();
  }
  const images = volumes(lib, job.x, N, C, H, W);
  const forward = () => images.map((x, n) => layers[w ? 0 : n].forward(x, true));
  let outputs = forward();
  if (job.direction === "fwd") {
    return runnable(() => outputs = forward(), () => ({ out: joined(outputs, "w", F) }));
  }
  volumes(lib, job.dout, N, F, OH, OW).forEach(({ w }, n) => outputs[n].dw = w);
  return runnable(
    () => {
      // It adds to the weights' gradients: they start at zero with each batch.
      if (w) { for (const { dw } of [...conv.filters, conv.biases]) dw.fill(0); }
      for (let n = 0; n < N; n++) {
        const layer = layers[w ? 0 : n];
        layer.in_act = images[n];
        layer.out_act = outputs[n];
        layer.backward();
      }
    },
    () => ({
      dx: joined(images, "dw", C),
      ...w && { dw: joined(conv.filters, "dw", C), db: conv.biases.dw },
    }),
  );
}

/** Images of (C, H, W) as its volumes, whose depth varies fastest. */
function volumes(lib: ConvNetJs, data: Float64Array, N: number, C: number, H: number, W: number) {
  return Array.from({ length: N }, (_, n) => {
    const volume = new lib.Vol(W, H, C, 0);
    volume.w = swapped(data.subarray(n * C * H * W), C, H * W);
    return volume;
  });
}

/** Volumes as (N, C, H, W). */
function joined(volumes: Vol[], key: "w" | "dw", C: number): number[] {
  return volumes.flatMap((v) => [...swapped(v[key], v[key].length / C, C)]);
}

/** (A, B) to (B, A). */
function swapped(from: Float64Array, A: number, B: number): Float64Array {
  const to = new Float64Array(A * B);
  for (let a = 0; a < A; a++) for (let b = 0; b < B; b++) to[b * A + a] = from[a * B + b];
  return to;
}
