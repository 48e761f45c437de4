/**
 * The drivers of generated convolutions: stage one image, run the inner function, copy the result out.
 *
 * The users' tensors stay ordinary typed arrays. Staging also converts the dtype, so an inner function sees
 * Float64Arrays alone and serves both dtypes.
 *
 * @module
 */

import { type Epilogue, finish, NO_EPILOGUE } from "../epilogue.ts";
import type { WeightedKernel } from "../kernel.ts";
import { sumRows } from "../naive/affine.ts";
import { naiveConv } from "../naive/conv.ts";
import type { AffineShape, ConvShape } from "../shape.ts";
import type { FloatArray } from "../tensor.ts";
import { asFloat64, partAsFloat64, scratch, type Use } from "./buffers.ts";
import type { GeneratedConv, GeneratedPass, PassSizes } from "./kernel.ts";
import { convStage, passSizes, stageIn, stageOut } from "./staging.ts";

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

/** A generated convolution, depthwise or not, as a kernel for one geometry. */
export function driveConv(
  generated: GeneratedConv,
  shape: ConvShape,
  depthwise = false,
): WeightedKernel {
  const { C, H, W, F, OH, OW } = shape;
  const stage = convStage(shape, depthwise);
  const groups = depthwise ? 1 : shape.groups;
  const xLength = C * H * W, outLength = F * OH * OW;

  /** Runs a pass group by group. */
  function eachGroup(pass: GeneratedPass, sizes: PassSizes, ...arrays: Float64Array[]): void {
    for (let g = 0; g < groups; g++) {
      const part = arrays.map((array) => {
        const size = array.length / groups;
        return groups === 1 ? array : array.subarray(g * size, (g + 1) * size);
      });
      pass(part[0], part[1], part[2], sizes);
    }
  }

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
    for (let n = 0; n < N; n++) {
      stageIn(x, n * xLength, C, H, W, stage.x, xs);
      ys.fill(0);
      eachGroup(generated.forward, stage.forward, xs, ws, ys);
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
    for (let n = 0; n < N; n++) {
      stageIn(dout, n * outLength, F, OH, OW, stage.dout, douts);
      dxs.fill(0);
      eachGroup(generated.backwardData, sizes, douts, ws, dxs);
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
    for (let n = 0; n < N; n++) {
      stageIn(x, n * xLength, C, H, W, stage.x, xs);
      const douts = partAsFloat64("y", dout, n * outLength, (n + 1) * outLength);
      eachGroup(generated.backwardWeights, stage.forward, xs, douts, dws);
      if (db !== undefined) addPlaneSums(douts, OH * OW, dbs);
    }
    dw.set(dws);
    db?.set(dbs);
  }

  return { name: generated.name, tier: "generated", forward, backwardData, backwardWeights };
}

/** Examples at a time: they are the columns of the staged planes. */
export const EXAMPLES = 128;

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
   * output meet in w[i * wInput + o * wOutput]. Each value is a plane whose columns are the examples.
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
