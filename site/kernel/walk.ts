/**
 * A drawing of a pass along one axis: what a position reads by each tap, and where it writes.
 *
 * @module
 */

import type { Axis, View } from "../../kernels/passes.ts";
import { el, svg } from "./dom.ts";

/** Cells that are drawn of a row. */
const MOST = 32;

/** The size of a cell, and where the two rows of cells lie, beside their names. */
const CELL = 22, SOURCE = 2, TARGET = 102, LEFT = 46;

/** Where a cell begins. */
const left = (cell: number) => LEFT + cell * CELL;

/** A row of cells: those of the tensor, and what lies around it. */
function cells(
  name: string,
  { size, lead, extent }: View,
  top: number,
  first: number,
): SVGElement {
  const count = Math.min(extent, first + MOST) - first;
  const group = svg(
    "g",
    {},
    svg("text", { x: 0, y: top + 14 }, name),
  );
  for (let i = 0; i < count; i++) {
    const place = first + i - lead, isInside = place >= 0 && place < size;
    group.append(
      svg("rect", {
        ...{
          x: left(i) + 1,
          y: top,
          width: CELL - 2,
          height: CELL - 2,
          rx: 3,
        },
        class: isInside ? "cell" : "cell padding",
      }),
    );
    if (isInside) {
      group.append(
        svg(
          "text",
          { x: left(i + 0.5), y: top + 14, class: "number" },
          `${place}`,
        ),
      );
    }
  }
  return group;
}

/** The lines from what a position reads to what it writes, one for each tap. */
function lines(
  axis: Axis,
  position: number,
  firsts: { source: number; target: number },
) {
  return axis.taps.map(({ from, to }, k) => {
    const source = position * axis.sourceStep + from - firsts.source;
    const target = position * axis.targetStep + to - firsts.target;
    const middle = (cell: number) => left(cell + 0.5);
    const color = `tap tap${k % 7}`;
    return svg(
      "g",
      { class: color },
      svg("line", {
        x1: middle(source),
        y1: SOURCE + CELL - 2,
        x2: middle(target),
        y2: TARGET,
      }),
      svg("rect", {
        x: left(source) + 1,
        y: SOURCE,
        width: CELL - 2,
        height: CELL - 2,
        rx: 3,
      }),
      svg("rect", {
        x: left(target) + 1,
        y: TARGET,
        width: CELL - 2,
        height: CELL - 2,
        rx: 3,
      }),
    );
  });
}

/** Where the cells that are drawn begin, so that those of a position are among them. */
function firstOf({ extent }: View, place: number): number {
  return Math.max(0, Math.min(place - MOST / 2, extent - MOST));
}

/**
 * A drawing with a slider for the position.
 *
 * @param axis The axis.
 * @param names What is read, and what is written.
 * @returns The element.
 */
export function walkOf(
  axis: Axis,
  names: readonly [source: string, target: string],
): HTMLElement {
  const { positions, sourceStep, targetStep } = axis;
  const width = left(MOST);
  const drawing = svg("svg", {
    viewBox: `0 0 ${width} ${TARGET + CELL}`,
    role: "img",
  });
  const words = el("p", { class: "small", "aria-live": "polite" });
  const slider = el("input", {
    type: "range",
    min: "0",
    max: `${positions - 1}`,
    value: "0",
  });
  const draw = () => {
    const position = Number(slider.value);
    const firsts = {
      source: Math.floor(firstOf(axis.source, position * sourceStep)),
      target: Math.floor(firstOf(axis.target, position * targetStep)),
    };
    drawing.replaceChildren(
      cells(names[0], axis.source, SOURCE, firsts.source),
      cells(names[1], axis.target, TARGET, firsts.target),
      ...lines(axis, position, firsts),
    );
    const text = said(axis, position, names);
    drawing.setAttribute("aria-label", text);
    words.textContent = text;
  };
  slider.addEventListener("input", draw);
  draw();
  return el(
    "figure",
    { class: "walk" },
    el(
      "label",
      {},
      `Position along the columns, 0 to ${positions - 1}`,
      slider,
    ),
    el("div", {
      class: "scroll",
      tabindex: "0",
      role: "group",
      "aria-label": "Drawing",
    }, drawing),
    words,
  );
}

/** A place of a walk, as the tensor counts it. */
function placeIn({ size, lead }: View, at: number): string {
  const place = at - lead;
  return place >= 0 && place < size ? `${place}` : "padding";
}

/** The drawing in words. */
function said(
  axis: Axis,
  position: number,
  [source, target]: readonly [string, string],
): string {
  const { taps, sourceStep, targetStep } = axis;
  const each = taps.slice(0, 12).map(({ from, to }, k) => {
    const read = placeIn(axis.source, position * sourceStep + from);
    return `tap ${k}: ${read} to ${placeIn(axis.target, position * targetStep + to)}`;
  });
  const more = taps.length > 12 ? ", and so on" : "";
  return `Position ${position}, columns of ${source} to those of ${target}: ${
    each.join(", ")
  }${more}.`;
}
