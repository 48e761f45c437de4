/**
 * Kernels of layers whose weights are no longer written to, which may keep them packed.
 *
 * @module
 */

import type { Epilogue } from "../../kernels/epilogue.ts";
import type { WeightedKernel } from "../../kernels/kernel.ts";
import { affineKernels, convKernels } from "../../kernels/operations.ts";
import { beginCall } from "../../kernels/scratch.ts";
import { select } from "../../kernels/select.ts";
import type { AffineShape, ConvShape } from "../../kernels/shape.ts";
import { dtypeOf, type FloatArray, type Tensor } from "../../kernels/tensor.ts";
import { emptyLike } from "../tensor.ts";
import type { Pass, Run } from "./layer.ts";

/** A kernel with weights and an epilogue that are no longer written to. */
export interface BoundKernel {
  readonly name: string;
  readonly run: <A extends FloatArray>(x: Tensor<A>) => Tensor<A>;
}

/** A convolution whose weights and epilogue are no longer written to. */
export function bindConv(shape: ConvShape, w: FloatArray, epilogue: Epilogue): BoundKernel {
  const kernel = select(convKernels, shape, dtypeOf(w), epilogue);
  return bind(kernel, [shape.F, shape.OH, shape.OW], w, epilogue);
}

/** A fully-connected layer likewise. */
export function bindAffine(shape: AffineShape, w: FloatArray, epilogue: Epilogue): BoundKernel {
  return bind(select(affineKernels, shape, dtypeOf(w), epilogue), [shape.M], w, epilogue);
}

function bind(
  kernel: WeightedKernel,
  outShape: readonly number[],
  w: FloatArray,
  epilogue: Epilogue,
): BoundKernel {
  const forward = kernel.prepare?.(w, epilogue) ??
    ((N, x, out) => kernel.forward(N, x, w, out, epilogue));
  return {
    name: kernel.name,
    run(x) {
      beginCall();
      const N = x.shape[0];
      const out = emptyLike(x, [N, ...outShape]);
      forward(N, x.data, out.data);
      return out;
    },
  };
}

/**
 * The pass of a layer of a prepared net, whose kernel is bound when it first runs.
 *
 * @param prepared The net's bound kernels, by the weights.
 * @param x The batch.
 * @param W The weights.
 * @param bind Binds the layer's kernel.
 * @returns The output; there is no way back.
 */
export function preparedPass(
  prepared: NonNullable<Run["prepared"]>,
  x: Tensor,
  W: Tensor,
  bind: () => BoundKernel,
): Pass {
  let run = prepared.get(W);
  if (run === undefined) prepared.set(W, run = bind().run);
  return { out: run(x), backward: () => ({}) };
}
