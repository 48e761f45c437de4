/**
 * The fully-connected layer.
 *
 * Source: nndl/layers.py of the CS231n / ECE C147 course.
 *
 * @module
 */

import type { AffineShape } from "../../kernels/shape.ts";
import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import {
  checkNonEmpty,
  checkSameDType,
  checkTensor,
  checkTensorShape,
  checkWhole,
} from "../../kernels/check.ts";
import { affineKernels } from "../../kernels/operations.ts";
import { ArgumentRangeError } from "../../kernels/errors.ts";
import { explain, select } from "../../kernels/select.ts";
import { dtypeOf, show, sizeOf } from "../../kernels/tensor.ts";
import { checkBatch, checkCache } from "../checks.ts";
import { emptyLike } from "../tensor.ts";
import { bindAffine, preparedPass } from "./bound_kernel.ts";
import { type BackwardOptions, type Gradients, type OptionalDx, runBackward } from "./gradients.ts";
import { type LayerDefinition, layerOf, type LayerPlan } from "./layer.ts";

/** What a fully-connected layer's backward pass needs of its forward pass. */
export interface AffineCache<A extends FloatArray = FloatArray> {
  /** Input, (N, ...). */
  readonly x: Tensor<A>;
  /** Weights, (D, M). */
  readonly w: Tensor<A>;
  /** Biases, (M). */
  readonly b: Tensor<A>;
}

function checkAffine(x: unknown, w: unknown, b: unknown): AffineShape {
  checkBatch("x", x);
  checkTensor("w", w, 2);
  const D = sizeOf(x.shape.slice(1));
  const [rows, M] = w.shape;
  if (D !== rows) {
    throw new ArgumentRangeError(
      `Cannot multiply x with w as the size of an example must match the rows of w: ` +
        `x has shape ${show(x.shape)}, w has shape ${show(w.shape)}`,
    );
  }
  checkNonEmpty("w", w.shape, 0);
  checkTensorShape("b", b, [M], `one bias a column of w ${show(w.shape)}`);
  checkSameDType({ x, w, b });
  return { D, M };
}

function runAffineForward<A extends FloatArray>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: Tensor<A>,
  relu: boolean,
): { out: Tensor<A>; cache: AffineCache<A> } {
  const shape = checkAffine(x, w, b);
  const N = x.shape[0];
  const out = emptyLike(x, [N, shape.M]);
  const epilogue = { bias: b.data, relu };
  const kernel = select(affineKernels, shape, dtypeOf(x.data), epilogue);
  kernel.forward(N, x.data, w.data, out.data, epilogue);
  return { out, cache: { x, w, b } };
}

/**
 * A fully-connected layer: each example as a row of D values, times w, plus b.
 *
 * Source: affine_forward in nndl/layers.py.
 *
 * @example
 * ```ts
 * import { affineForward, linspace } from "@cnn-layers/cnn-layers";
 *
 * const x = linspace(-0.1, 0.5, [2, 4, 5, 6]), w = linspace(-0.2, 0.3, [120, 3]);
 * const { out } = affineForward(x, w, linspace(-0.3, 0.1, [3]));
 * if (Math.abs(out.data[0] - 1.49834967) > 1e-8) throw new Error("not the course's number");
 * ```
 *
 * @param x Input, (N, ...): all dimensions but the first are flattened to D.
 * @param w Weights, (D, M).
 * @param b Biases, (M).
 * @returns `out` (N, M) and the cache.
 * @throws {TypeError} If a tensor has a wrong type, dtype or rank.
 * @throws {RangeError} If sizes do not fit each other, or D or M is 0.
 */
export function affineForward<A extends FloatArray>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: Tensor<A>,
): { out: Tensor<A>; cache: AffineCache<A> } {
  return runAffineForward(x, w, b, false);
}

/** {@linkcode affineForward} and relu in one pass over the output: for the cascaded layers. */
export function affineForwardFusedRelu<A extends FloatArray>(
  x: Tensor<A>,
  w: Tensor<A>,
  b: Tensor<A>,
): { out: Tensor<A>; cache: AffineCache<A> } {
  return runAffineForward(x, w, b, true);
}

/**
 * Gradients of a fully-connected layer. Source: affine_backward in nndl/layers.py.
 *
 * @example
 * ```ts
 * import { affineBackward, affineForward, RandomState } from "@cnn-layers/cnn-layers";
 *
 * const random = new RandomState(231);
 * const x = random.randn([10, 2, 3]), w = random.randn([6, 5]), b = random.randn([5]);
 * const { out, cache } = affineForward(x, w, b);
 * const { dx, dw, db } = affineBackward(out, cache);
 * ```
 *
 * @param dout Gradient of the output, (N, M).
 * @param cache From the forward pass.
 * @param options `dx: false` leaves out dx.
 * @returns `dx` of x's shape, `dw` (D, M) and `db` (M).
 * @throws {TypeError} If dout or the cache has a wrong type, dtype or rank.
 * @throws {RangeError} If dout does not have the output's shape.
 */
export function affineBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AffineCache<A>,
  options?: { readonly dx?: true },
): Gradients<A>;
/** The same, without dx if `options.dx` is false. */
export function affineBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AffineCache<A>,
  options: BackwardOptions,
): OptionalDx<Gradients<A>>;
export function affineBackward<A extends FloatArray>(
  dout: Tensor<A>,
  cache: AffineCache<A>,
  options: BackwardOptions = {},
): OptionalDx<Gradients<A>> {
  checkCache(cache, ["x", "w", "b"]);
  const { x, w, b } = cache;
  const shape = checkAffine(x, w, b);
  checkTensorShape("dout", dout, [x.shape[0], shape.M], "the layer's output");
  return runBackward(select(affineKernels, shape, dtypeOf(x.data)), dout, cache, options);
}

/**
 * A fully-connected layer as a layer of a net; it flattens its input. Parameters: W (D, M) and b (M).
 *
 * @example
 * ```ts
 * import { affine, Net, relu } from "@cnn-layers/cnn-layers";
 *
 * const net = new Net({ inputDim: [3, 8, 8], layers: [affine(50), relu(), affine(10)] });
 * console.log(net.params.W1.shape); // [192, 50]
 * ```
 *
 * @param outputs How many outputs, M.
 * @returns The layer, from any shape of D values to (M).
 * @throws {TypeError} If outputs is not a number.
 * @throws {RangeError} If it is not a whole number from 1.
 */
export function affine(outputs: number): LayerDefinition {
  checkWhole("affine.outputs", outputs, 1);
  const M = outputs;
  return layerOf("affine", [M], (inShape, { dtype }) => {
    const D = sizeOf(inShape);
    const forward = (relu: boolean): LayerPlan["forward"] => (x, { W, b }, { prepared }) => {
      if (prepared !== undefined) {
        const epilogue = { bias: b.data, relu };
        return preparedPass(prepared, x, W, () => bindAffine({ D, M }, W.data, epilogue));
      }
      const { out, cache } = runAffineForward(x, W, b, relu);
      return {
        out,
        backward(dout, options) {
          const { dx, dw, db } = affineBackward(dout, cache, options);
          return { dx, grads: { W: dw, b: db } };
        },
      };
    };
    return {
      outShape: [M],
      params: { W: { shape: [D, M], init: { fanIn: D } }, b: { shape: [M], init: 0 } },
      multiplyAdds: D * M,
      explain: () => explain(affineKernels, { D, M }, dtype),
      flattens: true,
      ownsOut: true,
      ownsDx: true,
      withEpilogue: ({ relu = false }) => forward(relu),
      forward: forward(false),
    };
  });
}
