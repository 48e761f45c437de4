/**
 * A convolution kernel for one geometry and dtype, assembled when a direction first runs.
 *
 * @module
 */

import { planBackwardData } from "./conv_data.ts";
import { planForward } from "./conv_forward.ts";
import { planBackwardWeights } from "./conv_weights.ts";
import type { Features } from "./features.ts";
import { reserve } from "./memory.ts";
import { vectors } from "./vector.ts";
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
  const plain = planForward(shape, vector, features, false);
  const relu = planForward(shape, vector, features, true);
  const data = planBackwardData(shape, vector, features);
  const weights = planBackwardWeights(shape, vector, features);
  const missing = reserve(
    Math.max(...[plain, relu, data, weights].map(({ layout }) => layout.size)),
  );
  if (missing !== undefined) return { reason: missing };

  const forward = lazy(plain.make), forwardRelu = lazy(relu.make);
  const backwardData = lazy(data.make), backwardWeights = lazy(weights.make);
  const kernel: ConvKernel = {
    name: `conv-${convLabel(given)}-${dtype === "float32" ? "f32" : "f64"}-simd`,
    tier: "simd",
    forward: (N, x, w, b, out, relu = false) => (relu ? forwardRelu : forward)()(N, x, w, b, out),
    backwardData(N, dout, w, dx) {
      if (!backwardData()(N, dout, w, dx)) naiveConv(given).backwardData(N, dout, w, dx);
    },
    backwardWeights: (N, x, dout, dw, db) => backwardWeights()(N, x, dout, dw, db),
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
