/**
 * The driver of a generated kernel: stage one image, run the inner function, copy the result out.
 *
 * Scratch is bounded by one image (and the weights in float64), shared by all kernels and reused; the
 * users' tensors stay ordinary typed arrays. Staging also converts the dtype, so an inner function sees
 * Float64Arrays alone and serves both dtypes.
 *
 * @module
 */

import { type Epilogue, finish, NO_EPILOGUE } from "../epilogue.ts";
import type { PoolKernel, WeightedKernel } from "../kernel.ts";
import { sumRows } from "../naive/affine.ts";
import { naiveConv } from "../naive/conv.ts";
import { naiveMaxPool } from "../naive/max_pool.ts";
import { Scratch } from "../scratch.ts";
import type { AffineShape, ConvShape, PoolShape } from "../shape.ts";
import type { FloatArray } from "../tensor.ts";
import type { GeneratedConv, GeneratedPool } from "./kernel.ts";
import { convStage, passSizes, poolStage, stageIn, stageOut } from "./staging.ts";

/** What scratch is for; each use has one buffer, as large as the largest request of late. */
type Use = "x" | "y" | "w" | "dw" | "dx";

interface Buffer {
  numbers: Float64Array;
  readonly scratch: Scratch;
}

function emptyBuffer(): Buffer {
  const buffer: Buffer = {
    numbers: new Float64Array(0),
    scratch: new Scratch(
      () => buffer.numbers.length,
      () => buffer.numbers = new Float64Array(0),
    ),
  };
  return buffer;
}

const buffers: Readonly<Record<Use, Buffer>> = {
  x: emptyBuffer(),
  y: emptyBuffer(),
  w: emptyBuffer(),
  dw: emptyBuffer(),
  dx: emptyBuffer(),
};

/** Scratch of a length, with whatever the last kernel left in it. */
function scratch(use: Use, length: number): Float64Array {
  const buffer = buffers[use];
  buffer.scratch.need(length);
  if (buffer.numbers.length < length) buffer.numbers = new Float64Array(length);
  return buffer.numbers.subarray(0, length);
}

/** The array itself if it is float64, else a float64 copy in scratch. */
function asFloat64(use: Use, array: FloatArray): Float64Array {
  if (array instanceof Float64Array) return array;
  const copy = scratch(use, array.length);
  copy.set(array);
  return copy;
}

/** Part of an array as float64: a view if it is float64 itself, else a copy in scratch. */
function partAsFloat64(use: Use, array: FloatArray, from: number, to: number): Float64Array {
  return asFloat64(use, array.subarray(from, to));
}

/**
 * Finishes sums plane by plane: `first` is the output plane of the first. Biases come last, as in the
 * course, so that the sums of products round as little as they can.
 */
function finishPlanes(
  planes: Float64Array,
  size: number,
  epilogue: Epilogue,
  first = 0,
): void {
  if (epilogue.bias === undefined && !epilogue.relu) return;
  for (let p = 0, i = 0; i < planes.length; p++) {
    for (const end = i + size; i < end; i++) planes[i] = finish(epilogue, planes[i], first + p);
  }
}

function allFinite(values: Float64Array): boolean {
  let sum = 0;
  // x - x is 0 for every finite x, and NaN for every other.
  for (let i = 0; i < values.length; i++) sum += values[i] - values[i];
  return sum === 0;
}

/** Adds up each of the planes. */
function addPlaneSums(planes: Float64Array, size: number, sums: Float64Array): void {
  for (let p = 0; p < sums.length; p++) {
    let sum = 0;
    for (let i = p * size; i < (p + 1) * size; i++) sum += planes[i];
    sums[p] += sum;
  }
}

/** The parts of an array that belong to the groups. */
function parts(array: Float64Array, groups: number): Float64Array[] {
  const size = array.length / groups;
  if (groups === 1) return [array];
  return Array.from({ length: groups }, (_, g) => array.subarray(g * size, (g + 1) * size));
}

/** A generated convolution as a kernel for one geometry. */
export function driveConv(generated: GeneratedConv, shape: ConvShape): WeightedKernel {
  const { C, H, W, F, OH, OW, groups } = shape;
  const stage = convStage(shape);
  const xLength = C * H * W, outLength = F * OH * OW;

  function forward(
    N: number,
    x: FloatArray,
    w: FloatArray,
    out: FloatArray,
    epilogue: Epilogue,
  ): void {
    const xs = scratch("x", C * stage.forward.xPlane).fill(0);
    const ys = scratch("y", outLength);
    const ws = asFloat64("w", w);
    const [xParts, wParts, yParts] = [xs, ws, ys].map((array) => parts(array, groups));
    for (let n = 0; n < N; n++) {
      stageIn(x, n * xLength, C, H, W, stage.x, xs);
      ys.fill(0);
      for (let g = 0; g < groups; g++) {
        generated.forward(xParts[g], wParts[g], yParts[g], stage.forward);
      }
      finishPlanes(ys, OH * OW, epilogue);
      out.set(ys, n * outLength);
    }
  }

  function backwardData(
    N: number,
    dout: FloatArray,
    w: FloatArray,
    dx: FloatArray,
    epilogue: Epilogue = NO_EPILOGUE,
  ): void {
    const sizes = stage.backwardData;
    const douts = scratch("y", F * sizes.xPlane).fill(0);
    const dxs = scratch("dx", C * sizes.yPlane);
    const ws = asFloat64("w", w);
    // The border's zeros times infinity would be NaN where the definition has no product.
    if (!allFinite(ws)) return naiveConv(shape).backwardData(N, dout, w, dx, epilogue);
    const [doutParts, wParts, dxParts] = [douts, ws, dxs].map((array) => parts(array, groups));
    for (let n = 0; n < N; n++) {
      stageIn(dout, n * outLength, F, OH, OW, stage.dout, douts);
      dxs.fill(0);
      for (let g = 0; g < groups; g++) {
        generated.backwardData(doutParts[g], wParts[g], dxParts[g], sizes);
      }
      finishPlanes(dxs, sizes.yPlane, epilogue);
      stageOut(dxs, C, H, W, stage.dx, dx, n * xLength);
    }
  }

  function backwardWeights(
    N: number,
    x: FloatArray,
    dout: FloatArray,
    dw: FloatArray,
    db?: FloatArray,
  ): void {
    const xs = scratch("x", C * stage.forward.xPlane).fill(0);
    const dws = scratch("dw", dw.length).fill(0);
    const dbs = new Float64Array(F);
    const [xParts, dwParts] = [xs, dws].map((array) => parts(array, groups));
    for (let n = 0; n < N; n++) {
      stageIn(x, n * xLength, C, H, W, stage.x, xs);
      const douts = partAsFloat64("y", dout, n * outLength, (n + 1) * outLength);
      const doutParts = parts(douts, groups);
      for (let g = 0; g < groups; g++) {
        generated.backwardWeights(xParts[g], doutParts[g], dwParts[g], stage.forward);
      }
      if (db !== undefined) addPlaneSums(douts, OH * OW, dbs);
    }
    dw.set(dws);
    db?.set(dbs);
  }

  return { name: generated.name, tier: "generated", forward, backwardData, backwardWeights };
}

/** A generated max-pool as a kernel for one geometry. */
export function driveMaxPool(generated: GeneratedPool, shape: PoolShape): PoolKernel {
  const { C, H, W, OH, OW } = shape;
  const { sizes, x: placement } = poolStage(shape);
  const padded = placement.height > H || placement.width > W;
  const sizesOfImage = { ...sizes, planes: C };
  const xLength = C * H * W, stagedLength = C * sizes.xPlane, outLength = C * OH * OW;

  /** A border of minus infinity, for stageIn to leave as it is. */
  function border(): Float64Array {
    return scratch("x", stagedLength).fill(-Infinity);
  }

  function forward(N: number, x: FloatArray, out: FloatArray): void {
    // Without a border or a conversion there is nothing to stage.
    if (!padded && x instanceof Float64Array && out instanceof Float64Array) {
      generated.forward(x, out, { ...sizes, planes: N * C });
      return;
    }
    const xs = border();
    const ys = scratch("y", outLength);
    for (let n = 0; n < N; n++) {
      stageIn(x, n * xLength, C, H, W, placement, xs);
      generated.forward(xs, ys, sizesOfImage);
      out.set(ys, n * outLength);
    }
  }

  function backward(N: number, x: FloatArray, dout: FloatArray, dx: FloatArray): void {
    if (
      !padded && x instanceof Float64Array && dout instanceof Float64Array &&
      dx instanceof Float64Array
    ) {
      dx.fill(0);
      generated.backward(x, dout, dx, { ...sizes, planes: N * C });
      return;
    }
    const xs = border();
    const dxs = scratch("dx", stagedLength);
    for (let n = 0; n < N; n++) {
      const at = n * xLength, image = x.subarray(at, at + xLength);
      const gradient = dout.subarray(n * outLength, (n + 1) * outLength);
      // A window whose real numbers are all minus infinity ties with its border, which may stand
      // first and take the gradient: the definition gives it to the real number.
      if (padded && image.includes(-Infinity)) {
        naiveMaxPool(shape).backward(1, image, gradient, dx.subarray(at, at + xLength));
        continue;
      }
      stageIn(x, at, C, H, W, placement, xs);
      dxs.fill(0);
      generated.backward(xs, asFloat64("y", gradient), dxs, sizesOfImage);
      stageOut(dxs, C, H, W, placement, dx, at);
    }
  }

  return { name: generated.name, tier: "generated", forward, backward };
}

/** Examples at a time: they are the columns of the staged planes. */
const EXAMPLES = 128;

/** Numbers of an example at a time: with 128 examples they fill half a megabyte of scratch. */
const NUMBERS = 512;

/**
 * A fully-connected layer by the 1x1 convolution: its three products mix the rows of one matrix by the
 * numbers of another, as a 1x1 convolution mixes the planes of its channels.
 */
export function driveAffine(pointwise: GeneratedConv, { D, M }: AffineShape): WeightedKernel {
  /** Calls back for every block of at most `size`. */
  function blocks(count: number, size: number, each: (from: number, length: number) => void) {
    for (let from = 0; from < count; from += size) each(from, Math.min(size, count - from));
  }

  /**
   * target (N, outputs) = source (N, inputs) times w, where number i of the input and number o of the
   * output meet in w[i * wInput + o * wOutput]. Each number is a plane whose columns are the examples.
   */
  function product(
    N: number,
    source: FloatArray,
    inputs: number,
    w: FloatArray,
    wInput: number,
    wOutput: number,
    target: FloatArray,
    outputs: number,
    epilogue: Epilogue,
  ): void {
    blocks(N, EXAMPLES, (n, examples) => {
      blocks(outputs, NUMBERS, (o, os) => {
        const ys = scratch("y", os * examples).fill(0);
        blocks(inputs, NUMBERS, (i, is) => {
          const xs = transposed("x", source, inputs, n, examples, i, is);
          const from = i * wInput + o * wOutput;
          const to = from + (is - 1) * wInput + (os - 1) * wOutput + 1;
          const ws = partAsFloat64("w", w, from, to);
          const row = { height: 1, width: examples };
          const sizes = passSizes([is, os], [1, examples], row, row, [wInput, wOutput]);
          pointwise.forward(xs, ws, ys, sizes);
        });
        finishPlanes(ys, examples, epilogue, o);
        for (let e = 0; e < examples; e++) {
          const row = (n + e) * outputs + o;
          for (let i = 0; i < os; i++) target[row + i] = ys[i * examples + e];
        }
      });
    });
  }

  function forward(
    N: number,
    x: FloatArray,
    w: FloatArray,
    out: FloatArray,
    epilogue: Epilogue,
  ): void {
    product(N, x, D, w, M, 1, out, M, epilogue);
  }

  function backwardData(N: number, dout: FloatArray, w: FloatArray, dx: FloatArray): void {
    product(N, dout, M, w, 1, M, dx, D, NO_EPILOGUE);
  }

  function backwardWeights(
    N: number,
    x: FloatArray,
    dout: FloatArray,
    dw: FloatArray,
    db?: FloatArray,
  ): void {
    // Here the planes are rows of dout and of dw as they lie, and x holds the weights.
    blocks(D, NUMBERS, (d, ds) => {
      blocks(M, NUMBERS, (m, ms) => {
        const dws = scratch("dw", ds * ms).fill(0);
        blocks(N, EXAMPLES, (n, examples) => {
          const last = n + examples - 1;
          const douts = partAsFloat64("y", dout, n * M + m, last * M + m + ms);
          const xs = partAsFloat64("x", x, n * D + d, last * D + d + ds);
          const row = { height: 1, width: M }, sums = { height: 1, width: ms };
          pointwise.forward(douts, xs, dws, passSizes([examples, ds], [1, ms], row, sums, [D, 1]));
        });
        for (let i = 0; i < ds; i++) {
          dw.set(dws.subarray(i * ms, (i + 1) * ms), (d + i) * M + m);
        }
      });
    });
    if (db !== undefined) sumRows(N, dout, db);
  }

  return { name: "affine-generated", tier: "generated", forward, backwardData, backwardWeights };
}

/** A block of a matrix of examples (N, width) in scratch, numbers as rows and examples as columns. */
function transposed(
  use: Use,
  source: FloatArray,
  width: number,
  n: number,
  examples: number,
  from: number,
  count: number,
): Float64Array {
  const target = scratch(use, count * examples);
  for (let e = 0; e < examples; e++) {
    const row = (n + e) * width + from;
    for (let i = 0; i < count; i++) target[i * examples + e] = source[row + i];
  }
  return target;
}

/** Bytes of scratch held now: what the largest image and weights of late have needed. */
export function scratchBytes(): number {
  return Object.values(buffers).reduce((bytes, { numbers }) => bytes + numbers.byteLength, 0);
}
