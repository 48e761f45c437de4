/**
 * The course's experiments on CIFAR-10 and two beyond, as data.
 *
 * @module
 */

import {
  ConvNet,
  cosineSchedule,
  type CropAndMirrorOptions,
  type LayeredNet,
  lookahead,
  type ParamGroup,
  type RandomState,
  type SolverOptions,
  type Tensor,
  type TestTimeOptions,
  ThreeLayerConvNet,
  triangularSchedule,
} from "../../mod.ts";
import { fastNet, whiten } from "./fast.ts";
import { resnet } from "./resnet.ts";

/** A net, how it is trained, and what it should reach. */
export interface Recipe {
  readonly about: string;
  /** Images to train on. */
  readonly numTraining: number;
  readonly net: (random: RandomState, reg: number) => LayeredNet<"float32">;
  /** Whether each color is brought to mean 0 and deviation 1; else the mean image is subtracted. */
  readonly normalize?: boolean;
  /** Gives a net what it takes from the images to train on. */
  readonly prepare?: (net: LayeredNet<"float32">, x: Tensor) => void;
  /** Strength of the L2 penalty. */
  readonly reg: number;
  /** How far a step goes. */
  readonly learningRate: number;
  /** Settings of the update rule beside the learning rate, and of the solver. */
  readonly optimConfig?: SolverOptions["optimConfig"];
  /** Settings of some parameters, from the learning rate of the others. */
  readonly paramGroups?: (learningRate: number) => readonly ParamGroup[];
  readonly solver:
    & Required<Pick<SolverOptions, "updateRule" | "batchSize" | "numEpochs">>
    & SolverOptions;
  /** Whether images are shifted by up to this many pixels, what comes in, and whether they are mirrored. */
  readonly crop: number;
  readonly padding?: CropAndMirrorOptions["padding"];
  readonly mirror: NonNullable<CropAndMirrorOptions["mirror"]>;
  /** Images to test on, and the views of each. Default: 1,000, and the image itself. */
  readonly numTest?: number;
  readonly testTime?: TestTimeOptions;
  /** What it should reach: an accuracy, and of which images. */
  readonly goal: { readonly of: "training" | "validation" | "test"; readonly accuracy: number };
}

const dtype = "float32";

/**
 * Settings of "fast" for a batch of so many. The paper's step for 1,024 images is 11.5 for the sum of
 * their losses, over 1024 (1 + 1 / (1 - momentum)); for the mean it is 1,024 times as much. Its decay of
 * 0.0153, over the same, goes through the momentum, which makes it 1 / (1 - momentum) times larger.
 */
const FAST = { batch: 250, momentum: 0.85, biasScale: 64, perUpdate: 1 + 1 / (1 - 0.85) };
const FAST_RATE = 11.5 / FAST.perUpdate * FAST.batch / 1024;
const FAST_DECAY = 0.0153 / 11.5 / (1 - FAST.momentum);

/** The recipes by name. */
export const recipes = {
  overfit: {
    about: "overfits 100 images: shows that a net can learn at all",
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
    about: "a deeper net of six convolutions, augmented images: half an hour",
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
  resnet20: {
    about: "ResNet-20, ten epochs: half an hour",
    numTraining: 49_000,
    net: (random, reg) => resnet(3, random, reg),
    normalize: true,
    reg: 1e-4,
    learningRate: 0.1,
    solver: {
      updateRule: "sgdNesterovMomentum",
      batchSize: 128,
      numEpochs: 10,
      schedule: cosineSchedule({ warmup: 0.1 }),
      shuffle: true,
    },
    crop: 4,
    mirror: true,
    numTest: 10_000,
    goal: { of: "test", accuracy: 0.8 },
  },
  fast: {
    about: "airbench94, which starts from whitened patches: 45 minutes on two cores",
    numTraining: 49_000,
    net: fastNet,
    normalize: true,
    prepare: whiten,
    reg: 0,
    learningRate: FAST_RATE,
    optimConfig: { momentum: FAST.momentum, weightDecay: FAST_DECAY },
    paramGroups: (learningRate) => [{
      params: /^beta/,
      learningRate: FAST.biasScale * learningRate,
      weightDecay: FAST_DECAY / FAST.biasScale,
    }],
    solver: {
      updateRule: "sgdNesterovMomentum",
      batchSize: FAST.batch,
      numEpochs: 10,
      schedule: triangularSchedule({ start: 0.2, peak: 0.23, end: 0.07 }),
      shuffle: true,
      frozen: ["W1", /^gamma/, "b8"],
      average: lookahead({ every: Math.round(5 * 1024 / FAST.batch) }),
      restoreBest: false,
    },
    crop: 2,
    padding: "reflect",
    mirror: "alternate",
    numTest: 10_000,
    testTime: { mirror: true, shift: 1 },
    goal: { of: "test", accuracy: 0.93 },
  },
} satisfies Record<string, Recipe>;
