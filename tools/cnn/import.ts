/**
 * `deno task cnn import`: weights of others as a model.
 *
 * @module
 */

import { basename, dirname } from "node:path";
import { type ChannelStatistics, type DType, type LayeredNet, RandomState } from "../../mod.ts";
import { orInputError, tryFolder } from "../files.ts";
import {
  flag,
  InputError,
  numbers,
  orRefused,
  path,
  runCommand,
  sizes,
  type Values,
} from "../options.ts";
import { readModel, type TrainedNet, writeModel } from "./model.ts";
import { namedNets, readNet, sizesOf } from "./nets.ts";
import { isOnnx, readOnnx, readWeights } from "./weights.ts";

const options = {
  out: path("file that the model is written to, as .safetensors"),
  like: path("model whose net, classes and normalization the weights are for"),
  net: path(
    `in place of --like: ${Object.keys(namedNets).join(", ")}, or a description in a .json file`,
  ),
  input: sizes(["C,H,W"], 65_536, "images that a net by its name takes"),
  classes: path("names of the classes: a,b,c, or a .txt file with one per line (default: numbers)"),
  mean: numbers("means of the channels, from 0 to 255, that are subtracted (default: 0)"),
  deviation: numbers("deviations of the channels, that are divided by (default: 1)"),
  json: flag("print the result as JSON"),
};

const about = `Makes a model of weights that another program has written:

  .safetensors  of PyTorch, JAX and others; a ResNet-18 may have torchvision's names
  .npz          of numpy
  .onnx         of any program, with its net
  .checkpoint   of deno task cnn train: those that were best so far

  deno task cnn import weights.npz --like pets.safetensors --out new.safetensors
  deno task cnn import pets.onnx --classes cat,dog --mean 120,115,100 --deviation 60,60,60 --out pets.safetensors
  deno task cnn import run.checkpoint --net net.json --classes cat,dog --out pets.safetensors`;

async function main(values: Values<typeof options>, operands: readonly string[]): Promise<number> {
  const { out } = values, [file] = operands;
  if (operands.length !== 1) {
    throw new InputError(`give one file of weights: received ${operands.length}`);
  }
  if (out === undefined) throw new InputError("--out FILE is missing");
  await tryFolder(dirname(out), [basename(out)]);
  const model = await modelFor(values, file);
  await writeModel(out, model);
  const { net, classes } = model;
  const parameters = Object.values(net.params).reduce((sum, { data }) => sum + data.length, 0);
  console.log(
    values.json
      ? JSON.stringify({ model: out, parameters, classes })
      : `${
        parameters.toLocaleString("en")
      } parameters, ${classes.length} classes; the model is in ${out}`,
  );
  return 0;
}

/** The model of a file, with what the file does not have from the options. */
async function modelFor(values: Values<typeof options>, file: string): Promise<TrainedNet> {
  const { like, net, input, mean, deviation } = values;
  if (isOnnx(file)) {
    const other = net === undefined ? input && "input" : "net";
    if (other !== undefined) throw new InputError(`--${other} is not for .onnx, which has its net`);
  } else if ((like === undefined) === (net === undefined)) {
    throw new InputError("give one of --like MODEL and --net NET");
  }
  if (like !== undefined) {
    const other = (["input", "classes", "mean", "deviation"] as const)
      .find((name) => values[name] !== undefined);
    if (other !== undefined) throw new InputError(`--${other} is not for --like`);
  }
  const known = like === undefined ? undefined : await readModel(like);
  const given = known?.classes ?? await classesOf(values.classes);
  const made = isOnnx(file)
    ? await readOnnx(file)
    : await withWeights(file, known?.net ?? await netOf(net!, input, given?.length));
  const { inputDim, numClasses } = sizesOf(made);
  const classes = given ?? Array.from({ length: numClasses }, (_, i) => String(i));
  if (classes.length !== numClasses) {
    throw new InputError(
      `there must be ${numClasses} classes, one per score of the net: there are ${classes.length}`,
    );
  }
  const channels = inputDim.length === 3 ? inputDim[0] : 1;
  const statistics: ChannelStatistics = known?.statistics ?? {
    mean: perChannel("mean", mean, channels, 0),
    deviation: perChannel("deviation", deviation, channels, 1),
  };
  return { net: made, classes, statistics };
}

/** Gives a net the weights of a file. */
async function withWeights(file: string, net: LayeredNet<DType>): Promise<LayeredNet<DType>> {
  const tensors = await readWeights(file);
  orRefused(() => net.loadState(tensors), `${file}: `);
  return net;
}

async function netOf(
  net: string,
  input: readonly number[] | undefined,
  count: number | undefined,
): Promise<LayeredNet<DType>> {
  const isNamed = Object.hasOwn(namedNets, net), random = new RandomState(0);
  if (!isNamed) {
    if (input !== undefined) throw new InputError("--input is for nets by their names");
    return await readNet(net, random);
  }
  if (input === undefined) throw new InputError(`--input C,H,W is missing, for --net ${net}`);
  if (count === undefined) throw new InputError(`--classes is missing, for --net ${net}`);
  const needs = { inputDim: input, numClasses: count, reg: 0, random, dtype: "float32" } as const;
  return orRefused(() => namedNets[net].make(needs), `${net} makes no net: `);
}

/** The names of the classes, if they are given. */
async function classesOf(text: string | undefined): Promise<readonly string[] | undefined> {
  if (text === undefined || !text.endsWith(".txt")) return text?.split(",");
  const lines = await orInputError(`${text} cannot be read`, () => Deno.readTextFile(text));
  return lines.split(/\r?\n/).filter((line) => line !== "");
}

function perChannel(
  name: string,
  given: readonly number[] | undefined,
  channels: number,
  fallback: number,
): readonly number[] {
  if (given === undefined) return Array<number>(channels).fill(fallback);
  if (given.length === channels) return given;
  throw new InputError(
    `--${name} must be ${channels} numbers, one per channel: received ${given.length}`,
  );
}

/** Runs the command. */
export async function run(args: readonly string[]): Promise<never> {
  const usage = "deno task cnn import FILE --out MODEL";
  return await runCommand({ usage, about, options, operands: "any" }, main, args);
}
