/**
 * What trains a recipe: its images and its solver.
 *
 * @module
 */

import {
  channelStatistics,
  type Cifar10Data,
  cropAndMirror,
  normalize,
  type RandomState,
  Solver,
} from "../../mod.ts";
import type { UpdateOptions } from "../../tools/ranks.ts";
import { readCifar10 } from "./cifar10.ts";
import type { Recipe } from "./recipes.ts";

/** CIFAR-10, and the way back from number i of some images to the pixel's value. */
export interface RecipeData extends Cifar10Data<Float32Array> {
  readonly pixel: (value: number, i: number) => number;
}

/**
 * Reads CIFAR-10 as a recipe wants it.
 *
 * @param folder Where it is.
 * @param recipe The recipe.
 * @param options At most how many images to train on, and whether to fetch what is missing.
 * @returns The images, of mean 0.
 * @throws {InputError} If there is no data, or a file is damaged.
 */
export async function readForRecipe(
  folder: string,
  { numTraining, numTest = 1000, normalize: isNormalized = false }: Recipe,
  { limit = Infinity, download = false }: { limit?: number; download?: boolean } = {},
): Promise<RecipeData> {
  const count = Math.min(limit, numTraining);
  const data = await readCifar10(folder, download, count, { numTest, subtractMean: !isNormalized });
  const { meanImage } = data, size = meanImage.data.length;
  if (!isNormalized) return { ...data, pixel: (value, i) => value + meanImage.data[i % size] };
  const statistics = channelStatistics(data.xTrain), { mean, deviation } = statistics;
  for (const x of [data.xTrain, data.xVal, data.xTest]) normalize(x, statistics);
  const plane = size / mean.length;
  const color = (i: number) => Math.floor(i % size / plane);
  return { ...data, pixel: (value, i) => value * deviation[color(i)] + mean[color(i)] };
}

/** What may differ from the recipe, and the random numbers. */
export interface RecipeChanges {
  readonly numEpochs?: number;
  /** How an update is made of a batch. */
  readonly update?: UpdateOptions;
  readonly learningRate?: number;
  readonly crop?: number;
  /** Mirrors half of the images, whatever the recipe says. */
  readonly mirror?: boolean;
  /** Whether learning rates and norms of gradients are recorded. Default: false. */
  readonly recordUpdates?: boolean;
  readonly random: RandomState;
}

/**
 * The solver of a recipe.
 *
 * @param recipe The recipe.
 * @param net Its net.
 * @param data What to train on.
 * @param changes What differs from the recipe.
 * @returns The solver, which prints nothing.
 */
export function recipeSolver(
  recipe: Recipe,
  net: ReturnType<Recipe["net"]>,
  data: RecipeData,
  changes: RecipeChanges,
): Solver<Float32Array> {
  const { padding, solver } = recipe, { learningRate = recipe.learningRate } = changes;
  const pad = changes.crop ?? recipe.crop, mirror = recipe.mirror || changes.mirror;
  return new Solver(net, data, {
    ...solver,
    ...changes.update,
    numEpochs: changes.numEpochs ?? solver.numEpochs,
    optimConfig: { ...recipe.optimConfig, learningRate },
    paramGroups: recipe.paramGroups?.(learningRate),
    augment: pad > 0 || mirror ? cropAndMirror({ pad, padding, mirror }) : undefined,
    verbose: false,
    recordUpdates: changes.recordUpdates,
    random: changes.random,
  });
}
