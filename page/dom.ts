/**
 * Elements in one expression, and what listens to them.
 *
 * @module
 */

/** What an element is made with: attributes, and `on` with what listens. */
export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** What an element contains. */
export type Child = Node | string | undefined;

/**
 * Makes an element.
 *
 * @param tag Its name.
 * @param attributes Its attributes: true gives an empty one, false and undefined none.
 * @param children What it contains.
 * @returns The element.
 */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(made, name, value);
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

/** Sets an attribute, or removes it for false and undefined. */
export function setAttribute(
  target: Element,
  name: string,
  value: string | number | boolean | undefined,
): void {
  if (value === false || value === undefined) target.removeAttribute(name);
  else target.setAttribute(name, value === true ? "" : String(value));
}

/** The element with an id, of the class that it must have. */
export function byId<T extends Element>(id: string, type: { new (): T }): T {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`The page must have a ${type.name} with the id ${id}`);
}

/** A button. */
export function button(
  text: string,
  onClick: () => void,
  attributes: Attributes = {},
): HTMLButtonElement {
  const made = element("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", onClick);
  return made;
}

/** Sets an element's text where it differs, so that readers of screens hear changes alone. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** The value of a color of the page's styles. */
export function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Calls a function at once, and again whenever the page becomes dark or light. */
export function onColors(draw: () => void): void {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  matchMedia("(prefers-contrast: more)").addEventListener("change", draw);
  draw();
}
