/**
 * Elements, made in one expression.
 *
 * @module
 */

/** What may stand in an element. */
export type Content = Node | string;

/** Makes an element: `el("td", { class: "name" }, "text")`. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...content: readonly Content[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...content);
  return element;
}

/** Makes an element of a drawing. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | number>> = {},
  ...content: readonly Content[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, `${value}`);
  }
  element.append(...content);
  return element;
}

/** The element of the page with an id. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`The page has no ${id}`);
  return element;
}

/** A table: its caption, its head, and its rows, each of which begins with a head of its own. */
export function table(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly Content[])[],
): HTMLElement {
  const cell = (content: Content, i: number) =>
    i === 0 ? el("th", { scope: "row" }, content) : el("td", {}, content);
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el(
      "table",
      {},
      el("caption", {}, caption),
      el(
        "thead",
        {},
        el("tr", {}, ...head.map((text) => el("th", { scope: "col" }, text))),
      ),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map(cell)))),
    ),
  );
}
