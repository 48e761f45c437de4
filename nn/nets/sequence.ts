/**
 * Layers one after another, joined where a kernel can do two at once.
 *
 * One rule joins them: where a layer is an epilogue, such as relu, and the kernel before it can do
 * that, the kernel does it. As the largest of some numbers stays the largest after a relu, the rule
 * also holds across layers that select, such as max-pools. What is left to do going back, to mask the
 * gradient, is done after those layers, where there are fewer values.
 *
 * @module
 */

import type { Tensor } from "../../kernels/tensor.ts";
import type { PassOptions } from "../layers/gradients.ts";
import type {
  LayerDefinition,
  LayerPlan,
  Pass,
  PlannedLayer,
  Planner,
  Run,
} from "../layers/layer.ts";

/**
 * Layers one after another, as one layer: a branch of {@linkcode residual} or {@linkcode concat}, or a
 * part of a net that is used twice. Without any layer it gives its input.
 *
 * @example
 * ```ts
 * import { affine, batchnorm, conv, flatten, Net, relu, sequential } from "@cnn-layers/cnn-layers";
 *
 * const stage = (filters: number) => sequential(conv(filters, { bias: false }), batchnorm(), relu());
 * const net = new Net({ inputDim: [3, 8, 8], layers: [stage(8), stage(16), flatten(), affine(10)] });
 * console.log(Object.keys(net.params)); // W1, gamma1, beta1, W2 ...
 * ```
 *
 * @param layers The layers, in order.
 * @returns The layer.
 */
export function sequential(...layers: readonly LayerDefinition[]): LayerDefinition {
  const plan: LayerDefinition["plan"] = (inShape, planner) =>
    planSequence(layers, inShape, planner);
  return Object.freeze({ type: "sequential", args: layers, plan });
}

/** Plans layers one after another. */
export function planSequence(
  layers: readonly LayerDefinition[],
  inShape: readonly number[],
  planner: Planner,
): LayerPlan {
  let outShape = inShape;
  const parts = layers.map((layer, i) => {
    const part = planner.plan(layer, `[${i}]`, outShape);
    outShape = part.plan.outShape;
    return part;
  });
  const chain = parts.flatMap((part) => part.plan.chain ?? [part]);
  const steps = joined(chain, planner.prepares === true);
  const forward: LayerPlan["forward"] = (x, _, run) => runSequence(steps, x, run);
  const { ownsOut } = steps.at(-1)?.plan ?? {}, { ownsDx } = steps[0]?.plan ?? {};
  return { outShape, parts, chain, releases: true, ownsOut, ownsDx, forward };
}

/**
 * The layers as they run: epilogues done by kernels, or after the layers that select; and where the net will
 * not learn, scales by the weights before them.
 */
function joined(chain: readonly PlannedLayer[], prepares: boolean): readonly PlannedLayer[] {
  const steps: PlannedLayer[] = [], scales: PlannedLayer["scalesOf"][] = [];
  for (let i = 0; i < chain.length; i++) {
    const { scalesOf } = chain[i], last = steps.length - 1;
    // A layer that something was joined to already does not scale its sums alone.
    const isNext = prepares && scalesOf !== undefined && steps[last] === chain[i - 1];
    const scaled = isNext ? steps[last]?.plan.withScales?.(scalesOf, {}) : undefined;
    if (scaled !== undefined) {
      scales[last] = scalesOf;
      steps[last] = steps[last].runBy(scaled);
      continue;
    }
    const { epilogue, passOf } = chain[i].plan;
    if (epilogue === undefined || passOf === undefined) {
      steps.push(chain[i]);
      continue;
    }
    const at = steps.findLastIndex(({ plan }) => !plan.selects);
    const { withEpilogue, withScales } = steps[at]?.plan ?? {}, scalesAt = scales[at];
    const run = scalesAt ? withScales?.(scalesAt, epilogue) : withEpilogue?.(epilogue);
    if (run !== undefined) steps[at] = steps[at].runBy(run);
    const step = run === undefined ? chain[i] : chain[i].runBy(passOf);
    while (chain[i + 1]?.plan.selects) steps.push(chain[++i]);
    steps.push(step);
  }
  return steps;
}

/** Runs layers one after another. */
function runSequence(steps: readonly PlannedLayer[], x: Tensor, run: Run): Pass {
  // The input and every output, if they are to be let go.
  const passes: Pass["backward"][] = [], outs = [x];
  let out = x;
  for (const [i, step] of steps.entries()) {
    const pass = step.forward(out, run, steps[i - 1]?.plan.ownsOut);
    out = pass.out;
    // At inference there is no backward pass: what a pass keeps for that may be collected.
    if (run.mode === "train") passes.push(pass.backward);
    if (run.release === undefined) continue;
    outs.push(out);
    if (run.mode === "train") continue;
    // What no layer needs any more; the input is not ours.
    const before = outs.shift()!;
    if (!shares(before, x, out)) run.release(before.data);
  }
  return { out, backward: (dout, options) => goBack(steps, passes, outs, run, dout, options) };
}

function goBack(
  steps: readonly PlannedLayer[],
  passes: Pass["backward"][],
  outs: Tensor[],
  { frozen, release }: Run,
  dout: Tensor,
  { dx: wanted = true }: PassOptions,
): { dx?: Tensor } {
  // Nobody needs a gradient before the first layer that learns.
  const learns = ({ params }: PlannedLayer) => params.some((name) => !frozen.has(name));
  const first = wanted ? 0 : steps.findIndex(learns);
  if (first < 0) return {};
  let dx: Tensor | undefined = dout, last: Tensor | undefined;
  for (let i = steps.length - 1; i >= first; i--) {
    const given: Tensor = dx!, ownsDout = steps[i + 1]?.plan.ownsDx;
    // Popped, so that what a layer kept can be collected.
    dx = passes.pop()!(given, { dx: wanted || i > first }, ownsDout).dx;
    if (release === undefined) continue;
    // Whoever runs these layers still has use for their dout, input and output.
    if (!shares(given, dout, dx)) release(given.data);
    const out = outs.pop()!;
    last ??= out;
    if (!shares(out, last, outs.at(-1))) release(out.data);
  }
  return { dx };
}

/** Whether a tensor has the memory of one of some others. */
function shares({ data }: Tensor, ...others: readonly (Tensor | undefined)[]): boolean {
  return others.some((other) => other?.data.buffer === data.buffer);
}
