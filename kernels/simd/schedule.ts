/**
 * Schedules as data: how a pass runs, apart from what it computes. One function chooses a convolution's;
 * a bench or a test may hand in others.
 *
 * @module
 */

import { forwardPass, gradientPass, type Pass } from "../passes.ts";
import type { ConvShape } from "../shape.ts";
import { panelImages, weightPanelImages } from "./batched.ts";
import {
  batchedCost,
  batchedServes,
  batchedWeightsCost,
  type Cost,
  costOf,
  directCost,
  directWeightsCost,
  fewestImages,
  gemmCost,
  gemmWeightsCost,
  winogradCosts,
  winogradWeightsCost,
} from "./costs.ts";
import type { Features } from "./features.ts";
import { gemmServesWeights } from "./gemm_weights.ts";
import { DEPTHWISE_STRIDE, DEPTHWISE_TAPS, MAX_UNROLLED_TAPS, type Tile } from "./tiles.ts";
import { lanesTogether, type Vector } from "./vector.ts";
import { winogradPays, winogradServes, winogradServesWeights } from "./winograd_tiles.ts";

/** How sums are formed. */
export type Algorithm = "direct" | "depthwise" | "winograd" | "batched" | "gemm";

/** An algorithm as it serves one kind of pass. */
export interface Option {
  /** Whether it is for a pass. */
  serves(pass: Pass, features: Features): boolean;
  /** What a pass that it is for costs. */
  costOf(pass: Pass, vector: Vector): Cost;
}

/** Every algorithm of a kind of pass. */
export type Options = Readonly<Record<Algorithm, Option>>;

function depthwiseServes({ rows, columns, groups, inputs, outputs }: Pass): boolean {
  const strides = [rows, columns].map(({ sourceStep, targetStep }) => sourceStep * targetStep);
  return inputs * outputs === 1 && groups > 1 &&
    rows.taps.length * columns.taps.length <= DEPTHWISE_TAPS &&
    Math.max(...strides) <= DEPTHWISE_STRIDE;
}

/** The algorithms of passes that write images: forward, and the gradient of the input. */
export const imageOptions: Options = {
  direct: { serves: () => true, costOf: directCost },
  depthwise: { serves: depthwiseServes, costOf: directCost },
  gemm: { serves: () => true, costOf: gemmCost },
  batched: { serves: batchedServes, costOf: batchedCost },
  winograd: {
    serves: (pass, { reassociate }) => reassociate && winogradServes(pass),
    costOf: winogradCosts,
  },
};

/** The algorithms of weight gradients, which walk as the forward pass does. */
export const weightOptions: Options = {
  direct: { serves: () => true, costOf: directWeightsCost },
  depthwise: { serves: depthwiseServes, costOf: directWeightsCost },
  gemm: {
    // Its sums have an order of their own: not that of reproducible arithmetic so far.
    serves: (pass, { reassociate }) => reassociate && gemmServesWeights(pass),
    costOf: gemmWeightsCost,
  },
  batched: { serves: batchedServes, costOf: batchedWeightsCost },
  winograd: {
    serves: (pass, { reassociate }) =>
      reassociate && winogradServes(pass) && winogradServesWeights(pass),
    costOf: winogradWeightsCost,
  },
};

/** The algorithms of a pass, by the number of images. */
export interface Choice {
  readonly algorithm: Algorithm;
  /** The fewest images that are summed up with images in the lanes, if that is ever done. */
  readonly batched?: number;
  /** The fewest images of a rest that are, where it does not fill the lanes. Default: the same. */
  readonly batchedRest?: number;
  /**
   * The most images that a simpler algorithm does, where this one takes longer to begin: products of matrices,
   * or direct sums of a weight gradient.
   */
  readonly few?: number;
  /** Which that is for a weight gradient. Default: direct sums. */
  readonly fewBy?: "gemm";
  /** The same, if weights are packed already. */
  readonly fewPrepared?: number;
}

/** How one pass runs. */
export interface Schedule extends Choice {
  /** The register tile. Default: the cheapest by the rule of tiles.ts. */
  readonly tile?: Tile;
  /** Taps of a kernel that are written out; the rows of a larger one are looped over. */
  readonly unrolledTaps: number;
  /** Vectors of tiles of a block of Winograd's algorithm. Default: by the rule of winograd_tiles.ts. */
  readonly vectors?: number;
  /** Images that are held at a time while a weight gradient is summed. */
  readonly imageBatch: number;
}

/** How the passes of a convolution run. */
export interface ConvSchedule {
  readonly forward: Schedule;
  readonly dx: Schedule;
  readonly dw: Schedule;
}

/**
 * Vectors of dout that a sum of a weight gradient should meet before it goes back to memory: small images
 * come several at a time, but no more than so many.
 */
const VECTORS = 64;
const MOST_IMAGES = 16;

/** The algorithms of a pass whose images are computed one by one. */
function scheduleImages(pass: Pass, vector: Vector, features: Features): Choice {
  const options = imageOptions;
  const direct = options.direct.costOf(pass, vector), gemm = options.gemm.costOf(pass, vector);
  // Direct sums are the simpler code: products of matrices must save something in a call of one image.
  const byGemm = gemm.image < 1.05 * direct.image && costOf(gemm, 1) < 0.95 * costOf(direct, 1);
  const tiles = options.winograd.serves(pass, features) && winogradPays(vector, pass)
    ? options.winograd.costOf(pass, vector)
    : undefined;
  // Products of matrices may be faster for any number of images.
  const winograd = tiles && fewestImages(tiles, gemm) === undefined ? undefined : tiles;
  const algorithm = winograd ? "winograd" : byGemm ? "gemm" : "direct";
  const best = winograd ?? (byGemm ? gemm : direct);
  // Where packing weights is what takes long: products of matrices pack theirs sooner than direct sums do.
  const isSooner = winograd !== undefined || costOf(gemm, 1) < 0.95 * costOf(direct, 1);
  const few = isSooner ? (fewestImages(best, gemm) ?? 1) - 1 : 0;
  return {
    algorithm,
    ...few > 0 && { few, fewPrepared: (fewestImages(best, gemm, "prepared") ?? 1) - 1 },
    ...batchedChoice(options, pass, vector, features, best),
  };
}

/** From how many images on they should lie in the lanes, if that pays. */
function batchedChoice(
  { batched }: Options,
  pass: Pass,
  vector: Vector,
  features: Features,
  other: Cost,
  together = panelImages(vector),
): Pick<Choice, "batched" | "batchedRest"> {
  if (!batched.serves(pass, features)) return {};
  const cost = batched.costOf(pass, vector);
  // Panels are computed whole: a rest must be worth one.
  const panel = together * cost.image, saved = together * other.image - panel;
  if (saved <= 0) return {};
  const begin = cost.call - other.call;
  const first = Math.ceil((begin + panel) / other.image);
  const fewest = first <= together ? first : Math.ceil(begin / saved) * together;
  const batchedRest = Math.ceil(panel / other.image);
  return { batched: Math.max(lanesTogether(vector), fewest), batchedRest };
}

/** How many of N images lie in the lanes: too few, or a rest of few, do not. */
export function batchedCount(
  N: number,
  { batched = Infinity, batchedRest = batched }: Choice,
  together: number,
): number {
  const rest = N % together, count = rest < batchedRest ? N - rest : N;
  return count < batched ? 0 : count;
}

/** Whether all of N images lie in the lanes, where it must be all or none. */
export function areBatched(
  N: number,
  { batched = Infinity, batchedRest = batched }: Choice,
  together: number,
): boolean {
  return N >= batched && Math.ceil(N / together) * Math.min(batchedRest, together) <= N;
}

/** What products of matrices must save of a weight gradient of one image: about two microseconds. */
const FEWEST_SAVED = 1 << 14;

/** The algorithms of a weight gradient. */
function scheduleWeights(pass: Pass, vector: Vector, features: Features): Choice {
  const options = weightOptions;
  const winograd = options.winograd.serves(pass, features) && winogradPays(vector, pass);
  const direct = options.direct.costOf(pass, vector);
  const gemm = options.gemm.serves(pass, features) ? options.gemm.costOf(pass, vector) : direct;
  // As above: products of matrices must save something.
  const byGemm = costOf(gemm, 1) < 0.9 * costOf(direct, 1) - FEWEST_SAVED;
  const simple = byGemm ? gemm : direct;
  const most = winograd ? options.winograd.costOf(pass, vector) : direct;
  // The sums of many images are taken out once for some of them: their products are what counts.
  const { image } = imageOptions.direct.costOf(pass, vector);
  const from = fewestImages(winograd ? most : { ...direct, image }, simple);
  const algorithm = from === undefined && byGemm ? "gemm" : winograd ? "winograd" : "direct";
  const best = algorithm === "gemm" ? gemm : most;
  const few = algorithm === "gemm" ? 0 : (from ?? 1) - 1;
  const together = weightPanelImages(vector);
  const many = batchedChoice(options, pass, vector, features, best, together);
  const some = byGemm ? batchedChoice(options, pass, vector, features, gemm, together) : {};
  // Images in the lanes are asked before products of matrices, but after direct sums of few images.
  const isSooner = some.batched !== undefined && some.batched <= few;
  return {
    algorithm,
    ...few > 0 && { few, ...byGemm && { fewBy: "gemm" } },
    ...many,
    ...many.batched && { batched: isSooner ? some.batched : Math.max(many.batched, few + 1) },
  };
}

/** The schedule of a convolution. */
export function scheduleConv(
  shape: ConvShape,
  vector: Vector,
  features: Features,
): ConvSchedule {
  const { OH, OW } = shape;
  const forward = forwardPass(shape), gradient = gradientPass(shape);
  const imageBatch = Math.min(
    MOST_IMAGES,
    Math.ceil(VECTORS / (OH * Math.ceil(OW / vector.lanes))),
  );
  if (imageOptions.depthwise.serves(forward, features)) {
    const all = { algorithm: "depthwise", unrolledTaps: DEPTHWISE_TAPS, imageBatch } as const;
    return { forward: all, dx: all, dw: all };
  }
  const common = { unrolledTaps: MAX_UNROLLED_TAPS, imageBatch };
  return {
    forward: { ...scheduleImages(forward, vector, features), ...common },
    dx: { ...scheduleImages(gradient, vector, features), ...common },
    dw: { ...scheduleWeights(forward, vector, features), ...common },
  };
}
