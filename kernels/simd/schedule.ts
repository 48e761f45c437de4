/**
 * Schedules as data: how a pass runs, apart from what it computes. One function chooses a convolution's;
 * a bench or a test may hand in others.
 *
 * @module
 */

import { forwardPass, gradientPass, type Pass } from "../passes.ts";
import type { ConvShape } from "../shape.ts";
import { fewestBatched } from "./costs.ts";
import type { Features } from "./features.ts";
import { DEPTHWISE_STRIDE, DEPTHWISE_TAPS, MAX_UNROLLED_TAPS, type Tile } from "./tiles.ts";
import type { Vector } from "./vector.ts";
import { winogradPays, winogradServes, winogradServesWeights } from "./winograd_tiles.ts";

/** How sums are formed. */
export type Algorithm = "direct" | "depthwise" | "winograd" | "batched";

/** How one pass runs. */
export interface Schedule {
  readonly algorithm: Algorithm;
  /** The fewest images that are summed up with images in the lanes, if that is ever done. */
  readonly batched?: number;
  /** The register tile. Default: the cheapest by the rule of tiles.ts. */
  readonly tile?: Tile;
  /** Taps of a kernel that are written out; the rows of a larger one are looped over. */
  readonly unrolledTaps: number;
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

/** The schedule of a convolution. */
export function scheduleConv(
  shape: ConvShape,
  vector: Vector,
  { reassociate }: Features,
): ConvSchedule {
  const { OH, OW, KH, KW, strideY, strideX } = shape;
  const forward = forwardPass(shape), gradient = gradientPass(shape);
  const depthwise = forward.inputs * forward.outputs === 1 && shape.groups > 1 &&
    KH * KW <= DEPTHWISE_TAPS && Math.max(strideY, strideX) <= DEPTHWISE_STRIDE;
  const algorithm = (pass: Pass): Algorithm => {
    if (depthwise) return "depthwise";
    const fits = reassociate && winogradServes(pass) && winogradPays(vector, pass);
    return fits ? "winograd" : "direct";
  };
  const imageBatch = Math.min(
    MOST_IMAGES,
    Math.ceil(VECTORS / (OH * Math.ceil(OW / vector.lanes))),
  );
  const common = { unrolledTaps: depthwise ? DEPTHWISE_TAPS : MAX_UNROLLED_TAPS, imageBatch };
  const scheduled = (pass: Pass, chosen: Algorithm): Schedule => ({
    algorithm: chosen,
    ...common,
    batched: depthwise ? undefined : fewestBatched(pass, vector, chosen === "winograd"),
  });
  const forForward = algorithm(forward);
  const forDw = forForward === "winograd" && !winogradServesWeights(forward)
    ? "direct"
    : forForward;
  return {
    forward: scheduled(forward, forForward),
    dx: scheduled(gradient, algorithm(gradient)),
    dw: scheduled(forward, forDw),
  };
}
