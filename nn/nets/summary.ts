/**
 * A net as a table, and in one line.
 *
 * @module
 */

import { show, sizeOf, type Tensor } from "../../kernels/tensor.ts";
import type { PlannedLayer } from "../layers/layer.ts";

/** The layers with their shapes, parameters and multiply-adds, those inside others indented. */
export function summaryOf(inShape: readonly number[], layers: readonly PlannedLayer[]): string {
  const rows: string[][] = [];
  let allParams = 0, allProducts = 0;
  const add = (name: string, shape: readonly number[], params: number, products: number) => {
    const counts = [params, products].map((count) => count > 0 ? count.toLocaleString("en") : "");
    rows.push([name, shape.join(" x "), ...counts]);
  };
  const addLayers = (layers: readonly PlannedLayer[], indent: string) => {
    for (const { name, plan: { params = {}, multiplyAdds = 0, parts = [], outShape } } of layers) {
      const count = Object.values(params).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
      allParams += count;
      allProducts += multiplyAdds;
      add(indent + name, outShape, count, multiplyAdds);
      addLayers(parts, indent + "  ");
    }
  };
  rows.push(["layer", "output", "parameters", "multiply-adds"]);
  add("input", inShape, 0, 0);
  addLayers(layers, "");
  add("total", [], allParams, allProducts);
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
