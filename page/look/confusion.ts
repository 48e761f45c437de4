/**
 * Which classes are taken for which, as a table.
 *
 * @module
 */

import { confusionMatrix } from "../../mod.ts";
import { byId, element, onColors, setText } from "../dom.ts";
import { count } from "../format.ts";
import type { Evaluation, Session } from "../learn/session.ts";
import { type Color, colorOf, cssOf, inkOn, mixed } from "./paint.ts";

/** Classes that a table has room for. */
const MOST = 20;

/** Shows the confusion matrix of the images to validate on. */
export function showConfusion(session: Session): void {
  const table = byId("confusion", HTMLTableElement), note = byId("confusion-note", HTMLElement);
  let cells: HTMLTableCellElement[][] = [], named: readonly string[] = [];
  const clear = () => {
    const { classes } = session.set;
    if (classes !== named) {
      named = classes;
      cells = classes.length <= MOST ? newTable(table, classes) : [];
      if (classes.length > MOST) table.replaceChildren();
    }
    const { none } = cellColors();
    for (const cell of cells.flat()) fill(cell, 0, 0, none, none);
    const few = "No net has been looked at yet.";
    setText(note, classes.length > MOST ? `For up to ${MOST} classes.` : few);
  };
  const show = ({ scores }: Evaluation) => {
    if (cells.length === 0) return;
    const labels = session.set.yVal.subarray(0, scores.shape[0]);
    const counts = confusionMatrix(scores, labels), { none, right, wrong } = cellColors();
    for (const [r, row] of counts.entries()) {
      const total = Math.max(row.reduce((sum, value) => sum + value, 0), 1);
      for (const [c, value] of row.entries()) {
        fill(cells[r][c], value, value / total, none, r === c ? right : wrong);
      }
    }
    setText(note, `${count(labels.length)} images to validate on`);
  };
  session.netChanged.listen(clear);
  session.evaluated.listen(show);
  onColors(() => session.evaluation === undefined ? clear() : show(session.evaluation));
}

function newTable(table: HTMLTableElement, classes: readonly string[]): HTMLTableCellElement[][] {
  const head = element("tr", {}, element("td", { class: "corner" }, "is \\ seen as"));
  for (const name of classes) head.append(element("th", { scope: "col", title: name }, name));
  const cells = classes.map(() => classes.map(() => element("td")));
  const rows = classes.map((name, r) =>
    element("tr", {}, element("th", { scope: "row", title: name }, name), ...cells[r])
  );
  table.classList.toggle("long-names", classes.some((name) => name.length > 3));
  table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
  return cells;
}

/** The colors of a cell: those of none, of right and of wrong images. */
interface CellColors {
  readonly none: Color;
  readonly right: Color;
  readonly wrong: Color;
}

function cellColors(): CellColors {
  return { none: colorOf("sunk"), right: colorOf("train"), wrong: colorOf("validation") };
}

/** Writes a cell: the larger its part of the row, the stronger its color. */
function fill(
  cell: HTMLTableCellElement,
  value: number,
  part: number,
  from: Color,
  to: Color,
): void {
  setText(cell, value === 0 ? "" : String(value));
  const ground = mixed(from, to, Math.sqrt(part));
  cell.style.background = cssOf(ground);
  cell.style.color = inkOn(ground);
}
