/**
 * `deno task cnn eval`: how well a model knows images that have their classes.
 *
 * @module
 */

import {
  classReports,
  confusionMatrix,
  type DType,
  type LayeredNet,
  normalizedExamples,
  testTimeScores,
  topKAccuracy,
} from "../../mod.ts";
import { show, sizeOf } from "../../kernels/tensor.ts";
import { flag, InputError, path, runCommand, SEEDS, type Values, whole } from "../options.ts";
import { percent } from "../progress.ts";
import { table } from "../report.ts";
import { type DataSet, openDataSet } from "./dataset.ts";
import { readGivenModel, type TrainedNet } from "./model.ts";
import { channelsOf, imageSize, sizesOf } from "./nets.ts";

const options = {
  data: path(
    "folder with a folder of images for each class, or with the test files of MNIST or CIFAR-10",
  ),
  limit: whole(undefined, [1, 2 ** 31 - 1], "use at most this many images"),
  resize: flag("crop and resize a folder's images to the size that the model takes"),
  views: flag("average the scores of each image, its mirror image and both shifted by a pixel"),
  seed: whole(0, SEEDS, "seed of which images --limit leaves"),
  json: flag("print the result as JSON"),
};

const about = `Prints accuracy, precision, recall and the confusion matrix of a model.

  deno task cnn eval pets.safetensors --data pets-test/`;

/** A confusion matrix of more classes is for programs. */
const MOST_SHOWN = 20;

async function main(values: Values<typeof options>, operands: readonly string[]): Promise<number> {
  const { data: folder, limit = Infinity, seed } = values;
  const model = await readGivenModel(operands);
  if (folder === undefined) throw new InputError("--data DIR is missing");
  const channels = channelsOf(model.net);
  const size = values.resize ? imageSize(model.net) : undefined;
  const data = await openDataSet(folder, { part: "test", channels, size, limit, seed });
  const y = labelsFor(folder, data, model);
  checkImages(folder, data.x.shape, model.net);
  const x = normalizedExamples(data.x, model.statistics);
  const scores = testTimeScores(model.net, x, {
    mirror: values.views,
    shift: values.views ? 1 : 0,
  });
  const { classes } = model, confusion = confusionMatrix(scores, y);
  const reports = classReports(confusion).map((report, i) => ({ class: classes[i], ...report }));
  const result = {
    examples: y.length,
    accuracy: topKAccuracy(scores, y),
    top5: topKAccuracy(scores, y, Math.min(5, classes.length)),
    classes,
    confusion,
    reports,
  };
  console.log(values.json ? JSON.stringify(result) : textOf(result));
  return 0;
}

/** Checks that images have the size that a net takes. */
function checkImages(
  folder: string,
  [, ...shape]: readonly number[],
  net: LayeredNet<DType>,
): void {
  const { inputDim } = sizesOf(net);
  const fits = inputDim.length === 1
    ? sizeOf(shape) === inputDim[0]
    : show(shape) === show(inputDim);
  if (fits) return;
  throw new InputError(
    `${folder} must have images of ${show(inputDim)}, as the model takes them: it has ${
      show(shape)
    }`,
  );
}

/** The labels of a set as a model counts its classes: they go by their names. */
function labelsFor(folder: string, { y, classes }: DataSet, model: TrainedNet): Int32Array {
  const own = classes.map((name) => model.classes.indexOf(name));
  return Int32Array.from(y, (label) => {
    if (own[label] >= 0) return own[label];
    throw new InputError(
      `${folder} must have classes that the model knows, ${model.classes.join(", ")}: ` +
        `it has ${classes[label]}`,
    );
  });
}

interface Result {
  readonly examples: number;
  readonly accuracy: number;
  readonly top5: number;
  readonly classes: readonly string[];
  readonly confusion: readonly (readonly number[])[];
  readonly reports: readonly {
    readonly class: string;
    readonly precision: number;
    readonly recall: number;
    readonly support: number;
  }[];
}

function textOf({ examples, accuracy, top5, classes, confusion, reports }: Result): string {
  const head = [["images", String(examples)], ["accuracy", percent(accuracy)]];
  if (classes.length > 5) head.push(["top-5 accuracy", percent(top5)]);
  const rows = reports.map(({ class: name, precision, recall, support }) => [
    ...[name, percent(precision), percent(recall), String(support)],
  ]);
  const parts = [table(head), table([["class", "precision", "recall", "images"], ...rows])];
  if (classes.length <= MOST_SHOWN) {
    const counts = confusion.map((row, i) => [classes[i], ...row.map(String)]);
    parts.push(`Images of each class (rows) by what they were taken for:`);
    parts.push(table([["", ...classes], ...counts]));
  }
  return parts.join("\n\n");
}

/** Runs the command. */
export async function run(args: readonly string[]): Promise<never> {
  const usage = "deno task cnn eval MODEL --data DIR";
  return await runCommand({ usage, about, options, operands: "any" }, main, args);
}
