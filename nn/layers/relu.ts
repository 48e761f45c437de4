/**
 * The rectified linear unit.
 *
 * Source: relu_forward and relu_backward in nndl/layers.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import { checkSameDType, checkTensor, checkTensorShape } from "../../kernels/check.ts";
import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import { checkCache } from "../checks.ts";
import { relu as reluMap, reluMask } from "../../kernels/maps/relu.ts";
import { runMap } from "./run_map.ts";
import { emptyLike } from "../tensor.ts";
import { type LayerDefinition, layerOf, type Pass } from "./layer.ts";

/** What relu's backward pass needs of its forward pass. */
export interface ReluCache<A extends FloatArray = FloatArray> {
  /** The output: above 0 exactly where the input is. */
  readonly out: Tensor<A>;
}

/**
 * The larger of each value and 0; NaN stays NaN.
 *
 * @example
 * ```ts
 * import { linspace, reluForward } from "@cnn-layers/cnn-layers";
 *
 * const { out } = reluForward(linspace(-0.5, 0.5, [3, 4]));
 * if (out.data[0] !== 0 || out.data[11] !== 0.5) throw new Error("not relu's numbers");
 * ```
 *
 * @param x Input, any shape.
 * @returns `out`, of x's shape, and the cache.
 * @throws {TypeError} If x is not a tensor.
 * @throws {RangeError} If its data length is not its shape's product.
 */
export function reluForward<A extends FloatArray>(
  x: Tensor<A>,
): { out: Tensor<A>; cache: ReluCache<A> } {
  checkTensor("x", x);
  const out = emptyLike(x);
  runMap(reluMap, [x, out]);
  return { out, cache: { out } };
}

/**
 * Gradient of relu: dout where the input was above 0, and 0 elsewhere, at 0 and NaN too.
 *
 * @example
 * ```ts
 * import { full, linspace, reluBackward, reluForward } from "@cnn-layers/cnn-layers";
 *
 * const { cache } = reluForward(linspace(-1, 1, [3]));
 * const dx = reluBackward(full([3], 5), cache);
 * if (dx.data.join() !== "0,0,5") throw new Error("not relu's gradient");
 * ```
 *
 * @param dout Gradient of the output.
 * @param cache From the forward pass.
 * @returns dx, of the input's shape.
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function reluBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: ReluCache<A>,
): Tensor<A> {
  checkCache(cache, ["out"]);
  const { out } = cache;
  checkTensor("cache.out", out);
  checkTensorShape("dout", dout, out.shape, "relu's output");
  checkSameDType({ dout, out });
  return masked(out, dout, emptyLike(out));
}

/** dx = dout where out is above 0, and 0 elsewhere. dx may be dout. */
function masked<A extends FloatArray>(
  out: Tensor<A>,
  dout: Tensor<A>,
  dx: Tensor<A>,
): Tensor<A> {
  runMap(reluMask, [out, dout, dx]);
  return dx;
}

/** The pass whose output is rectified already. */
const reluPass = (out: Tensor): Pass => ({
  out,
  backward: (dout, _, ownsDout) => ({
    dx: ownsDout ? masked(out, dout, dout) : reluBackward(dout, { out }),
  }),
});

/**
 * The rectified linear unit as a layer of a net: the larger of each value and 0.
 *
 * @example
 * ```ts
 * import { affine, Net, relu } from "@cnn-layers/cnn-layers";
 *
 * const net = new Net({ inputDim: 4, layers: [affine(8), relu(), affine(3)] });
 * ```
 *
 * @returns The layer. The kernel of a convolution or a fully-connected layer before it does its work.
 */
export function relu(): LayerDefinition {
  return layerOf("relu", [], (inShape) => ({
    outShape: inShape,
    ownsDx: true,
    epilogue: { relu: true },
    passOf: reluPass,
    forward(x, _, { ownsInput }) {
      const out = ownsInput ? x : emptyLike(x);
      runMap(reluMap, [x, out]);
      return reluPass(out);
    },
  }));
}
