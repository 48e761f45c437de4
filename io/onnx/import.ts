/**
 * ONNX models as nets.
 *
 * @module
 */

import { checkDType, checkType, isBytes } from "../../kernels/check.ts";
import { ArgumentTypeError } from "../../kernels/errors.ts";
import { type DType, show, sizeOf, type Tensor } from "../../kernels/tensor.ts";
import { readOptions, unchecked } from "../../nn/checks.ts";
import type { LayerDefinition, PlannedLayer } from "../../nn/layers/layer.ts";
import { Net } from "../../nn/nets/net.ts";
import { NetPlanner } from "../../nn/nets/planner.ts";
import type { RandomState } from "../../nn/random/random_state.ts";
import { layersOf, type Step, type Value, valueOf } from "./compose.ts";
import { type Graph, type GraphNode, readGraph } from "./graph.ts";
import { IMPORTERS } from "./importers.ts";
import type { ConstantKind, Imported, LayerNode, Padding } from "./layer_node.ts";
import type { Constant } from "./messages.ts";
import { rewritten } from "./patterns.ts";
import { crossEntropyLoss } from "./softmax.ts";
import { AFTER_PAD, paddingOf } from "./windows.ts";

/** How {@linkcode fromOnnx} makes a net. */
export interface FromOnnxOptions<D extends DType = DType> {
  /** Data type of the net. Default: that of the net which was written, or the model's. */
  readonly dtype?: D;
  /** Draws dropout's masks in training. Default: a new RandomState(0). */
  readonly random?: RandomState;
}

/**
 * The net of an ONNX model, ready to predict and to be trained on: its layers, its parameters and its
 * running statistics. It takes one input, (N, ...) of any N, and gives (N, classes). Its data type is the
 * model's, or that of the net which {@linkcode toOnnx} has written. Read are Conv, ConvTranspose,
 * BatchNormalization, InstanceNormalization, GroupNormalization, LayerNormalization, Gemm, MatMul with
 * Add, Relu, LeakyRelu, Gelu, Sigmoid, Tanh,
 * MaxPool, AveragePool, GlobalMaxPool, GlobalAveragePool and ReduceMean of planes, Pad before a convolution
 * or a pool, Flatten, Reshape and Squeeze to vectors, Add, Concat, Softmax, Identity, Dropout and Constant,
 * with every attribute that a layer here has, and GELU and group normalization in several nodes. All else
 * is refused, by operator and node.
 *
 * A model that ends in Softmax becomes a net that gives probabilities, whose loss is
 * {@linkcode crossEntropyLoss}; other nets have the softmax loss. PyTorch: save with
 * `torch.onnx.export(net.eval(), x, "net.onnx")`, as one file.
 *
 * @example
 * ```ts
 * import { affine, conv, Net, RandomState, relu } from "@cnn-layers/cnn-layers";
 * import { fromOnnx, toOnnx } from "@cnn-layers/cnn-layers/onnx";
 *
 * const layers = [conv(4), relu(), affine(10)];
 * const net = new Net({ inputDim: [1, 8, 8], layers, dtype: "float32" });
 * const copy = fromOnnx(toOnnx(net));
 * console.log(JSON.stringify(copy.params.W1) === JSON.stringify(net.params.W1)); // true
 * const { data, shape } = new RandomState(0).randn([2, 1, 8, 8]);
 * console.log(copy.loss({ data: Float32Array.from(data), shape }, [3, 7]).loss);
 * ```
 *
 * @param bytes The file.
 * @param options Data type, and where dropout's random numbers come from.
 * @returns The net.
 * @throws {TypeError} If the bytes are not an ONNX model, or one with parts that are not read: the message
 * names the operator, the node and the part. Data that lies in other files is not read.
 * @throws {RangeError} If sizes do not fit each other.
 */
export function fromOnnx<D extends DType = DType>(
  bytes: Uint8Array,
  options: FromOnnxOptions<D> = {},
): Net<D> {
  checkType(isBytes(bytes), "bytes", "be a Uint8Array", bytes);
  const { dtype, random } = readOptions("options", options, {
    dtype: (_, value: unknown) => value === undefined ? undefined : checkDType(value),
    random: unchecked<RandomState | undefined>,
  });
  const graph = readGraph(bytes);
  const { layers, tensors } = new Reader(graph).read();
  const isProbable = layers.at(-1)?.type === "softmax";
  const net = new Net<D>({
    inputDim: graph.inputDim,
    layers,
    dtype: (dtype ?? graph.netDtype ?? graph.dtype) as D,
    random,
    ...isProbable ? { loss: crossEntropyLoss } : {},
  });
  net.loadState(stateOf(net.layers, tensors));
  return net;
}

/** The tensors of layers, by the names that the net has given them. */
function stateOf(
  layers: readonly PlannedLayer[],
  tensors: ReadonlyMap<LayerDefinition, Readonly<Record<string, Tensor>>>,
): Record<string, Tensor> {
  const state: Record<string, Tensor> = {};
  for (const { layer, names, plan: { parts = [] } } of layers) {
    for (const [local, tensor] of Object.entries(tensors.get(layer) ?? {})) {
      state[names[local]] = tensor;
    }
    Object.assign(state, stateOf(parts, tensors));
  }
  return state;
}

/** A value of the graph, with its shape and what is around it. */
interface Known {
  readonly value: Value;
  readonly shape: readonly number[];
  readonly padding?: Padding;
}

/** Reads a graph node by node. */
class Reader {
  readonly #graph: Graph;
  readonly #known = new Map<string, Known>();
  readonly #constants: Map<string, Constant>;
  /** The layer of a step, which an Add after it may give a bias. */
  readonly #imported = new Map<Step, Imported>();
  readonly #nodes: readonly GraphNode[];
  readonly #taken = new Map<string, number>();

  constructor(graph: Graph) {
    this.#graph = graph;
    const { inputDim, input, constants } = graph;
    this.#constants = constants;
    this.#known.set(input, {
      value: { step: undefined, dominator: undefined, depth: 0 },
      shape: inputDim,
    });
    this.#nodes = rewritten(graph);
    for (const { inputs } of this.#nodes) {
      for (const name of inputs) this.#taken.set(name, (this.#taken.get(name) ?? 0) + 1);
    }
  }

  read() {
    for (const node of this.#nodes) {
      this.#checkOutputs(node);
      this.#readNode(node);
    }
    const { output, input, nodes } = this.#graph;
    const last = this.#known.get(output);
    const where = nodes.at(-1)?.attributes.refuse;
    if (last === undefined || last.padding !== undefined) {
      throw this.#constants.has(output) || where === undefined
        ? new ArgumentTypeError(`bytes must be a model whose output ${output} depends on its input`)
        : where(`and those before it do not give the model's output ${output}`);
    }
    const seen = new Set<Step>();
    const layers = layersOf(last.value, this.#known.get(input)!.value, seen);
    for (const step of this.#imported.keys()) {
      if (!seen.has(step)) {
        step.node.attributes.refuse("gives a value that the output does not need");
      }
    }
    const tensors = new Map(
      [...this.#imported.values()].map(({ layer, tensors = {} }) => [layer, tensors]),
    );
    return { layers, tensors };
  }

  #readNode(node: GraphNode): void {
    const { opType, attributes } = node;
    const isOfConstants = node.inputs.length > 0 &&
      node.inputs.every((name) => this.#constants.has(name));
    if (isOfConstants && (opType === "Identity" || opType === "Reshape")) this.#fold(node);
    else if (opType === "Add" || opType === "Concat") this.#join(node);
    else if (opType === "Pad") {
      const known = this.#input(node, 0);
      if (known.padding !== undefined) attributes.refuse("is after a Pad");
      this.#known.set(node.outputs[0], { ...known, padding: this.#read(node, known, paddingOf) });
    } else if (Object.hasOwn(IMPORTERS, opType)) this.#layer(node);
    else attributes.refuse("is of an operator that is not read");
    attributes.done();
  }

  /** Constants made of constants. */
  #fold(node: GraphNode): void {
    const [name, sizes] = node.inputs, constant = this.#constants.get(name)!;
    node.attributes.expect("allowzero", 0);
    const given = [...sizes === undefined ? constant.shape : this.#constants.get(sizes)!.data];
    const shape = given.map((size, i) => size === 0 ? constant.shape[i] : size);
    const rest = sizeOf(shape.filter((size) => size !== -1));
    const known = shape.map((size) => size === -1 ? constant.data.length / rest : size);
    if (sizeOf(known) !== constant.data.length || !known.every(Number.isSafeInteger)) {
      node.attributes.refuse(`makes ${show(given)} of ${show(constant.shape)}`);
    }
    this.#constants.set(node.outputs[0], { ...constant, shape: known });
  }

  #layer(node: GraphNode): void {
    const known = this.#input(node, 0);
    if (known.padding !== undefined && !AFTER_PAD.includes(node.opType)) {
      node.attributes.refuse(`is after a Pad, where ${AFTER_PAD.join(", ")} are read`);
    }
    const imported = this.#read(node, known, IMPORTERS[node.opType]);
    if (imported === undefined) this.#known.set(node.outputs[0], known);
    else this.#add(node, known, imported);
  }

  /** A layer after a value. */
  #add(node: GraphNode, { value, shape }: Known, imported: Imported): void {
    const plan = attempt(node, () => imported.layer.plan(shape, new NetPlanner(this.#graph.dtype)));
    const wanted: Readonly<Record<string, { readonly shape: readonly number[] }>> = {
      ...plan.params,
      ...plan.state,
    };
    for (const [local, { shape: found }] of Object.entries(imported.tensors ?? {})) {
      const own = wanted[local].shape;
      if (own.join() === found.join()) continue;
      node.attributes.refuse(`has ${local} ${show(found)}, where its input asks for ${show(own)}`);
    }
    const step: Step = {
      node,
      inputs: [value],
      layer: () => this.#imported.get(step)!.layer,
    };
    this.#imported.set(step, imported);
    this.#known.set(node.outputs[0], { value: valueOf(step), shape: plan.outShape });
  }

  /** Reads a node's constants and attributes; what has not been read at the end is refused. */
  #read<T>(node: GraphNode, { shape, padding }: Known, reader: (node: LayerNode) => T): T {
    const { opset, batch } = this.#graph;
    const unread = new Map([...node.inputs.entries()].slice(1).filter(([, name]) => name !== ""));
    const optional = (i: number, kind?: ConstantKind) => {
      const name = node.inputs[i] ?? "";
      unread.delete(i);
      return name === "" ? undefined : this.#constant(node, name, kind);
    };
    const constant = (i: number, kind?: ConstantKind) =>
      optional(i, kind) ?? node.attributes.refuse(`has no input number ${i + 1}`);
    const told = { ...node, opset, batch, inShape: shape, padding, optional, constant };
    const found = attempt(node, () => reader(told));
    const [name] = unread.values();
    if (name !== undefined) node.attributes.refuse(`takes ${name} as well, which is not read`);
    return found;
  }

  #constant({ attributes }: GraphNode, name: string, kind?: ConstantKind): Constant {
    const found = this.#constants.get(name);
    if (found === undefined) return attributes.refuse(`takes ${name}, where a constant is read`);
    const type = kind === "sizes" ? "I64" : this.#graph.dtype === "float64" ? "F64" : "F32";
    if (found.type === type || kind === "any") return found;
    return attributes.refuse(`has a constant of ${found.type}, where ${type} is read`);
  }

  /** An Add or Concat of values, or an Add that is a layer's bias. */
  #join(node: GraphNode): void {
    const { opType, attributes, inputs } = node;
    const constantAt = inputs.findIndex((name) => this.#constants.has(name));
    if (opType === "Add" && constantAt >= 0) return this.#bias(node, 1 - constantAt);
    const known = inputs.map((_, i) => this.#input(node, i));
    if (known.some(({ padding }) => padding !== undefined)) attributes.refuse("is after a Pad");
    const shape = joinedShape(node, known.map(({ shape }) => shape));
    const step: Step = { node, inputs: known.map(({ value }) => value) };
    this.#known.set(node.outputs[0], { value: valueOf(step), shape });
  }

  /** An Add of a constant: the bias of the layer before it, which nothing else takes. */
  #bias(node: GraphNode, valueAt: number): void {
    const name = node.inputs[valueAt], known = this.#input(node, valueAt);
    const { step } = known.value, imported = step && this.#imported.get(step);
    const withBias = known.padding === undefined ? imported?.withBias : undefined;
    const isAlone = step?.node.outputs[0] === name && this.#taken.get(name) === 1;
    if (!isAlone || withBias === undefined) {
      return node.attributes.refuse(
        "adds a constant, where the bias of the node before it is read",
      );
    }
    const { data, shape } = this.#constant(node, node.inputs[1 - valueAt]);
    const [C, ...plane] = known.shape;
    // One value per channel, which the sizes after it stretch over the plane.
    const wanted = [C, ...plane.map(() => 1)];
    const padded = [...wanted.map(() => 1), ...shape].slice(-wanted.length - 1);
    const isBias = data.length === C && padded.slice(1).join() === wanted.join() &&
      padded[0] === 1;
    if (!isBias) {
      node.attributes.refuse(`adds a constant ${show(shape)}, where ${show(wanted)} is read`);
    }
    this.#imported.set(step, withBias({ data, shape: [C] }));
    this.#known.set(node.outputs[0], known);
  }

  #input(node: GraphNode, i: number): Known {
    const name = node.inputs[i] ?? "";
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const what = this.#constants.has(name)
      ? `takes the constant ${name} as its input number ${i + 1}`
      : `takes ${name || "nothing"} as its input number ${i + 1}, which no node before it gives`;
    return node.attributes.refuse(what);
  }

  /** Refuses more than one output, unless nobody needs the others; and names that are there already. */
  #checkOutputs({ opType, outputs, attributes }: GraphNode): void {
    const [first, ...others] = outputs;
    const isFree = opType === "Dropout" || opType === "MaxPool";
    const isNeeded = (name: string) =>
      name !== "" && (!isFree || this.#taken.has(name) || name === this.#graph.output);
    const needed = others.find(isNeeded);
    if (needed !== undefined) {
      attributes.refuse(`gives ${needed} as well, where one output is read`);
    }
    if (!first || this.#known.has(first) || this.#constants.has(first)) {
      attributes.refuse(`gives ${first || "nothing"}, which must be a new name`);
    }
  }
}

/** The shape that values give together. */
function joinedShape(
  { opType, attributes }: GraphNode,
  shapes: readonly (readonly number[])[],
): readonly number[] {
  const [first, ...others] = shapes, all = shapes.map(show).join(", ");
  if (opType === "Add") {
    const isTwo = others.length === 1 && first.join() === others[0].join();
    if (!isTwo) attributes.refuse(`adds ${all}, where two of one shape are read`);
    return first;
  }
  if (first === undefined) return attributes.refuse("has no input");
  const axis = attributes.int("axis", NaN), [, ...plane] = first;
  if (axis !== 1 && axis !== -first.length) {
    attributes.refuse(`has axis = ${axis}, where 1 is read`);
  }
  const agree = others.every((other) => other.slice(1).join() === plane.join());
  if (!agree) attributes.refuse(`joins ${all}, whose planes differ`);
  return [shapes.reduce((sum, [C]) => sum + C, 0), ...plane];
}

/** Runs what may throw; the message says which node it is about. */
function attempt<T>(node: GraphNode, run: () => T): T {
  try {
    return run();
  } catch (error) {
    const isNew = error instanceof Error && !error.message.includes(node.label);
    if (isNew) error.message = `${node.label}: ${error.message}`;
    throw error;
  }
}
