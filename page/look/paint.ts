/**
 * Values as pixels: maps of activations, filters and images, several in one canvas.
 *
 * @module
 */

import type { FloatArray } from "../../mod.ts";
import { color } from "../dom.ts";

/** A picture of values: one plane, or three of red, green and blue. */
export interface Tile {
  readonly data: FloatArray | Uint8Array;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** Red, green and blue, from 0 to 255. */
export type Color = readonly [red: number, green: number, blue: number];

/** How values become colors: those of one sign, or of two, around nothing. */
export interface Palette {
  readonly negative: Color;
  readonly zero: Color;
  readonly positive: Color;
}

/** A color of the page's styles, by its name. */
export function colorOf(name: string): Color {
  const text = color(name), part = (i: number) => parseInt(text.slice(i, i + 2), 16);
  return [part(1), part(3), part(5)];
}

/** The page's palette, which is another in the dark. */
export function palette(): Palette {
  return {
    negative: colorOf("negative"),
    zero: colorOf("zero"),
    positive: colorOf("positive"),
  };
}

/** A color between two: the first at 0, the second at 1. */
export function mixed(from: Color, to: Color, part: number): Color {
  const [r, g, b] = from.map((value, c) => Math.round(value + (to[c] - value) * part));
  return [r, g, b];
}

/** The color of a value around zero; `most` is the largest, which gets the full color. */
export function valueColor(value: number, most: number, colors: Palette): Color {
  const part = most > 0 ? Math.min(Math.abs(value) / most, 1) : 0;
  return mixed(colors.zero, value < 0 ? colors.negative : colors.positive, part);
}

/** A color as styles write it. */
export function cssOf([r, g, b]: Color): string {
  return `rgb(${r} ${g} ${b})`;
}

/** Black or white, whichever can be read better on a color: one of them always can, by WCAG's measure. */
export function inkOn(ground: Color): string {
  const linear = ground.map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) ? "#000000" : "#ffffff";
}

/**
 * Paints tiles side by side, a pixel between them, each value as one pixel: the page's styles make them
 * larger. All have the size of the first.
 *
 * @param canvas Where to.
 * @param tiles What to paint.
 * @param columns How many stand in a row.
 * @param paint Writes a tile's colors into an image.
 */
export function paintTiles(
  canvas: HTMLCanvasElement,
  tiles: readonly Tile[],
  columns: number,
  paint: (tile: Tile) => ImageData,
): void {
  const context = canvas.getContext("2d");
  if (context === null || tiles.length === 0) return;
  const { height, width } = tiles[0], across = Math.min(columns, tiles.length);
  const down = Math.ceil(tiles.length / across);
  resize(canvas, across * (width + 1) - 1, down * (height + 1) - 1);
  for (const [i, tile] of tiles.entries()) {
    const x = (i % across) * (width + 1), y = Math.floor(i / across) * (height + 1);
    context.putImageData(paint(tile), x, y);
  }
}

function resize(canvas: HTMLCanvasElement, width: number, height: number): void {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
}

/** An image of bytes: gray, or red, green and blue. */
export function photo({ data, channels, height, width }: Tile): ImageData {
  const image = new ImageData(width, height), plane = height * width;
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = data[channels === 3 ? c * plane + i : i];
    image.data[4 * i + 3] = 255;
  }
  return image;
}

/** Values around zero by their colors; `most` is the largest, which gets the full color. */
export function signed(most: number, colors: Palette) {
  return ({ data, height, width }: Tile): ImageData => {
    const image = new ImageData(width, height);
    for (let i = 0; i < height * width; i++) {
      image.data.set(valueColor(data[i], most, colors), 4 * i);
      image.data[4 * i + 3] = 255;
    }
    return image;
  };
}

/** Three planes of values as colors, stretched over their own range. */
export function stretched({ data, height, width }: Tile): ImageData {
  const image = new ImageData(width, height), plane = height * width;
  let low = Infinity, high = -Infinity;
  for (let i = 0; i < 3 * plane; i++) {
    low = Math.min(low, data[i]);
    high = Math.max(high, data[i]);
  }
  const range = high - low || 1;
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) {
      image.data[4 * i + c] = Math.round(255 * (data[c * plane + i] - low) / range);
    }
    image.data[4 * i + 3] = 255;
  }
  return image;
}

/** The largest absolute value; 0 if there is none. */
export function largest(data: FloatArray): number {
  let most = 0;
  for (const value of data) most = Math.max(most, Math.abs(value));
  return Number.isFinite(most) ? most : 0;
}
