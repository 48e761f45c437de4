/**
 * Layers on their own, and the gradients of nets, for tests of what composes.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  type DType,
  evalNumericalGradient,
  type Labels,
  type LayerDefinition,
  type LayeredNet,
  type Mode,
  type Pass,
  RandomState,
  type Tensor,
} from "../../mod.ts";
import { NetPlanner } from "../../nn/nets/planner.ts";

/** A layer that runs outside a net. */
export interface LoneLayer {
  readonly outShape: readonly number[];
  readonly params: Record<string, Tensor>;
  readonly state: Readonly<Record<string, Tensor>>;
  /** The gradients of the parameters, after a pass back. */
  readonly grads: Record<string, Tensor>;
  forward(x: Tensor, mode?: Mode): Pass;
}

/** Plans a layer outside a net, with random parameters. */
export function lone(
  layer: LayerDefinition,
  inShape: readonly number[],
  dtype: DType = "float64",
): LoneLayer {
  const planner = new NetPlanner(dtype);
  const planned = planner.plan(layer, "[0]", inShape);
  const random = new RandomState(9);
  const params: Record<string, Tensor> = {}, grads: Record<string, Tensor> = {};
  for (const [name, { shape }] of Object.entries(planner.params)) {
    params[name] = random.randn(shape, dtype);
  }
  const { state } = planner;
  const run = {
    random,
    seed: 3,
    state: {},
    ownsInput: false,
    params,
    grads,
    frozen: new Set<string>(),
  };
  return {
    outShape: planned.plan.outShape,
    params,
    state,
    grads,
    forward: (x, mode = "train") => planned.forward(x, { ...run, mode }),
  };
}

/**
 * Asserts that all of a net's gradients agree with central differences, to a part of the largest value
 * of each; what rounding of the loss leaves is no difference.
 */
export function assertAllGradients(
  net: LayeredNet<"float64">,
  x: Tensor<Float64Array>,
  y: Labels,
  largest = 1e-6,
  h = 1e-6,
): void {
  const { loss, grads } = net.loss(x, y);
  const rounding = 16 * Number.EPSILON * loss / h;
  assertEquals(Object.keys(grads).sort(), Object.keys(net.params).sort());
  for (const [name, { data }] of Object.entries(grads)) {
    const numerical = evalNumericalGradient(() => net.loss(x, y).loss, net.params[name], h).data;
    const scale = data.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    data.forEach((value, i) => {
      const error = Math.abs(value - numerical[i]);
      assert(
        error <= largest * scale + rounding,
        `${name}[${i}] is ${value}, by differences ${numerical[i]}`,
      );
    });
  }
}
