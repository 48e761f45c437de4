/**
 * Images that the net gets wrong, those first that it is surest of.
 *
 * @module
 */

import { byId, element, setText } from "../dom.ts";
import { imageAt } from "../data/image_set.ts";
import { type Probe, softmax } from "../draw/probe.ts";
import { percent } from "../format.ts";
import type { Evaluation, Session } from "../learn/session.ts";
import { paintTiles, photo } from "./paint.ts";

/** Images that are shown at most. */
const MOST = 18;

/** An image that was taken for another class than its own. */
interface Mistake {
  readonly n: number;
  readonly label: number;
  readonly taken: number;
  readonly probability: number;
}

/** Shows them. */
export function showMistakes(session: Session, probe: Probe): void {
  const list = byId("mistakes", HTMLUListElement), note = byId("mistakes-note", HTMLElement);
  let shown = "";
  const show = (evaluation: Evaluation | undefined) => {
    const mistakes = evaluation === undefined ? [] : mistakesOf(evaluation, session.set.yVal);
    const some = mistakes.slice(0, MOST), key = JSON.stringify([session.set.id, some]);
    setText(note, evaluation === undefined ? "" : noteOf(mistakes.length, evaluation));
    if (key === shown) return;
    shown = key;
    list.replaceChildren(...some.map((mistake) => itemOf(session, probe, mistake)));
  };
  session.netChanged.listen(() => show(undefined));
  session.evaluated.listen(show);
}

function noteOf(mistakes: number, { scores: { shape: [images] } }: Evaluation): string {
  return mistakes === 0 ? `none of ${images}` : `${mistakes} of ${images}; click one to look at it`;
}

function mistakesOf({ scores }: Evaluation, labels: Uint8Array): readonly Mistake[] {
  const [N, C] = scores.shape, mistakes: Mistake[] = [];
  for (let n = 0; n < N; n++) {
    const probabilities = softmax(scores.data.subarray(n * C, (n + 1) * C));
    const probability = Math.max(...probabilities), taken = probabilities.indexOf(probability);
    if (taken !== labels[n]) mistakes.push({ n, label: labels[n], taken, probability });
  }
  return mistakes.sort((a, b) => b.probability - a.probability);
}

function itemOf(
  { set }: Session,
  probe: Probe,
  { n, label, taken, probability }: Mistake,
): HTMLLIElement {
  const { classes, shape: [channels, height, width], xVal } = set;
  const canvas = element("canvas", { class: "pixels", "aria-hidden": "true" });
  const bytes = imageAt(xVal, n);
  paintTiles(canvas, [{ data: bytes, channels, height, width }], 1, photo);
  const text = element(
    "span",
    {},
    `${classes[label]} seen as ${classes[taken]}`,
    element("span", { class: "muted" }, ` ${percent(probability, 0)}`),
  );
  const look = element("button", { type: "button", class: "mistake" }, canvas, text);
  look.addEventListener("click", () => probe.show(bytes, label));
  return element("li", {}, look);
}
