/**
 * `deno task cnn explain`: which kernel runs a shape, why, and how fast.
 *
 * @module
 */

import { flag, InputError, runCommand, type Values } from "../options.ts";
import { kernelTable, table } from "../report.ts";
import { readGivenModel } from "./model.ts";
import { cells, jobOf, measureJob, shapeOptions } from "./shape.ts";

const options = { ...shapeOptions, json: flag("print the result as JSON") };

const about =
  `Prints which kernel runs a shape and why, and times it; or a model's layers and kernels.

  deno task cnn explain --x 100,3,31,31 --w 25,3,3,3 --stride 2
  deno task cnn explain --x 100,32,32,32 --pool 2,2 --stride 2
  deno task cnn explain --x 100,3072 --w 3072,100
  deno task cnn explain pets.safetensors`;

async function main(values: Values<typeof options>, operands: readonly string[]): Promise<number> {
  if (operands.length > 0) return await explainModel(values, operands);
  const job = jobOf(values), { name, tier, reason } = job.explain();
  const times = measureJob(job, values.budget);
  if (values.json) {
    const { layer } = job, { dtype } = values;
    console.log(JSON.stringify({ layer, dtype, tier, name, reason, ...times }));
    return 0;
  }
  console.log(table([
    ["layer", job.layer],
    ["data type", values.dtype],
    ["tier", tier],
    ["kernel", name],
    ["reason", reason],
  ]));
  console.log();
  console.log(table([
    ["direction", "ms", "GFLOP/s"],
    ["forward", ...cells(times.forward)],
    ["backward", ...cells(times.backward)],
  ]));
  return 0;
}

/** The layers of a model, and the kernels that run them. */
async function explainModel(
  values: Values<typeof options>,
  operands: readonly string[],
): Promise<number> {
  const [other] =
    Object.entries(shapeOptions).find(([name, { value }]) =>
      values[name as keyof typeof shapeOptions] !== value
    ) ?? [];
  if (other !== undefined) throw new InputError(`--${other} is for shapes, not for models`);
  const { net, classes } = await readGivenModel(operands);
  console.log(
    values.json
      ? JSON.stringify({ net, classes, kernels: net.explain() })
      : `${net.summary()}\n\n${kernelTable(net)}`,
  );
  return 0;
}

/** Runs the command. */
export async function run(args: readonly string[]): Promise<never> {
  const usage = "deno task cnn explain --x N,C,H,W --w F,C,KH,KW, or explain MODEL";
  return await runCommand({ usage, about, options, operands: "any" }, main, args);
}
