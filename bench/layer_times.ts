/**
 * The time that a net's layers take, by rows of one's own: layers are watched before the net is made.
 *
 * @module
 */

import type { LayerDefinition, LayerPlan, Planner } from "../mod.ts";

/** A pass, or what belongs to neither. */
export type Phase = "forward" | "backward" | "other";

/** Milliseconds by rows and phases. */
export type Times = Map<string, Map<Phase, number>>;

/** What layers have taken since {@linkcode LayerTimes.start}, each without the layers within it. */
export class LayerTimes {
  #spent: Times = new Map();
  /** What rows within the present one have taken. */
  #within = 0;

  /** Counts from zero. */
  start(): void {
    this.#spent = new Map();
  }

  /** The milliseconds since then. */
  get spent(): Times {
    return this.#spent;
  }

  /** Runs a function and counts its time. */
  timed<T>(row: string, phase: Phase, run: () => T): T {
    const around = this.#within;
    this.#within = 0;
    const start = performance.now();
    const result = run();
    const passed = performance.now() - start;
    const phases = this.#spent.get(row) ?? new Map<Phase, number>();
    phases.set(phase, (phases.get(phase) ?? 0) + passed - this.#within);
    this.#spent.set(row, phases);
    this.#within = around + passed;
    return result;
  }

  /**
   * A layer that counts its time, and that of the layers inside it.
   *
   * @param layer The layer.
   * @param rowOf The row that a layer counts in.
   * @returns The same layer, watched.
   */
  watched(
    layer: LayerDefinition,
    rowOf: (layer: LayerDefinition, inShape: readonly number[]) => string = ({ type }) => type,
  ): LayerDefinition {
    const { type, args, plan } = layer;
    return {
      type,
      args,
      plan: (inShape, planner) => {
        const row = rowOf(layer, inShape);
        const backwardOf =
          (backward: ReturnType<LayerPlan["forward"]>["backward"]) =>
          (...args: Parameters<typeof backward>) =>
            this.timed(row, "backward", () => backward(...args));
        const count = (forward: LayerPlan["forward"]): LayerPlan["forward"] => (x, params, run) => {
          const { out, backward } = this.timed(row, "forward", () => forward(x, params, run));
          return { out, backward: backwardOf(backward) };
        };
        const inner: Planner = {
          dtype: planner.dtype,
          prepares: planner.prepares,
          get path() {
            return planner.path;
          },
          plan: (layer, ...rest) => planner.plan(this.watched(layer, rowOf), ...rest),
        };
        const planned = plan(inShape, inner);
        const { withEpilogue, withScales, passOf } = planned;
        return {
          ...planned,
          forward: count(planned.forward),
          withEpilogue: withEpilogue && ((epilogue) => count(withEpilogue(epilogue))),
          withScales: withScales && ((scales, epilogue) => count(withScales(scales, epilogue))),
          passOf: passOf && ((out) => ({ out, backward: backwardOf(passOf(out).backward) })),
        };
      },
    };
  }
}
