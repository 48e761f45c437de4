/**
 * The course's experiments on CIFAR-10, as data.
 *
 * @module
 */

import {
  ConvNet,
  cosineSchedule,
  type LayeredNet,
  type RandomState,
  type SolverOptions,
  ThreeLayerConvNet,
} from "../../mod.ts";

/** A net, how it is trained, and what it should reach. */
export interface Recipe {
  readonly about: string;
  /** Pictures to train on. */
  readonly numTraining: number;
  readonly net: (random: RandomState, reg: number) => LayeredNet<"float32">;
  /** Strength of the L2 penalty. */
  readonly reg: number;
  /** How far a step goes. */
  readonly learningRate: number;
  /** Settings of the update rule beside the learning rate, and of the solver. */
  readonly optimConfig?: SolverOptions["optimConfig"];
  readonly solver:
    & Required<Pick<SolverOptions, "updateRule" | "batchSize" | "numEpochs">>
    & SolverOptions;
  /** Whether pictures are shifted by up to so many pixels, and mirrored. */
  readonly crop: number;
  readonly mirror: boolean;
  /** What it should reach: an accuracy, and of which pictures. */
  readonly goal: { readonly of: "training" | "validation"; readonly accuracy: number };
}

const dtype = "float32";

/** The recipes by name. */
export const recipes = {
  overfit: {
    about: "100 pictures, learned by heart: shows that a net can learn at all",
    numTraining: 100,
    net: (random, reg) => new ThreeLayerConvNet({ weightScale: 1e-2, reg, dtype, random }),
    reg: 0,
    learningRate: 1e-3,
    solver: { updateRule: "adam", batchSize: 50, numEpochs: 15 },
    crop: 0,
    mirror: false,
    goal: { of: "training", accuracy: 0.9 },
  },
  epoch: {
    about: "one epoch of the three-layer net",
    numTraining: 49_000,
    net: (random, reg) =>
      new ThreeLayerConvNet({ hiddenDim: 500, weightScale: 1e-3, reg, dtype, random }),
    reg: 1e-3,
    learningRate: 1e-3,
    solver: { updateRule: "adam", batchSize: 50, numEpochs: 1 },
    crop: 0,
    mirror: false,
    goal: { of: "training", accuracy: 0.4 },
  },
  course: {
    about: "the three-layer net, past the bar that the course sets: ten minutes",
    numTraining: 49_000,
    net: (random, reg) =>
      new ThreeLayerConvNet({
        filterSize: 5,
        hiddenDim: 256,
        batchnorm: true,
        weightScale: "he",
        reg,
        dtype,
        random,
      }),
    reg: 1e-3,
    learningRate: 1e-3,
    solver: {
      updateRule: "adam",
      batchSize: 100,
      numEpochs: 8,
      schedule: cosineSchedule({ floor: 0.01 }),
    },
    crop: 0,
    mirror: true,
    goal: { of: "validation", accuracy: 0.65 },
  },
  deep: {
    about: "a deeper net of six convolutions, augmented pictures: half an hour",
    numTraining: 49_000,
    net: (random, reg) =>
      new ConvNet({
        blocks: [
          { conv: 32, batchnorm: true, pool: 2 },
          { conv: 64, batchnorm: true },
          { conv: 64, batchnorm: true, pool: 2 },
          { conv: 128, batchnorm: true },
          { conv: 128, batchnorm: true, pool: 2 },
          { conv: 256, batchnorm: true },
          { globalAverage: true },
        ],
        reg,
        dtype,
        random,
      }),
    reg: 0,
    learningRate: 4e-3,
    optimConfig: { weightDecay: 0.05 },
    solver: {
      updateRule: "adamw",
      batchSize: 100,
      numEpochs: 9,
      schedule: cosineSchedule({ warmup: 0.1, floor: 0.001 }),
    },
    crop: 4,
    mirror: true,
    goal: { of: "validation", accuracy: 0.8 },
  },
} satisfies Record<string, Recipe>;
