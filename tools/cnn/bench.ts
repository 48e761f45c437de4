/**
 * `deno task cnn bench`: how fast each tier runs a shape.
 *
 * @module
 */

import { useKernels } from "../../mod.ts";
import { markdownTable } from "../markdown.ts";
import { flag, runCommand, type Values, words } from "../options.ts";
import { cells, jobOf, measureJob, shapeOptions } from "./shape.ts";

const options = {
  ...shapeOptions,
  tiers: words(["naive", "generated", "simd"], "which tiers, separated by commas"),
  json: flag("print the result as JSON"),
};

const about = `Times a shape in every tier that serves it.

  deno task cnn bench --x 100,3,31,31 --w 25,3,3,3 --stride 2 --pad 1 --tiers generated,simd`;

function main(values: Values<typeof options>): number {
  const job = jobOf(values);
  const results = values.tiers.flatMap((tier) => {
    using _ = useKernels(tier);
    const { name, tier: found } = job.explain();
    return found === tier ? [{ tier, name, ...measureJob(job, values.budget) }] : [];
  });
  if (values.json) {
    const { layer } = job, { dtype } = values;
    console.log(JSON.stringify({ layer, dtype, results }));
    return 0;
  }
  const rows = (["forward", "backward"] as const).flatMap((direction) => {
    const slowest = results[0]?.[direction].milliseconds;
    return results.map(({ tier, name, [direction]: measured }) => [
      ...[direction, tier, ...cells(measured)],
      `${(slowest / measured.milliseconds).toFixed(1)}x`,
      name,
    ]);
  });
  const head = ["direction", "tier", "ms", "GFLOP/s", "speed-up", "kernel"];
  console.log(`A ${job.layer} of ${values.dtype}\n\n${markdownTable([head, ...rows])}`);
  const absent = values.tiers.filter((tier) => !results.some((result) => result.tier === tier));
  if (absent.length > 0) console.log(`\nNot served by: ${absent.join(", ")}`);
  return 0;
}

/** Runs the command. */
export async function run(args: readonly string[]): Promise<never> {
  const usage = "deno task cnn bench --x N,C,H,W --w F,C,KH,KW";
  return await runCommand({ usage, about, options }, main, args);
}
