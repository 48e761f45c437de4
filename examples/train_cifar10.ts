/**
 * `deno task cifar10`: the course's experiments on CIFAR-10.
 *
 * @module
 */

import {
  cifar10Classes,
  type Cifar10Data,
  cropAndMirror,
  decodeCheckpoint,
  encodeCheckpoint,
  RandomState,
  Solver,
  tensor,
  ThreeLayerConvNet,
  useKernels,
} from "../mod.ts";
import { readCifar10 } from "./lib/cifar10.ts";
import {
  flag,
  helpText,
  InputError,
  number,
  path,
  readOptions,
  runCommand,
  whole,
  word,
} from "./lib/options.ts";
import { percent, trainWithBar } from "./lib/progress.ts";
import { type Recipe, recipes } from "./lib/recipes.ts";
import { kernelTable } from "./lib/report.ts";

type Net = ReturnType<Recipe["net"]>;

const ofRecipe = "the recipe's if left out";
const options = {
  recipe: word("course", ["check", "overfit", "epoch", "course", "deep"], "what to do"),
  data: path("folder with CIFAR-10's binary files; data if left out"),
  download: flag("fetch CIFAR-10 into that folder if it is not there (170 MB)"),
  epochs: whole(undefined, 1, `passes over the training pictures; ${ofRecipe}`),
  batch: whole(undefined, 1, `pictures in a batch; ${ofRecipe}`),
  "learning-rate": number(undefined, 0, `how far a step goes; ${ofRecipe}`),
  reg: number(undefined, 0, `strength of the L2 penalty; ${ofRecipe}`),
  crop: whole(undefined, 0, `shift pictures by up to so many pixels; ${ofRecipe}`),
  mirror: flag("mirror half of the pictures, whatever the recipe says"),
  limit: whole(undefined, 1, "train on at most so many pictures"),
  seed: whole(0, 0, "seed of the weights and batches: the same one gives the same losses"),
  kernels: word("auto", ["auto", "simd", "generated", "naive"], "which kernels run"),
  checkpoint: path("file that the training is kept in after every epoch, and resumed from"),
  out: path("folder for curves, filters and pictures with the classes they are taken for"),
};

async function main(): Promise<number> {
  const read = readOptions(options, Deno.args);
  if (read === undefined) {
    const about = "Trains nets on CIFAR-10. Recipes:\n\n  check    losses of untrained nets\n" +
      Object.entries(recipes).map(([name, { about }]) => `  ${name.padEnd(7)}  ${about}`).join(
        "\n",
      );
    console.log(helpText("deno task cifar10", about, options));
    return 0;
  }
  useKernels(read.kernels);
  const folder = read.data ?? "data";
  if (read.recipe === "check") {
    checkLosses(await readCifar10(folder, read.download, 1000));
    return 0;
  }
  const recipe: Recipe = recipes[read.recipe];
  const numTraining = Math.min(read.limit ?? Infinity, recipe.numTraining);
  const data = await readCifar10(folder, read.download, numTraining);
  const random = new RandomState(read.seed);
  const net = recipe.net(random, read.reg ?? recipe.reg);
  const pad = read.crop ?? recipe.crop, mirror = read.mirror || recipe.mirror;
  const solver = new Solver(net, data, {
    ...recipe.solver,
    batchSize: read.batch ?? recipe.solver.batchSize,
    numEpochs: read.epochs ?? recipe.solver.numEpochs,
    optimConfig: {
      ...recipe.optimConfig,
      learningRate: read["learning-rate"] ?? recipe.learningRate,
    },
    augment: pad > 0 || mirror ? cropAndMirror({ pad, mirror }) : undefined,
    verbose: false,
    random,
  });
  if (read.checkpoint !== undefined) await resumeFrom(read.checkpoint, solver);

  const { end, iteration, iterations, epoch, loss, trainAcc } = await trainWithBar(solver, {
    onCheckpoint: () => keep(read.checkpoint, solver),
  });
  await keep(read.checkpoint, solver);
  const stopped = end === "stopped" ? "stopped by Ctrl-C after " : "";
  console.log(`${stopped}${iteration} of ${iterations} iterations, ${epoch} epochs, loss ${loss}`);
  const reached = { training: trainAcc, validation: solver.bestValAcc };
  console.log(
    `training accuracy    ${percent(trainAcc)} (after the last iteration, of 1,000 drawn)`,
  );
  console.log(`validation accuracy  ${percent(solver.bestValAcc)} (the best, and from here on)`);
  console.log(`test accuracy        ${percent(solver.checkAccuracy(data.xTest, data.yTest))}`);
  const { of, accuracy } = recipe.goal;
  console.log(
    `goal                 more than ${percent(accuracy)} ${of} accuracy: ` +
      (reached[of] > accuracy ? "reached" : "missed"),
  );
  console.log(`\n${kernelTable(net)}`);
  if (read.out !== undefined) await show(read.out, `cifar10-${read.recipe}`, net, solver, data);
  return end === "stopped" ? 130 : 0;
}

/** The course's sanity checks: a net that knows nothing gives each class the same chance. */
function checkLosses({ xTrain, yTrain }: Cifar10Data<Float32Array>): void {
  const n = 50, size = 3 * 32 * 32;
  const x = tensor(xTrain.data.subarray(0, n * size), [n, 3, 32, 32]), y = yTrain.subarray(0, n);
  console.log(`ln(10), the loss of a guess            ${Math.log(10).toFixed(6)}`);
  for (const reg of [0, 0.5]) {
    const net = new ThreeLayerConvNet({ dtype: "float32", reg });
    const { loss } = net.loss(x, y);
    console.log(`untrained three-layer net, reg ${reg.toFixed(1)}     ${loss.toFixed(6)}`);
  }
}

async function resumeFrom(file: string, solver: Solver<Float32Array>): Promise<void> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(file);
  } catch (error) {
    // The first run has nothing to resume.
    if (error instanceof Deno.errors.NotFound) return;
    throw new InputError(`${file} cannot be read: ${(error as Error).message}`);
  }
  try {
    solver.resume(decodeCheckpoint(bytes));
  } catch (error) {
    throw new InputError(`${file} cannot be resumed from: ${(error as Error).message}`);
  }
  console.error(`resumed from ${file} after ${solver.iteration} iterations`);
}

/** Writes a checkpoint beside the old one, then takes its place: one of the two is always whole. */
async function keep(file: string | undefined, solver: Solver<Float32Array>): Promise<void> {
  if (file === undefined) return;
  await Deno.writeFile(`${file}.part`, encodeCheckpoint(solver.checkpoint()));
  await Deno.rename(`${file}.part`, file);
}

/** Curves, first-layer filters, and pictures with the classes that the net takes them for. */
async function show(
  folder: string,
  name: string,
  net: Net,
  solver: Solver<Float32Array>,
  { xTest, yTest, meanImage }: Cifar10Data<Float32Array>,
): Promise<void> {
  // Loaded only where they are wanted, as they take their time.
  const { writeCaptioned, writeGrid } = await import("./lib/pictures.ts");
  const { writeCurves } = await import("./lib/curves.ts");
  await Deno.mkdir(folder, { recursive: true });
  await writeGrid(`${folder}/${name}-filters.png`, net.params.W1, 8);
  const count = 60, size = meanImage.data.length;
  const x = tensor(xTest.data.slice(0, count * size), [count, 3, 32, 32]);
  const scores = net.loss(x);
  const captions = Array.from({ length: count }, (_, i) => {
    const row = scores.data.subarray(i * 10, (i + 1) * 10);
    const best = row.indexOf(Math.max(...row));
    return { text: cifar10Classes[best], right: best === yTest[i] };
  });
  for (let i = 0; i < x.data.length; i++) x.data[i] += meanImage.data[i % size];
  await writeCaptioned(`${folder}/${name}-pictures.png`, x, captions, 10);
  await writeCurves(folder, name, solver);
  console.log(`\nfilters, pictures and curves are in ${folder}`);
}

await runCommand(main);
