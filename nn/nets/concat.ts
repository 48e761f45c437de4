/**
 * Layers side by side whose channels are put together.
 *
 * @module
 */

import { sum } from "../../kernels/maps/sum.ts";
import { runMap } from "../layers/run_map.ts";
import { ArgumentRangeError } from "../../kernels/errors.ts";
import type { Tensor } from "../../kernels/tensor.ts";
import { show, sizeOf } from "../../kernels/tensor.ts";
import type { LayerDefinition } from "../layers/layer.ts";
import { zerosLike } from "../tensor.ts";

/**
 * What branches make of one input, their channels one after another: from (N, C1, H, W) and
 * (N, C2, H, W) to (N, C1 + C2, H, W).
 *
 * Source: Szegedy et al., "Going Deeper with Convolutions" (2014).
 *
 * @example A small inception block: 4 + 6 + 2 channels
 * ```ts
 * import { concat, conv, maxPool, relu, sequential } from "@cnn-layers/cnn-layers";
 *
 * const block = concat(
 *   sequential(conv(4, { kernel: 1 }), relu()),
 *   sequential(conv(2, { kernel: 1 }), relu(), conv(6), relu()),
 *   sequential(maxPool(3, { stride: 1, pad: 1 }), conv(2, { kernel: 1 }), relu()),
 * );
 * console.log(block.type); // concat
 * ```
 *
 * @param branches The branches, one or more.
 * @returns The layer.
 * @throws {RangeError} If there is no branch.
 */
export function concat(...branches: readonly LayerDefinition[]): LayerDefinition {
  if (branches.length === 0) throw new ArgumentRangeError("concat must have a branch or more");
  return Object.freeze<LayerDefinition>({
    type: "concat",
    args: branches,
    plan(inShape, planner) {
      const parts = branches.map((branch, i) => planner.plan(branch, `[${i}]`, inShape));
      const shapes = parts.map(({ plan }) => plan.outShape);
      const [, ...plane] = shapes[0];
      shapes.forEach((shape, i) => {
        if (shape.slice(1).join() === plane.join()) return;
        const first = `${planner.path}[0] gives ${show(shapes[0])}`;
        throw new ArgumentRangeError(
          `${first}, ${planner.path}[${i}] ${show(shape)}: planes must agree`,
        );
      });
      const sizes = shapes.map(sizeOf);
      const all = sizes.reduce((sum, size) => sum + size, 0);
      const outShape = [shapes.reduce((sum, [C]) => sum + C, 0), ...plane];
      return {
        outShape,
        parts,
        releases: true,
        ownsOut: true,
        forward(x, _, run) {
          const N = x.shape[0];
          const passes = parts.map((part) => part.forward(x, run));
          const out = zerosLike(x, [N, ...outShape]);
          eachRow(N, sizes, (n, start, i) => {
            const row = passes[i].out.data.subarray(n * sizes[i], (n + 1) * sizes[i]);
            out.data.set(row, n * all + start);
          });
          return {
            out,
            backward(dout, options) {
              const douts = shapes.map((shape) => zerosLike(dout, [N, ...shape]));
              eachRow(N, sizes, (n, start, i) => {
                const from = n * all + start;
                douts[i].data.set(dout.data.subarray(from, from + sizes[i]), n * sizes[i]);
              });
              const back = passes.map(({ backward }, i) => backward(douts[i], options).dx);
              if (options.dx === false) return {};
              const dx = zerosLike(x);
              for (const part of back) runMap(sum, [dx, part as Tensor, dx]);
              return { dx };
            },
          };
        },
      };
    },
  });
}

/** Calls for each branch of each example, with where its numbers start in the example's output. */
function eachRow(
  N: number,
  sizes: readonly number[],
  call: (n: number, start: number, branch: number) => void,
): void {
  for (let n = 0; n < N; n++) {
    let start = 0;
    sizes.forEach((size, i) => {
      call(n, start, i);
      start += size;
    });
  }
}
