/**
 * Nets as ONNX models.
 *
 * @module
 */

import { create, toBinary } from "@bufbuild/protobuf";
import {
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
} from "onnx-buf";
import { checkTensor, checkType, isObject } from "../../kernels/check.ts";
import { ArgumentRangeError, ArgumentTypeError } from "../../kernels/errors.ts";
import { sizeOf, type Tensor } from "../../kernels/tensor.ts";
import { readOptions, unchecked } from "../../nn/checks.ts";
import type { PlannedLayer } from "../../nn/layers/layer.ts";
import type { LayeredNet } from "../../nn/nets/layered_net.ts";
import { EXPORTERS } from "./exporters.ts";
import {
  DTYPE_KEY,
  floatProto,
  intsProto,
  nodeProto,
  type OnnxAttributes,
  valueProto,
} from "./messages.ts";

/** The version of ONNX's operators that models use, of 2022, and that of the format with it. */
const OPSET = 17, IR_VERSION = 8n;

/** Protocol Buffers have no messages from 2 GiB. */
const MAX_BYTES = 2 ** 31 - 1;

/** The graph that a model is made of. */
export interface OnnxGraph {
  /**
   * Adds a node.
   *
   * @param opType The operator, of ONNX's operator set 17.
   * @param inputs The names of the values that it takes.
   * @param attributes Whole numbers, lists of them, or `{ float }`. Default: none.
   * @returns The name of its first output.
   */
  node(opType: string, inputs: readonly string[], attributes?: OnnxAttributes): string;
  /**
   * Adds a constant: a tensor, which becomes float32, or a list of whole numbers.
   *
   * @param value The constant.
   * @returns Its name.
   */
  constant(value: Tensor | readonly number[]): string;
}

/** A layer of a net that becomes nodes. */
export interface OnnxLayer {
  /** The layer, with its arguments and the layers inside it. */
  readonly layer: PlannedLayer;
  /** The name of the value that it gets, (N, ...inShape). */
  readonly input: string;
  /** The shape of one example of its input. */
  readonly inShape: readonly number[];
  /** Its parameters and running statistics, by their short names. */
  readonly tensors: Readonly<Record<string, Tensor>>;
  /** Names of the constants that hold them, by their short names. */
  readonly names: Readonly<Record<string, string>>;
  /** Adds a layer inside it; gives the name of its output. */
  readonly add: (layer: PlannedLayer, input: string, inShape: readonly number[]) => string;
}

/** Adds the nodes of a layer to a graph; gives the name of the layer's output. */
export type LayerExporter = (layer: OnnxLayer, graph: OnnxGraph) => string;

/** How {@linkcode toOnnx} writes. */
export interface ToOnnxOptions {
  /** Functions for layers of your own, by their types. Default: none. */
  readonly layers?: Readonly<Record<string, LayerExporter>>;
}

/**
 * A net as an ONNX model, as it is at inference: from `x`, (N, ...inputDim), to `scores`, (N, classes), in
 * float32, with any number of examples. Batch normalization uses its running statistics, and dropout is
 * left out. The net's own data type is named beside the graph, for {@linkcode fromOnnx}. The operators are
 * those of set 17 (2022), so that gelu and group normalization are several nodes.
 *
 * @example
 * ```ts
 * import { affine, conv, Net, relu } from "@cnn-layers/cnn-layers";
 * import { toOnnx } from "@cnn-layers/cnn-layers/onnx";
 *
 * const net = new Net({ inputDim: [1, 28, 28], layers: [conv(8), relu(), affine(10)] });
 * const bytes = toOnnx(net); // for a file, net.onnx
 * console.log(bytes.length > 4 * net.params.W2.data.length); // true
 * ```
 *
 * @example A layer of one's own
 * ```ts
 * import { affine, type LayerDefinition, Net, tensor } from "@cnn-layers/cnn-layers";
 * import { toOnnx } from "@cnn-layers/cnn-layers/onnx";
 *
 * const negate = (): LayerDefinition => ({
 *   type: "negate",
 *   plan: (inShape) => ({
 *     outShape: inShape,
 *     forward: ({ data, shape }) => ({
 *       out: tensor(data.map((v) => -v), shape),
 *       backward: (dout) => ({ dx: tensor(dout.data.map((v) => -v), shape) }),
 *     }),
 *   }),
 * });
 * const net = new Net({ inputDim: 4, layers: [affine(3), negate()] });
 * const bytes = toOnnx(net, { layers: { negate: ({ input }, graph) => graph.node("Neg", [input]) } });
 * console.log(bytes.length > 0); // true
 * ```
 *
 * @param net The net: a Net, or one of the course's.
 * @param options Functions for layers of your own.
 * @returns The bytes of the file.
 * @throws {TypeError} If it is not a net, or a layer has no counterpart in ONNX; the message names it.
 * @throws {RangeError} If the parameters take more than 2 GB, which a file of this format cannot have.
 */
export function toOnnx<D extends "float32" | "float64">(
  net: LayeredNet<D>,
  options: ToOnnxOptions = {},
): Uint8Array<ArrayBuffer> {
  const isNet = isObject(net) && Array.isArray(net.layers) && typeof net.state === "function";
  checkType(isNet, "net", "be a net such as a Net", net);
  const { layers: own = {} } = readOptions("options", options, {
    layers: unchecked<ToOnnxOptions["layers"]>,
  });
  const exporters = { ...EXPORTERS, ...own };
  checkLayers(net.layers, exporters);
  const builder = new Builder(net.state(), exporters);
  const { inputDim } = net;
  let value = INPUT, shape = inputDim;
  for (const layer of net.layers) {
    value = builder.add(layer, value, shape);
    shape = layer.plan.outShape;
  }
  const graph = create(GraphProtoSchema, {
    name: "net",
    node: builder.finish(value),
    initializer: [...builder.constants.values()],
    input: [valueProto(INPUT, inputDim)],
    output: [valueProto(OUTPUT, shape)],
  });
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: IR_VERSION,
      opsetImport: [create(OperatorSetIdProtoSchema, { domain: "", version: BigInt(OPSET) })],
      producerName: "cnn-layers",
      metadataProps: [create(StringStringEntryProtoSchema, { key: DTYPE_KEY, value: net.dtype })],
      graph,
    }),
  );
}

/** The names of a model's input and output. */
const INPUT = "x", OUTPUT = "scores";

/** Refuses layers that cannot be written, and those inside others. */
function checkLayers(
  layers: readonly PlannedLayer[],
  exporters: Readonly<Record<string, LayerExporter>>,
): void {
  for (const { layer: { type }, path, plan: { parts = [] } } of layers) {
    const isKnown = Object.hasOwn(exporters, type) && typeof exporters[type] === "function";
    if (!isKnown) {
      throw new ArgumentTypeError(
        `${path} must have a counterpart in ONNX: layers of type ${type} need a function ` +
          `options.layers.${type} that makes nodes of them`,
      );
    }
    if (Object.hasOwn(EXPORTERS, type)) checkLayers(parts, exporters);
  }
}

/** The nodes and constants of a graph, in order. */
class Builder implements OnnxGraph {
  readonly #state: Readonly<Record<string, Tensor>>;
  readonly #exporters: Readonly<Record<string, LayerExporter>>;
  readonly constants = new Map<string, TensorProto>();
  readonly #nodes: NodeProto[] = [];
  readonly #taken = new Set([INPUT, OUTPUT]);
  #path = "net";
  #bytes = 0;

  constructor(
    state: Readonly<Record<string, Tensor>>,
    exporters: Readonly<Record<string, LayerExporter>>,
  ) {
    this.#state = state;
    this.#exporters = exporters;
  }

  add(layer: PlannedLayer, input: string, inShape: readonly number[]): string {
    const around = this.#path;
    this.#path = layer.path;
    const { type } = layer.layer, names = layer.names;
    const tensors = Object.fromEntries(
      Object.entries(names).map(([local, name]) => [local, this.#state[name]]),
    );
    const constants = lazily(names, (name) => this.#float(name, this.#state[name]));
    const output = this.#exporters[type](
      {
        layer,
        input,
        inShape,
        tensors,
        names: constants,
        add: (part, value, shape) => this.add(part, value, shape),
      },
      this,
    );
    checkType(typeof output === "string", `${layer.path}'s output`, "be a name", output);
    this.#path = around;
    return output;
  }

  node(opType: string, inputs: readonly string[], attributes: OnnxAttributes = {}): string {
    const name = this.#name(opType);
    this.#nodes.push(nodeProto(opType, name, inputs, attributes));
    return name;
  }

  constant(value: Tensor | readonly number[]): string {
    const name = this.#name("constant");
    if (!isList(value)) return this.#float(name, value);
    this.constants.set(name, intsProto(name, value));
    return name;
  }

  /** The nodes, of which one gives a value under the output's name. */
  finish(value: string): NodeProto[] {
    const last = this.#nodes.find(({ output }) => output[0] === value);
    const isTaken = this.#nodes.some(({ input }) => input.includes(value));
    if (last !== undefined && !isTaken) last.output[0] = OUTPUT;
    else this.#nodes.push(nodeProto("Identity", OUTPUT, [value], {}));
    return this.#nodes;
  }

  #float(name: string, tensor: Tensor): string {
    checkTensor(name, tensor);
    if (this.constants.has(name)) return name;
    this.#bytes += 4 * sizeOf(tensor.shape);
    if (this.#bytes > MAX_BYTES) {
      throw new ArgumentRangeError(`net must have less than 2 GB of parameters: ${name} is beyond`);
    }
    this.constants.set(name, floatProto(name, tensor));
    return name;
  }

  /** A name that the format has for values: letters, digits and _. */
  #name(what: string): string {
    const stem = `${this.#path}.${what}`.replace(/[^A-Za-z0-9]+/g, "_");
    let name = stem;
    for (let i = 2; this.#taken.has(name); i++) name = `${stem}_${i}`;
    this.#taken.add(name);
    return name;
  }
}

function isList(value: unknown): value is readonly number[] {
  return Array.isArray(value);
}

/** An object whose values are made when they are read. */
function lazily(
  names: Readonly<Record<string, string>>,
  make: (name: string) => string,
): Readonly<Record<string, string>> {
  const object = {};
  for (const [local, name] of Object.entries(names)) {
    Object.defineProperty(object, local, { enumerable: true, get: () => make(name) });
  }
  return object;
}
