/**
 * What the page has to tell: errors that one can close, and notes that stay.
 *
 * @module
 */

import { button, byId, element } from "./dom.ts";
import { messageOf } from "./format.ts";

/** Messages that are shown at a time. */
const MOST = 3;

/** Tells that something did not work. */
export function showError(error: unknown): void {
  console.error(error);
  show(messageOf(error), "error");
}

/** Tells that something worked. */
export function showMessage(text: string): void {
  show(text, "done");
}

function show(text: string, kind: string): void {
  const place = byId("messages", HTMLElement);
  const same = [...place.children].find(({ firstChild }) => firstChild?.textContent === text);
  same?.remove();
  const message = element("div", { class: `message ${kind}` }, element("p", {}, text));
  message.append(button("Close", () => message.remove(), { class: "quiet" }));
  place.append(message);
  while (place.children.length > MOST) place.firstElementChild!.remove();
}

/** Tells what holds as long as the page is open. */
export function showNote(text: string): void {
  byId("notes", HTMLElement).append(element("p", { class: "note" }, text));
}
