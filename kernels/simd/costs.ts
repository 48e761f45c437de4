/**
 * What a pass costs by each algorithm, in multiply-adds of vectors: what is counted times factors that were
 * measured.
 *
 * @module
 */

import { meetingsOf, type Pass, type Phase, phasesOf } from "../passes.ts";
import { lanesTogether, type Vector } from "./vector.ts";
import { tileProducts, weightGrid, winogradCost } from "./winograd_tiles.ts";

/** What a call costs: once, to pack its weights or if they are packed already, and for each image. */
export interface Cost {
  readonly call: number;
  readonly prepared: number;
  readonly image: number;
}

/** Multiply-adds of vectors in a nanosecond, about. */
export const PER_NANOSECOND = 8;

/** What a packed weight costs beside its products, read in place. */
const LOAD_COST = 0.5;

/** Of a number of images. */
export function costOf({ call, image }: Cost, images: number): number {
  return call + image * images;
}

/** About how long an image takes, in nanoseconds: what jobs are cut by. */
export function nanosecondsOf({ image }: Cost): number {
  return image / PER_NANOSECOND;
}

/** Positions of a plane up to which images may lie in the lanes: beyond, planes are far apart. */
const MOST_POSITIONS = 256;

/** What the copies of an image in and out cost, those that pad it among them. */
function copyCost({ rows, columns, inputs, outputs, groups }: Pass): number {
  const source = inputs * rows.source.size * columns.source.size;
  return groups * (source + 1.5 * outputs * rows.target.size * columns.target.size);
}

/** Every pair of phases of a pass. */
function eachPhase(
  { rows, columns }: Pass,
  visit: (y: Phase, x: Phase, taps: number) => void,
): void {
  for (const y of phasesOf(rows)) {
    for (const x of phasesOf(columns)) visit(y, x, y.taps.length * x.taps.length);
  }
}

/** Weights of a pass. */
function weightsOf({ rows, columns, inputs, outputs, groups }: Pass): number {
  return groups * inputs * outputs * rows.taps.length * columns.taps.length;
}

/** Direct sums: a row's last vector, or pair, counts as whole. */
export function directCost(pass: Pass, vector: Vector): Cost {
  const { inputs, outputs, groups } = pass;
  let vectors = 0;
  eachPhase(pass, (y, x, taps) => {
    vectors += taps * y.count * Math.ceil(x.count / lanesTogether(vector, x.count));
  });
  const taps = pass.rows.taps.length * pass.columns.taps.length;
  return {
    call: ((pass.gradient ? 6 : 3.5) + 6 / taps) * weightsOf(pass),
    prepared: LOAD_COST * weightsOf(pass),
    image: 1.05 * vectors * groups * inputs * outputs + copyCost(pass),
  };
}

/** Products of matrices: strips of five positions, panels of two vectors or pairs of filters. */
export function gemmCost(pass: Pass, vector: Vector): Cost {
  const { inputs, outputs, groups } = pass;
  const panels = Math.ceil(outputs / (2 * lanesTogether(vector)));
  let image = 0;
  eachPhase(pass, (y, x, taps) => {
    const positions = Math.ceil(y.count * x.count / 5) * 5, steps = taps * inputs;
    // Products, the stores of their tiles, im2col, and transposing the results.
    image += positions * (2 * panels * (steps + 2) + 1.7 * steps + 0.5 * outputs);
  });
  return {
    call: (pass.gradient ? 2.3 : 0.8) * weightsOf(pass),
    prepared: LOAD_COST * weightsOf(pass),
    image: groups * image + copyCost(pass),
  };
}

/** Whether planes are close enough for images in the lanes. */
export function batchedServes({ rows, columns }: Pass): boolean {
  const source = rows.source.size * columns.source.size;
  const target = rows.target.size * columns.target.size;
  return Math.max(source, target) <= MOST_POSITIONS;
}

/** Sums with images in the lanes: nothing is multiplied with padding. */
export function batchedCost(pass: Pass, vector: Vector): Cost {
  const { rows, columns, inputs, outputs, groups } = pass;
  const products = meetingsOf(rows).length * meetingsOf(columns).length;
  const image = 1.08 * products * groups * (inputs + 7) * outputs / lanesTogether(vector) +
    copyCost(pass);
  return { call: 3 * weightsOf(pass), prepared: LOAD_COST * weightsOf(pass), image };
}

/** Winograd's algorithm, where it serves. */
export function winogradCosts(pass: Pass, vector: Vector): Cost {
  const { rows, columns, inputs, outputs } = pass;
  const weights = tileProducts(rows.taps.length, columns.taps.length) * inputs * outputs;
  const image = 1.15 * winogradCost(vector, pass) + copyCost(pass);
  return { call: 4 * weights, prepared: LOAD_COST * weights, image };
}

/** Vectors of a plane below which the memory of the sums is what takes long. */
const FEW_VECTORS = 32;

/** Direct sums of a weight gradient, which are vectors in the memory between some images. */
export function directWeightsCost(pass: Pass, vector: Vector): Cost {
  const call = 17 * weightsOf(pass), image = directCost(pass, vector).image;
  const { rows, columns } = pass;
  const vectors = rows.target.size * Math.ceil(columns.target.size / vector.lanes);
  const isBound = vectors < FEW_VECTORS && rows.taps.length * columns.taps.length > 1;
  return { call, prepared: call, image: (isBound ? 1.7 : 1.1) * image };
}

/** A weight gradient with images in the lanes: its sums are taken out of vectors in the memory. */
export function batchedWeightsCost(pass: Pass, vector: Vector): Cost {
  const { rows, columns, inputs, outputs, groups } = pass;
  const products = meetingsOf(rows).length * meetingsOf(columns).length;
  const image = 1.1 * products * groups * inputs * outputs / lanesTogether(vector) + copyCost(pass);
  const call = 10 * weightsOf(pass);
  return { call, prepared: call, image };
}

/** What the steps of a group cost, beside what they compute. */
const GROUP_COST = 3000;

/** A product of matrices of a weight gradient: strips of five filters, panels of two vectors or pairs of taps. */
export function gemmWeightsCost(pass: Pass, vector: Vector): Cost {
  const { rows, columns, groups, inputs, outputs } = pass;
  const lanes = lanesTogether(vector);
  const panels = Math.ceil(inputs * rows.taps.length * columns.taps.length / (2 * lanes));
  // For a position products, packing dout, and im2col.
  const position = Math.ceil(outputs / 5) * 10 * panels + 2 * outputs + 3 * lanes * panels;
  const image = rows.positions * columns.positions * position +
    inputs * rows.source.size * columns.source.size + (groups > 1 ? GROUP_COST : 0);
  const call = 3 * weightsOf(pass);
  return { call, prepared: call, image: groups * image };
}

/** Bytes of sums beyond which they come from the main memory. */
const CACHE_BYTES = 1 << 25;

/** Winograd's algorithm for a weight gradient. */
export function winogradWeightsCost(pass: Pass, vector: Vector): Cost {
  const { rows, columns, inputs, outputs } = pass;
  const sums = tileProducts(rows.taps.length, columns.taps.length) * inputs * outputs;
  const image = (sums * 16 > CACHE_BYTES ? 1.7 : 1.4) * winogradCost(vector, pass);
  const call = 10 * sums + (weightGrid(vector, pass).images - 1) * image;
  return { call, prepared: call, image };
}

/**
 * The fewest images for which a cost that is less for each image is less in all; undefined if never.
 *
 * @param cost The cost.
 * @param other The other.
 * @param begin Which cost of a call counts. Default: "call".
 */
export function fewestImages(
  cost: Cost,
  other: Cost,
  begin: "call" | "prepared" = "call",
): number | undefined {
  if (cost.image >= other.image) return undefined;
  return Math.max(1, Math.ceil((cost[begin] - other[begin]) / (other.image - cost.image)));
}
