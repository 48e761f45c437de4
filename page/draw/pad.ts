/**
 * The canvas that one draws on, with a pointer or with the keyboard.
 *
 * @module
 */

import { byId, color, onColors } from "../dom.ts";
import { digitOf, type Point, SIDE, type Stroke } from "./digit.ts";
import type { Probe } from "./probe.ts";

/** How far a key moves the pen, in pixels of the canvas. */
const STEP = 10;

const ARROWS: Readonly<Record<string, Point>> = {
  ArrowLeft: [-STEP, 0],
  ArrowRight: [STEP, 0],
  ArrowUp: [0, -STEP],
  ArrowDown: [0, STEP],
};

/** The drawing. */
export class Pad {
  readonly #canvas: HTMLCanvasElement = byId("pad", HTMLCanvasElement);
  readonly #probe: Probe;
  readonly #strokes: Point[][] = [];
  /** Whether the pen is down. */
  #isDown = false;
  /** Where the keyboard's pen is; undefined while the pointer draws. */
  #pen: Point | undefined;

  constructor(probe: Probe) {
    this.#probe = probe;
    const canvas = this.#canvas;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, () => this.#lift());
    }
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => this.#paint());
    canvas.addEventListener("blur", () => {
      this.#pen = undefined;
      this.#lift();
    });
    byId("clear", HTMLButtonElement).addEventListener("click", () => this.clear());
    onColors(() => this.#paint());
  }

  /** Whether images of this shape can be drawn. */
  static draws([C, H, W]: readonly number[]): boolean {
    return C === 1 && H === SIDE && W === SIDE;
  }

  /** Removes all strokes. */
  clear(): void {
    this.#strokes.length = 0;
    this.#isDown = false;
    this.#paint();
    if (this.#probe.isDrawn) this.#probe.draw(digitOf([]));
  }

  #point(event: PointerEvent): Point {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    const { clientX, clientY } = event;
    return [
      (clientX - left) * this.#canvas.width / width,
      (clientY - top) * this.#canvas.height / height,
    ];
  }

  #down(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pen = undefined;
    this.#isDown = true;
    this.#strokes.push([this.#point(event)]);
    this.#changed();
  }

  #move(event: PointerEvent): void {
    if (!this.#isDown || this.#pen !== undefined) return;
    for (const part of event.getCoalescedEvents?.() ?? []) this.#add(this.#point(part));
    this.#add(this.#point(event));
    this.#changed();
  }

  #lift(): void {
    this.#isDown = false;
  }

  #key(event: KeyboardEvent): void {
    const step = ARROWS[event.key];
    if (event.key === "Escape") this.clear();
    else if (event.key === " ") this.#toggle();
    else if (step !== undefined) this.#step(step);
    else return;
    event.preventDefault();
  }

  #toggle(): void {
    this.#pen ??= [this.#canvas.width / 2, this.#canvas.height / 2];
    this.#isDown = !this.#isDown;
    if (!this.#isDown) return this.#paint();
    this.#strokes.push([this.#pen]);
    this.#changed();
  }

  #step([dx, dy]: Point): void {
    const { width, height } = this.#canvas, [x, y] = this.#pen ?? [width / 2, height / 2];
    const within = (value: number, size: number) => Math.min(Math.max(value, 0), size);
    this.#pen = [within(x + dx, width), within(y + dy, height)];
    if (!this.#isDown) return this.#paint();
    this.#add(this.#pen);
    this.#changed();
  }

  #add(point: Point): void {
    const stroke = this.#strokes.at(-1)!, [x, y] = stroke.at(-1)!;
    // Points that are very close change nothing but the time that an image takes.
    if (Math.hypot(point[0] - x, point[1] - y) >= 2) stroke.push(point);
  }

  #changed(): void {
    this.#paint();
    this.#probe.draw(digitOf(this.#strokes));
  }

  #paint(): void {
    const context = this.#canvas.getContext("2d");
    if (context === null) return;
    const { width, height } = this.#canvas;
    context.clearRect(0, 0, width, height);
    context.strokeStyle = context.fillStyle = color("ink");
    context.lineWidth = width / 14;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.#strokes) paintStroke(context, stroke);
    if (this.#strokes.length === 0 && this.#pen === undefined) this.#paintHint(context);
    if (this.#pen !== undefined) this.#paintPen(context, this.#pen);
  }

  #paintHint(context: CanvasRenderingContext2D): void {
    context.fillStyle = color("muted");
    context.font = "15px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText("Draw a digit", this.#canvas.width / 2, this.#canvas.height / 2);
  }

  #paintPen(context: CanvasRenderingContext2D, [x, y]: Point): void {
    context.beginPath();
    context.arc(x, y, 7, 0, 2 * Math.PI);
    context.lineWidth = 2;
    context.strokeStyle = color("accent");
    context.stroke();
  }
}

function paintStroke(context: CanvasRenderingContext2D, stroke: Stroke): void {
  context.beginPath();
  for (const [x, y] of stroke) context.lineTo(x, y);
  // A point by itself is a dot.
  if (stroke.length === 1) context.lineTo(stroke[0][0] + 0.01, stroke[0][1]);
  context.stroke();
}
