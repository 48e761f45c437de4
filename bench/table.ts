/**
 * `deno task bench`: one table of speed-ups, whole calls on whole batches, medians of one run.
 *
 * @module
 */

import { basename, dirname } from "node:path";
import { Worker } from "node:worker_threads";
import { orInputError, replaceFile, tryFolder } from "../tools/files.ts";
import { InputError, path, runCommand, type Values, whole, words } from "../tools/options.ts";
import { markdownTable } from "../tools/markdown.ts";
import type { SpeedUp } from "./chart.ts";
import type { Request, Timing } from "./measure.ts";
import { workloads } from "./peers/peer.ts";

const options = {
  images: whole(
    undefined,
    [1, 1000],
    "images per call; default: the workload's own number, 64 or 100",
  ),
  only: words(workloads.map(({ name }) => name), "workloads, separated by commas"),
  budget: whole(1000, [1, 3_600_000], "milliseconds of measurement for each cell"),
  plot: path("file for a chart of the speed-ups, .svg or .png"),
};

/** Times one workload in one dtype, in a worker of its own. */
async function measure(request: Request): Promise<Timing[]> {
  const worker = new Worker(new URL("./measure.ts", import.meta.url));
  try {
    return await new Promise((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.postMessage(request);
    });
  } finally {
    await worker.terminate();
  }
}

/** The table's rows for one workload and dtype: forward and backward. */
function rowsOf({ workload, dtype }: Request, timings: readonly Timing[]): string[][] {
  return (["fwd", "bwd"] as const).map((direction) => {
    const of = (tier: string) =>
      timings.find((timing) => timing.direction === direction && timing.tier === tier);
    const naive = of("naive")!.milliseconds;
    const cells = [of("generated"), of("simd")].flatMap((timing) => {
      if (timing === undefined) return ["-", "-", "-"];
      const { milliseconds, gigaflops } = timing;
      return [
        milliseconds.toFixed(2),
        `${(naive / milliseconds).toFixed(1)}x`,
        gigaflops?.toFixed(1) ?? "",
      ];
    });
    const kernels = [of("generated"), of("simd")].flatMap((timing) => timing?.kernel ?? []);
    return [workload, direction, dtype, naive.toFixed(1), ...cells, kernels.join(", ")];
  });
}

/** The same as speed-ups, for a chart. */
function speedUpsOf({ workload: name, dtype }: Request, timings: readonly Timing[]): SpeedUp[] {
  const workload = workloads.find((workload) => workload.name === name)!;
  return timings.flatMap(({ direction, tier, milliseconds }) => {
    if (tier === "naive") return [];
    const naive = timings.find((other) => other.direction === direction && other.tier === "naive")!;
    return [{ workload, direction, dtype, tier, times: naive.milliseconds / milliseconds }];
  });
}

/** Checks that a chart can be written. */
async function tryChart(file: string): Promise<void> {
  if (!/\.(svg|png)$/.test(file)) {
    throw new InputError(`--plot must be a file that ends in .svg or .png: received "${file}"`);
  }
  await tryFolder(dirname(file), [basename(file)]);
}

async function writeChart(file: string, speedUps: readonly SpeedUp[]): Promise<void> {
  // Loaded only where they are wanted, as they take their time.
  const { speedUpSvg } = await import("./chart.ts");
  const { toPng } = await import("../tools/plots/drawing.ts");
  const svg = speedUpSvg(speedUps);
  const bytes = file.endsWith(".png") ? toPng(svg) : new TextEncoder().encode(svg);
  await orInputError(`${file} cannot be written`, () => replaceFile(file, bytes));
}

async function main({ images, only, budget, plot }: Values<typeof options>): Promise<number> {
  if (plot !== undefined) await tryChart(plot);
  const rows: string[][] = [], speedUps: SpeedUp[] = [];
  for (const workload of only) {
    for (const dtype of ["float64", "float32"] as const) {
      if (Deno.stderr.isTerminal()) console.error(`${workload} ${dtype} …`);
      const request = { workload, dtype, images, budget };
      const timings = await measure(request);
      rows.push(...rowsOf(request, timings));
      speedUps.push(...speedUpsOf(request, timings));
    }
  }
  const times = ["generated", "simd"].flatMap((tier) => [`${tier} ms`, "speed-up", "GFLOP/s"]);
  console.log(markdownTable([["", "", "dtype", "naive ms", ...times, "kernels"], ...rows]));
  if (plot !== undefined) await writeChart(plot, speedUps);
  return 0;
}

const about = "Times the layers by tier.";
await runCommand({ usage: "deno task bench", about, options }, main);
