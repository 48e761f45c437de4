/**
 * `deno task cnn explain`: which kernel runs a shape, why, and how fast.
 *
 * @module
 */

import { flag, runCommand, type Values } from "../options.ts";
import { table } from "../report.ts";
import { cells, jobOf, measureJob, shapeOptions } from "./shape.ts";

const options = { ...shapeOptions, json: flag("print the result as JSON") };

const about = `Prints which kernel runs a shape and why, and times it.

  deno task cnn explain --x 100,3,31,31 --w 25,3,3,3 --stride 2
  deno task cnn explain --x 100,32,32,32 --pool 2,2 --stride 2
  deno task cnn explain --x 100,3072 --w 3072,100`;

function main(values: Values<typeof options>): number {
  const job = jobOf(values), { name, tier, reason } = job.explain();
  const times = measureJob(job, values.budget);
  if (values.json) {
    const { layer } = job, { dtype } = values;
    console.log(JSON.stringify({ layer, dtype, tier, name, reason, ...times }));
    return 0;
  }
  console.log(table([
    ["layer", job.layer],
    ["number type", values.dtype],
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

/** Runs the command. */
export async function run(args: readonly string[]): Promise<never> {
  const usage = "deno task cnn explain --x N,C,H,W --w F,C,KH,KW";
  return await runCommand({ usage, about, options }, main, args);
}
