/**
 * The choice of images, and what they look like.
 *
 * @module
 */

import { byId, element, setText } from "../dom.ts";
import { chosenFiles, droppedFiles } from "../files/dropped.ts";
import type { DroppedFile } from "../files/own_images.ts";
import { count, shapeText } from "../format.ts";
import { paintTiles, photo } from "../look/paint.ts";
import { Signal } from "../signal.ts";
import { imageAt, type ImageSet } from "./image_set.ts";

/** What the sets that come with the page are called. */
const NAMES: Readonly<Record<string, string>> = { mnist: "MNIST", fashion: "Fashion-MNIST" };

/** Images that are shown. */
const SAMPLES = 24;

/** The panel. */
export class ImagesPanel {
  /** A set that comes with the page has been chosen. */
  readonly chosen: Signal<string> = new Signal();
  /** Files have come. */
  readonly dropped: Signal<readonly DroppedFile[]> = new Signal();
  readonly #note: HTMLElement = byId("images-note", HTMLElement);
  readonly #inputs = new Map<string, HTMLInputElement>();

  constructor(sets: readonly string[]) {
    const place = byId("sets", HTMLFieldSetElement);
    for (const id of [...sets, "own"]) {
      const input = element("input", { type: "radio", name: "set", value: id });
      const label = element("label", {}, input, element("span", {}, NAMES[id] ?? "Your own"));
      this.#inputs.set(id, input);
      if (id !== "own") input.addEventListener("change", () => this.chosen.emit(id));
      // Own images can only be dropped.
      else label.hidden = true;
      place.append(label);
    }
    this.#listenToFiles();
    this.#listenToDrops();
  }

  /** Says what is done. */
  set note(text: string) {
    setText(this.#note, text);
  }

  /** Shows a set. */
  show(set: ImageSet, arrived: number): void {
    const input = this.#inputs.get(set.id);
    if (input !== undefined) {
      input.checked = true;
      input.parentElement!.hidden = false;
    }
    this.#showSamples(set);
    this.showArrived(set, arrived);
  }

  /** Says how many images there are. */
  showArrived({ xTrain, xVal, shape }: ImageSet, arrived: number): void {
    const [all] = xTrain.shape, [validation] = xVal.shape;
    const training = arrived < all ? `${count(arrived)} of ${count(all)}` : count(all);
    this.note = `${training} to train on, ${count(validation)} to validate on, ${shapeText(shape)}`;
  }

  #showSamples({ xTrain, yTrain, classes, shape: [channels, height, width] }: ImageSet): void {
    const shown = Math.min(SAMPLES, yTrain.length);
    const canvases = Array.from({ length: shown }, (_, n) => {
      const canvas = element("canvas", { class: "pixels", "aria-hidden": "true" });
      const tile = { data: imageAt(xTrain, n), channels, height, width };
      paintTiles(canvas, [tile], 1, photo);
      canvas.title = classes[yTrain[n]];
      return canvas;
    });
    byId("samples", HTMLElement).replaceChildren(...canvases);
  }

  #listenToFiles(): void {
    for (const id of ["files", "folder"]) {
      const input = byId(id, HTMLInputElement);
      const choose = byId(`choose-${id}`, HTMLButtonElement);
      choose.addEventListener("click", () => input.click());
      input.addEventListener("change", () => {
        const files = chosenFiles(input.files ?? []);
        // The same files may be chosen again.
        input.value = "";
        if (files.length > 0) this.dropped.emit(files);
      });
    }
  }

  #listenToDrops(): void {
    const mark = (isOver: boolean) => document.body.classList.toggle("dropping", isOver);
    addEventListener("dragover", (event) => {
      event.preventDefault();
      mark(true);
    });
    addEventListener("dragleave", ({ relatedTarget }) => relatedTarget ?? mark(false));
    addEventListener("drop", async (event) => {
      event.preventDefault();
      mark(false);
      if (event.dataTransfer === null) return;
      const files = await droppedFiles(event.dataTransfer);
      if (files.length > 0) this.dropped.emit(files);
    });
  }
}
