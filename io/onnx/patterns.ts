/**
 * Layers that are several nodes in older operator sets, and one here: gelu before set 20, as PyTorch
 * writes it, and group normalization before set 21.
 *
 * @module
 */

import type { Constant } from "./messages.ts";
import { Attributes, nodeProto, type OnnxAttributes } from "./messages.ts";
import type { Graph, GraphNode } from "./graph.ts";

/** Nodes that are one layer: what stands for them, in the place of the last. */
interface Match {
  readonly nodes: readonly GraphNode[];
  readonly whole: GraphNode;
}

/**
 * The nodes of a graph, with one node for each layer that is several.
 *
 * @param graph The graph.
 * @returns Its nodes, in order.
 */
export function rewritten(graph: Graph): readonly GraphNode[] {
  const search = new Search(graph);
  const matches = graph.nodes.flatMap((node) => {
    const match = node.opType === "Erf"
      ? matchGelu(search, node)
      : node.opType === "InstanceNormalization"
      ? matchGroupnorm(search, node)
      : undefined;
    return match ?? [];
  });
  const places = new Map(matches.map(({ nodes, whole }) => [nodes.at(-1), whole]));
  const gone = new Set(matches.flatMap(({ nodes }) => nodes));
  return graph.nodes.flatMap((node) => places.get(node) ?? (gone.has(node) ? [] : node));
}

/** Who gives and who takes the values of a graph. */
class Search {
  readonly graph: Graph;
  readonly #givers = new Map<string, GraphNode>();
  readonly #takers = new Map<string, GraphNode[]>();

  constructor(graph: Graph) {
    this.graph = graph;
    for (const node of graph.nodes) {
      for (const name of node.outputs) this.#givers.set(name, node);
      for (const name of node.inputs) {
        this.#takers.set(name, [...this.#takers.get(name) ?? [], node]);
      }
    }
  }

  /** The node that gives a value to one node alone, if it is of an operator. */
  giver(value: string | undefined, opType: string): GraphNode | undefined {
    const node = this.#givers.get(value ?? "");
    return node?.opType === opType && this.#isAlone(node) ? node : undefined;
  }

  /** The node that alone takes a node's output, if it is of an operator. */
  taker(node: GraphNode | undefined, opType: string): GraphNode | undefined {
    if (node === undefined || !this.#isAlone(node)) return undefined;
    const [taker] = this.#takers.get(node.outputs[0])!;
    return taker.opType === opType ? taker : undefined;
  }

  /** The input of a node of two that is not a constant of one value near a number. */
  besides(node: GraphNode | undefined, number: number, places = [1, 0]): string | undefined {
    if (node?.inputs.length !== 2) return undefined;
    const at = places.find((i) => {
      const constant = this.graph.constants.get(node.inputs[i]);
      return constant?.data.length === 1 && Math.abs(constant.data[0] - number) < 1e-6;
    });
    return at === undefined ? undefined : node.inputs[1 - at];
  }

  /** The constant among the two inputs of a node, and the other input. */
  constantOf(node: GraphNode | undefined): [name: string, other: string] | undefined {
    if (node?.inputs.length !== 2) return undefined;
    const [a, b] = node.inputs, { constants } = this.graph;
    if (constants.has(b)) return [b, a];
    return constants.has(a) ? [a, b] : undefined;
  }

  #isAlone({ outputs }: GraphNode): boolean {
    return outputs.length === 1 && outputs[0] !== this.graph.output &&
      this.#takers.get(outputs[0])?.length === 1;
  }
}

/** x * (erf(x / sqrt(2)) + 1) * 0.5, in the orders that PyTorch and others have. */
function matchGelu(search: Search, erf: GraphNode): Match | undefined {
  const [value] = erf.inputs;
  const scaled = search.giver(value, "Div") ?? search.giver(value, "Mul");
  const x = scaled?.opType === "Div"
    ? search.besides(scaled, Math.SQRT2, [1])
    : search.besides(scaled, Math.SQRT1_2);
  const plus = search.taker(erf, "Add"), product = search.taker(plus, "Mul");
  if (scaled === undefined || x === undefined || search.besides(plus, 1) !== erf.outputs[0]) {
    return undefined;
  }
  if (plus === undefined || product === undefined) return undefined;
  const other = product.inputs.find((name) => name !== plus.outputs[0]);
  const last = other === x ? search.taker(product, "Mul") : undefined;
  if (last !== undefined && search.besides(last, 0.5) === product.outputs[0]) {
    return whole([scaled, erf, plus, product, last], "Gelu", [x]);
  }
  const half = search.giver(other, "Mul");
  if (half === undefined || search.besides(half, 0.5) !== x) return undefined;
  return whole([scaled, erf, plus, half, product], "Gelu", [x]);
}

/** Groups as channels of an instance normalization, then a scale and a shift of each channel. */
function matchGroupnorm(search: Search, normal: GraphNode): Match | undefined {
  const { constants } = search.graph;
  const grouped = search.giver(normal.inputs[0], "Reshape");
  const restored = search.taker(normal, "Reshape");
  const product = search.taker(restored, "Mul"), sum = search.taker(product, "Add");
  const scale = search.constantOf(product), shift = search.constantOf(sum);
  const [, ones = "", zeros = ""] = normal.inputs;
  const isPlain = isAll(constants.get(ones), 1) && isAll(constants.get(zeros), 0);
  const [N, groups, ...rest] = constants.get(grouped?.inputs[1] ?? "")?.data ?? [];
  if (!isPlain || N !== 0 || groups === undefined || rest.length !== 1) return undefined;
  if (grouped === undefined || restored === undefined) return undefined;
  if (product === undefined || sum === undefined) return undefined;
  if (scale === undefined || shift === undefined) return undefined;
  // The shape is that of the input, as it is written or as a node tells it.
  const [x] = grouped.inputs, back = constants.get(restored.inputs[1]);
  const told = search.giver(restored.inputs[1], "Shape");
  if (back === undefined && told?.inputs[0] !== x) return undefined;
  const epsilon = normal.attributes.float("epsilon", 1e-5);
  const nodes = [grouped, normal, ...told === undefined ? [] : [told], restored, product, sum];
  return whole(nodes, "GroupNormalization", [x, scale[0], shift[0]], {
    num_groups: groups,
    epsilon: { float: Math.fround(epsilon) },
    ...back === undefined ? {} : { restored: [...back.data] },
  });
}

function isAll(constant: Constant | undefined, value: number): boolean {
  return constant !== undefined && constant.data.every((found) => found === value);
}

/** The node that stands for others, with the output of the last. */
function whole(
  nodes: readonly GraphNode[],
  opType: string,
  inputs: readonly string[],
  attributes: OnnxAttributes = {},
): Match {
  for (const { attributes } of nodes) {
    attributes.expect("allowzero", 0);
    attributes.done();
  }
  const { label, outputs, attributes: { refuse } } = nodes.at(-1)!;
  const { attribute } = nodeProto(opType, label, inputs, attributes);
  const read = new Attributes(attribute, refuse);
  return { nodes, whole: { opType, label, inputs, outputs, attributes: read } };
}
