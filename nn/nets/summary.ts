/**
 * A net as a table, and in one line.
 *
 * @module
 */

import { show, sizeOf, type Tensor } from "../../kernels/tensor.ts";
import type { PlannedLayer } from "../layers/layer.ts";

/** A layer of a net, or one inside another, with its sizes. */
export interface LayerSizes {
  readonly layer: PlannedLayer;
  /** How many layers it is inside. */
  readonly depth: number;
  /** Values of its own parameters. */
  readonly parameters: number;
  /** Products of one example's forward pass. */
  readonly multiplyAdds: number;
}

/** All layers, each followed by those inside it. */
export function layerSizes(layers: readonly PlannedLayer[], depth = 0): LayerSizes[] {
  return layers.flatMap((layer) => {
    const { params = {}, multiplyAdds = 0, parts = [] } = layer.plan;
    const parameters = Object.values(params).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    return [{ layer, depth, parameters, multiplyAdds }, ...layerSizes(parts, depth + 1)];
  });
}

/** The layers with their shapes, parameters and multiply-adds, those inside others indented. */
export function summaryOf(inShape: readonly number[], layers: readonly PlannedLayer[]): string {
  const sizes = layerSizes(layers);
  const row = (name: string, shape: readonly number[], ...counts: number[]) => [
    ...[name, shape.join(" x ")],
    ...counts.map((count) => count > 0 ? count.toLocaleString("en") : ""),
  ];
  const total = (key: "parameters" | "multiplyAdds") =>
    sizes.reduce((sum, layer) => sum + layer[key], 0);
  const rows = [
    ["layer", "output", "parameters", "multiply-adds"],
    row("input", inShape, 0, 0),
    ...sizes.map(({ layer: { name, plan }, depth, parameters, multiplyAdds }) =>
      row("  ".repeat(depth) + name, plan.outShape, parameters, multiplyAdds)
    ),
    row("total", [], total("parameters"), total("multiplyAdds")),
  ];
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  const line = (row: string[]) =>
    row.map((cell, i) => i > 0 ? cell.padStart(widths[i]) : cell.padEnd(widths[i])).join("  ")
      .trimEnd();
  return rows.map(line).join("\n");
}

/** What Deno and Node ask for the text that a console shows. */
const INSPECT = ["Deno.customInspect", "nodejs.util.inspect.custom"];

/** Lets consoles show an object by a line instead of all that is in it. */
export function showAs(value: object, line: () => string): void {
  for (const name of INSPECT) {
    Object.defineProperty(value, Symbol.for(name), { value: line });
  }
}

/** `Net [3,32,32] -> [10], float32, 9 layers, 12,345 parameters`: a net in one line. */
export function lineOf(
  name: string,
  inShape: readonly number[],
  dtype: string,
  layers: readonly PlannedLayer[],
  params: Readonly<Record<string, Tensor>>,
): string {
  const outShape = layers.at(-1)?.plan.outShape ?? inShape;
  const count = Object.values(params).reduce((sum, { data }) => sum + data.length, 0);
  return `${name} ${show(inShape)} -> ${show(outShape)}, ${dtype}, ${layers.length} layers, ` +
    `${count.toLocaleString("en")} parameters`;
}
