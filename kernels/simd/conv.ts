/**
 * A convolution kernel for one geometry and dtype, assembled when a direction first runs.
 *
 * @module
 */

import { planBackwardData } from "./conv_data.ts";
import { type Forward, planForward } from "./conv_forward.ts";
import { planBackwardWeights } from "./conv_weights.ts";
import type { Features } from "./features.ts";
import { type Plan, reserve } from "./memory.ts";
import { vectors } from "./vector.ts";
import { planWinograd, planWinogradWeights, winogradPays } from "./winograd.ts";
import type { Answer, ConvKernel } from "../kernel.ts";
import { naiveConv } from "../naive/conv.ts";
import { convLabel, type ConvShape, type DType } from "../shape.ts";

/** Taps of a row that stand straight in the code. */
const WIDEST_KERNEL = 64;

/** The kernel for a geometry, or why there is none. */
export function simdConv(given: ConvShape, dtype: DType, features: Features): Answer<ConvKernel> {
  if (given.KW > WIDEST_KERNEL) {
    return { reason: `kernels wider than ${WIDEST_KERNEL} would be too much code` };
  }
  const shape = flattened(given);
  const vector = vectors[dtype];
  const { C, H, W, F, KH, KW, strideY, strideX, padTop, padLeft, OH, OW } = shape;

  // What is planned counts for the memory; what is made is compiled when it first runs.
  let size = 0;
  const later = <Run>({ layout, make }: Plan<Run>): () => Run => {
    size = Math.max(size, layout.size);
    return lazy(make);
  };
  const direct = later(planForward(shape, vector, features, false));
  const directRelu = later(planForward(shape, vector, features, true));
  const directData = later(planBackwardData(shape, vector, features));
  const directWeights = later(planBackwardWeights(shape, vector, features));

  const winograd = features.reassociate && dtype === "float32" &&
    KH === 3 && KW === 3 && strideY === 1 && strideX === 1;
  const { fused } = features;
  const forwardJob = {
    channels: C,
    filters: F,
    H,
    W,
    top: padTop,
    left: padLeft,
    OH,
    OW,
    filterStep: 9 * C,
    channelStep: 9,
    turned: false,
  };
  const dataJob = {
    channels: F,
    filters: C,
    H: OH,
    W: OW,
    top: 2 - padTop,
    left: 2 - padLeft,
    OH: H,
    OW: W,
    filterStep: 9,
    channelStep: 9 * C,
    turned: true,
    relu: false,
  };
  const forwardPays = winograd && winogradPays(F, C, OH, OW);
  const dataPays = winograd && winogradPays(C, F, H, W) && padTop <= 2 && padLeft <= 2;
  const fast = forwardPays ? later(planWinograd({ ...forwardJob, relu: false }, fused)) : undefined;
  const fastRelu = forwardPays
    ? later(planWinograd({ ...forwardJob, relu: true }, fused))
    : undefined;
  const fastData = dataPays ? later(planWinograd(dataJob, fused)) : undefined;
  const fastWeights = forwardPays ? later(planWinogradWeights(shape, fused)) : undefined;

  const missing = reserve(size);
  if (missing !== undefined) return { reason: missing };

  /** Images from the first that Winograd's algorithm leaves: one with numbers that are not finite. */
  const finishForward = (run: Forward, done: number): Forward => (N, x, w, b, out) =>
    run(N - done, x.subarray(done * C * H * W), w, b, out.subarray(done * F * OH * OW));

  const kernel: ConvKernel = {
    name: `conv-${convLabel(given)}-${dtype === "float32" ? "f32" : "f64"}` +
      `${fast || fastData || fastWeights ? "-winograd" : ""}-simd`,
    tier: "simd",
    forward(N, x, w, b, out, relu = false) {
      const done = (relu ? fastRelu : fast)?.()(N, x, w, b, out) ?? 0;
      if (done < N) finishForward((relu ? directRelu : direct)(), done)(N, x, w, b, out);
    },
    backwardData(N, dout, w, dx) {
      const done = fastData?.()(N, dout, w, undefined, dx) ?? 0;
      if (done === N) return;
      const rest = [
        N - done,
        dout.subarray(done * F * OH * OW),
        w,
        dx.subarray(done * C * H * W),
      ] as const;
      if (!directData()(...rest)) naiveConv(shape).backwardData(...rest);
    },
    backwardWeights(N, x, dout, dw, db) {
      if (!fastWeights?.()(N, x, dout, dw, db)) directWeights()(N, x, dout, dw, db);
    },
  };
  return { kernel, reason: features.reason };
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
