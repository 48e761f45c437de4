/**
 * `deno task cifar10`: the course's experiments on CIFAR-10.
 *
 * @module
 */

import {
  argmax,
  cifar10Classes,
  type Cifar10Data,
  RandomState,
  type Solver,
  tensor,
  testTimeScores,
  ThreeLayerConvNet,
  topKAccuracy,
  useKernels,
  useThreads,
} from "../mod.ts";
import type { Mpi } from "../io/mpi.ts";
import { orInputError, tryFolder } from "../tools/files.ts";
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
import { percent } from "../tools/progress.ts";
import { onRanks, rankOptions, readInTurn, updateOptions } from "../tools/ranks.ts";
import { readForRecipe, type RecipeData, recipeSolver } from "./lib/recipe_solver.ts";
import { type Recipe, recipes } from "./lib/recipes.ts";
import { exitCode, kernelTable, outcome } from "../tools/report.ts";

type Net = ReturnType<Recipe["net"]>;

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
  out: path("folder for curves, filters and images with the classes they are taken for"),
};

const about = "Trains nets on CIFAR-10. Recipes:\n\n  check    losses of untrained nets\n" +
  Object.entries(recipes).map(([name, { about }]) => `  ${name.padEnd(7)}  ${about}`).join("\n");

/** Where CIFAR-10 is. */
const folderOf = ({ data = "data" }: Values<typeof options>) => data;

async function main(read: Values<typeof options>): Promise<number> {
  const { recipe } = read;
  if (recipe !== "check") {
    return await onRanks(read.mpi, (mpi) => train(recipe, recipes[recipe], read, mpi));
  }
  refuseTraining(read);
  useKernels(read.kernels);
  checkLosses(await readCifar10(folderOf(read), read.download, 1000), read.seed);
  return 0;
}

async function train(
  name: keyof typeof recipes,
  recipe: Recipe,
  read: Values<typeof options>,
  mpi: Mpi | undefined,
): Promise<number> {
  const { out } = read, leads = (mpi?.rank ?? 0) === 0;
  const update = updateOptions(read.batch ?? recipe.solver.batchSize, read, mpi);
  if (out !== undefined && leads) await tryFolder(out, pictureNames(name));
  await using checkpoint = read.checkpoint === undefined || !leads
    ? undefined
    : await CheckpointFile.open(read.checkpoint);
  useKernels(read.kernels);
  using _ = await useThreads(read.threads ?? (read.mpi ? 1 : undefined));
  const data = await readInTurn(mpi, () => readForRecipe(folderOf(read), recipe, read));
  const random = new RandomState(read.seed);
  const net = recipe.net(random, read.reg ?? recipe.reg);
  recipe.prepare?.(net, data.xTrain);
  const solver = recipeSolver(recipe, net, data, {
    ...{ numEpochs: read.epochs, update, learningRate: read["learning-rate"] },
    ...{ crop: read.crop, mirror: read.mirror, random },
  });
  const result = await trainAndKeep(solver, checkpoint, leads);
  if (!leads) return exitCode(result);
  console.log(outcome(result));
  const { trainAcc } = result;
  const scores = testTimeScores(net, data.xTest, recipe.testTime ?? { mirror: false });
  const testAcc = topKAccuracy(scores, data.yTest);
  const reached = { training: trainAcc, validation: solver.bestValAcc, test: testAcc };
  console.log(
    `training accuracy    ${percent(trainAcc)} (after the last iteration, of 1,000 drawn)`,
  );
  const isLast = recipe.solver.restoreBest === false;
  console.log(
    `validation accuracy  ${percent(solver.bestValAcc)} (the best${
      isLast ? "" : ", and from here on"
    })`,
  );
  console.log(`test accuracy        ${percent(testAcc)}${viewsOf(recipe)}`);
  const { of, accuracy } = recipe.goal;
  console.log(
    `goal                 more than ${percent(accuracy)} ${of} accuracy: ` +
      (reached[of] > accuracy ? "reached" : "missed"),
  );
  console.log(`\n${kernelTable(net)}`);
  if (out !== undefined) {
    await orInputError(`${out} cannot be written`, () => show(out, name, net, solver, data));
  }
  return exitCode(result);
}

/** What the test accuracy is of, if not of the images as they are. */
function viewsOf({ testTime }: Recipe): string {
  return testTime === undefined ? "" : " (mean over mirrored and shifted images)";
}

/** The recipe "check" trains nothing, so that what is for a training run has no meaning. */
function refuseTraining(read: Values<typeof options>): void {
  const names = [
    ...["epochs", "batch", "learning-rate", "reg", "crop", "limit", "checkpoint", "out"] as const,
    ...["mirror", "mpi", "micro-batches"] as const,
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

/** The files of --out. */
function pictureNames(recipe: string): string[] {
  return ["filters.png", "pictures.png", "loss.svg", "accuracy.svg"].map((name) =>
    `cifar10-${recipe}-${name}`
  );
}

/** Curves, first-layer filters, and images with the classes that the net takes them for. */
async function show(
  folder: string,
  recipe: string,
  net: Net,
  solver: Solver<Float32Array>,
  { xTest, yTest, pixel }: RecipeData,
): Promise<void> {
  // Loaded only where they are wanted, as they take their time.
  const { writeCaptioned, writeGrid } = await import("./lib/pictures.ts");
  const { writeCurves } = await import("./lib/curves.ts");
  const name = `cifar10-${recipe}`;
  await writeGrid(`${folder}/${name}-filters.png`, net.params.W1, 8);
  const count = Math.min(60, xTest.shape[0]);
  const x = tensor(xTest.data.slice(0, count * 3 * 32 * 32), [count, 3, 32, 32]);
  const captions = Array.from(argmax(net.predict(x), 1), (best, i) => {
    return { text: cifar10Classes[best], right: best === yTest[i] };
  });
  for (let i = 0; i < x.data.length; i++) x.data[i] = pixel(x.data[i], i);
  await writeCaptioned(`${folder}/${name}-pictures.png`, x, captions, 10);
  await writeCurves(folder, name, solver);
  console.log(`\nfilters, images and curves are in ${folder}`);
}

await runCommand({ usage: "deno task cifar10", about, options }, main);
