/**
 * Batches that go through a net together: they lie one after another in each layer's input, but every layer
 * runs them one by one, so that each has the bits that it has alone. Batch normalization alone looks at
 * all of them.
 *
 * @module
 */

import type { FloatArray, Tensor } from "../../kernels/tensor.ts";
import type { JointRun, Pass, PlannedLayer, Run } from "../layers/layer.ts";
import { emptyLike } from "../tensor.ts";

/** The batches of an input, which share its array. */
export function split<A extends FloatArray>(
  { data, shape: [N, ...example] }: Tensor<A>,
  count: number,
): Tensor<A>[] {
  const size = data.length / count;
  return Array.from({ length: count }, (_, i) => ({
    data: data.subarray(i * size, (i + 1) * size) as A,
    shape: [N / count, ...example],
  }));
}

/** Batches one after another, as a tensor of its own. */
export function join<A extends FloatArray>(batches: readonly Tensor<A>[]): Tensor<A> {
  const [first] = batches, [N, ...example] = first.shape;
  if (batches.length === 1) return first;
  const joined = emptyLike(first, [batches.length * N, ...example]);
  for (const [i, { data }] of batches.entries()) joined.data.set(data, i * data.length);
  return joined;
}

/** Runs a layer with each of the batches that make up its input. */
export function runEach(
  layer: PlannedLayer,
  x: Tensor,
  joint: readonly JointRun[],
  around: Run,
  ownsInput: boolean,
): Pass {
  const count = joint.length;
  const passes = split(x, count).map((batch, i) =>
    layer.forward(batch, { ...around, ...joint[i] }, ownsInput)
  );
  return {
    out: join(passes.map(({ out }) => out)),
    backward(dout, options, ownsDout) {
      const dxs = split(dout, count).map((batch, i) =>
        passes[i].backward(batch, options, ownsDout).dx
      );
      return options.dx === false ? {} : { dx: join(dxs as Tensor[]) };
    },
  };
}
