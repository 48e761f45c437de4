// deno-lint-ignore-file no-import-prefix -- the notebooks import this file too, and one that is opened
// without a clone by its URL, where no import map applies.
/**
 * Figures as SVG and PNG: Observable Plot on linkedom's document, without a browser.
 *
 * Each has a background of its own, so that it reads the same on a light and on a dark page.
 *
 * @module
 */

import * as Plot from "npm:@observablehq/plot@^0.6.17";
import { initWasm, Resvg } from "npm:@resvg/resvg-wasm@^2.6.2";
import fonts from "npm:dejavu-fonts-ttf@^2.37.3/package.json" with { type: "json" };
import { DOMParser } from "npm:linkedom@^0.18.12";

export { Plot };

/** Paper and ink, and one color for each of the things that a figure compares. */
export const colors = {
  paper: "#ffffff",
  ink: "#24292f",
  first: "#b35900",
  second: "#0969da",
} as const;

/** Pixels of the PNG for a unit of the SVG: sharp text, and still a size that fits a page. */
export const ZOOM = 1.5;

/** Paper around a figure. */
export const PAPER = 10;

const document = new DOMParser().parseFromString("<html></html>", "text/html");

/** A file of an npm package that this module imports. */
const packaged = (file: string) => Deno.readFile(new URL(file));
const font = `npm:${fonts.name}@${fonts.version}/ttf`;
const fontBuffers = await Promise.all([
  packaged(import.meta.resolve(`${font}/DejaVuSans.ttf`)),
  packaged(import.meta.resolve(`${font}/DejaVuSans-Bold.ttf`)),
]);
await initWasm(
  await packaged(import.meta.resolve("npm:@resvg/resvg-wasm@^2.6.2/index_bg.wasm")),
);

/** An SVG as PNG, with the same fonts on every machine. */
export function toPng(svg: string): Uint8Array {
  const family = "DejaVu Sans";
  const font = { fontBuffers, defaultFontFamily: family, sansSerifFamily: family };
  return new Resvg(svg, { font, fitTo: { mode: "zoom", value: ZOOM } }).render().asPng();
}

/** An element of an SVG. */
export type SvgElement = ReturnType<typeof document.createElement>;

/** What Plot draws. */
export function plotted(options: Plot.PlotOptions): SvgElement {
  const svg = Plot.plot({
    width: 680,
    height: 320,
    marginTop: 30,
    marginLeft: 60,
    marginBottom: 45,
    ...options,
    document,
    style: { background: colors.paper, color: colors.ink, fontSize: "12px" },
  });
  svg.setAttribute("xmlns", SVG);
  return svg;
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * Puts paper around a figure, as Plot draws labels on the very edge.
 *
 * @param svg The figure.
 * @param above Room above it beyond that.
 */
export function frame(svg: SvgElement, above = 0): void {
  const width = Number(svg.getAttribute("width")) + 2 * PAPER;
  const height = Number(svg.getAttribute("height")) + 2 * PAPER + above;
  svg.setAttribute("viewBox", `${-PAPER} ${-PAPER - above} ${width} ${height}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
}

/** Makes an element of an SVG. */
export function svgElement(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  text?: string,
): SvgElement {
  const made = document.createElementNS(SVG, name, undefined);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/**
 * A figure as SVG.
 *
 * @param options Observable Plot's: marks, scales and sizes.
 * @returns The text of the SVG.
 */
export function figureSvg(options: Plot.PlotOptions): string {
  const svg = plotted(options);
  frame(svg);
  return svg.outerHTML;
}
