/**
 * `deno task bench`: one table of speed-ups, whole calls on whole batches, medians of one run.
 *
 * @module
 */

import { Worker } from "node:worker_threads";
import { scriptOptions, whole, words } from "../tools/options.ts";
import { markdownTable } from "../tools/markdown.ts";
import type { Request, Timing } from "./measure.ts";
import { workloads } from "./peers/peer.ts";

const allNames = workloads.map(({ name }) => name);

const { images, only, budget } = scriptOptions({
  usage: "deno task bench",
  about: "Times the layers by tier.",
  options: {
    images: whole(
      undefined,
      [1, 1000],
      "images per call; default: the workload's own number, 64 or 100",
    ),
    only: words(allNames, "workloads, separated by commas"),
    budget: whole(1000, [1, 3_600_000], "milliseconds of measurement for each cell"),
  },
});

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

const rows: string[][] = [];
for (const workload of only) {
  for (const dtype of ["float64", "float32"] as const) {
    if (Deno.stderr.isTerminal()) console.error(`${workload} ${dtype} …`);
    const request = { workload, dtype, images, budget };
    rows.push(...rowsOf(request, await measure(request)));
  }
}
const times = ["generated", "simd"].flatMap((tier) => [`${tier} ms`, "speed-up", "GFLOP/s"]);
console.log(markdownTable([["", "", "dtype", "naive ms", ...times, "kernels"], ...rows]));
