/**
 * The filters of the first convolution as they change.
 *
 * @module
 */

import type { Session } from "../learn/session.ts";
import { byId, onColors, setText } from "../dom.ts";
import { largest, paintTiles, palette, signed, stretched, type Tile } from "./paint.ts";
import { firstConv } from "../convolution/first_conv.ts";

/** Filters that are shown at most. */
const MOST = 64;

/** Shows the filters of a session's net. */
export function showFilters(session: Session): void {
  const canvas = byId("filters", HTMLCanvasElement);
  const figure = byId("filters-figure", HTMLElement),
    caption = byId("filters-caption", HTMLElement);
  const draw = () => {
    const conv = firstConv(session.net);
    figure.hidden = conv === undefined;
    if (conv === undefined) return;
    const { data, shape: [F, C, height, width] } = conv.w, size = C * height * width;
    const isColor = C === 3, perFilter = isColor ? 1 : C, tileSize = size / perFilter;
    const tiles: Tile[] = [];
    for (let i = 0; i < Math.min(F * perFilter, MOST); i++) {
      const part = data.subarray(i * tileSize, (i + 1) * tileSize);
      tiles.push({ data: part, channels: isColor ? 3 : 1, height, width });
    }
    const columns = tiles.length <= 8 ? 4 : 8;
    paintTiles(canvas, tiles, columns, isColor ? stretched : signed(largest(data), palette()));
    canvas.style.setProperty("--scale", String(Math.max(2, Math.floor(30 / width))));
    canvas.style.width = `calc(${canvas.width}px * var(--scale))`;
    setText(caption, `The first convolution’s filters: ${F} of ${height} × ${width}`);
  };
  session.weightsChanged.listen(draw);
  onColors(draw);
}
