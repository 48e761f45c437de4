// deno-lint-ignore-file no-import-prefix -- a notebook opened without a clone imports this file by
// its URL, where no import map applies.
/**
 * What the notebooks show: figures, pictures, and numbers beside their bounds.
 *
 * Figures are Observable Plot's, drawn on linkedom's document (no browser), and handed to Jupyter as
 * SVG by Deno's display protocol. Each has a background of its own, so that it reads the same on a
 * light and on a dark page.
 *
 * @module
 */

import * as Plot from "npm:@observablehq/plot@^0.6.17";
import { encode } from "npm:fast-png@^8.0.0";
import { DOMParser } from "npm:linkedom@^0.18.12";
import type { Tensor } from "../mod.ts";

export { Plot };

/** What Deno's kernel shows where it is the value of a cell. */
export interface Displayable {
  /** The figure in each of the forms that a notebook may choose from. */
  [key: symbol]: () => Record<string, string>;
}

/** Paper and ink, and one colour for each of the things that a figure compares. */
export const colors = {
  paper: "#ffffff",
  ink: "#24292f",
  first: "#b35900",
  second: "#0969da",
} as const;

const document = new DOMParser().parseFromString("<html></html>", "text/html");

/**
 * A figure.
 *
 * @param title What it shows, for readers who cannot see it.
 * @param options Observable Plot's: marks, scales and sizes.
 * @returns The figure, shown where it is the value of a cell.
 */
export function figure(title: string, options: Plot.PlotOptions): Displayable {
  const svg = Plot.plot({
    width: 680,
    height: 320,
    marginTop: 30,
    marginLeft: 60,
    marginBottom: 45,
    ...options,
    document,
    ariaLabel: title,
    style: { background: colors.paper, color: colors.ink, fontSize: "12px" },
  });
  // A page that shows the SVG as an image, as GitHub and JupyterLab do, needs the namespace.
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  svg.setAttribute("role", "img");
  const text: string = svg.outerHTML;
  return {
    [Symbol.for("Jupyter.display")]: () => ({ "image/svg+xml": text, "text/plain": title }),
  };
}

/**
 * Pictures side by side, each stretched to the full range from black to white.
 *
 * @param title What they show, for readers who cannot see them.
 * @param images Pictures, (N, C, H, W), C being 1 for gray or 3 for red, green and blue.
 * @param captions One a picture, or none.
 * @param columns How many side by side.
 * @returns The figure, shown where it is the value of a cell.
 */
export function pictures(
  title: string,
  images: Tensor,
  captions: readonly string[] = [],
  columns = 8,
): Displayable {
  const [N, , H, W] = images.shape;
  const size = 76, gap = 8, caption = captions.length > 0 ? 16 : 0;
  const width = Math.min(columns, N) * (size + gap) + gap;
  const height = Math.ceil(N / columns) * (size + caption + gap) + gap;
  const x = (i: number) => gap + (i % columns) * (size + gap) + size / 2;
  const y = (i: number) => gap + Math.floor(i / columns) * (size + caption + gap) + size / 2;
  const all = Array.from({ length: N }, (_, i) => i);
  return figure(title, {
    width,
    height,
    marginTop: 0,
    marginRight: 0,
    marginLeft: 0,
    marginBottom: 0,
    x: { domain: [0, width], range: [0, width], axis: null },
    y: { domain: [0, height], range: [0, height], axis: null },
    marks: [
      Plot.image(all, {
        x,
        y,
        width: size,
        height: size * H / W,
        src: (i: number) => png(images, i),
        imageRendering: "pixelated",
      }),
      Plot.text(captions, { x: (_, i) => x(i), y: (_, i) => y(i) + size / 2 + 9, fontSize: 11 }),
    ],
  });
}

function png(images: Tensor, i: number): string {
  const [, C, H, W] = images.shape, plane = H * W;
  const values = images.data.subarray(i * C * plane, (i + 1) * C * plane);
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const scale = high > low ? 255 / (high - low) : 0;
  const data = new Uint8Array(C * plane);
  for (let c = 0; c < C; c++) {
    for (let p = 0; p < plane; p++) {
      data[p * C + c] = Math.round((values[c * plane + p] - low) * scale);
    }
  }
  return "data:image/png;base64," + encode({ width: W, height: H, channels: C, data }).toBase64();
}

/**
 * Prints a number beside the largest that it may be.
 *
 * @param what Its name.
 * @param value The number.
 * @param bound The largest that it may be.
 * @throws {RangeError} If it is larger, or no number, so that the notebook stops there.
 */
export function atMost(what: string, value: number, bound: number): void {
  console.log(`${what}: ${value} (at most ${bound})`);
  if (!(value <= bound)) throw new RangeError(`${what} is ${value}: must be at most ${bound}`);
}

/**
 * Prints a number beside the smallest that it may be.
 *
 * @param what Its name.
 * @param value The number.
 * @param bound The smallest that it may be.
 * @throws {RangeError} If it is smaller, or no number, so that the notebook stops there.
 */
export function atLeast(what: string, value: number, bound: number): void {
  console.log(`${what}: ${value} (at least ${bound})`);
  if (!(value >= bound)) throw new RangeError(`${what} is ${value}: must be at least ${bound}`);
}
