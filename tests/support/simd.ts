/** SIMD kernels by schedules that tests choose. */

import type { WeightedKernel } from "../../kernels/kernel.ts";
import type { ConvShape } from "../../kernels/shape.ts";
import { simdConv } from "../../kernels/simd/conv.ts";
import { features } from "../../kernels/simd/features.ts";
import { type Schedule, scheduleConv } from "../../kernels/simd/schedule.ts";
import { vectorsIn } from "../../kernels/simd/vector.ts";
import type { DType } from "../../kernels/tensor.ts";

/** A kernel whose every pass has its schedule changed. */
export function rescheduled(
  shape: ConvShape,
  dtype: DType,
  change: Partial<Schedule>,
): WeightedKernel {
  const { forward, dx, dw } = scheduleConv(shape, vectorsIn(dtype, features().pairs), features());
  const { kernel, reason } = simdConv(shape, dtype, features(), {
    forward: { ...forward, ...change },
    dx: { ...dx, ...change },
    dw: { ...dw, ...change },
  });
  if (kernel === undefined) throw new Error(reason);
  return kernel;
}

/** The kernel that is scheduled for many images, for any number of them. */
export function kernelOfMany(shape: ConvShape, dtype: DType): WeightedKernel {
  return rescheduled(shape, dtype, { batched: undefined, few: undefined });
}
