/**
 * Layers side by side whose results are added.
 *
 * @module
 */

import { ArgumentRangeError } from "../../kernels/errors.ts";
import type { Tensor } from "../../kernels/tensor.ts";
import { show } from "../../kernels/tensor.ts";
import type { LayerDefinition } from "../layers/layer.ts";
import { zerosLike } from "../tensor.ts";
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
      return {
        outShape,
        parts: shortcut === undefined ? [a] : [a, b],
        ownsOut: true,
        forward(x, _, run) {
          const first = a.forward(x, run), second = b.forward(x, run);
          return {
            out: add(first.out, second.out, ownsOut ? first.out : zerosLike(x, first.out.shape)),
            backward(dout, options) {
              const { dx } = first.backward(dout, options),
                more = second.backward(dout, options).dx;
              return options.dx === false ? {} : { dx: add(dx!, more!, zerosLike(x)) };
            },
          };
        },
      };
    },
  });
}

/** out = a + b. All may be one array. */
export function add(a: Tensor, b: Tensor, out: Tensor): Tensor {
  const x = a.data, y = b.data, to = out.data;
  for (let i = 0; i < to.length; i++) to[i] = x[i] + y[i];
  return out;
}
