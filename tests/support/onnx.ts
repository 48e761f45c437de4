/**
 * One ONNX operator, run by ONNX Runtime: an implementation of the layers that shares nothing with ours.
 *
 * @module
 */

import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType as AttributeType,
  type AttributeProtoSchema,
  ModelProtoSchema,
  TensorProto_DataType as DataType,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from "onnx-buf";
import * as native from "onnxruntime-node";
import * as web from "onnxruntime-web";
import type { Tensor } from "../../mod.ts";

/** What an operator is told: whole numbers, lists of them, words, or floats. */
export type Attributes = Readonly<
  Record<string, number | readonly number[] | string | { readonly float: number } | undefined>
>;

/** A node of a model: its operator, inputs, attributes, and outputs, of which the first names it. */
export interface NodeText {
  readonly opType: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Attributes;
}

/** A constant: values, or sizes. */
export type ConstantText = Tensor | readonly number[];

/** A model as a test writes it. */
export interface ModelText {
  /** Each with its shape; none if a dimension is a string, which names it. */
  readonly inputs: Readonly<Record<string, readonly (number | string)[] | undefined>>;
  readonly outputs: readonly string[];
  readonly nodes: readonly NodeText[];
  readonly constants?: Readonly<Record<string, ConstantText>>;
  readonly opset?: number;
  readonly irVersion?: number;
}

function attribute(
  name: string,
  value: NonNullable<Attributes[string]>,
): MessageInitShape<typeof AttributeProtoSchema> {
  if (typeof value === "string") {
    return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) };
  }
  if (typeof value === "number") return { name, type: AttributeType.INT, i: BigInt(value) };
  if ("float" in value) return { name, type: AttributeType.FLOAT, f: value.float };
  return { name, type: AttributeType.INTS, ints: value.map(BigInt) };
}

function valueInfo(
  name: string,
  shape?: readonly (number | string)[],
): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = shape?.map((size) => ({
    value: typeof size === "string"
      ? { case: "dimParam" as const, value: size }
      : { case: "dimValue" as const, value: BigInt(size) },
  }));
  const value = { elemType: DataType.FLOAT, shape: dim && { dim } };
  return { name, type: { value: { case: "tensorType", value } } };
}

function initializer(
  name: string,
  value: ConstantText,
): MessageInitShape<typeof TensorProtoSchema> {
  if ("data" in value) {
    const rawData = new Uint8Array(Float32Array.from(value.data).buffer);
    return { name, dims: value.shape.map(BigInt), dataType: DataType.FLOAT, rawData };
  }
  const dims = [BigInt(value.length)], int64Data = value.map(BigInt);
  return { name, dims, dataType: DataType.INT64, int64Data };
}

/** The bytes of a model. */
export function modelOf(text: ModelText): Uint8Array<ArrayBuffer> {
  const { inputs, outputs, nodes, constants = {}, opset = 22, irVersion = 10 } = text;
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: BigInt(irVersion),
      opsetImport: [{ domain: "", version: BigInt(opset) }],
      graph: {
        name: "test",
        input: Object.entries(inputs).map(([name, shape]) => valueInfo(name, shape)),
        output: outputs.map((name) => valueInfo(name)),
        node: nodes.map(({ opType, inputs, outputs, attributes = {} }) => ({
          opType,
          name: outputs[0],
          input: [...inputs],
          output: [...outputs],
          attribute: Object.entries(attributes).flatMap(([name, value]) =>
            value === undefined ? [] : [attribute(name, value)]
          ),
        })),
        initializer: Object.entries(constants).map(([name, value]) => initializer(name, value)),
      },
    }),
  );
}

const OPTIONS = {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  // Refusals are thrown; what it logs besides is noise.
  logSeverityLevel: 4,
} as const;

// More threads than one need workers that Deno does not have.
web.env.wasm.numThreads = 1;
web.env.logLevel = "error";

/**
 * Runs a model with ONNX Runtime.
 *
 * @param model Its bytes.
 * @param feeds Its inputs by name, which become float32.
 * @param kind Which build of ONNX Runtime. Default: the native one.
 * @returns Its first output.
 */
export async function runModel(
  model: Uint8Array,
  feeds: Readonly<Record<string, Tensor>>,
  kind: "native" | "web" = "native",
): Promise<Tensor<Float32Array>> {
  const { InferenceSession, Tensor: OnnxTensor } = kind === "web" ? web : native;
  const session = await InferenceSession.create(model, OPTIONS);
  try {
    const tensors = Object.entries(feeds).map(([name, { data, shape }]) =>
      [name, new OnnxTensor("float32", Float32Array.from(data), shape)] as const
    );
    const found = await session.run(Object.fromEntries(tensors));
    const { data, dims } = found[session.outputNames[0]];
    return { data: data as Float32Array, shape: dims };
  } finally {
    await session.release();
  }
}

/**
 * Runs an operator.
 *
 * @param opType Its name, for example "Conv".
 * @param attributes Its attributes; those that are undefined are left out.
 * @param inputs Its inputs in order, float32.
 * @returns Its output.
 */
export async function runOnnx(
  opType: string,
  attributes: Attributes,
  ...inputs: readonly Tensor[]
): Promise<Tensor<Float32Array>> {
  const names = inputs.map((_, i) => `input${i}`);
  const model = modelOf({
    inputs: Object.fromEntries(names.map((name) => [name, undefined])),
    outputs: ["out"],
    nodes: [{ opType, inputs: names, outputs: ["out"], attributes }],
  });
  return await runModel(model, Object.fromEntries(names.map((name, i) => [name, inputs[i]])));
}
