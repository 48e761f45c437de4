/**
 * Reads figures: SVG that must be well-formed, and PNG that must show something.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { DOMParser, type Element } from "@xmldom/xmldom";
import { decode } from "fast-png";

/** The root of an SVG; throws where the XML is not well-formed. */
export function parseSvg(svg: string): Element {
  const parser = new DOMParser({
    onError: (level, message) => {
      throw new Error(`${level}: ${message}`);
    },
  });
  const root = parser.parseFromString(svg, "image/svg+xml").documentElement!;
  assertEquals(root.tagName, "svg");
  return root;
}

/** The elements of a name that have an attribute of some value. */
export function elements(root: Element, name: string, attributes: Record<string, string> = {}) {
  return Array.from(root.getElementsByTagName(name)).filter((element) =>
    Object.entries(attributes).every(([key, value]) => element.getAttribute(key) === value)
  );
}

/** The texts of a figure, in order. */
export function texts(root: Element): string[] {
  return elements(root, "text").map(({ textContent }) => textContent ?? "");
}

/** A place on the page. */
export type Place = readonly [x: number, y: number];

/** The corners of a path. */
export function corners(path: Element): Place[] {
  const numbers = path.getAttribute("d")!.match(/-?[\d.]+(e-?\d+)?/g)!.map(Number);
  return Array.from({ length: numbers.length / 2 }, (_, i) => [numbers[2 * i], numbers[2 * i + 1]]);
}

/** What a place of an axis stands for, by its first and its last tick. */
export function axis(root: Element, name: "x" | "y", isLogarithmic = false) {
  const [group] = elements(root, "g", { "aria-label": `${name}-axis tick label` });
  const ticks = Array.from(group.getElementsByTagName("text")).map((text) => {
    const [x, y] = text.getAttribute("transform")!.match(/-?[\d.]+/g)!.map(Number);
    return { at: name === "x" ? x : y, value: Number(text.textContent!.replaceAll(",", "")) };
  });
  const scale = isLogarithmic ? Math.log : (value: number) => value;
  const back = isLogarithmic ? Math.exp : (value: number) => value;
  const [first, last] = [ticks[0], ticks.at(-1)!];
  const slope = (scale(last.value) - scale(first.value)) / (last.at - first.at);
  return (at: number) => back(scale(first.value) + (at - first.at) * slope);
}

/** Asserts that a PNG is that of an SVG, and not one color. */
export function assertPngOf(png: Uint8Array, svg: string, zoom: number): void {
  const root = parseSvg(svg), { width, height, channels, data } = decode(png);
  const size = ["width", "height"].map((side) => Number(root.getAttribute(side)) * zoom);
  assert(Math.abs(width - size[0]) <= 1 && Math.abs(height - size[1]) <= 1, `${width}x${height}`);
  // The paper is white and opaque, and not all there is.
  assertEquals(Array.from(data.subarray(0, channels)), Array(channels).fill(255));
  const dark = data.filter((value, i) => i % channels === 0 && value < 128).length;
  assert(dark > 100, `${dark} dark pixels`);
}
