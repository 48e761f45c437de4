/**
 * What an image of a pass costs by each algorithm, in multiply-adds of vectors: measured factors times what
 * is counted. The packing of weights, which a call does once, is apart.
 *
 * @module
 */

import { meetingsOf, type Pass, phasesOf } from "../passes.ts";
import type { Vector } from "./vector.ts";
import { winogradCost } from "./winograd_tiles.ts";

/** Positions of a plane up to which images may lie in the lanes: beyond, planes are far apart. */
const MOST_POSITIONS = 256;
/** What the sums of a tile cost beside their terms, in terms. */
const TILE_TERMS = 7;
/** What a weight costs to be packed. */
const PACK_COST = 3;
/** How much faster a special algorithm must look to be chosen. */
const MARGIN = 1.08;
/** Winograd's algorithm is that much slower than it counts. */
const WINOGRAD_FACTOR = 1.15;

/** Direct sums: a row's last vector counts as whole. */
export function directCost(
  { rows, columns, inputs, outputs, groups }: Pass,
  { lanes }: Vector,
): number {
  let vectors = 0;
  for (const y of phasesOf(rows)) {
    for (const x of phasesOf(columns)) {
      vectors += y.taps.length * y.count * x.taps.length * Math.ceil(x.count / lanes);
    }
  }
  return vectors * groups * inputs * outputs;
}

/** Sums with images in the lanes: nothing is multiplied with padding. */
export function batchedCost(
  { rows, columns, inputs, outputs, groups }: Pass,
  { lanes }: Vector,
): number {
  const products = meetingsOf(rows).length * meetingsOf(columns).length;
  return products * groups * (inputs + TILE_TERMS) * outputs / lanes;
}

/**
 * The fewest images for which images should lie in the lanes; undefined if that does not pay.
 *
 * @param pass The pass.
 * @param vector The kind of vector.
 * @param winograd Whether the other choice is Winograd's algorithm.
 */
export function fewestBatched(pass: Pass, vector: Vector, winograd: boolean): number | undefined {
  const { rows, columns, inputs, outputs, groups } = pass;
  const positions = Math.max(
    rows.source.size * columns.source.size,
    rows.target.size * columns.target.size,
  );
  if (positions > MOST_POSITIONS) return undefined;
  const other = winograd ? WINOGRAD_FACTOR * winogradCost(vector, pass) : directCost(pass, vector);
  const saved = other - MARGIN * batchedCost(pass, vector);
  if (saved <= 0) return undefined;
  const packing = PACK_COST * groups * inputs * outputs * rows.taps.length * columns.taps.length;
  return Math.max(vector.lanes, Math.ceil(packing / saved));
}
