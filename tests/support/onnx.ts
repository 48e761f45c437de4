/**
 * One ONNX operator, run by ONNX Runtime: an implementation of the layers that shares nothing with ours.
 *
 * @module
 */

import proto from "onnx-proto";
import { InferenceSession, Tensor as OnnxTensor } from "onnxruntime-node";
import type { Tensor } from "../../mod.ts";

/** What an operator is told: whole numbers, lists of them, or words. */
export type Attributes = Readonly<Record<string, number | readonly number[] | string | undefined>>;

const { FLOAT } = proto.onnx.TensorProto.DataType;
const { INT, INTS, STRING } = proto.onnx.AttributeProto.AttributeType;

function attribute([name, value]: [string, Attributes[string]]): proto.onnx.IAttributeProto {
  if (typeof value === "string") return { name, type: STRING, s: new TextEncoder().encode(value) };
  return typeof value === "number"
    ? { name, type: INT, i: value }
    : { name, type: INTS, ints: [...value!] };
}

/** A model of one operator. */
function model(opType: string, attributes: Attributes, inputs: readonly string[]): Uint8Array {
  const value = (name: string) => ({ name, type: { tensorType: { elemType: FLOAT } } });
  const given = Object.entries(attributes).filter(([, value]) => value !== undefined);
  return proto.onnx.ModelProto.encode({
    irVersion: 10,
    opsetImport: [{ domain: "", version: 22 }],
    graph: {
      name: opType,
      input: inputs.map(value),
      output: [value("out")],
      node: [{ opType, input: [...inputs], output: ["out"], attribute: given.map(attribute) }],
    },
  }).finish();
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
  const session = await InferenceSession.create(model(opType, attributes, names), {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    // Refusals are thrown; what it logs besides is noise.
    logSeverityLevel: 4,
  });
  try {
    const feeds = inputs.map(({ data, shape }, i) =>
      [names[i], new OnnxTensor("float32", Float32Array.from(data), shape)] as const
    );
    const { out } = await session.run(Object.fromEntries(feeds));
    return { data: out.data as Float32Array, shape: out.dims };
  } finally {
    await session.release();
  }
}
