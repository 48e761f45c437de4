/**
 * A node that becomes a layer, and what is read of its inputs.
 *
 * @module
 */

import { show, type Tensor } from "../../kernels/tensor.ts";
import type { LayerDefinition } from "../../nn/layers/layer.ts";
import type { GraphNode } from "./graph.ts";
import type { Constant } from "./messages.ts";

/** What a Pad in front of a node puts around images. */
export interface Padding {
  /** Rows and columns: top, left, bottom, right. */
  readonly sides: readonly [number, number, number, number];
  /** What they hold. */
  readonly value: number;
}

/** What a constant must be: values of the model's type, whole sizes, or anything. */
export type ConstantKind = "sizes" | "any";

/** A node that becomes a layer: its first input is a value, the others are constants. */
export interface LayerNode extends GraphNode {
  /** The version of the operators. */
  readonly opset: number;
  /** How many examples the model takes; undefined for any number. */
  readonly batch: number | undefined;
  /** The shape of one example of its input. */
  readonly inShape: readonly number[];
  /** What is around its input, which is images; undefined if nothing is. */
  readonly padding: Padding | undefined;
  /** The constant that is an input; undefined if that is left out. */
  readonly optional: (i: number, kind?: ConstantKind) => Constant | undefined;
  /** The constant that must be an input. */
  readonly constant: (i: number, kind?: ConstantKind) => Constant;
}

/** A layer with its tensors, by their short names. */
export interface Imported {
  /** The layer. */
  readonly layer: LayerDefinition;
  /** The values of its parameters and running statistics. Default: none. */
  readonly tensors?: Readonly<Record<string, Tensor>>;
  /** The same layer with a bias, if it has none yet. */
  readonly withBias?: (b: Tensor) => Imported;
}

/** Makes a layer of a node; undefined if the node gives its input. */
export type Importer = (node: LayerNode) => Imported | undefined;

/** Rows and columns of a constant's or an attribute's list. */
export function pairOf(node: LayerNode, name: string): readonly [number, number] {
  const [y = 1, x = 1, ...rest] = node.attributes.ints(name) ?? [];
  if (rest.length > 0) node.attributes.refuse(`has ${name} for more than rows and columns`);
  return [y, x];
}

/** Refuses an input that does not have so many dimensions beside the batch. */
export function checkRank(node: LayerNode, ...ranks: readonly number[]): void {
  const rank = node.inShape.length;
  if (ranks.includes(rank)) return;
  const shape = show(["N", ...node.inShape] as never);
  node.attributes.refuse(
    `gets ${shape}, where ${ranks.map((r) => r + 1).join(" or ")} dimensions are read`,
  );
}

/** A constant of so many values, one per channel: as they are, or as the sizes of the others are 1. */
export function vector(node: LayerNode, { data, shape }: Constant, C: number): Tensor {
  const isVector = data.length === C && shape.every((size) => size === 1 || size === C);
  if (!isVector) {
    node.attributes.refuse(`has a constant of shape ${show(shape)}, where [${C}] is read`);
  }
  return { data, shape: [C] };
}

/** A layer of weights with a bias, or with none until an Add after it has one. */
export function biased(
  node: LayerNode,
  outputs: number,
  W: Tensor,
  make: (bias: boolean) => LayerDefinition,
): Imported {
  const withBias = (b: Tensor): Imported => ({ layer: make(true), tensors: { W, b } });
  const b = node.optional(2);
  if (b !== undefined) return withBias(vector(node, b, outputs));
  return { layer: make(false), tensors: { W }, withBias };
}
