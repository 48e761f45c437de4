// deno-lint-ignore-file no-import-prefix -- a notebook opened without a clone imports this file by
// its URL, where no import map applies.
/**
 * What the notebooks show: figures, images, and numbers beside their bounds.
 *
 * Figures are Observable Plot's, drawn on linkedom's document (no browser). Jupyter gets them as PNG, by
 * Deno's display protocol, as nbconvert and GitHub remove what they do not trust from SVG. Each has a
 * background of its own, so that it reads the same on a light and on a dark page.
 *
 * @module
 */

import { encode } from "npm:fast-png@^8.0.0";
import type { Tensor } from "../mod.ts";
import { colors, figureSvg, Plot, toPng } from "../tools/plots/drawing.ts";

export { colors, Plot };

/** What Deno's kernel shows where it is the value of a cell. */
export interface Displayable {
  /** The figure in each of the forms that a notebook may choose from. */
  [key: symbol]: () => Record<string, string>;
}

/**
 * A figure.
 *
 * @param title What it shows, for readers who cannot see it.
 * @param options Observable Plot's: marks, scales and sizes.
 * @returns The figure, shown where it is the value of a cell.
 */
export function figure(title: string, options: Plot.PlotOptions): Displayable {
  const png = toPng(figureSvg(options)).toBase64();
  return {
    [Symbol.for("Jupyter.display")]: () => ({ "image/png": png, "text/plain": title }),
  };
}

/**
 * An image, each pixel a square that can be seen.
 *
 * @param title What it shows, for readers who cannot see it.
 * @param image Values from 0 to 255, (H, W, C), as visualizeGrid makes them: C is 1 for gray, or 3 for
 * red, green and blue.
 * @param zoom The side of a pixel on the page.
 * @param rows Names of the rows of a grid of images, from top to bottom.
 * @returns The figure, shown where it is the value of a cell.
 */
export function picture(
  title: string,
  image: Tensor,
  zoom: number,
  rows: readonly string[] = [],
): Displayable {
  const [H, W, channels] = image.shape, width = W * zoom, height = H * zoom;
  const data = Uint8Array.from(image.data, Math.round);
  const png = encode({ width: W, height: H, channels, data }).toBase64();
  const marginLeft = rows.length > 0 ? 80 : 0;
  return figure(title, {
    width: width + marginLeft,
    height,
    marginTop: 0,
    marginRight: 0,
    marginBottom: 0,
    marginLeft,
    x: { axis: null },
    y: { type: "band", domain: rows, label: null, tickSize: 0 },
    marks: [
      Plot.image([`data:image/png;base64,${png}`], {
        src: Plot.identity,
        x: marginLeft + width / 2,
        frameAnchor: "middle",
        width,
        height,
        imageRendering: "optimizeSpeed", // what resvg calls pixelated
        preserveAspectRatio: "none",
      }),
    ],
  });
}

/**
 * Prints a number beside the largest that it may be.
 *
 * @param what Its name.
 * @param value The number.
 * @param bound The largest that it may be.
 * @throws {RangeError} If it is larger or NaN, so that the notebook stops there.
 */
export function atMost(what: string, value: number, bound: number): void {
  console.log(`${what}: ${digits(value)} (at most ${digits(bound)})`);
  if (!(value <= bound)) throw new RangeError(`${what} is ${value}: must be at most ${bound}`);
}

/**
 * Prints a number beside the smallest that it may be.
 *
 * @param what Its name.
 * @param value The number.
 * @param bound The smallest that it may be.
 * @throws {RangeError} If it is smaller or NaN, so that the notebook stops there.
 */
export function atLeast(what: string, value: number, bound: number): void {
  console.log(`${what}: ${digits(value)} (at least ${digits(bound)})`);
  if (!(value >= bound)) throw new RangeError(`${what} is ${value}: must be at least ${bound}`);
}

/** 1e-6, where JavaScript would say 0.000001. */
function digits(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(value);
}
