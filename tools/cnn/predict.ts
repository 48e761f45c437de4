/**
 * `deno task cnn predict`: what images show.
 *
 * @module
 */

import { decodePicture, imageToTensor } from "../../io/data.ts";
import {
  type DType,
  type LayeredNet,
  normalizedExamples,
  type Tensor,
  testTimeScores,
} from "../../mod.ts";
import { show, sizeOf } from "../../kernels/tensor.ts";
import { zeros } from "../../nn/tensor.ts";
import { orInputError } from "../files.ts";
import { flag, InputError, orRefused, runCommand, type Values, whole } from "../options.ts";
import { percent } from "../progress.ts";
import { table } from "../report.ts";
import { readModel } from "./model.ts";
import { channelsOf, endsInProbabilities, imageSize, sizesOf } from "./nets.ts";

const options = {
  resize: flag("crop and resize the images to the size that the model takes"),
  top: whole(3, [1, 1000], "how many classes are told of each image"),
  json: flag("print the result as JSON"),
};

const about = `Prints the most probable classes of PNG and JPEG images.

  deno task cnn predict pets.safetensors cat.png dog.jpg`;

async function main(
  { resize, top, json }: Values<typeof options>,
  [model, ...files]: readonly string[],
): Promise<number> {
  if (model === undefined || files.length === 0) {
    throw new InputError("give a model file and one image or more");
  }
  const { net, classes, statistics } = await readModel(model);
  const x = await readImages(files, net, resize);
  const scores = testTimeScores(net, normalizedExamples(x, statistics), { mirror: false });
  const results = files.map((file, i) => {
    const row = scores.data.subarray(i * classes.length, (i + 1) * classes.length);
    const ranked = (endsInProbabilities(net) ? Array.from(row) : softmax(row))
      .map((probability, c) => ({ class: classes[c], probability }))
      .sort((a, b) => b.probability - a.probability);
    return { file, ...ranked[0], top: ranked.slice(0, top) };
  });
  if (json) console.log(JSON.stringify(results));
  else {
    console.log(table(results.map(({ file, top }) => [
      file,
      ...top.map(({ class: name, probability }) => `${name} ${percent(probability)}`),
    ])));
  }
  return 0;
}

/** Images of the size that a net takes, (N, C, H, W), with values from 0 to 255. */
async function readImages(
  files: readonly string[],
  net: LayeredNet<DType>,
  resize: boolean,
): Promise<Tensor> {
  const { inputDim } = sizesOf(net), channels = channelsOf(net);
  const size = resize ? imageSize(net) : undefined;
  const images = await Promise.all(files.map(async (file) => {
    const bytes = await orInputError(`${file} cannot be read`, () => Deno.readFile(file));
    const decoded = orRefused(() => decodePicture(bytes), `${file} must be a PNG or JPEG image: `);
    return imageToTensor(decoded, { channels, size, dtype: "float32" });
  }));
  const shape = inputDim.length === 3 ? inputDim : images[0].shape.slice(1);
  const all = zeros([files.length, ...shape], "float32");
  for (const [i, { data, shape: [, ...found] }] of images.entries()) {
    if (show(found) === show(shape) && sizeOf(shape) === sizeOf(inputDim)) {
      all.data.set(data, i * sizeOf(shape));
      continue;
    }
    const hint = resize ? "" : " (--resize brings it to that size)";
    throw new InputError(
      `${files[i]} must be of ${show(inputDim)}, as the model takes images: ` +
        `it is of ${show(found)}${hint}`,
    );
  }
  return all;
}

/** Probabilities from the scores of one image. */
function softmax(scores: Float32Array | Float64Array): number[] {
  const most = Math.max(...scores), powers = Array.from(scores, (score) => Math.exp(score - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** Runs the command. */
export async function run(args: readonly string[]): Promise<never> {
  const usage = "deno task cnn predict MODEL IMAGE...";
  return await runCommand({ usage, about, options, operands: "any" }, main, args);
}
