/**
 * `deno bench`: the layers by tier, naive as the baseline of each group. Eight images per call, so that
 * the naive loops end; bench/table.ts times whole batches.
 *
 * @module
 */

import { useKernels } from "../mod.ts";
import type { DType, Tier } from "../mod.ts";
import { bind, explain } from "./peers/ours.ts";
import { makeJob, workloads } from "./peers/peer.ts";

const tiers: readonly Tier[] = ["naive", "generated", "simd"];
const dtypes: readonly DType[] = ["float64", "float32"];

for (const workload of workloads) {
  for (const direction of ["fwd", "bwd"] as const) {
    for (const dtype of dtypes) {
      const job = makeJob(workload, direction, 8);
      for (const tier of tiers) {
        using _ = useKernels(tier);
        const { name, tier: chosen } = explain(job, dtype);
        if (chosen !== tier) continue;
        const run = bind(job, dtype, tier);
        Deno.bench({
          name,
          group: `${workload.name} ${direction} ${dtype}`,
          baseline: tier === "naive",
          fn(context) {
            using _ = useKernels(tier);
            run(); // The choice of a kernel is not what is measured.
            context.start();
            run();
            context.end();
          },
        });
      }
    }
  }
}
