/**
 * A layer's calls for a shape that options say, and how long they take.
 *
 * @module
 */

import {
  affineBackward,
  affineForward,
  type ArrayOf,
  averagePoolBackward,
  averagePoolForward,
  convBackward,
  convForward,
  type DType,
  explainAveragePool,
  explainConv,
  explainMaxPool,
  type Explanation,
  maxPoolBackward,
  maxPoolForward,
  RandomState,
  type Tensor,
  zeros,
} from "../../mod.ts";
import { affineKernels } from "../../kernels/operations.ts";
import { explain } from "../../kernels/select.ts";
import { averagePoolParams, convParams, poolParams } from "../../kernels/shape.ts";
import { sizeOf } from "../../kernels/tensor.ts";
import { geometryOf, geometryOptions } from "../geometry.ts";
import { InputError, sizes, type Values, whole, word } from "../options.ts";

/** The options that say a shape, and how it is timed. */
export const shapeOptions = {
  ...geometryOptions,
  x: sizes(["N,C,H,W", "C,H,W", "N,D"], 65_536, "input"),
  w: sizes(["F,C/groups,KH,KW", "D,M"], 65_536, "filters of a convolution, or a matrix"),
  dtype: word("float32", ["float32", "float64"], "data type"),
  budget: whole(300, [1, 600_000], "milliseconds of measurement for each direction"),
};

/** A layer's calls for one shape. */
export interface Job {
  /** What it is: convolution, pool or fully-connected layer. */
  readonly layer: string;
  /** Which kernel runs. */
  readonly explain: () => Explanation;
  readonly forward: () => unknown;
  readonly backward: () => unknown;
  /** Additions and multiplications of forward; a pool's are not counted. Backward has twice as many. */
  readonly operations: number | undefined;
}

/**
 * The calls that options say.
 *
 * @param values The options.
 * @returns The calls, on whole random numbers.
 * @throws {InputError} If an option is missing, is too much, or does not fit the others.
 */
export function jobOf(values: Values<typeof shapeOptions>): Job {
  const { x, w, dtype } = values;
  if (x?.length === 2 || w?.length === 2) return affineJob(values);
  const geometry = geometryOf(values), { C, H, W, OH, OW } = geometry.shape;
  const N = x?.length === 4 ? x[0] : 1;
  if (N < 1) throw new InputError("--x must hold an image: N is 0");
  const xShape = [N, C, H, W], input = numbers(xShape, dtype);
  if (geometry.operation === "conv") {
    const { F } = geometry.shape, params = convParams(geometry.shape);
    const filters = numbers(w!, dtype), bias = numbers([F], dtype);
    const dout = numbers([N, F, OH, OW], dtype);
    const { cache } = convForward(input, filters, bias, params);
    return {
      layer: "convolution",
      explain: () => explainConv(xShape, w!, params, dtype),
      forward: () => convForward(input, filters, bias, params),
      backward: () => convBackward(dout, cache),
      operations: 2 * sizeOf(dout.shape) * sizeOf(w!.slice(1)),
    };
  }
  const dout = numbers([N, C, OH, OW], dtype);
  if (geometry.operation === "maxPool") {
    const params = poolParams(geometry.shape), { cache } = maxPoolForward(input, params);
    return {
      layer: "max-pool",
      explain: () => explainMaxPool(xShape, params, dtype),
      forward: () => maxPoolForward(input, params),
      backward: () => maxPoolBackward(dout, cache),
      operations: undefined,
    };
  }
  const params = averagePoolParams(geometry.shape), { cache } = averagePoolForward(input, params);
  return {
    layer: "average pool",
    explain: () => explainAveragePool(xShape, params, dtype),
    forward: () => averagePoolForward(input, params),
    backward: () => averagePoolBackward(dout, cache),
    operations: undefined,
  };
}

function affineJob(values: Values<typeof shapeOptions>): Job {
  const { x = [], w = [], dtype } = values;
  const others = ["pool", "average", "stride", "pad", "dilation", "groups"] as const;
  const other = others.find((name) => values[name] !== undefined);
  if (other !== undefined) throw new InputError(`--${other} is not for fully-connected layers`);
  const [N, D] = x, [rows, M] = w;
  if (x.length !== 2 || w.length !== 2 || D !== rows || sizeOf([N, D, M]) === 0) {
    throw new InputError(
      "a fully-connected layer takes --x N,D and --w D,M, with one D, and none 0",
    );
  }
  const input = numbers(x, dtype), matrix = numbers(w, dtype), bias = numbers([M], dtype);
  const dout = numbers([N, M], dtype), { cache } = affineForward(input, matrix, bias);
  return {
    layer: "fully-connected layer",
    explain: () => explain(affineKernels, { D, M }, dtype),
    forward: () => affineForward(input, matrix, bias),
    backward: () => affineBackward(dout, cache),
    operations: 2 * N * D * M,
  };
}

/** Random whole numbers, which every tier sums exactly. */
function numbers(shape: readonly number[], dtype: DType): Tensor<ArrayOf<DType>> {
  const result = zeros(shape, dtype), random = new RandomState(0), { data } = result;
  for (let i = 0; i < data.length; i++) data[i] = random.randint(-4, 5);
  return result;
}

/** How long a call took. */
export interface Measured {
  /** The median. */
  readonly milliseconds: number;
  /** 10^9 additions and multiplications a second; null if they are not counted. */
  readonly gigaflops: number | null;
  /** How many calls were timed. */
  readonly calls: number;
}

/** Both directions of a job. */
export function measureJob(
  { forward, backward, operations }: Job,
  budget: number,
): { readonly forward: Measured; readonly backward: Measured } {
  return {
    forward: measure(forward, operations, budget),
    backward: measure(backward, operations && 2 * operations, budget),
  };
}

/** Times calls for this many milliseconds, after half as many for the engine to optimize. */
function measure(call: () => unknown, operations: number | undefined, budget: number): Measured {
  const start = performance.now();
  do call(); while (performance.now() - start < budget / 2);
  const times: number[] = [], end = performance.now() + budget;
  do {
    const before = performance.now();
    call();
    times.push(performance.now() - before);
  } while (performance.now() < end);
  const milliseconds = times.sort((a, b) => a - b)[times.length >> 1];
  const gigaflops = operations === undefined ? null : operations / milliseconds / 1e6;
  return { milliseconds, gigaflops, calls: times.length };
}

/** `1.234 ms  45.6 GFLOP/s`, as two cells. */
export function cells({ milliseconds, gigaflops }: Measured): string[] {
  return [milliseconds.toPrecision(3), gigaflops === null ? "" : gigaflops.toFixed(1)];
}
