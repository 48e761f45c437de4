/**
 * What the net takes the image for, and how sure it is of each class.
 *
 * @module
 */

import { byId, element, setText } from "../dom.ts";
import { percent } from "../format.ts";
import type { Session } from "../learn/session.ts";
import { paintTiles, photo } from "../look/paint.ts";
import { Pad } from "./pad.ts";
import type { Probe } from "./probe.ts";

/** Classes that are shown at most: of more, the likeliest. */
const MOST = 12;

/** A row of the list. */
interface Row {
  readonly item: HTMLLIElement;
  readonly name: HTMLElement;
  readonly bar: HTMLElement;
  readonly part: HTMLElement;
}

/** Shows the answer for the probe. */
export function showAnswer(session: Session, probe: Probe): void {
  const list = byId("probabilities", HTMLOListElement), canvas = byId("probe", HTMLCanvasElement);
  const pad = byId("pad", HTMLCanvasElement), guess = byId("guess", HTMLElement);
  const part = byId("guess-part", HTMLElement), note = byId("probe-note", HTMLElement);
  byId("another", HTMLButtonElement).addEventListener("click", () => probe.another());
  const rows: Row[] = [];

  const show = () => {
    const { shape: [channels, height, width], classes } = session.set, { bytes, label } = probe;
    pad.hidden = byId("clear", HTMLButtonElement).hidden = !Pad.draws(session.set.shape);
    paintTiles(canvas, [{ data: bytes, channels, height, width }], 1, photo);
    const { answer } = probe;
    if (answer === undefined) return;
    const { best, probabilities } = answer;
    // A net that has learned nothing has nothing to say.
    const isBlank = probe.isDrawn && bytes.every((value) => value === 0);
    setText(guess, isBlank ? "–" : classes[best]);
    setText(part, isBlank ? "" : percent(probabilities[best]));
    const what = label === undefined ? "your drawing" : `from the set: ${classes[label]}`;
    setText(note, what);
    const order = probabilities.map((_, c) => c);
    if (order.length > MOST) order.sort((a, b) => probabilities[b] - probabilities[a]);
    const shown = order.slice(0, MOST);
    fit(list, rows, shown.length);
    for (const [i, c] of shown.entries()) {
      const { item, name, bar, part } = rows[i], value = isBlank ? 0 : probabilities[c];
      setText(name, classes[c]);
      setText(part, percent(value));
      bar.style.width = `${100 * value}%`;
      item.classList.toggle("best", c === best && !isBlank);
    }
  };
  probe.changed.listen(show);
  show();
}

/** Adds and removes rows until there are so many. */
function fit(list: HTMLOListElement, rows: Row[], count: number): void {
  while (rows.length > count) rows.pop()!.item.remove();
  while (rows.length < count) {
    const name = element("span", { class: "bar-name" }), bar = element("span", { class: "bar" });
    const part = element("span", { class: "bar-part" });
    const track = element("span", { class: "bar-track", "aria-hidden": "true" }, bar);
    const item = element("li", {}, name, track, part);
    rows.push({ item, name, bar, part });
    list.append(item);
  }
}
