/**
 * The graph of an ONNX model, checked: nodes in order, constants, one input and one output.
 *
 * @module
 */

import { fromBinary } from "@bufbuild/protobuf";
import {
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  TensorProto_DataType as DataType,
  type ValueInfoProto,
} from "onnx-buf";
import { checkDType } from "../../kernels/check.ts";
import { ArgumentTypeError } from "../../kernels/errors.ts";
import type { DType } from "../../kernels/tensor.ts";
import {
  Attributes,
  checkKnown,
  type Constant,
  DTYPE_KEY,
  readTensor,
  typeName,
} from "./messages.ts";

/** A node of a graph. */
export interface GraphNode {
  /** Its operator. */
  readonly opType: string;
  /** What messages call it: `node conv1 (Conv)`. */
  readonly label: string;
  /** The names of the values that it takes; "" where one is left out. */
  readonly inputs: readonly string[];
  /** The names of the values that it gives. */
  readonly outputs: readonly string[];
  /** Its attributes, to be read. */
  readonly attributes: Attributes;
}

/** A graph. */
export interface Graph {
  /** The version of the operators. */
  readonly opset: number;
  /** The data type of its values. */
  readonly dtype: DType;
  /** The data type of the net that it was made of, if that is known. */
  readonly netDtype: DType | undefined;
  /** The name of its input. */
  readonly input: string;
  /** The shape of one example of it. */
  readonly inputDim: readonly number[];
  /** How many examples it takes; undefined for any number. */
  readonly batch: number | undefined;
  /** The name of its output. */
  readonly output: string;
  /** The nodes, each after those whose values it takes. */
  readonly nodes: readonly GraphNode[];
  /** The constants, by name. */
  readonly constants: Map<string, Constant>;
}

/** The operator sets that are read: from ONNX 1.2 to 1.20. */
const FIRST_OPSET = 7, LAST_OPSET = 25;

/** Throws that a model is not one that can be read. */
function refuse(what: string): never {
  throw new ArgumentTypeError(`bytes must be a model that this library has layers for: ${what}`);
}

/**
 * Reads the graph of a model.
 *
 * @param bytes The file.
 * @returns The graph.
 * @throws {TypeError} If the bytes are not an ONNX model, or it has parts that are not read.
 * @throws {RangeError} If a constant's data does not fit its shape.
 */
export function readGraph(bytes: Uint8Array): Graph {
  const model = parse(bytes);
  checkKnown("bytes", model);
  const opset = opsetOf(model);
  const { graph } = model;
  if (graph === undefined) refuse("it has no graph");
  checkKnown("The graph", graph);
  for (const [what, parts] of Object.entries(unreadParts(model, graph))) {
    if (parts.length > 0) refuse(`it has ${what}`);
  }
  const constants = new Map<string, Constant>();
  for (const proto of graph.initializer) {
    constants.set(proto.name, readTensor(`The initializer ${proto.name}`, proto));
  }
  const nodes: GraphNode[] = [];
  for (const [i, proto] of graph.node.entries()) {
    const node = nodeOf(proto, i);
    if (node.opType === "Constant") constants.set(node.outputs[0], constantOf(node));
    else nodes.push(node);
  }
  // Before version 4 of the format every constant was an input too.
  const inputs = graph.input.filter(({ name }) => !constants.has(name));
  const names = (values: readonly ValueInfoProto[]) =>
    values.map(({ name }) => name).join(", ") || "none";
  if (inputs.length !== 1) refuse(`its inputs are ${names(inputs)}, where one is read`);
  if (graph.output.length !== 1) {
    refuse(`its outputs are ${names(graph.output)}, where one is read`);
  }
  return {
    ...inputOf(inputs[0]),
    opset,
    netDtype: netDtypeOf(model),
    output: graph.output[0].name,
    nodes,
    constants,
  };
}

function parse(bytes: Uint8Array): ModelProto {
  try {
    return fromBinary(ModelProtoSchema, bytes);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ArgumentTypeError(`bytes must be an ONNX model: ${reason}`, "INVALID_FORMAT", {
      cause,
    });
  }
}

function opsetOf({ opsetImport }: ModelProto): number {
  const found = opsetImport.find(({ domain }) => isOnnx(domain));
  if (found === undefined) {
    throw new ArgumentTypeError(
      "bytes must be an ONNX model: it names no set of ONNX's operators",
      "INVALID_FORMAT",
    );
  }
  const version = Number(found.version);
  if (version >= FIRST_OPSET && version <= LAST_OPSET) return version;
  return refuse(
    `its operators are those of set ${version}, where ${FIRST_OPSET} to ${LAST_OPSET} are read`,
  );
}

function netDtypeOf({ metadataProps }: ModelProto): DType | undefined {
  const value = metadataProps.find(({ key }) => key === DTYPE_KEY)?.value;
  return value === undefined ? undefined : checkDType(value);
}

function isOnnx(domain: string): boolean {
  return domain === "" || domain === "ai.onnx";
}

/** The parts of a model that mean something, and that are not read. */
function unreadParts(model: ModelProto, graph: GraphProto) {
  return {
    "functions of its own": model.functions,
    "training information": model.trainingInfo,
    "sparse initializers": graph.sparseInitializer,
    "quantized tensors": graph.quantizationAnnotation,
  };
}

function nodeOf(proto: NodeProto, i: number): GraphNode {
  const { opType, name, domain, input, output, attribute } = proto;
  const label = `node ${name || `number ${i + 1}`} (${opType})`;
  checkKnown(label, proto);
  if (!isOnnx(domain)) refuse(`${label} is of the domain ${domain}`);
  for (const part of attribute) checkKnown(`An attribute of ${label}`, part);
  const attributes = new Attributes(attribute, (what) => refuse(`${label} ${what}`));
  return { opType, label, inputs: input, outputs: output, attributes };
}

function constantOf({ label, attributes }: GraphNode): Constant {
  const proto = attributes.tensor("value");
  attributes.done();
  if (proto === undefined) return attributes.refuse("has no value");
  return readTensor(label, proto);
}

function inputOf({ name, type }: ValueInfoProto) {
  if (type?.value.case !== "tensorType") return refuse(`its input ${name} is not a tensor`);
  const { elemType, shape } = type.value.value;
  const isDouble = elemType === DataType.DOUBLE;
  if (!isDouble && elemType !== DataType.FLOAT) {
    return refuse(`its input ${name} is of ${typeName(elemType)}, where FLOAT and DOUBLE are read`);
  }
  const sizes = (shape?.dim ?? []).map(({ value }) =>
    value.case === "dimValue" ? Number(value.value) : undefined
  );
  const [batch, ...example] = sizes;
  const isFixed = example.length > 0 && example.every((size) => size !== undefined && size > 0);
  if (!isFixed) {
    const found = sizes.map((size) => size ?? "?").join();
    return refuse(`its input ${name} has the shape [${found}]: all but the first must be fixed`);
  }
  const dtype: DType = isDouble ? "float64" : "float32";
  return { input: name, inputDim: example as number[], batch, dtype };
}
