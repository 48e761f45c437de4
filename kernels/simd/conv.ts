/**
 * A convolution kernel for one geometry and dtype, assembled when a direction first runs.
 *
 * @module
 */

import { planBackwardData } from "./conv_data.ts";
import { planForward } from "./conv_forward.ts";
import { planBackwardWeights } from "./conv_weights.ts";
import type { Features } from "./features.ts";
import { MEMORY_LIMIT, type Plan, reserve } from "./memory.ts";
import { tileKey, type TilePass } from "./plan.ts";
import { tuned } from "./tuned.ts";
import { vectors } from "./vector.ts";
import {
  planWinogradData,
  planWinogradForward,
  planWinogradWeights,
  winogradServes,
} from "./winograd.ts";
import type { WeightedKernel } from "../kernel.ts";
import type { Answer } from "../tier.ts";
import { naiveConv } from "../naive/conv.ts";
import { convLabel, type ConvShape } from "../shape.ts";
import { type DType, newArray } from "../tensor.ts";

/** Taps of a row, or of a kernel that is one column, that stand straight in the code. */
const WIDEST_KERNEL = 64;

/** Phases of a row, or of rows, that stand straight in the code: as many as the stride. */
const LARGEST_STRIDE = 64;

/** The kernel for a geometry, or why there is none. */
export function simdConv(
  given: ConvShape,
  dtype: DType,
  features: Features,
): Answer<WeightedKernel> {
  if (given.KW > WIDEST_KERNEL) {
    return { reason: `kernels wider than ${WIDEST_KERNEL} would be too much code` };
  }
  if (given.KW === 1 && given.KH > WIDEST_KERNEL) {
    return { reason: `columns taller than ${WIDEST_KERNEL} would be too much code` };
  }
  if (Math.max(given.strideY, given.strideX) > LARGEST_STRIDE) {
    return { reason: `strides above ${LARGEST_STRIDE} would be too much code` };
  }
  const shape = flattened(given);
  const vector = vectors[dtype];
  const { C, H, W, F, OH, OW } = shape;

  // Tiles of this very shape, where they are known to be faster than the rule's.
  const label = convLabel(given);
  const tunedPasses: string[] = [];
  const tile = (pass: TilePass) => {
    const found = tuned.get(tileKey(label, dtype, pass));
    if (found !== undefined) tunedPasses.push(`${pass} ${found.filters}x${found.width}`);
    return found;
  };
  const [outTile, dxTile, dwTile] = [tile("forward"), tile("dx"), tile("dw")];

  // What is planned counts for the memory; what is made is compiled when it first runs.
  let size = 0;
  const later = <Run>({ layout, make }: Plan<Run>): () => Run => {
    size = Math.max(size, layout.size);
    return lazy(make);
  };

  // Winograd's algorithm goes first where it pays and fits, and leaves to the others what is not finite.
  const { fused } = features;
  const ifPays = <Run>(plan: Plan<Run> | undefined) =>
    plan && plan.layout.size <= MEMORY_LIMIT ? later(plan) : undefined;
  const serves = features.reassociate && winogradServes(shape);
  const fastTile = serves ? tile("winograd forward") : undefined;
  const planFast = (relu: boolean) => planWinogradForward(shape, vector, fused, relu, fastTile);
  const planWinograd = () => ({
    forward: ifPays(planFast(false)),
    data: ifPays(planWinogradData(shape, vector, fused, tile("winograd dx"))),
    weights: ifPays(planWinogradWeights(shape, vector, fused, tile("winograd dw"))),
  });
  const winograd: Partial<ReturnType<typeof planWinograd>> = serves ? planWinograd() : {};
  // As large as the pass without relu.
  const fastRelu = winograd.forward && lazy(() => planFast(true)?.make());

  // A direct pass behind another, which needs about as much memory, is planned only if it ever runs.
  const direct = <Run>(other: unknown, plan: () => Plan<Run>): () => Run =>
    other === undefined ? later(plan()) : lazy(() => plan().make());
  const planOut = (relu: boolean) => planForward(shape, vector, features, relu, outTile);
  const planDx = () => planBackwardData(shape, vector, features, dxTile);
  const planDw = () => planBackwardWeights(shape, vector, features, dwTile);
  const forward = direct(winograd.forward, () => planOut(false));
  const forwardRelu = direct(forward, () => planOut(true));
  const data = direct(winograd.data, planDx);
  const weights = direct(winograd.weights, planDw);

  const missing = reserve(size);
  if (missing !== undefined) return { reason: missing };

  const special = Object.values(winograd).some((run) => run !== undefined) ? "-winograd" : "";
  const kernel: WeightedKernel = {
    name: `conv-${label}-${dtype === "float32" ? "f32" : "f64"}${special}-simd`,
    tier: "simd",
    forward(N, x, w, out, { bias, relu }) {
      const b = bias ?? newArray(F, dtype);
      const first = relu ? fastRelu : winograd.forward;
      const done = first?.()?.(N, x, w, b, out) ?? 0;
      if (done === N) return;
      const run = (relu ? forwardRelu : forward)();
      run(N - done, x.subarray(done * C * H * W), w, b, out.subarray(done * F * OH * OW));
    },
    backwardData(N, dout, w, dx) {
      const done = winograd.data?.()(N, dout, w, undefined, dx) ?? 0;
      if (done === N) return;
      const restOut = dout.subarray(done * F * OH * OW), restX = dx.subarray(done * C * H * W);
      if (data()(N - done, restOut, w, restX)) return;
      naiveConv(shape).backwardData(N - done, restOut, w, restX);
    },
    backwardWeights(N, x, dout, dw, db = newArray(F, dtype)) {
      if (!winograd.weights?.()(N, x, dout, dw, db)) weights()(N, x, dout, dw, db);
    },
  };
  const how = special === "" ? "" : ", Winograd's algorithm";
  const tiles = tunedPasses.length === 0 ? "" : `, tuned tiles: ${tunedPasses.join(", ")}`;
  return { kernel, reason: features.reason + how + tiles };
}

/** A 1x1 kernel that takes every position: the rows are as good as one long row. */
function flattened(shape: ConvShape): ConvShape {
  const { H, W, KH, KW, strideY, strideX, padTop, padLeft, padBottom, padRight } = shape;
  const everyPosition = KH * KW * strideY * strideX === 1 &&
    padTop + padLeft + padBottom + padRight === 0;
  return everyPosition ? { ...shape, H: 1, W: H * W, OH: 1, OW: H * W } : shape;
}

/** A function that makes its value when it is first asked. */
function lazy<T>(make: () => T): () => T {
  let value: T | undefined;
  return () => value ??= make();
}
