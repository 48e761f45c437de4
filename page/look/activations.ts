/**
 * What each layer makes of the image.
 *
 * @module
 */

import { byId, element, onColors } from "../dom.ts";
import type { Activation, Probe } from "../draw/probe.ts";
import { shapeText } from "../format.ts";
import { labelOf } from "../net/kinds.ts";
import { largest, paintTiles, palette, signed, type Tile } from "./paint.ts";

/** Maps that are shown of a layer at most. */
const MOST = 16;

/** Values in a row where a layer has no maps. */
const PER_ROW = 64;

/** Milliseconds from one drawing to the next: more cannot be seen. */
const PERIOD = 150;

interface Row {
  readonly item: HTMLLIElement;
  readonly caption: HTMLElement;
  readonly canvas: HTMLCanvasElement;
}

/** Shows the activations for the probe. */
export function showActivations(probe: Probe): void {
  const list = byId("activations", HTMLOListElement), rows: Row[] = [];
  let timer: number | undefined;
  const draw = () => {
    timer = undefined;
    const { activations } = probe.answer ?? { activations: [] };
    while (rows.length > activations.length) rows.pop()!.item.remove();
    while (rows.length < activations.length) {
      const row = newRow();
      rows.push(row);
      list.append(row.item);
    }
    for (const [i, activation] of activations.entries()) {
      paint(rows[i], activation, i === activations.length - 1);
    }
  };
  probe.changed.listen(() => timer ??= setTimeout(draw, PERIOD) as unknown as number);
  onColors(draw);
}

function newRow(): Row {
  const caption = element("p", { class: "activation-name" });
  const canvas = element("canvas", { class: "pixels", role: "img", width: 1, height: 1 });
  const item = element("li", {}, caption, element("div", { class: "maps" }, canvas));
  return { item, caption, canvas };
}

function paint({ caption, canvas }: Row, { layer, out }: Activation, isLast: boolean): void {
  const [, ...shape] = out.shape, name = isLast ? "Scores" : labelOf({ ...layer.layer, args: [] });
  const text = `${name} ${shapeText(shape)}`;
  if (caption.dataset.text !== text) {
    caption.dataset.text = text;
    caption.replaceChildren(name, " ", element("span", { class: "muted" }, shapeText(shape)));
    canvas.setAttribute("aria-label", `Activations of ${text}`);
  }
  const tiles = tilesOf(out.data, shape), { width } = tiles[0];
  const columns = shape.length === 3 ? MOST / (width > 16 ? 2 : 1) : 1;
  paintTiles(canvas, tiles, columns, signed(largest(out.data), palette()));
  const scale = shape.length === 3 ? Math.max(1, Math.min(Math.round(44 / width), 12)) : 8;
  canvas.style.width = `${canvas.width * scale}px`;
}

/** Maps, or values in rows. */
function tilesOf(data: Tile["data"], shape: readonly number[]): readonly Tile[] {
  if (shape.length !== 3) {
    const width = Math.min(data.length, PER_ROW), height = Math.ceil(data.length / width);
    const padded = new Float32Array(width * height);
    padded.set(data);
    return [{ data: padded, channels: 1, height, width }];
  }
  const [C, height, width] = shape, size = height * width;
  return Array.from({ length: Math.min(C, MOST) }, (_, c) => {
    return { data: data.subarray(c * size, (c + 1) * size), channels: 1, height, width };
  });
}
