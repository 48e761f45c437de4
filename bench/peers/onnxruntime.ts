/**
 * ONNX Runtime, in WebAssembly and native: a model of one node, its weights inside it, so that it may
 * arrange them beforehand. It has no gradients.
 *
 * @module
 */

import type { Job, Kind, Peer, Results } from "./peer.ts";
import { load, runnable } from "./peer.ts";

/** What is called of ONNX Runtime. */
export interface Ort {
  env: { wasm: { numThreads?: number }; logLevel?: string };
  Tensor: new (type: "float32", data: Float32Array, shape: readonly number[]) => unknown;
  InferenceSession: {
    create(model: Uint8Array, options: Record<string, unknown>): Promise<{
      run(feeds: Record<string, unknown>): Promise<Record<string, { data: Float32Array }>>;
      release(): Promise<void>;
    }>;
  };
}

/** Protocol Buffers, and the messages of ONNX. */
interface Protobuf {
  create(schema: unknown, message: unknown): unknown;
  toBinary(schema: unknown, message: unknown): Uint8Array;
}
interface OnnxBuf {
  ModelProtoSchema: unknown;
}

/** ONNX Runtime of one kind, on so many threads. */
export async function loadOrt(kind: "web" | "node", threads = 1): Promise<Ort> {
  const ort = await load<Ort>(`npm:onnxruntime-${kind}@1.30.0`);
  if (kind === "web") ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  return ort;
}

/** The options of a session on so many threads. */
export function sessionOptions(kind: "web" | "node", threads = 1): Record<string, unknown> {
  return {
    executionProviders: [kind === "web" ? "wasm" : "cpu"],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
  };
}

/** ONNX Runtime of one kind as a peer. */
export async function onnxruntime(kind: "web" | "node", threads = 1): Promise<Peer> {
  const { create, toBinary } = await load<Protobuf>("npm:@bufbuild/protobuf@^2.10.2");
  const { ModelProtoSchema } = await load<OnnxBuf>("npm:onnx-buf@1.20.0-1");
  const ort = await loadOrt(kind, threads);
  return {
    name: `onnxruntime-${kind}`,
    dtype: "float32",
    async prepare(job) {
      if (job.direction === "bwd") return undefined;
      const session = await ort.InferenceSession.create(
        toBinary(ModelProtoSchema, create(ModelProtoSchema, model(job))),
        sessionOptions(kind, threads),
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

function xShape({ workload: { kind, x }, N }: Job): number[] {
  return kind === "affine" ? [N, x[1]] : [N, ...x.slice(1)];
}

const opTypes: Readonly<Record<Kind, string>> = {
  conv: "Conv",
  convTranspose: "ConvTranspose",
  affine: "Gemm",
  maxPool: "MaxPool",
  averagePool: "AveragePool",
};

/** A model of one node, as onnx.proto3 lays it out. */
function model(job: Job): unknown {
  const FLOAT = 1, INT = 2, INTS = 7;
  const { kind, w, size, stride, pad, dilation, groups } = job.workload;
  const isAffine = kind === "affine";
  const ints = (name: string, values: number[]) => ({ name, type: INTS, ints: values.map(BigInt) });
  const value = (name: string, shape: readonly number[]) => ({
    name,
    type: {
      value: {
        case: "tensorType",
        value: {
          elemType: FLOAT,
          shape: { dim: shape.map((n) => ({ value: { case: "dimValue", value: BigInt(n) } })) },
        },
      },
    },
  });
  const constant = (name: string, dims: readonly number[], data: Float64Array) => ({
    name,
    dims: dims.map(BigInt),
    dataType: FLOAT,
    rawData: new Uint8Array(Float32Array.from(data).buffer),
  });
  return {
    irVersion: 8n,
    opsetImport: [{ domain: "", version: 17n }],
    graph: {
      name: job.workload.name,
      input: [value("x", xShape(job))],
      output: [value("out", isAffine ? job.outShape.slice(0, 2) : job.outShape)],
      initializer: w
        ? [constant("w", isAffine ? w.slice(0, 2) : w, job.w), constant("b", [job.b.length], job.b)]
        : [],
      node: [{
        opType: opTypes[kind],
        input: w ? ["x", "w", "b"] : ["x"],
        output: ["out"],
        attribute: isAffine ? [] : [
          ints("kernel_shape", [size, size]),
          ints("strides", [stride, stride]),
          ints("pads", [pad, pad, pad, pad]),
          ...w
            ? [ints("dilations", [dilation, dilation]), {
              name: "group",
              type: INT,
              i: BigInt(groups),
            }]
            : [],
        ],
      }],
    },
  };
}
