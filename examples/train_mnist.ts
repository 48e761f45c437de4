/**
 * `deno task train`: a three-layer convolutional net learns to read handwritten digits.
 *
 * @module
 */

import {
  cosineSchedule,
  RandomState,
  Solver,
  ThreeLayerConvNet,
  useKernels,
  useThreads,
} from "../mod.ts";
import type { Mpi } from "../io/mpi.ts";
import {
  InputError,
  number,
  odd,
  path,
  runCommand,
  SEEDS,
  threads,
  type Values,
  whole,
  word,
} from "../tools/options.ts";
import { CheckpointFile, trainAndKeep } from "../tools/checkpoint.ts";
import { type Mnist, pixelOf, readMnist } from "./lib/mnist.ts";
import { plots, Report, tryReport } from "../tools/plots/report.ts";
import { percent } from "../tools/progress.ts";
import { onRanks, rankOptions, readInTurn, updateOptions } from "../tools/ranks.ts";
import { exitCode, kernelTable, outcome, table } from "../tools/report.ts";

const options = {
  epochs: whole(4, [1, 1_000_000], "passes over the training digits"),
  filters: whole(8, [1, 1024], "filters of the convolution"),
  "filter-size": odd(5, [1, 27], "height and width of a filter, an odd number"),
  hidden: whole(100, [1, 65_536], "neurons of the hidden layer"),
  batch: whole(100, [1, 55_000], "digits in a batch"),
  "learning-rate": number(3e-3, [0, 1000], "how far a step of adam goes"),
  seed: whole(0, SEEDS, "seed of the weights and batches: the same one gives the same losses"),
  limit: whole(undefined, [1, 60_000], "use at most this many digits of each kind"),
  kernels: word("auto", ["auto", "simd", "generated", "naive"], "which kernels run"),
  threads,
  ...rankOptions,
  images: word("digits", ["digits", "fashion"], "MNIST's digits, or Fashion-MNIST's clothing"),
  data: path("folder with the four IDX files of MNIST, packed with gzip or not"),
  checkpoint: path("file that the training run is kept in after every epoch, and resumed from"),
  plots,
};

/** The images that are asked for. */
async function read({ images, data, limit }: Values<typeof options>): Promise<Mnist> {
  if (images === "digits") return await readMnist(data, limit);
  if (data !== undefined) throw new InputError("--images fashion has no --data: npm carries it");
  const { readFashion } = await import("./lib/fashion.ts");
  return await readFashion(limit);
}

const TITLES = { digits: "MNIST's digits", fashion: "Fashion-MNIST's clothing" } as const;

/** What a training run may take, in bytes. */
const MEMORY = 4e9;

async function main(values: Values<typeof options>): Promise<number> {
  checkMemory(values);
  return await onRanks(values.mpi, (mpi) => train(values, mpi));
}

async function train(values: Values<typeof options>, mpi: Mpi | undefined): Promise<number> {
  const leads = (mpi?.rank ?? 0) === 0;
  const update = updateOptions(values.batch, values, mpi);
  if (leads) await tryReport(values.plots);
  await using checkpoint = values.checkpoint === undefined || !leads
    ? undefined
    : await CheckpointFile.open(values.checkpoint);
  useKernels(values.kernels);
  using team = await useThreads(values.threads ?? (values.mpi ? 1 : undefined));
  const { xTest, yTest, classes, scale, ...data } = await readInTurn(mpi, () => read(values));
  const random = new RandomState(values.seed);
  const net = new ThreeLayerConvNet({
    inputDim: [1, 28, 28],
    numFilters: values.filters,
    filterSize: values["filter-size"],
    hiddenDim: values.hidden,
    weightScale: "he",
    reg: 3e-4,
    dtype: "float32",
    random,
  });
  const solver = new Solver(net, data, {
    updateRule: "adam",
    optimConfig: { learningRate: values["learning-rate"] },
    schedule: cosineSchedule(),
    ...update,
    numEpochs: values.epochs,
    verbose: false,
    recordUpdates: values.plots !== undefined,
    random,
  });
  const report = values.plots === undefined ? undefined : new Report(values.plots, {
    title: `A three-layer convolutional net on ${TITLES[values.images]}`,
    settings: { command: "deno task train", ...values, "update rule": "adam" },
    ...{ net, solver, classes, x: data.xVal, y: data.yVal, threads: team.count },
    pixel: (value) => pixelOf(value, scale),
  });
  const result = await trainAndKeep(solver, checkpoint, { leads, report });
  if (!leads) return exitCode(result);
  console.log(outcome(result));
  const results = [
    ["training accuracy", percent(solver.checkAccuracy(data.xTrain, data.yTrain))],
    ["validation accuracy", percent(solver.checkAccuracy(data.xVal, data.yVal))],
    ["test accuracy", percent(solver.checkAccuracy(xTest, yTest))],
  ] as const;
  console.log(table(results));
  console.log(`\n${kernelTable(net)}`);
  if (report !== undefined) {
    console.log(`\nthe report is ${await report.finish(result, results)}`);
  }
  return exitCode(result);
}

/** Refuses a net or a batch that is larger than most machines. */
function checkMemory(
  { filters, "filter-size": size, hidden, batch }: Values<typeof options>,
): void {
  const pixels = 28 * 28, pooled = pixels / 4;
  const parameters = filters * size * size + filters * pooled * hidden + 10 * hidden;
  const perDigit = pixels + filters * (2 * pixels + 2 * pooled) + 2 * hidden;
  // A parameter has a gradient, adam's two averages and a copy of the best, and a checkpoint doubles it.
  const bytes = 4 * (8 * parameters + batch * perDigit);
  if (bytes <= MEMORY) return;
  throw new InputError(
    `--filters ${filters}, --hidden ${hidden} and --batch ${batch} must fit ${MEMORY / 1e9} GB ` +
      `of memory together: they need about ${Math.ceil(bytes / 1e9)} GB`,
  );
}

await runCommand({
  usage: "deno task train",
  about: "Trains a three-layer convolutional net on the 60,000 digits of MNIST.",
  options,
  replaced: { out: "plots" },
}, main);
