/**
 * ONNX Runtime, in WebAssembly and native: a model of one node, its weights inside it, so that it may
 * arrange them beforehand. It has no gradients.
 *
 * @module
 */

import type { Job, Kind, Peer, Results } from "./peer.ts";
import { load, runnable } from "./peer.ts";

interface Ort {
  env: { wasm: { numThreads?: number }; logLevel?: string };
  Tensor: new (type: "float32", data: Float32Array, shape: readonly number[]) => unknown;
  InferenceSession: {
    create(model: Uint8Array, options: Record<string, unknown>): Promise<{
      run(feeds: Record<string, unknown>): Promise<Record<string, { data: Float32Array }>>;
      release(): Promise<void>;
    }>;
  };
}

interface OnnxProto {
  onnx: { ModelProto: { encode(model: unknown): { finish(): Uint8Array } } };
}

/** ONNX Runtime of one kind. */
export async function onnxruntime(kind: "web" | "node"): Promise<Peer> {
  const { onnx } = await load<OnnxProto>("npm:onnx-proto@8.0.1");
  const ort = await load<Ort>(`npm:onnxruntime-${kind}@1.30.0`);
  if (kind === "web") ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  return {
    name: `onnxruntime-${kind}`,
    dtype: "float32",
    async prepare(job) {
      if (job.direction === "bwd") return undefined;
      const session = await ort.InferenceSession.create(
        onnx.ModelProto.encode(model(job)).finish(),
        {
          executionProviders: [kind === "web" ? "wasm" : "cpu"],
          intraOpNumThreads: 1,
          interOpNumThreads: 1,
        },
      );
      const x = new ort.Tensor("float32", Float32Array.from(job.x), xShape(job));
      let last: Results = {};
      return runnable(
        async () => {
          last = { out: (await session.run({ x })).out.data };
        },
        () => last,
        () => session.release(),
      );
    },
  };
}

function xShape({ workload, N }: Job): number[] {
  return [N, ...workload.x.slice(1)];
}

const opTypes: Readonly<Record<Kind, string>> = {
  conv: "Conv",
  convTranspose: "ConvTranspose",
  maxPool: "MaxPool",
  averagePool: "AveragePool",
};

/** A model of one node, as onnx.proto3 lays it out. */
function model(job: Job): unknown {
  const FLOAT = 1, INT = 2, INTS = 7;
  const { kind, w, size, stride, pad, dilation, groups } = job.workload;
  const ints = (name: string, values: number[]) => ({ name, type: INTS, ints: values });
  const value = (name: string, shape: readonly number[]) => ({
    name,
    type: {
      tensorType: { elemType: FLOAT, shape: { dim: shape.map((dimValue) => ({ dimValue })) } },
    },
  });
  const constant = (name: string, dims: readonly number[], data: Float64Array) => ({
    name,
    dims,
    dataType: FLOAT,
    rawData: new Uint8Array(Float32Array.from(data).buffer),
  });
  return {
    irVersion: 8,
    opsetImport: [{ domain: "", version: 17 }],
    graph: {
      name: job.workload.name,
      input: [value("x", xShape(job))],
      output: [value("out", job.outShape)],
      initializer: w ? [constant("w", w, job.w), constant("b", [job.b.length], job.b)] : [],
      node: [{
        opType: opTypes[kind],
        input: w ? ["x", "w", "b"] : ["x"],
        output: ["out"],
        attribute: [
          ints("kernel_shape", [size, size]),
          ints("strides", [stride, stride]),
          ints("pads", [pad, pad, pad, pad]),
          ...w
            ? [ints("dilations", [dilation, dilation]), { name: "group", type: INT, i: groups }]
            : [],
        ],
      }],
    },
  };
}
