/**
 * Figures with a title and a legend.
 *
 * @module
 */

import {
  colors,
  frame,
  PAPER,
  type Plot,
  plotted,
  type SvgElement,
  svgElement,
} from "./drawing.ts";

/** Colors that all kinds of color vision tell apart: Okabe and Ito's. */
export const palette = { blue: "#0072b2", vermillion: "#d55e00", green: "#009e73" } as const;

/** How much is seen of what is pale. */
export const PALE = 0.3;

/** What stands for something in a figure. */
export interface LegendEntry {
  readonly text: string;
  readonly color: string;
  /** What is drawn in that color: a line, a thin pale one, one with signs, a pale band, or an area. Default: a line. */
  readonly sign?: "line" | "pale" | "circles" | "squares" | "band" | "area";
}

/** A scale of colors, with what its ends stand for. */
export interface LegendScale {
  readonly from: string;
  readonly to: string;
  readonly colors: readonly string[];
}

/** A figure with its title and its legend. */
export interface TitledFigure {
  readonly title: string;
  /** What else is to be known of it, in one line. */
  readonly subtitle: string;
  readonly legend?: readonly (LegendEntry | LegendScale)[];
  /** Observable Plot's options. */
  readonly plot: Plot.PlotOptions;
}

/** Heights of the lines above a figure, and about how wide a letter is. */
const TITLE = 20, SUBTITLE = 18, LEGEND = 24, LETTER = 7.4;
/** Widths of a sign, of a scale of colors, and of the gaps beside these. */
const SIGN = 26, SCALE = 120, GAP = 7;

/**
 * A figure with a title, which readers who cannot see it are told, and a legend.
 *
 * @param figure The figure.
 * @returns The text of the SVG.
 */
export function titledSvg({ title, subtitle, legend = [], plot }: TitledFigure): string {
  const svg = plotted(plot);
  const above = TITLE + SUBTITLE + (legend.length > 0 ? LEGEND : 0);
  frame(svg, above);
  const size = { width: svg.getAttribute("width")!, height: svg.getAttribute("height")! };
  const at = { title: 10 - above, subtitle: 10 - above + SUBTITLE };
  const parts = [
    svgElement("title", {}, title),
    svgElement("rect", { x: -PAPER, y: -PAPER - above, ...size, fill: colors.paper }),
    text(title, 0, at.title, { "font-size": 15, "font-weight": "bold" }),
    text(subtitle, 0, at.subtitle),
  ];
  let x = 0;
  for (const entry of legend) {
    const width = "from" in entry
      ? drawScale(parts, entry, x, at.subtitle + LEGEND)
      : drawEntry(parts, entry, x, at.subtitle + LEGEND);
    x += width + 2 * GAP;
  }
  const first = svg.firstChild;
  for (const part of parts) svg.insertBefore(part, first);
  svg.setAttribute("role", "img");
  return svg.outerHTML;
}

function text(
  content: string,
  x: number,
  y: number,
  style: Readonly<Record<string, string | number>> = {},
): SvgElement {
  return svgElement("text", { x, y, "text-anchor": "start", ...style }, content);
}

/** Draws a scale of colors; returns its width. */
function drawScale(parts: SvgElement[], { from, to, colors }: LegendScale, x: number, y: number) {
  const left = x + from.length * LETTER + GAP, step = SCALE / colors.length;
  parts.push(text(from, x, y));
  for (const [i, fill] of colors.entries()) {
    // A little wider than the step, so that no gap shows.
    const place = { x: left + i * step, y: y - 10, width: step + 0.5, height: 12 };
    parts.push(svgElement("rect", { ...place, fill }));
  }
  parts.push(text(to, left + SCALE + GAP, y));
  return left + SCALE + GAP + to.length * LETTER - x;
}

/** Draws a sign and its text; returns their width. */
function drawEntry(parts: SvgElement[], entry: LegendEntry, x: number, y: number): number {
  const { color, sign = "line" } = entry, middle = y - 4, center = x + SIGN / 2;
  if (sign === "band" || sign === "area") {
    const place = { x, y: y - 10, width: SIGN, height: 12 };
    parts.push(svgElement("rect", { ...place, fill: color, opacity: sign === "band" ? PALE : 1 }));
  } else {
    const ends = { x1: x, x2: x + SIGN, y1: middle, y2: middle };
    const isPale = sign === "pale";
    const stroke = { "stroke-width": isPale ? 1 : 2, opacity: isPale ? PALE : 1 };
    parts.push(svgElement("line", { ...ends, stroke: color, ...stroke }));
  }
  if (sign === "circles") {
    parts.push(svgElement("circle", { cx: center, cy: middle, r: 4, fill: color }));
  } else if (sign === "squares") {
    const place = { x: center - 4, y: middle - 4, width: 8, height: 8 };
    parts.push(svgElement("rect", { ...place, fill: color }));
  }
  parts.push(text(entry.text, x + SIGN + GAP, y));
  return SIGN + GAP + entry.text.length * LETTER;
}
