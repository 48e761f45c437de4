/**
 * Prints the milliseconds of the first forward and backward call of a workload, as JSON. Arguments: its
 * name, the dtype, and then `warm` to run another shape before it, `pairs` to run on pairs of vectors. One
 * image, so that what is measured is making the kernel, not running it.
 *
 * @module
 */

import { useVectorPairs } from "../../mod.ts";
import { bind } from "./ours.ts";
import { makeJob, workloads } from "./peer.ts";
import type { Workload } from "./peer.ts";

const [name, dtype, ...words] = Deno.args;
const workload = workloads.find((candidate) => candidate.name === name);
if (workload === undefined || (dtype !== "float32" && dtype !== "float64")) {
  throw new Error(`No workload ${name} in ${dtype}`);
}

function firstCalls(workload: Workload): number[] {
  return (["fwd", "bwd"] as const).map((direction) => {
    const run = bind(
      makeJob(workload, direction, 1),
      dtype === "float32" ? dtype : "float64",
      "simd",
    );
    const start = performance.now();
    run();
    return performance.now() - start;
  });
}

if (words.includes("pairs")) useVectorPairs(true);
if (words.includes("warm")) {
  const [N, C, H, W] = workload.x;
  firstCalls({ ...workload, x: [N, C, H + 2, W + 2] });
}
console.log(JSON.stringify(firstCalls(workload)));
