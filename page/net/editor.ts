/**
 * The layers of the net as a list that can be changed.
 *
 * @module
 */

import type { LayerDescription } from "../../mod.ts";
import { button, byId, element, setText } from "../dom.ts";
import { count, shapeText, short } from "../format.ts";
import { Signal } from "../signal.ts";
import { type Field, kindOf, KINDS, labelOf, layerOfKind, type Values } from "./kinds.ts";
import type { NetPlan, PlannedRow } from "./plan.ts";
import { FIRST_PRESET, PRESETS } from "./presets.ts";

/** A row of the list. */
interface Row {
  readonly item: HTMLLIElement;
  readonly shape: HTMLElement;
  readonly parameters: HTMLElement;
  readonly products: HTMLElement;
}

/** What the first entry of the presets says when the net is none of them. */
const OWN = "your own";

/** The list. */
export class Editor {
  /** The layers have been changed. */
  readonly changed: Signal<readonly LayerDescription[]> = new Signal();
  readonly #list: HTMLOListElement = byId("layers", HTMLOListElement);
  readonly #preset: HTMLSelectElement = byId("preset", HTMLSelectElement);
  readonly #add: HTMLButtonElement = byId("add", HTMLButtonElement);
  #layers: readonly LayerDescription[] = PRESETS[FIRST_PRESET];
  #rows: Row[] = [];
  #enabled = true;
  #isRight = true;

  constructor() {
    const kinds = byId("kind", HTMLSelectElement);
    kinds.append(...KINDS.map(({ type, label }) => element("option", { value: type }, label)));
    this.#add.addEventListener("click", () => {
      const kind = KINDS[kinds.selectedIndex];
      this.#change([...this.#layers, layerOfKind(kind)]);
      this.#rows[this.#layers.length - 1].item.querySelector("input")?.focus();
    });
    const names = [OWN, ...Object.keys(PRESETS)];
    this.#preset.append(...names.map((name) => element("option", { value: name }, name)));
    this.#preset.options[0].hidden = true;
    this.#preset.addEventListener("change", () => this.#change(PRESETS[this.#preset.value]));
    this.#render();
  }

  /** The layers, without the one that gives the scores. */
  get layers(): readonly LayerDescription[] {
    return this.#layers;
  }

  set layers(layers: readonly LayerDescription[]) {
    this.#layers = layers;
    this.#render();
  }

  /** Whether the layers that were shown last fit each other. */
  get isRight(): boolean {
    return this.#isRight;
  }

  /** Whether the layers can be changed: not while a net trains. */
  set enabled(enabled: boolean) {
    this.#enabled = enabled;
    const ends = [...this.#list.querySelectorAll("input, select, button"), this.#add, this.#preset];
    for (const end of ends) (end as HTMLButtonElement).disabled = !enabled;
    if (enabled) this.#limitMoves();
  }

  /** Shows the sizes of the layers, or what is wrong. */
  show(plan: NetPlan): void {
    const error = byId("net-error", HTMLElement), total = byId("net-total", HTMLElement);
    const isWrong = "wrong" in plan;
    this.#isRight = !isWrong;
    setText(error, isWrong ? `Layer ${plan.wrong + 1}: ${plan.message}` : "");
    setText(
      total,
      isWrong
        ? ""
        : `${count(plan.total.parameters)} parameters, ${
          short(plan.total.multiplyAdds)
        } multiply-adds`,
    );
    for (const [i, row] of this.#rows.entries()) {
      fill(row, isWrong ? undefined : plan.rows[i]);
      row.item.classList.toggle("wrong", isWrong && plan.wrong === i);
    }
  }

  #change(layers: readonly LayerDescription[]): void {
    this.layers = layers;
    this.changed.emit(layers);
  }

  #render(): void {
    const rows = this.#layers.map((layer, i) => this.#rowOf(layer, i));
    const scores = newRow(element("span", { class: "layer-name" }, "Scores"), [
      element("span", { class: "muted small" }, "fully connected, a score for each class"),
    ], []);
    this.#rows = [...rows, scores];
    this.#list.replaceChildren(...this.#rows.map(({ item }) => item));
    const own = JSON.stringify(this.#layers);
    const preset = Object.entries(PRESETS).find(([, layers]) => JSON.stringify(layers) === own);
    this.#preset.value = preset?.[0] ?? OWN;
    this.#limitMoves();
    if (!this.#enabled) this.enabled = false;
  }

  #rowOf(layer: LayerDescription, i: number): Row {
    const kind = kindOf(layer), values = kind?.read(layer.args), label = labelOf(layer);
    const fields = kind === undefined || values === undefined
      ? [element("code", { class: "small" }, argsText(layer))]
      : kind.fields.map((field) =>
        fieldOf(field, values, `${label}, layer ${i + 1}`, (value) => {
          const args = kind.write({ ...values, [field.name]: value });
          this.#set(i, { ...layer, args }, field.name);
        })
      );
    const name = `${label}, layer ${i + 1}`;
    const buttons = [
      this.#button("↑", `Move ${name} up`, () => this.#move(i, i - 1)),
      this.#button("↓", `Move ${name} down`, () => this.#move(i, i + 1)),
      this.#button("×", `Remove ${name}`, () => this.#remove(i)),
    ];
    return newRow(element("span", { class: "layer-name" }, label), fields, buttons);
  }

  #button(text: string, label: string, onClick: () => void): HTMLButtonElement {
    return button(text, onClick, { class: "icon", "aria-label": label, title: label });
  }

  /** Changes a layer, and leaves the focus in its field. */
  #set(i: number, layer: LayerDescription, name: string): void {
    this.#change(this.#layers.map((old, n) => n === i ? layer : old));
    this.#rows[i].item.querySelector<HTMLElement>(`[name="${name}"]`)?.focus();
  }

  #move(from: number, to: number): void {
    const layers = [...this.#layers], [layer] = layers.splice(from, 1);
    layers.splice(to, 0, layer);
    this.#change(layers);
    const buttons = this.#rows[to].item.querySelectorAll("button");
    const pressed = buttons[to < from ? 0 : 1];
    (pressed.disabled ? buttons[to < from ? 1 : 0] : pressed).focus();
  }

  #remove(i: number): void {
    this.#change(this.#layers.filter((_, n) => n !== i));
    const next = this.#rows[Math.min(i, this.#rows.length - 1)].item.querySelector("button");
    (next ?? this.#add).focus();
  }

  /** The first layer cannot move up, nor the last one down. */
  #limitMoves(): void {
    const last = this.#layers.length - 1;
    for (let i = 0; i <= last; i++) {
      const [up, down] = this.#rows[i].item.querySelectorAll("button");
      up.disabled = i === 0;
      down.disabled = i === last;
    }
  }
}

function newRow(
  name: HTMLElement,
  fields: readonly HTMLElement[],
  buttons: readonly HTMLElement[],
): Row {
  const shape = element("span", { class: "layer-size" });
  const parameters = element("span", { class: "layer-size" });
  const products = element("span", { class: "layer-size" });
  const item = element(
    "li",
    {},
    name,
    ...[shape, parameters, products],
    element("div", { class: "layer-buttons" }, ...buttons),
    element("div", { class: "layer-fields" }, ...fields),
  );
  return { item, shape, parameters, products };
}

function fill({ shape, parameters, products }: Row, row: PlannedRow | undefined): void {
  setText(shape, row === undefined ? "" : shapeText(row.outShape));
  const show = (cell: HTMLElement, value: number | undefined, unit: string) => {
    cell.title = value === undefined ? "" : `${count(value)} ${unit}`;
    const spoken = element("span", { class: "hidden" }, ` ${unit}`);
    cell.replaceChildren(...value ? [short(value), spoken] : []);
  };
  show(parameters, row?.parameters, "parameters");
  show(products, row?.multiplyAdds, "multiply-adds");
}

/** A field of a layer. */
function fieldOf(
  field: Field,
  values: Values,
  layer: string,
  onChange: (value: number | string) => void,
): HTMLLabelElement {
  const { name, label, choices, min, max, step } = field, value = values[name];
  const labelled = `${layer}: ${label}`;
  if (choices !== undefined) {
    const select = element("select", { name, "aria-label": labelled });
    const options = Object.entries(choices).map(([choice, text]) =>
      element("option", { value: choice }, text)
    );
    select.append(...options);
    select.value = String(value);
    select.addEventListener("change", () => onChange(select.value));
    return element("label", { class: "inline" }, label, select);
  }
  const input = element("input", { name, type: "number", min, max, step, "aria-label": labelled });
  input.value = String(value);
  input.addEventListener("change", () => {
    const isRight = input.value !== "" && input.validity.valid;
    if (isRight) onChange(Number(input.value));
    else input.value = String(value);
  });
  return element("label", { class: "inline" }, label, input);
}

/** The arguments of a layer that the page has no fields for, in few characters. */
function argsText({ args }: LayerDescription): string {
  const text = args.map((arg) => JSON.stringify(arg)).join(", ");
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
