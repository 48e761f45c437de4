/**
 * A confusion matrix as a figure.
 *
 * @module
 */

import { Plot } from "./drawing.ts";
import { titledSvg } from "./figure.ts";
import { shortName } from "./names.ts";

/** More classes would be too small to be read: those that are mistaken most often are shown. */
const MOST_CLASSES = 30;

/** Room for the title and the legend, and about how wide a letter is. */
const LEAST_WIDTH = 500, LETTER = 7.4;

/** What is drawn. */
export interface Confusion {
  /** Row r, column c has the examples of class r that were taken for c. */
  readonly counts: readonly (readonly number[])[];
  /** The names of the classes. */
  readonly classes: readonly string[];
  /** What was counted: "5,000 validation images". */
  readonly of: string;
}

/** A confusion matrix as SVG: colors are parts of a row, numbers are counts. */
export function confusionSvg({ counts, classes, of }: Confusion): string {
  const shown = shownClasses(counts);
  const names = shown.map((c) => shortName(classes[c]));
  const cells = shown.flatMap((r, row) => {
    const total = counts[r].reduce((sum, count) => sum + count, 0);
    return shown.map((c, column) => {
      const part = total === 0 ? 0 : counts[r][c] / total;
      return { row, column, count: counts[r][c], part };
    });
  });
  const side = Math.min(56, Math.max(22, 560 / shown.length)), size = side * shown.length;
  const longest = Math.max(...names.map((name) => name.length)) * LETTER;
  const isSlanted = longest > side, below = 14 + (isSlanted ? longest * Math.SQRT1_2 : 14);
  const left = longest + 50;
  const colors = Array.from({ length: 40 }, (_, i) => shade(i / 39));
  const place = { x: "column", y: "row" } as const;
  return titledSvg({
    title: "Confusion matrix",
    subtitle: `${of}${
      shown.length < classes.length ? `; the ${shown.length} classes most often mistaken` : ""
    }`,
    legend: [{ from: "0 %", to: "100 % of the images of a class", colors }],
    plot: {
      width: Math.max(LEAST_WIDTH, left + size + 20),
      height: 16 + size + below + 24,
      marginTop: 16,
      marginLeft: left,
      marginRight: Math.max(20, LEAST_WIDTH - left - size),
      marginBottom: below + 24,
      padding: 0,
      x: {
        label: "predicted class",
        tickFormat: (column: number) => names[column],
        tickRotate: isSlanted ? -45 : 0,
        tickSize: 0,
        labelOffset: below + 20,
      },
      y: { label: "true class", tickFormat: (row: number) => names[row], tickSize: 0 },
      marks: [
        Plot.cell(cells, { ...place, fill: ({ part }) => shade(part), inset: 0.5 }),
        Plot.text(cells.filter(({ count }) => count > 0), {
          ...place,
          text: ({ count }) => side < 30 && count > 999 ? "" : String(count),
          fill: ({ part }) => part > 0.5 ? "white" : "black",
          fontSize: Math.min(12, side / 2.6),
        }),
      ],
    },
  });
}

/** From white to blue: its lightness alone tells values apart. */
const scale = Plot.scale({ color: { scheme: "Blues", domain: [0, 1] } });

function shade(part: number): string {
  return scale.apply(part);
}

/** All classes, or those with the most mistakes, in their order. */
function shownClasses(counts: Confusion["counts"]): readonly number[] {
  const all = counts.map((_, c) => c);
  if (counts.length <= MOST_CLASSES) return all;
  const mistakes = all.map((c) =>
    all.reduce((sum, other) => other === c ? sum : sum + counts[c][other] + counts[other][c], 0)
  );
  const most = all.toSorted((a, b) => mistakes[b] - mistakes[a]).slice(0, MOST_CLASSES);
  return most.toSorted((a, b) => a - b);
}
