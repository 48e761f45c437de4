/**
 * Layers side by side whose results are added.
 *
 * @module
 */

import { ArgumentRangeError } from "../../kernels/errors.ts";
import type { MapShape } from "../../kernels/map.ts";
import { rectifiedSum, sum } from "../../kernels/maps/sum.ts";
import { show } from "../../kernels/tensor.ts";
import type { LayerDefinition, LayerPlan } from "../layers/layer.ts";
import { runMap } from "../layers/run_map.ts";
import { emptyLike } from "../tensor.ts";
import { sequential } from "./sequence.ts";

/**
 * The sum of what a branch and a shortcut make of one input.
 *
 * Source: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition" (2015).
 *
 * @example ResNet's basic block, which halves the image; a relu usually follows
 * ```ts
 * import { batchnorm, conv, relu, residual, sequential } from "@cnn-layers/cnn-layers";
 *
 * const block = (filters: number, stride: number) =>
 *   residual(
 *     sequential(
 *       conv(filters, { stride, bias: false }),
 *       batchnorm(),
 *       relu(),
 *       conv(filters, { bias: false }),
 *       batchnorm(),
 *     ),
 *     sequential(conv(filters, { kernel: 1, stride, bias: false }), batchnorm()),
 *   );
 * console.log(block(16, 2).type); // residual
 * ```
 *
 * @param branch The layers that learn a difference.
 * @param shortcut What the difference is added to. Default: the input itself.
 * @returns The layer. Its output has the shape that both give.
 */
export function residual(branch: LayerDefinition, shortcut?: LayerDefinition): LayerDefinition {
  return Object.freeze<LayerDefinition>({
    type: "residual",
    args: shortcut === undefined ? [branch] : [branch, shortcut],
    plan(inShape, planner) {
      const a = planner.plan(branch, ".branch", inShape);
      const b = planner.plan(shortcut ?? sequential(), ".shortcut", inShape);
      const { outShape, ownsOut } = a.plan;
      if (outShape.join() !== b.plan.outShape.join()) {
        const shapes = `gives ${show(outShape)}, its shortcut ${show(b.plan.outShape)}`;
        throw new ArgumentRangeError(`${planner.path}.branch ${shapes}`);
      }
      const forward = (map: MapShape): LayerPlan["forward"] => (x, _, run) => {
        const first = a.forward(x, run), second = b.forward(x, run);
        const out = ownsOut ? first.out : emptyLike(x, first.out.shape);
        runMap(map, [first.out, second.out, out]);
        if (run.mode === "test" && b.plan.ownsOut) run.release?.(second.out.data);
        return {
          out,
          backward(dout, options) {
            const one = first.backward(dout, options).dx, other = second.backward(dout, options).dx;
            if (options.dx === false) return {};
            const dx = a.plan.ownsDx ? one! : emptyLike(x);
            runMap(sum, [one!, other!, dx]);
            if (b.plan.ownsDx) run.release?.(other!.data);
            return { dx };
          },
        };
      };
      return {
        outShape,
        parts: shortcut === undefined ? [a] : [a, b],
        releases: true,
        ownsOut: true,
        ownsDx: true,
        withEpilogue: ({ relu = false }) => forward(relu ? rectifiedSum : sum),
        forward: forward(sum),
      };
    },
  });
}
