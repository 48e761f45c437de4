/**
 * The drivers of generated pools: stage one image, run the inner function, copy the result out.
 *
 * @module
 */

import type { AveragePoolKernel, PoolKernel } from "../kernel.ts";
import { naiveMaxPool } from "../naive/max_pool.ts";
import type { PoolShape } from "../shape.ts";
import type { FloatArray } from "../tensor.ts";
import { partAsFloat64, scratch } from "./buffers.ts";
import type { GeneratedAveragePool, GeneratedPool, Numbers, PoolSizes } from "./kernel.ts";
import { MAX_NUMBERS, poolStage, stageIn, stageOut } from "./staging.ts";

/**
 * What the drivers of all pools share. The border of an image is `padding`; `add` adds the gradient of x,
 * for which max-pools look at x too.
 */
function drivePool(
  shape: PoolShape,
  padding: number,
  run: GeneratedAveragePool["forward"],
  add: (dy: Numbers, dx: Numbers, sizes: PoolSizes, x?: Numbers) => void,
) {
  const { C, H, W, OH, OW } = shape;
  const { sizes, x: placement } = poolStage(shape);
  const image = { ...sizes, planes: C };
  const xLength = C * H * W, stagedLength = C * sizes.xPlane, outLength = C * OH * OW;
  const isPadded = stagedLength > xLength;
  const border = () => scratch("x", stagedLength).fill(padding);

  /** The sizes of a whole batch, if it needs neither a border nor a conversion. */
  function unstaged(N: number, ...arrays: FloatArray[]): PoolSizes | undefined {
    const direct = !isPadded && N * xLength < MAX_NUMBERS &&
      arrays.every((array) => array instanceof Float64Array);
    return direct ? { ...sizes, planes: N * C } : undefined;
  }

  function forward(N: number, x: FloatArray, out: FloatArray): void {
    const whole = unstaged(N, x, out);
    if (whole) return run(x as Numbers, out as Numbers, whole);
    const xs = border(), ys = scratch("y", outLength);
    for (let n = 0; n < N; n++) {
      stageIn(x, n * xLength, C, H, W, placement, xs);
      run(xs, ys, image);
      out.set(ys, n * outLength);
    }
  }

  function backward(N: number, dout: FloatArray, dx: FloatArray, x?: FloatArray): void {
    const whole = unstaged(N, dout, dx, x ?? dout);
    if (whole) {
      dx.fill(0);
      return add(dout as Numbers, dx as Numbers, whole, x as Numbers);
    }
    const xs = border(), dxs = scratch("dx", stagedLength);
    for (let n = 0; n < N; n++) {
      if (x) stageIn(x, n * xLength, C, H, W, placement, xs);
      dxs.fill(0);
      add(partAsFloat64("y", dout, n * outLength, (n + 1) * outLength), dxs, image, xs);
      stageOut(dxs, C, H, W, placement, dx, n * xLength);
    }
  }

  return { forward, backward, isPadded };
}

/** A generated max-pool as a kernel for one geometry. */
export function driveMaxPool({ name, ...passes }: GeneratedPool, shape: PoolShape): PoolKernel {
  const pool = drivePool(
    shape,
    -Infinity,
    passes.forward,
    (dy, dx, sizes, x) => passes.backward(x!, dy, dx, sizes),
  );

  function backward(N: number, x: FloatArray, dout: FloatArray, dx: FloatArray): void {
    pool.backward(N, dout, dx, x);
    if (!pool.isPadded) return;
    // A window whose real numbers are all minus infinity ties with its border, which may stand first
    // and take the gradient: the definition gives it to the real number.
    for (let n = 0; n < N; n++) {
      const [image, dy, to] = [x, dout, dx].map((array) =>
        array.subarray(n * array.length / N, (n + 1) * array.length / N)
      );
      if (image.includes(-Infinity)) naiveMaxPool(shape).backward(1, image, dy, to);
    }
  }

  return { name, tier: "generated", forward: pool.forward, backward };
}

/** A generated average pool, in all of whose windows all numbers count, as a kernel for one geometry. */
export function driveAveragePool(
  { name, ...passes }: GeneratedAveragePool,
  shape: PoolShape,
): AveragePoolKernel {
  const { forward, backward } = drivePool(shape, 0, passes.forward, passes.backward);
  return { name, tier: "generated", forward, backward };
}
