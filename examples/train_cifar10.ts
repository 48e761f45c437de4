/**
 * `deno task cifar10`: the course's experiments on CIFAR-10.
 *
 * @module
 */

import {
  cifar10Classes,
  type Cifar10Data,
  RandomState,
  tensor,
  testTimeScores,
  ThreeLayerConvNet,
  topKAccuracy,
  useKernels,
  useThreads,
} from "../mod.ts";
import type { Mpi } from "../io/mpi.ts";
import {
  flag,
  InputError,
  number,
  path,
  runCommand,
  SEEDS,
  threads,
  type Values,
  whole,
  word,
} from "../tools/options.ts";
import { CheckpointFile, trainAndKeep } from "../tools/checkpoint.ts";
import { readCifar10 } from "./lib/cifar10.ts";
import { plots, Report, tryReport } from "../tools/plots/report.ts";
import { percent } from "../tools/progress.ts";
import { onRanks, rankOptions, readInTurn, updateOptions } from "../tools/ranks.ts";
import { readForRecipe, recipeSolver } from "./lib/recipe_solver.ts";
import { type Recipe, recipes } from "./lib/recipes.ts";
import { exitCode, kernelTable, outcome, table } from "../tools/report.ts";

const ofRecipe = "default: the recipe's";
const options = {
  recipe: word(
    "course",
    ["check", "overfit", "epoch", "course", "deep", "resnet20", "fast"],
    "what to do",
  ),
  data: path("folder with CIFAR-10's binary files (default: data)"),
  download: flag("fetch CIFAR-10 into that folder if it is not there (170 MB)"),
  epochs: whole(undefined, [1, 1_000_000], `passes over the training images; ${ofRecipe}`),
  batch: whole(undefined, [1, 5000], `images in a batch; ${ofRecipe}`),
  "learning-rate": number(undefined, [0, 1000], `how far a step goes; ${ofRecipe}`),
  reg: number(undefined, [0, 1000], `strength of the L2 penalty; ${ofRecipe}`),
  crop: whole(undefined, [0, 32], `shift images by up to this many pixels; ${ofRecipe}`),
  mirror: flag("mirror half of the images, whatever the recipe says"),
  limit: whole(undefined, [1, 50_000], "train on at most this many images"),
  seed: whole(0, SEEDS, "seed of the weights and batches: the same one gives the same losses"),
  kernels: word("auto", ["auto", "simd", "generated", "naive"], "which kernels run"),
  threads,
  ...rankOptions,
  checkpoint: path("file that the training run is kept in after every epoch, and resumed from"),
  plots,
};

const about = "Trains nets on CIFAR-10. Recipes:\n\n  check    losses of untrained nets\n" +
  Object.entries(recipes).map(([name, { about }]) => `  ${name.padEnd(7)}  ${about}`).join("\n");

/** Where CIFAR-10 is. */
const folderOf = ({ data = "data" }: Values<typeof options>) => data;

async function main(read: Values<typeof options>): Promise<number> {
  const { recipe } = read;
  if (recipe !== "check") {
    return await onRanks(read.mpi, (mpi) => train(recipes[recipe], read, mpi));
  }
  refuseTraining(read);
  useKernels(read.kernels);
  checkLosses(await readCifar10(folderOf(read), read.download, 1000), read.seed);
  return 0;
}

async function train(
  recipe: Recipe,
  read: Values<typeof options>,
  mpi: Mpi | undefined,
): Promise<number> {
  const leads = (mpi?.rank ?? 0) === 0;
  const update = updateOptions(read.batch ?? recipe.solver.batchSize, read, mpi);
  if (leads) await tryReport(read.plots);
  await using checkpoint = read.checkpoint === undefined || !leads
    ? undefined
    : await CheckpointFile.open(read.checkpoint);
  useKernels(read.kernels);
  using team = await useThreads(read.threads ?? (read.mpi ? 1 : undefined));
  const data = await readInTurn(mpi, () => readForRecipe(folderOf(read), recipe, read));
  const random = new RandomState(read.seed);
  const net = recipe.net(random, read.reg ?? recipe.reg);
  recipe.prepare?.(net, data.xTrain);
  const solver = recipeSolver(recipe, net, data, {
    ...{ numEpochs: read.epochs, update, learningRate: read["learning-rate"] },
    ...{ crop: read.crop, mirror: read.mirror, recordUpdates: read.plots !== undefined, random },
  });
  const report = read.plots === undefined ? undefined : new Report(read.plots, {
    title: `CIFAR-10, recipe ${read.recipe}`,
    settings: settingsOf(recipe, read),
    ...{ net, solver, x: data.xVal, y: data.yVal, pixel: data.pixel, threads: team.count },
    classes: cifar10Classes,
  });
  const result = await trainAndKeep(solver, checkpoint, { leads, report });
  if (!leads) return exitCode(result);
  console.log(outcome(result));
  const { trainAcc } = result;
  const scores = testTimeScores(net, data.xTest, recipe.testTime ?? { mirror: false });
  const testAcc = topKAccuracy(scores, data.yTest);
  const reached = { training: trainAcc, validation: solver.bestValAcc, test: testAcc };
  const isLast = recipe.solver.restoreBest === false;
  const { of, accuracy } = recipe.goal, isReached = reached[of] > accuracy;
  const results = [
    ["training accuracy", `${percent(trainAcc)} (after the last iteration, of 1,000 drawn)`],
    [
      "validation accuracy",
      `${percent(solver.bestValAcc)} (the best${isLast ? "" : ", and from here on"})`,
    ],
    ["test accuracy", percent(testAcc) + viewsOf(recipe)],
    [
      "goal",
      `more than ${percent(accuracy)} ${of} accuracy: ${isReached ? "reached" : "missed"}`,
    ],
  ] as const;
  console.log(table(results));
  console.log(`\n${kernelTable(net)}`);
  if (report !== undefined) {
    console.log(`\nthe report is ${await report.finish(result, results)}`);
  }
  return exitCode(result);
}

/** The settings of a training run: the recipe's, or others if these were given. */
function settingsOf(recipe: Recipe, read: Values<typeof options>): Record<string, unknown> {
  const { updateRule, batchSize, numEpochs } = recipe.solver;
  return {
    ...{ command: "deno task cifar10", ...read, "update rule": updateRule },
    epochs: read.epochs ?? numEpochs,
    batch: read.batch ?? batchSize,
    "learning-rate": read["learning-rate"] ?? recipe.learningRate,
    reg: read.reg ?? recipe.reg,
    crop: read.crop ?? recipe.crop,
    mirror: recipe.mirror || read.mirror,
  };
}

/** What the test accuracy is of, if not of the images as they are. */
function viewsOf({ testTime }: Recipe): string {
  return testTime === undefined ? "" : " (mean over mirrored and shifted images)";
}

/** The recipe "check" trains nothing, so that what is for a training run has no meaning. */
function refuseTraining(read: Values<typeof options>): void {
  const names = [
    ...["epochs", "batch", "learning-rate", "reg", "crop", "limit", "checkpoint", "plots"] as const,
    ...["mirror", "mpi", "micro-batches", "sync-batchnorm"] as const,
  ];
  const given = names.find((name) => read[name] !== options[name].value);
  if (given === undefined) return;
  throw new InputError(`--${given} must be left out with --recipe check, which trains nothing`);
}

/** The course's sanity checks: a net that knows nothing gives each class the same chance. */
function checkLosses({ xTrain, yTrain }: Cifar10Data<Float32Array>, seed: number): void {
  const n = 50, size = 3 * 32 * 32;
  const x = tensor(xTrain.data.subarray(0, n * size), [n, 3, 32, 32]), y = yTrain.subarray(0, n);
  console.log(`ln(10), the loss of a guess            ${Math.log(10).toFixed(6)}`);
  for (const reg of [0, 0.5]) {
    const net = new ThreeLayerConvNet({ dtype: "float32", reg, random: new RandomState(seed) });
    const { loss } = net.loss(x, y);
    console.log(`untrained three-layer net, reg ${reg.toFixed(1)}     ${loss.toFixed(6)}`);
  }
}

await runCommand(
  { usage: "deno task cifar10", about, options, replaced: { out: "plots" } },
  main,
);
