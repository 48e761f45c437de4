/**
 * The convolution of CS231n's animation, on real numbers: an output, its window, products and sum.
 *
 * Source: https://cs231n.github.io/convolutional-networks/, "Convolution Demo".
 *
 * @module
 */

import { RandomState, type Tensor } from "../../mod.ts";
import { byId, color, element, onColors, setText } from "../dom.ts";
import type { Probe } from "../draw/probe.ts";
import { decimal } from "../format.ts";
import type { Session } from "../learn/session.ts";
import {
  colorOf,
  cssOf,
  inkOn,
  largest,
  type Palette,
  palette,
  valueColor,
} from "../look/paint.ts";
import { type ConvStage, firstConv, type OutputParts, partsOf, stageOf } from "./first_conv.ts";

/** Pixels that a plane is drawn in, about, and a value at least. */
const PLANE = 200, LEAST = 4;

/** A value with at least so many pixels is written out. */
const WRITTEN = 30;

/** Milliseconds from one output to the next while it plays. */
const PERIOD = 700;

/** Channels whose products there is room for. */
const MOST_CHANNELS = 4;

/** The numbers of a small example: 5 x 5 of 3 channels, two filters of 3 x 3, stride 2. */
function courseStage(): ConvStage {
  const random = new RandomState(231);
  const whole = (low: number, high: number, shape: readonly number[]): Tensor => {
    const count = shape.reduce((product, side) => product * side);
    return { data: Float64Array.from({ length: count }, () => random.randint(low, high)), shape };
  };
  const w = whole(-1, 2, [2, 3, 3, 3]), b = whole(0, 2, [2]);
  return stageOf(whole(0, 3, [1, 3, 5, 5]), { w, b, params: { stride: 2, pad: 1 } });
}

/** The view. */
export class ConvolutionView {
  readonly #session: Session;
  readonly #probe: Probe;
  readonly #source: HTMLSelectElement = byId("convolution-source", HTMLSelectElement);
  readonly #filters: HTMLSelectElement = byId("convolution-filter", HTMLSelectElement);
  readonly #output: HTMLCanvasElement = byId("convolution-output", HTMLCanvasElement);
  readonly #play: HTMLButtonElement = byId("convolution-play", HTMLButtonElement);
  readonly #course: ConvStage = courseStage();
  #stage: ConvStage = this.#course;
  /** The output that is looked at: at first one in the middle of MNIST's images. */
  #row = 14;
  #column = 14;
  #timer: number | undefined;
  #isDue = false;

  constructor(session: Session, probe: Probe) {
    this.#session = session;
    this.#probe = probe;
    this.#source.addEventListener("change", () => this.#update());
    this.#filters.addEventListener("change", () => this.#show());
    const output = this.#output;
    output.addEventListener("pointermove", (event) => this.#point(event));
    output.addEventListener("pointerdown", (event) => this.#point(event));
    output.addEventListener("keydown", (event) => this.#key(event));
    this.#play.addEventListener("click", () => this.#toggle());
    probe.changed.listen(() => this.#updateSoon());
    onColors(() => this.#update());
  }

  get #filter(): number {
    return Math.max(this.#filters.selectedIndex, 0);
  }

  /** Weights change often: once a turn is enough. */
  #updateSoon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setTimeout(() => {
      this.#isDue = false;
      this.#update();
    }, 200);
  }

  #update(): void {
    const conv = firstConv(this.#session.net), ownOption = this.#source.options[0];
    ownOption.disabled = conv === undefined;
    if (conv === undefined) this.#source.value = "course";
    const isOwn = conv !== undefined && this.#source.value === "net";
    this.#stage = isOwn ? stageOf(this.#probe.tensor, conv) : this.#course;
    const [, F, rows, columns] = this.#stage.out.shape;
    if (this.#filters.options.length !== F) {
      const options = Array.from({ length: F }, (_, f) => element("option", {}, String(f + 1)));
      this.#filters.replaceChildren(...options);
    }
    this.#row = Math.min(this.#row, rows - 1);
    this.#column = Math.min(this.#column, columns - 1);
    this.#show();
  }

  #point(event: PointerEvent): void {
    this.#pause();
    const { left, top, width, height } = this.#output.getBoundingClientRect();
    const [, , rows, columns] = this.#stage.out.shape;
    const at = (place: number, size: number, count: number) =>
      Math.min(Math.max(Math.floor(place / size * count), 0), count - 1);
    this.#go(
      at(event.clientY - top, height, rows),
      at(event.clientX - left, width, columns),
    );
  }

  #key(event: KeyboardEvent): void {
    const steps: Readonly<Record<string, readonly [number, number]>> = {
      ...{ ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] },
    };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.#pause();
    const [, , rows, columns] = this.#stage.out.shape;
    const within = (value: number, count: number) => Math.min(Math.max(value, 0), count - 1);
    this.#go(within(this.#row + step[0], rows), within(this.#column + step[1], columns));
  }

  #toggle(): void {
    if (this.#timer !== undefined) return this.#pause();
    this.#play.setAttribute("aria-pressed", "true");
    setText(this.#play, "Stop playing");
    this.#timer = setInterval(() => {
      const [, , rows, columns] = this.#stage.out.shape;
      const next = (this.#row * columns + this.#column + 1) % (rows * columns);
      this.#go(Math.floor(next / columns), next % columns);
    }, PERIOD) as unknown as number;
  }

  #pause(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#play.setAttribute("aria-pressed", "false");
    setText(this.#play, "Play");
  }

  #go(row: number, column: number): void {
    if (row === this.#row && column === this.#column) return;
    this.#row = row;
    this.#column = column;
    this.#show();
  }

  #show(): void {
    const stage = this.#stage, { x, out, conv } = stage, filter = this.#filter, colors = palette();
    const [, C, H, W] = x.shape, [, , rows, columns] = out.shape, [, , KH, KW] = conv.w.shape;
    const parts = partsOf(stage, filter, this.#row, this.#column);
    const inputs = byId("convolution-inputs", HTMLElement);
    const canvases = fitCanvases(inputs, C);
    const most = largest(x.data), top = stage.pad[0], left = stage.pad[1];
    const padded = [Math.max(H + 2 * top, H), Math.max(W + 2 * left, W)] as const;
    for (const [c, canvas] of canvases.entries()) {
      paintPlane(canvas, {
        rows: padded[0],
        columns: padded[1],
        size: C > 1 ? PLANE * 0.75 : PLANE,
        value: (y, z) => {
          const inside = y >= top && y < H + top && z >= left && z < W + left;
          return inside ? x.data[(c * H + y - top) * W + z - left] : undefined;
        },
        ...{ most, colors },
        marked: [this.#row * stage.stride, this.#column * stage.stride, KH, KW],
      });
      canvas.setAttribute("aria-label", C > 1 ? `Channel ${c + 1} of the input` : "Input");
    }
    const plane = out.data.subarray(filter * rows * columns, (filter + 1) * rows * columns);
    paintPlane(this.#output, {
      ...{ rows, columns, size: PLANE, colors, most: largest(plane) },
      value: (y, z) => plane[y * columns + z],
      marked: [this.#row, this.#column, 1, 1],
    });
    const place = `row ${this.#row + 1} of ${rows}, column ${this.#column + 1} of ${columns}`;
    this.#output.setAttribute("aria-label", `Outputs of filter ${filter + 1}: ${place}`);
    setText(byId("convolution-input-caption", HTMLElement), `Input ${C} × ${H} × ${W}`);
    const caption = `Output of filter ${filter + 1}, ${rows} × ${columns}`;
    setText(byId("convolution-output-caption", HTMLElement), caption);
    showProducts(parts, colors, isWhole(stage));
    setText(byId("convolution-sum", HTMLElement), sumText(parts, isWhole(stage)));
  }
}

/** Whether all numbers of a convolution are whole. */
function isWhole({ x, conv }: ConvStage): boolean {
  return x.data.every(Number.isInteger) && conv.w.data.every(Number.isInteger);
}

/** As many canvases as there are channels. */
function fitCanvases(place: HTMLElement, count: number): readonly HTMLCanvasElement[] {
  while (place.children.length > count) place.lastElementChild!.remove();
  while (place.children.length < count) {
    place.append(element("canvas", { role: "img", width: 1, height: 1 }));
  }
  return [...place.querySelectorAll("canvas")];
}

/** A plane of values, and what is marked in it. */
interface Plane {
  readonly rows: number;
  readonly columns: number;
  /** Pixels that it may take. */
  readonly size: number;
  /** A value; undefined for padding. */
  readonly value: (row: number, column: number) => number | undefined;
  readonly most: number;
  readonly colors: Palette;
  readonly marked: readonly [row: number, column: number, rows: number, columns: number];
}

function paintPlane(canvas: HTMLCanvasElement, plane: Plane): void {
  const { rows, columns, size, value, most, colors, marked } = plane;
  const cell = Math.max(LEAST, Math.floor(size / Math.max(rows, columns)));
  const ratio = Math.max(1, Math.round(devicePixelRatio)), context = canvas.getContext("2d")!;
  canvas.width = columns * cell * ratio;
  canvas.height = rows * cell * ratio;
  canvas.style.width = `${columns * cell}px`;
  canvas.style.height = `${rows * cell}px`;
  context.scale(ratio, ratio);
  const padding = colorOf("padding"), line = color("surface");
  context.font = `${Math.min(13, cell * 0.4)}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let y = 0; y < rows; y++) {
    for (let z = 0; z < columns; z++) {
      const found = value(y, z);
      const ground = found === undefined ? padding : valueColor(found, most, colors);
      context.fillStyle = cssOf(ground);
      const gap = cell > 12 ? 1 : 0;
      context.fillRect(z * cell, y * cell, cell - gap, cell - gap);
      if (cell < WRITTEN) continue;
      context.fillStyle = inkOn(ground);
      const text = found === undefined ? "0" : numberText(found, Number.isInteger(found));
      context.fillText(text, (z + 0.5) * cell, (y + 0.5) * cell + 1);
    }
  }
  const [y, z, height, width] = marked;
  for (const [style, thickness] of [[line, 5], [color("mark"), 2.5]] as const) {
    context.strokeStyle = style;
    context.lineWidth = thickness;
    context.strokeRect(z * cell + 1, y * cell + 1, width * cell - 2, height * cell - 2);
  }
}

function numberText(value: number, isWhole: boolean): string {
  return decimal(value, isWhole ? 0 : 2);
}

/** Window, filter and products, for each channel. */
function showProducts({ channels }: OutputParts, colors: Palette, isWhole: boolean): void {
  const place = byId("convolution-products", HTMLElement);
  const all = channels.flat(2),
    mosts = (["value", "weight", "product"] as const).map((name) => {
      return [name, Math.max(...all.map((cell) => Math.abs(cell[name])))] as const;
    });
  const shown = channels.slice(0, MOST_CHANNELS).map((channel, c) => {
    const tables = mosts.map(([name, most], i) => {
      const rows = channel.map((row) =>
        element(
          "tr",
          {},
          ...row.map((cell) => {
            const text = numberText(cell[name], isWhole), isPadding = cell.isPadding && i !== 1;
            const made = element("td", { class: isPadding ? "padding" : undefined }, text);
            if (!isPadding) {
              const ground = valueColor(cell[name], most, colors);
              made.style.background = cssOf(ground);
              made.style.color = inkOn(ground);
            }
            return made;
          }),
        )
      );
      const caption = element("caption", {}, ["window", "filter", "products"][i]);
      return element("table", { class: "numbers" }, caption, element("tbody", {}, ...rows));
    });
    const sign = (text: string) => element("span", { class: "sign", "aria-hidden": "true" }, text);
    const label = channels.length > 1
      ? element("p", { class: "muted small" }, `Channel ${c + 1}`)
      : undefined;
    const [window, filter, products] = tables;
    const line = element("div", { class: "equation" }, window, sign("×"), filter, sign("="));
    line.append(products);
    return element("div", {}, label, line);
  });
  const rest = channels.length - shown.length;
  if (rest > 0) shown.push(element("div", { class: "muted small" }, `and ${rest} more channels`));
  place.replaceChildren(...shown);
}

function sumText({ channels, bias, sum }: OutputParts, isWhole: boolean): string {
  const sums = channels.map((channel) =>
    channel.flat().reduce((total, { product }) => total + product, 0)
  );
  const parts = sums.map((value) => numberText(value, isWhole)).slice(0, MOST_CHANNELS);
  if (sums.length > parts.length) parts.push("…");
  const what = sums.length > 1 ? "Sums of the channels" : "Sum of the products";
  return `${what} ${parts.join(" + ")}, bias ${numberText(bias, isWhole)}: ` +
    `output ${numberText(sum, isWhole)}`;
}
