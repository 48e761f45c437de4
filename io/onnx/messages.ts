/**
 * The messages of an ONNX file, as Protocol Buffers have them, made and read.
 *
 * Source: onnx/onnx.proto of https://github.com/onnx/onnx.
 *
 * @module
 */

import { create, type Message } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import { ArgumentRangeError, ArgumentTypeError } from "../../kernels/errors.ts";
import { type FloatArray, show, type Tensor } from "../../kernels/tensor.ts";
import { type ElementName, ELEMENTS, exactSize, readElements } from "../elements.ts";

/** The key in a model's metadata of the data type that the net had which it was made of. */
export const DTYPE_KEY = "cnn-layers.dtype";

/** A node's attributes: whole numbers, lists of them, and floats. */
export type OnnxAttributes = Readonly<
  Record<string, number | readonly number[] | { readonly float: number }>
>;

/** A node. */
export function nodeProto(
  opType: string,
  name: string,
  input: readonly string[],
  attributes: OnnxAttributes,
): NodeProto {
  const attribute = Object.entries(attributes).map(([name, value]) => {
    if (typeof value === "number") {
      return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
    }
    if ("float" in value) {
      return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
    }
    const ints = value.map(BigInt);
    return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints });
  });
  return create(NodeProtoSchema, { opType, name, input: [...input], output: [name], attribute });
}

/** A tensor of float32. */
export function floatProto(name: string, { data, shape }: Tensor): TensorProto {
  const rawData = new Uint8Array(Float32Array.from(data).buffer);
  return create(TensorProtoSchema, { name, dims: bigs(shape), dataType: DataType.FLOAT, rawData });
}

/** A list of whole numbers. */
export function intsProto(name: string, values: readonly number[]): TensorProto {
  const rawData = new Uint8Array(BigInt64Array.from(bigs(values)).buffer), dims = [values.length];
  return create(TensorProtoSchema, { name, dims: bigs(dims), dataType: DataType.INT64, rawData });
}

/** What a value of float32 is like: its first size has a name, as it is any. */
export function valueProto(name: string, shape: readonly number[]): ValueInfoProto {
  const dim = [
    create(TensorShapeProto_DimensionSchema, { value: { case: "dimParam", value: "N" } }),
    ...bigs(shape).map((value) =>
      create(TensorShapeProto_DimensionSchema, { value: { case: "dimValue", value } })
    ),
  ];
  const value = create(TypeProto_TensorSchema, {
    elemType: DataType.FLOAT,
    shape: create(TensorShapeProtoSchema, { dim }),
  });
  const type = create(TypeProtoSchema, { value: { case: "tensorType", value } });
  return create(ValueInfoProtoSchema, { name, type });
}

function bigs(values: readonly number[]): bigint[] {
  return values.map(BigInt);
}

/** The data types that are read, by ONNX's number. */
const TYPES: Readonly<Record<number, ElementName>> = {
  [DataType.FLOAT]: "F32",
  [DataType.DOUBLE]: "F64",
  [DataType.INT64]: "I64",
  [DataType.INT32]: "I32",
  [DataType.BOOL]: "BOOL",
};

/** What a file calls a data type. */
export function typeName(type: number): string {
  return DataType[type] ?? `data type ${type}`;
}

/** A constant of a file. */
export interface Constant {
  /** Its data type. */
  readonly type: ElementName;
  /** Its values. */
  readonly data: FloatArray;
  /** Its sizes. */
  readonly shape: readonly number[];
}

/**
 * Reads a tensor.
 *
 * @param what What messages call it.
 * @param proto The message.
 * @returns Its type and values.
 * @throws {TypeError} If its data lies in another file, or its type is not read.
 * @throws {RangeError} If its data does not fit its shape.
 */
export function readTensor(what: string, proto: TensorProto): Constant {
  const { dims, dataType, rawData, dataLocation, externalData } = proto;
  checkKnown(what, proto);
  if (dataLocation === DataLocation.EXTERNAL || externalData.length > 0) {
    const place = externalData.find(({ key }) => key === "location")?.value ?? "another file";
    throw new ArgumentTypeError(
      `${what} must have its data in the model, not as external data in ${place}: save the model ` +
        "as one file",
      "INVALID_FORMAT",
    );
  }
  const type = TYPES[dataType];
  if (type === undefined || proto.segment !== undefined) {
    const known = Object.keys(TYPES).map((key) => typeName(Number(key)));
    throw new ArgumentTypeError(
      `${what} must be of ${known.join(", ")}: it is of ${typeName(dataType)}`,
      "INVALID_DTYPE",
    );
  }
  const shape = dims.map(Number), size = exactSize(shape);
  const { bytes } = ELEMENTS[type];
  const found = rawData.length > 0 || size === 0 ? rawData.length / bytes : typedData(proto).length;
  if (shape.some((length) => length < 0) || found !== size) {
    throw new ArgumentRangeError(
      `${what} must have the values of its shape ${show(shape)}: it has ${found}`,
    );
  }
  const data = rawData.length > 0 || size === 0
    ? readElements(what, type, rawData, true)
    : ELEMENTS[type].dtype === "float32"
    ? Float32Array.from(typedData(proto), Number)
    : Float64Array.from(typedData(proto), Number);
  return { type, data, shape };
}

/** The values where they are not bytes. */
function typedData(proto: TensorProto): readonly (number | bigint)[] {
  if (proto.dataType === DataType.FLOAT) return proto.floatData;
  if (proto.dataType === DataType.DOUBLE) return proto.doubleData;
  return proto.dataType === DataType.INT64 ? proto.int64Data : proto.int32Data;
}

/**
 * Refuses a message that has fields which the format had not when this was written.
 *
 * @param what What the message calls it.
 * @param message The message.
 * @throws {TypeError} If it has.
 */
export function checkKnown(what: string, message: Message): void {
  const [field] = message.$unknown ?? [];
  if (field === undefined) return;
  throw new ArgumentTypeError(
    `${what} must have the fields of ONNX 1.20: it has a field of number ${field.no}`,
    "INVALID_FORMAT",
  );
}

/** A node of a file whose attributes are read one by one. What is left at the end is refused. */
export class Attributes {
  /** Throws what is wrong with the node. */
  readonly refuse: (what: string) => never;
  readonly #left: Map<string, AttributeProto>;

  /**
   * @param attributes The attributes.
   * @param refuse Throws what is wrong with the node.
   */
  constructor(
    attributes: readonly AttributeProto[],
    refuse: (what: string) => never,
  ) {
    this.refuse = refuse;
    this.#left = new Map(attributes.map((attribute) => [attribute.name, attribute]));
    if (this.#left.size < attributes.length) refuse("has an attribute twice");
  }

  /** A whole number. */
  int(name: string, missing: number): number {
    return Number(this.#take(name, AttributeType.INT)?.i ?? missing);
  }

  /** A number, as {@linkcode shortest} gives it. */
  float(name: string, missing: number): number {
    return shortest(this.#take(name, AttributeType.FLOAT)?.f ?? missing);
  }

  /** A list of whole numbers; undefined if it is not there. */
  ints(name: string): readonly number[] | undefined {
    return this.#take(name, AttributeType.INTS)?.ints.map(Number);
  }

  /** A word. */
  string(name: string, missing: string): string {
    const bytes = this.#take(name, AttributeType.STRING)?.s;
    return bytes === undefined ? missing : new TextDecoder().decode(bytes);
  }

  /** A tensor. */
  tensor(name: string): TensorProto | undefined {
    return this.#take(name, AttributeType.TENSOR)?.t;
  }

  /** Refuses an attribute that must have one value, where it has another. */
  expect(name: string, value: number): void {
    const found = this.int(name, value);
    if (found !== value) this.refuse(`has ${name} = ${found}, where ${value} alone is read`);
  }

  /** Refuses what has not been read. */
  done(): void {
    const names = [...this.#left.keys()];
    if (names.length > 0) this.refuse(`has the attribute ${names.join(", ")}, which is not read`);
  }

  #take(name: string, type: AttributeType): AttributeProto | undefined {
    const found = this.#left.get(name);
    if (found === undefined) return undefined;
    this.#left.delete(name);
    if (found.type !== type || found.refAttrName !== "") {
      this.refuse(`has the attribute ${name} of a wrong type, ${AttributeType[found.type]}`);
    }
    return found;
  }
}

/** The decimal with the fewest digits among those that a float32 may stand for. */
export function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
