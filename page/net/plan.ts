/**
 * The sizes of a net's layers, before it has any weights.
 *
 * @module
 */

import type { LayerDefinition, LayerDescription, NetDescription, PlannedLayer } from "../../mod.ts";
import { sizeOf } from "../../kernels/tensor.ts";
import { LAYERS } from "../../nn/nets/net.ts";
import { NetPlanner } from "../../nn/nets/planner.ts";
import { planSequence } from "../../nn/nets/sequence.ts";
import { messageOf } from "../format.ts";

/** What is known of a layer. */
export interface PlannedRow {
  readonly outShape: readonly number[];
  readonly parameters: number;
  readonly multiplyAdds: number;
}

/** The sizes of all layers, or what is wrong with the first that does not fit. */
export type NetPlan =
  | { readonly rows: readonly PlannedRow[]; readonly total: PlannedRow }
  | { readonly wrong: number; readonly message: string };

/** More parameters than this make a page slow, and its memory short. */
const MOST_PARAMETERS = 10_000_000;

/** The net that layers make: the last is a fully-connected one, with a score for each class. */
export function netDescription(
  layers: readonly LayerDescription[],
  inputDim: readonly number[],
  classes: number,
  reg: number,
): NetDescription {
  const scores = { type: "affine", args: [classes] };
  return {
    inputDim,
    layers: [...layers, scores],
    reg,
    weightScale: "he",
    dtype: "float32",
    loss: "softmax",
  };
}

/** Plans a net. */
export function planNet({ layers, inputDim }: NetDescription): NetPlan {
  let at = 0;
  try {
    const definitions = layers.map((layer, i) => {
      at = i;
      return definitionOf(layer);
    });
    const { parts = [] } = planSequence(definitions, inputDim, new NetPlanner("float32"));
    const rows = parts.map((part) => ({ outShape: part.plan.outShape, ...costOf(part) }));
    const sum = (name: "parameters" | "multiplyAdds") =>
      rows.reduce((total, row) => total + row[name], 0);
    const total = {
      outShape: rows.at(-1)!.outShape,
      parameters: sum("parameters"),
      multiplyAdds: sum("multiplyAdds"),
    };
    if (total.parameters <= MOST_PARAMETERS) return { rows, total };
    const largest = Math.max(...rows.map(({ parameters }) => parameters));
    const wrong = rows.findIndex(({ parameters }) => parameters === largest);
    const message =
      `This net has ${total.parameters.toLocaleString("en")} parameters; a page takes ` +
      `${MOST_PARAMETERS.toLocaleString("en")}. A pool before this layer makes it smaller.`;
    return { wrong, message };
  } catch (error) {
    const message = messageOf(error), [, index] = /^layers\[(\d+)\]/.exec(message) ?? [];
    // The place is where the message stands.
    const rest = message.replace(/^layers\[\d+\][\w.[\]]*:? /, "");
    return { wrong: index === undefined ? at : Number(index), message: rest };
  }
}

/** A layer that its description is of. */
function definitionOf({ type, args }: LayerDescription): LayerDefinition {
  if (!Object.hasOwn(LAYERS, type)) throw new TypeError(`there is no layer ${type}`);
  const isLayer = (arg: unknown): arg is LayerDescription =>
    typeof arg === "object" && arg !== null && "type" in arg && "args" in arg;
  return LAYERS[type](...args.map((arg) => isLayer(arg) ? definitionOf(arg) : arg) as never[]);
}

/** The parameters and products of a layer, and of those inside it. */
function costOf({ plan }: PlannedLayer): Omit<PlannedRow, "outShape"> {
  const { params = {}, multiplyAdds = 0, parts = [] } = plan;
  let parameters = Object.values(params).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  let products = multiplyAdds;
  for (const part of parts) {
    const inner = costOf(part);
    parameters += inner.parameters;
    products += inner.multiplyAdds;
  }
  return { parameters, multiplyAdds: products };
}
