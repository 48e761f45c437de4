/**
 * The image that the page looks at closely: a drawing, or one of the set.
 *
 * @module
 */

import type { FloatArray, Net, PlannedLayer, Tensor } from "../../mod.ts";
import { RandomState } from "../../mod.ts";
import { imageAt, normalizedTensor } from "../data/image_set.ts";
import type { Session } from "../learn/session.ts";
import { Signal } from "../signal.ts";

/** What a layer made of the image. */
export interface Activation {
  readonly layer: PlannedLayer;
  readonly out: Tensor;
}

/** What a net makes of the image. */
export interface Answer {
  /** The outputs of all layers, in order. */
  readonly activations: readonly Activation[];
  /** The probability of each class. */
  readonly probabilities: readonly number[];
  /** The class with the highest. */
  readonly best: number;
}

/** The image, and what the net makes of it. */
export class Probe {
  /** The image or the answer has changed. */
  readonly changed: Signal = new Signal();
  readonly #session: Session;
  #bytes: Uint8Array;
  #label: number | undefined;
  #isDrawn = false;
  #answer: Answer | undefined;
  #next = 0;

  constructor(session: Session) {
    this.#session = session;
    this.#bytes = new Uint8Array();
    this.another();
    session.netChanged.listen(() => {
      const size = session.set.shape.reduce((product, side) => product * side);
      if (this.#bytes.length !== size || !this.#isDrawn) this.another();
    });
    session.weightsChanged.listen(() => this.#update());
  }

  /** The image, as bytes. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** What it shows, if that is known. */
  get label(): number | undefined {
    return this.#label;
  }

  /** Whether it was drawn. */
  get isDrawn(): boolean {
    return this.#isDrawn;
  }

  /** What the net makes of it. */
  get answer(): Answer | undefined {
    return this.#answer;
  }

  /** The image as the net takes it. */
  get tensor(): Tensor<Float32Array> {
    const { shape, statistics } = this.#session.set;
    return normalizedTensor({ data: this.#bytes, shape: [1, ...shape] }, statistics);
  }

  /** Takes a drawing. */
  draw(bytes: Uint8Array): void {
    this.#take(bytes, undefined, true);
  }

  /** Takes the next image to validate on. */
  another(): void {
    const { xVal, yVal } = this.#session.set, n = this.#next++ % yVal.length;
    this.#take(imageAt(xVal, n), yVal[n], false);
  }

  /** Takes a certain image. */
  show(bytes: Uint8Array, label: number): void {
    this.#take(bytes, label, false);
  }

  #take(bytes: Uint8Array, label: number | undefined, isDrawn: boolean): void {
    this.#bytes = bytes;
    this.#label = label;
    this.#isDrawn = isDrawn;
    this.#update();
  }

  #update(): void {
    this.#answer = answerOf(this.#session.net, this.tensor);
    this.changed.emit();
  }
}

/** Runs a net layer by layer. */
function answerOf(net: Net<"float32">, image: Tensor<Float32Array>): Answer {
  const { params } = net, activations: Activation[] = [];
  const run = {
    ...{ mode: "test" as const, params, random: new RandomState(0), state: {}, grads: {} },
    ...{ ownsInput: false, frozen: new Set<string>() },
  };
  let out: Tensor = image;
  for (const layer of net.layers) {
    out = layer.forward(out, run).out;
    activations.push({ layer, out });
  }
  const probabilities = softmax(out.data);
  return { activations, probabilities, best: probabilities.indexOf(Math.max(...probabilities)) };
}

/** Probabilities of scores. */
export function softmax(scores: FloatArray): number[] {
  const most = Math.max(...scores);
  const powers = Array.from(scores, (score) => Math.exp(score - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
