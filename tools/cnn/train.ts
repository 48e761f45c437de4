/**
 * `deno task cnn train`: a net learns the classes of images.
 *
 * @module
 */

import { basename, dirname } from "node:path";
import {
  type ArrayOf,
  type Augment,
  channelStatistics,
  cosineSchedule,
  cropAndMirror,
  type DType,
  normalizedExamples,
  RandomState,
  Solver,
  splitData,
  type UpdateRuleName,
  updateRules,
  useKernels,
  useThreads,
} from "../../mod.ts";
import { CheckpointFile, trainAndKeep } from "../checkpoint.ts";
import { tryFolder } from "../files.ts";
import {
  flag,
  InputError,
  number,
  orRefused,
  path,
  runCommand,
  SEEDS,
  sizes,
  threads,
  type Values,
  whole,
  word,
} from "../options.ts";
import { plots, Report, tryReport } from "../plots/report.ts";
import { percent } from "../progress.ts";
import { exitCode, outcome, table } from "../report.ts";
import { first, openDataSet } from "./dataset.ts";
import { writeModel } from "./model.ts";
import { makeNet, namedNets } from "./nets.ts";

const options = {
  data: path(
    "folder with a folder of PNG or JPEG images for each class, or with MNIST or CIFAR-10",
  ),
  net: path(
    `${
      Object.keys(namedNets).join(", ")
    }, or a net's description in a .json file (default: three-layer)`,
  ),
  out: path("file that the model is written to, as .safetensors"),
  gray: flag("read a folder of images in gray, not in colors"),
  size: sizes(["H,W"], 4096, "crop and resize a folder's images to (default: the size of all)"),
  threads,
  epochs: whole(5, [1, 1_000_000], "passes over the training images"),
  batch: whole(100, [1, 100_000], "images in a batch"),
  "update-rule": word(
    "adam",
    Object.keys(updateRules) as UpdateRuleName[],
    "how parameters follow their gradients",
  ),
  "learning-rate": number(1e-3, [0, 1000], "how far a step goes; it falls with a cosine"),
  reg: number(0, [0, 1000], "strength of the L2 penalty, for nets by their names"),
  crop: whole(0, [0, 1024], "shift images by up to this many pixels"),
  mirror: flag("mirror half of the images"),
  validation: number(0.1, [0, 1e9], "part of the images to validate on, or how many"),
  limit: whole(undefined, [2, 2 ** 31 - 1], "use at most this many images"),
  seed: whole(0, SEEDS, "seed of everything random: the same one gives the same losses"),
  kernels: word("auto", ["auto", "simd", "generated", "naive"], "which kernels run"),
  checkpoint: path("file that the training run is kept in after every epoch, and resumed from"),
  plots,
  json: flag("print the result as JSON"),
};

const about = `Trains a net on images, and writes the model that was best on the validation images.

  deno task cnn train --data pets/ --net convnet --mirror --out pets.safetensors

A folder of images may have folders train and test with those of the classes.

Nets:
${Object.entries(namedNets).map(([name, { about }]) => `  ${name.padEnd(12)}${about}`).join("\n")}`;

/** Images that the mean and deviation of the channels are taken from. */
const MEASURED = 5000;

async function main(values: Values<typeof options>): Promise<number> {
  const { data: folder, out, seed, batch } = values;
  if (folder === undefined) throw new InputError("--data DIR is missing");
  if (out === undefined) throw new InputError("--out FILE is missing");
  await tryFolder(dirname(out), [basename(out)]);
  await tryReport(values.plots);
  await using checkpoint = values.checkpoint === undefined
    ? undefined
    : await CheckpointFile.open(values.checkpoint);
  useKernels(values.kernels);
  using team = await useThreads(values.threads);
  const { x, y, classes } = await openDataSet(folder, {
    ...{ part: "train", channels: values.gray ? 1 : 3, size: pair(values.size) },
    ...{ limit: values.limit ?? Infinity, seed },
  });
  const split = orRefused(() => splitData(x, y, { validation: values.validation, seed }));
  const statistics = channelStatistics(first(split.xTrain, MEASURED));
  const random = new RandomState(seed);
  const net = await makeNet(values.net ?? "three-layer", {
    inputDim: x.shape.slice(1),
    numClasses: classes.length,
    ...{ reg: values.reg, random },
  });
  const [xTrain, xVal] = [split.xTrain, split.xVal].map((x) => normalizedExamples(x, statistics));
  const solver = orRefused(() =>
    new Solver<ArrayOf<DType>>(net, { ...split, xTrain, xVal }, {
      updateRule: values["update-rule"],
      optimConfig: { learningRate: values["learning-rate"] },
      schedule: cosineSchedule(),
      augment: augmentation(values),
      ...{ batchSize: Math.min(batch, xTrain.shape[0]), numEpochs: values.epochs },
      ...{ shuffle: true, verbose: false, random },
      recordUpdates: values.plots !== undefined,
    })
  );
  const plane = x.shape[2] * x.shape[3], { mean, deviation } = statistics;
  const report = values.plots === undefined ? undefined : new Report(values.plots, {
    title: `${values.net ?? "three-layer"} on ${folder}`,
    settings: { command: "deno task cnn train", ...values, net: values.net ?? "three-layer" },
    ...{ net, solver, classes, x: xVal, y: split.yVal, threads: team.count },
    pixel: (value, i) => {
      const channel = Math.floor(i / plane);
      return value * deviation[channel] + mean[channel];
    },
  });
  const result = await trainAndKeep(solver, checkpoint, { report });
  const isKept = result.end !== "diverged";
  if (isKept) await writeModel(out, { net, classes, statistics });
  const { end, iteration, epoch, loss, trainAcc, hint } = result;
  const results = [
    ["training accuracy", `${percent(trainAcc)} (after the last iteration)`],
    ["validation accuracy", `${percent(solver.bestValAcc)} (the best)`],
  ] as const;
  const page = await report?.finish(result, results);
  if (values.json) {
    console.log(JSON.stringify({
      ...{ end, hint, iterations: iteration, epochs: epoch, loss },
      ...{ trainAccuracy: trainAcc, validationAccuracy: solver.bestValAcc, classes },
      model: isKept ? out : null,
      report: page ?? null,
    }));
    return exitCode(result);
  }
  console.log(outcome(result));
  console.log(table(results));
  if (isKept) console.log(`${classes.length} classes; the model is in ${out}`);
  if (page !== undefined) console.log(`the report is ${page}`);
  return exitCode(result);
}

function pair(size: readonly number[] | undefined): readonly [number, number] | undefined {
  return size && [size[0], size[1]];
}

/** How a batch is changed, if it is. */
function augmentation({ crop, mirror }: Values<typeof options>): Augment | undefined {
  return crop > 0 || mirror ? cropAndMirror({ pad: crop, mirror }) : undefined;
}

/** Runs the command. */
export async function run(args: readonly string[]): Promise<never> {
  return await runCommand(
    { usage: "deno task cnn train --data DIR --out FILE", about, options },
    main,
    args,
  );
}
