/**
 * From a graph of values to layers in layers: what is between a value and another is a sequence, and
 * where paths meet, all that lies after the last value that they share is a residual block or a
 * concatenation.
 *
 * That value is the nearest common dominator: the last that every path from the input passes through.
 *
 * Source: Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001); a graph whose values
 * come in order needs one round of it.
 *
 * @module
 */

import { globalAverage, globalMax } from "../../nn/layers/global_pool.ts";
import type { LayerDefinition } from "../../nn/layers/layer.ts";
import { concat } from "../../nn/nets/concat.ts";
import { residual } from "../../nn/nets/residual.ts";
import { sequential } from "../../nn/nets/sequence.ts";
import type { GraphNode } from "./graph.ts";

/** A value of the graph. */
export interface Value {
  /** What gives it: undefined for the graph's input. */
  readonly step: Step | undefined;
  /** The last value that every path to this one passes through; undefined for the input. */
  readonly dominator: Value | undefined;
  /** How many values lie on the way to it, by dominators. */
  readonly depth: number;
}

/** What gives a value. */
export interface Step {
  /** The node. */
  readonly node: GraphNode;
  /** What it takes: one value if there is a layer. */
  readonly inputs: readonly Value[];
  /** Makes the layer; undefined where values meet. */
  readonly layer?: () => LayerDefinition;
}

/** The value that a step gives. */
export function valueOf(step: Step): Value {
  const dominator = step.inputs.reduce(shared);
  return { step, dominator, depth: dominator.depth + 1 };
}

/** The last value that every path to two passes through. */
function shared(a: Value, b: Value): Value {
  while (a !== b) {
    if (a.depth >= b.depth) a = a.dominator!;
    else b = b.dominator!;
  }
  return a;
}

/**
 * The layers that lead to a value from another, which dominates it.
 *
 * @param value The value.
 * @param from The other.
 * @param seen The steps that are a layer already.
 * @returns The layers, in order.
 * @throws {TypeError} If a step is on two paths that only a graph can hold.
 */
export function layersOf(value: Value, from: Value, seen: Set<Step>): readonly LayerDefinition[] {
  const layers: LayerDefinition[] = [];
  for (let at = value; at !== from; at = at.dominator!) {
    const step = at.step!;
    if (seen.has(step)) {
      step.node.attributes.refuse(
        "is used on two paths that sequential, residual and concat cannot hold",
      );
    }
    seen.add(step);
    layers.push(step.layer?.() ?? joined(step, at.dominator!, seen));
  }
  return simplified(layers.reverse());
}

/** The layer of a step where values meet. */
function joined({ node, inputs }: Step, from: Value, seen: Set<Step>): LayerDefinition {
  const branches = inputs.map((value) => sequence(layersOf(value, from, seen)));
  if (node.opType === "Concat") return concat(...branches);
  const [a, b] = branches;
  if (inputs[1] === from) return residual(a);
  return inputs[0] === from ? residual(b) : residual(a, b);
}

function sequence(layers: readonly LayerDefinition[]): LayerDefinition {
  return layers.length === 1 ? layers[0] : sequential(...layers);
}

/** Pools over whole planes, which ONNX leaves as planes of one value. */
const GLOBAL = new WeakMap<LayerDefinition, () => LayerDefinition>();

/** A pool over whole planes of a size, which is a global pool where a flatten follows. */
export function globalPool(pool: LayerDefinition): LayerDefinition {
  GLOBAL.set(pool, pool.type === "averagePool" ? globalAverage : globalMax);
  return pool;
}

/** Layers without flattens that have nothing to do: after a global pool, and before an affine. */
function simplified(layers: readonly LayerDefinition[]): readonly LayerDefinition[] {
  return layers.flatMap((layer, i) => {
    const before = layers[i - 1], after = layers[i + 1];
    if (layer.type === "flatten") {
      return GLOBAL.has(before) || after?.type === "affine" ? [] : layer;
    }
    const global = after?.type === "flatten" ? GLOBAL.get(layer) : undefined;
    return global?.() ?? layer;
  });
}
