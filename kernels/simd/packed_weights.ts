/**
 * Packed weights: copied into the memory at each call or, where they last, in a memory of their own in which
 * a program's loads are of them.
 *
 * @module
 */

import type { FloatArray } from "../tensor.ts";
import { type Func, WEIGHTS } from "./assembler.ts";
import { Layout, type Module, WEIGHTS_START } from "./memory.ts";
import type { Queue } from "./queue.ts";
import type { Vector } from "./vector.ts";

/** A program's packed weights. */
export class PackedWeights {
  /** Where they lie if a call packs them, and how many values they are. */
  readonly at: number;
  readonly length: number;
  /** The number of the memory from which the program loads them, and their place there. */
  readonly memory: number;
  readonly start: number;
  /** What the program needs of a memory of their own. */
  readonly layout: Layout = new Layout();
  readonly #bytes: number;

  constructor({ bytes }: Vector, at: number, length: number, inPlace: boolean) {
    this.at = at;
    this.length = length;
    this.#bytes = length * bytes;
    this.memory = inPlace ? WEIGHTS : 0;
    this.start = inPlace ? WEIGHTS_START : at;
    if (inPlace) this.layout.region("weights", this.#bytes);
  }

  /** States that code of a function reads them. */
  readBy(f: Func): void {
    f.reads(this.start, this.#bytes, this.memory);
  }

  /** Joins the program's module, and sees to weights that are packed already; returns whether they are. */
  use(queue: Queue, module: Module, packed: FloatArray | undefined): boolean {
    const inPlace = this.memory === WEIGHTS;
    queue.use(module, inPlace && packed ? [packed] : undefined);
    if (packed !== undefined && !inPlace) queue.load(this.at, packed, 0, packed.length);
    return packed !== undefined;
  }
}
