/**
 * The form of the settings.
 *
 * @module
 */

import { byId } from "../dom.ts";
import { Signal } from "../signal.ts";
import { DEFAULT_SETTINGS, type Settings } from "./settings.ts";

/** A learning rate that suits an update rule. */
const RATES: Readonly<Record<Settings["updateRule"], number>> = {
  adam: 0.003,
  adamw: 0.003,
  sgd: 0.1,
  sgdMomentum: 0.02,
  rmsprop: 0.001,
};

/** The form of the settings, whose fields have their names. */
export class SettingsForm {
  /** The settings have changed. */
  readonly changed: Signal<Settings> = new Signal();
  readonly #form: HTMLFormElement = byId("settings", HTMLFormElement);
  #settings: Settings = DEFAULT_SETTINGS;

  constructor() {
    this.#show();
    this.#form.addEventListener("submit", (event) => event.preventDefault());
    this.#form.addEventListener("change", ({ target }) => this.#read(target));
  }

  get settings(): Settings {
    return this.#settings;
  }

  set settings(settings: Settings) {
    this.#settings = settings;
    this.#show();
  }

  /** Whether they can be changed: not while a net trains. */
  set enabled(enabled: boolean) {
    byId("settings-fields", HTMLFieldSetElement).disabled = !enabled;
  }

  #show(): void {
    for (const [name, value] of Object.entries(this.#settings)) {
      const field = this.#form.elements.namedItem(name);
      if (field instanceof HTMLInputElement && field.type === "checkbox") field.checked = !!value;
      else if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) {
        field.value = String(value);
      }
    }
  }

  #read(target: EventTarget | null): void {
    const settings: Record<string, unknown> = { ...this.#settings };
    for (const [name, old] of Object.entries(this.#settings)) {
      const field = this.#form.elements.namedItem(name);
      if (field instanceof HTMLSelectElement) settings[name] = field.value;
      else if (!(field instanceof HTMLInputElement)) continue;
      else if (field.type === "checkbox") settings[name] = field.checked;
      else settings[name] = field.validity.valid && field.value !== "" ? +field.value : old;
    }
    const read = settings as unknown as Settings;
    const isNewRule = target instanceof HTMLSelectElement && target.name === "updateRule";
    this.#settings = isNewRule ? { ...read, learningRate: RATES[read.updateRule] } : read;
    this.#show();
    this.changed.emit(this.#settings);
  }
}
