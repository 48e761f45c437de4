/**
 * The side-by-side table: cnn-layers and what one would use instead, in one run, whole calls, median
 * milliseconds. Each implementation's numbers are checked against the naive loops before it is timed.
 *
 * `deno task bench:peers [--quick] [--only S1,C2,small,cold,size] [--peers tfjs,simd] [--min]` (--help: what
 * they mean). Pin it to one core with `taskset -c 1` in front. In the table, `-` is: it can't do it; `wrong`: its numbers differ;
 * `~`: scaled up from two images, as the whole batch would take too long.
 *
 * @module
 */

import { flag, matching, scriptOptions, words } from "../tools/options.ts";
import { type Tier, useKernels } from "../mod.ts";
import { markdownTable } from "../tools/markdown.ts";
import { convnetjs } from "./peers/convnetjs.ts";
import { bundleSizes, coldCalls, smallCall } from "./peers/extras.ts";
import { jax } from "./peers/jax.ts";
import { onnxruntime } from "./peers/onnxruntime.ts";
import { bind, ours } from "./peers/ours.ts";
import type { Direction, Job, Peer, Results, Runnable, Workload } from "./peers/peer.ts";
import { makeJob, workloads } from "./peers/peer.ts";
import { tfjs } from "./peers/tfjs.ts";
import { torch } from "./peers/torch.ts";

const extras: Readonly<Record<string, () => string[][] | Promise<string[][]>>> = {
  small: smallCall,
  cold: coldCalls,
  size: bundleSizes,
};

const dtypes = ["float32", "float64"] as const;
const tiers: readonly Tier[] = ["simd", "generated", "naive"];
const makers: Record<string, () => Peer | Promise<Peer>> = {
  ...Object.fromEntries(
    dtypes.flatMap((dtype) =>
      tiers.map((tier) => [`cnn-layers ${tier} ${dtype}`, () => ours(tier, dtype)])
    ),
  ),
  "tfjs wasm": () => tfjs("wasm"),
  "tfjs cpu": () => tfjs("cpu"),
  "onnxruntime-web": () => onnxruntime("web"),
  "onnxruntime-node": () => onnxruntime("node"),
  "jax-js": jax,
  "convnetjs": convnetjs,
  "torch float32": () => torch("float32"),
  "torch float64": () => torch("float64"),
};

const options = scriptOptions({
  usage: "deno task bench:peers",
  about: "Times cnn-layers beside what one would use instead: whole calls, one core.",
  options: {
    quick: flag("fewer rounds, and a lower limit for slow peers"),
    only: words(
      [...workloads.map(({ name }) => name), ...Object.keys(extras)],
      "workloads and extras, separated by commas",
    ),
    peers: matching(
      Object.keys(makers),
      "implementations, by parts of their names, separated by commas",
    ),
    min: flag("the least time instead of the median: for a machine that others use too"),
  },
});

/** Rounds over all implementations, so that a slow spell of the machine strikes them alike. */
const ROUNDS = options.quick ? 3 : 7;
/** Milliseconds of one implementation in one round. */
const BUDGET = options.quick ? 60 : 200;
/** A call that would take longer, in milliseconds, is scaled up from two images. */
const LIMIT = options.quick ? 2_000 : 10_000;
/** How far a peer's numbers may be from ours, relative to the largest. */
const TOLERANCE = 1e-4;

const wanted = (name: string) => options.only.includes(name);

/** Every implementation that is here; the others say why not. */
async function findPeers(): Promise<Peer[]> {
  const peers: Peer[] = [];
  for (const name of options.peers) {
    try {
      peers.push(await makers[name]());
    } catch (error) {
      note(`${name} is not here: ${firstLine(error)}`);
    }
  }
  return peers;
}

function note(text: string): void {
  console.error(`# ${text}`);
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0].slice(0, 160);
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The largest difference between two sets of arrays, relative to the largest value of each. */
function difference(results: Results, reference: Results): number {
  let worst = 0;
  for (const [name, expected] of Object.entries(reference)) {
    const actual = results[name];
    if (actual?.length !== expected.length) {
      throw new Error(`${name} has ${actual?.length} numbers, not ${expected.length}`);
    }
    let error = 0, largest = 0;
    for (let i = 0; i < expected.length; i++) {
      const distance = Math.abs(actual[i] - expected[i]);
      // A NaN is as wrong as can be.
      error = Math.max(error, Number.isNaN(distance) ? Infinity : distance);
      largest = Math.max(largest, Math.abs(expected[i]));
    }
    worst = Math.max(worst, error / largest);
  }
  return worst;
}

class WrongNumbers extends Error {}

/** Checks a peer on two images; tells how long the whole batch would take, in milliseconds. */
async function check(
  peer: Peer,
  job: Job,
  reference: Results,
): Promise<number | undefined> {
  const trial = await peer.prepare(job);
  if (trial === undefined) return undefined;
  try {
    const error = difference(await trial.results(), reference);
    if (!(error <= TOLERANCE)) throw new WrongNumbers(`off by ${error.toExponential(1)}`);
    const scaled = async (budget: number) =>
      Math.min(...await trial.sample(budget)) * job.workload.x[0] / job.N;
    const estimate = await scaled(BUDGET);
    // Code that is not optimized yet looks slower than it will be.
    return estimate > LIMIT ? Math.min(estimate, await scaled(10 * BUDGET)) : estimate;
  } finally {
    trial.dispose?.();
  }
}

/** A pass of a workload by every peer: a cell each, by the peer's index. */
async function measure(
  peers: Peer[],
  workload: Workload,
  direction: Direction,
): Promise<string[]> {
  const few = makeJob(workload, direction, 2);
  const whole = makeJob(workload, direction);
  const reference = naive(few);
  const cells: string[] = peers.map(() => "-");
  const ready: { index: number; runnable: Runnable; times: number[] }[] = [];
  for (const [index, peer] of peers.entries()) {
    try {
      const estimate = await check(peer, few, reference);
      if (estimate === undefined) continue;
      if (estimate > LIMIT) {
        cells[index] = `~${format(estimate)}`;
        continue;
      }
      const runnable = await peer.prepare(whole);
      if (runnable === undefined) continue;
      // Warm-up: optimized code arrives after some calls.
      const times = await runnable.sample(BUDGET);
      ready.push({ index, runnable, times: times[0] > 1000 ? times : [] });
    } catch (error) {
      if (error instanceof WrongNumbers) cells[index] = "wrong";
      note(`${peer.name} ${peer.dtype} ${workload.name} ${direction}: ${firstLine(error)}`);
    }
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const { runnable, times } of ready) {
      // What takes seconds is measured by fewer calls.
      if (times[0] > 1000 && times.length >= 3) continue;
      times.push(...await runnable.sample(BUDGET));
    }
  }
  for (const { index, runnable, times } of ready) {
    cells[index] = format(options.min ? Math.min(...times) : median(times));
    runnable.dispose?.();
  }
  return cells;
}

function naive(job: Job): Results {
  using _ = useKernels("naive");
  return bind(job, "float64", "naive")();
}

function format(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms.toPrecision(3);
}

/** How many times faster ours is than the best of some peers; undefined if there is none. */
function speedup(
  peers: Peer[],
  cells: string[],
  mine: (peer: Peer) => boolean,
  theirs: (peer: Peer) => boolean,
): number | undefined {
  const best = (which: (peer: Peer) => boolean) => {
    const times = cells.filter((_, i) => which(peers[i])).map((cell) =>
      parseFloat(cell.slice(
        cell.startsWith("~") ? 1 : 0,
      ))
    );
    return Math.min(...times.filter((time) => !Number.isNaN(time)));
  };
  const ratio = best(theirs) / best(mine);
  return ratio > 0 && Number.isFinite(ratio) ? ratio : undefined;
}

/** The questions that the table answers, one row each. */
const comparisons: readonly {
  readonly title: string;
  readonly mine: (peer: Peer) => boolean;
  readonly theirs: (peer: Peer) => boolean;
}[] = [
  {
    title: "float32: the better of tfjs wasm, onnxruntime-web",
    mine: isOurs("float32"),
    theirs: ({ name }) => name === "tfjs wasm" || name === "onnxruntime-web",
  },
  {
    title: "float32: the best JavaScript peer",
    mine: isOurs("float32"),
    theirs: ({ name }) => /tfjs|-web|jax|convnetjs/.test(name),
  },
  {
    title: "float32: onnxruntime-node, native",
    mine: isOurs("float32"),
    theirs: ({ name }) => name === "onnxruntime-node",
  },
  ...dtypes.map((dtype) => ({
    title: `${dtype}: PyTorch, native, one thread`,
    mine: isOurs(dtype),
    theirs: (peer: Peer) => peer.name.startsWith("PyTorch") && peer.dtype === dtype,
  })),
];

function isOurs(dtype: string): (peer: Peer) => boolean {
  return (peer) => peer.name.startsWith("cnn-layers") && peer.dtype === dtype;
}

const columns = workloads.filter(({ name }) => wanted(name)).flatMap((workload) =>
  (["fwd", "bwd"] as const).map((direction) => ({ workload, direction }))
);
const heads = columns.map(({ workload, direction }) => `${workload.name} ${direction}`);

if (columns.length > 0) {
  const peers = await findPeers();
  const cells: string[][] = [];
  for (const { workload, direction } of columns) {
    note(`${workload.name} ${direction}`);
    cells.push(await measure(peers, workload, direction));
  }
  console.log(`Whole calls, one core, ${options.min ? "least" : "median"} ms:\n`);
  console.log(markdownTable([
    ["", "", ...heads],
    ...peers.map(({ name, dtype }, i) => [name, dtype, ...cells.map((column) => column[i])]),
  ]));
  console.log("\nHow many times faster the best of ours is than:\n");
  console.log(markdownTable([
    ["", ...heads],
    ...comparisons.map(({ title, mine, theirs }) => [
      title,
      ...cells.map((column) => speedup(peers, column, mine, theirs)?.toPrecision(3) ?? "-"),
    ]),
  ]));
  for (const peer of peers) peer.dispose?.();
}

for (const [name, rows] of Object.entries(extras)) {
  if (wanted(name)) console.log(`\n${markdownTable(await rows())}`);
}
// Some peers keep timers or workers that would hold the process open.
Deno.exit(0);
