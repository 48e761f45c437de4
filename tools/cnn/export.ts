/**
 * `deno task cnn export`: a model in the formats of others.
 *
 * @module
 */

import { basename, dirname } from "node:path";
import { orInputError, replaceFile, tryFolder } from "../files.ts";
import { flag, InputError, runCommand, type Values } from "../options.ts";
import { readModel } from "./model.ts";
import { checkWritable, encodeNet } from "./weights.ts";

const options = { json: flag("print the result as JSON") };

const about = `Writes a model's weights, or its net, to files for other programs:

  .safetensors  the weights, for PyTorch, JAX and others
  .npz          the weights, for numpy
  .onnx         net and weights, for ONNX Runtime, Triton and others
  .json         the net's description, for --net

  deno task cnn export pets.safetensors pets.onnx pets.npz

A net takes images whose channels are normalized: this prints by what.`;

async function main(
  { json }: Values<typeof options>,
  [path, ...files]: readonly string[],
): Promise<number> {
  if (path === undefined || files.length === 0) {
    throw new InputError("give a model file and a file to write, or several");
  }
  files.forEach(checkWritable);
  const { net, classes, statistics } = await readModel(path);
  const written = await Promise.all(
    files.map(async (file) => ({ file, bytes: await encodeNet(file, net) })),
  );
  for (const { file } of written) await tryFolder(dirname(file), [basename(file)]);
  for (const { file, bytes } of written) {
    await orInputError(`${file} cannot be written`, () => replaceFile(file, bytes));
  }
  const sizes = written.map(({ file, bytes }) => ({ file, bytes: bytes.length }));
  if (json) {
    console.log(JSON.stringify({ files: sizes, classes, ...statistics }));
    return 0;
  }
  for (const { file, bytes } of sizes) console.log(`${file}: ${bytes.toLocaleString("en")} bytes`);
  const list = (values: readonly number[]) => values.map((value) => value.toFixed(3)).join(", ");
  console.log(
    `pixels, from 0 to 255, are normalized by the means ${list(statistics.mean)} ` +
      `and the deviations ${list(statistics.deviation)}`,
  );
  return 0;
}

/** Runs the command. */
export async function run(args: readonly string[]): Promise<never> {
  const usage = "deno task cnn export MODEL FILE...";
  return await runCommand({ usage, about, options, operands: "any" }, main, args);
}
