/**
 * The side-by-side table: cnn-layers and what one would use instead, in one run, whole calls, median
 * milliseconds. Each implementation's numbers are checked against the naive loops before it is timed.
 *
 * `deno task bench:peers [--quick] [--only S1,C2,small,cold,size] [--peers tfjs,simd] [--min] [--threads 2]`
 * (--help: what they mean). Pin it to one core with `taskset -c 1` in front. In the table, `-` is: it
 * can't do it; `wrong`: its numbers differ; `~`: scaled up from two images, as the whole batch would take
 * too long.
 *
 * @module
 */

import { flag, matching, scriptOptions, whole, words } from "../tools/options.ts";
import { type Tier, useKernels, useThreads } from "../mod.ts";
import { type Cell, compare, findPeers, note, type Settings } from "./compare.ts";
import { markdownTable } from "../tools/markdown.ts";
import { convnetjs } from "./peers/convnetjs.ts";
import { bundleSizes, coldCalls, smallCall } from "./peers/extras.ts";
import { jax } from "./peers/jax.ts";
import { onnxruntime } from "./peers/onnxruntime.ts";
import { bind, ours } from "./peers/ours.ts";
import { type Job, type Peer, type Results, workloads } from "./peers/peer.ts";
import { tfjs } from "./peers/tfjs.ts";
import { torch } from "./peers/torch.ts";
import { choosePairs, pairs } from "./vector_pairs.ts";

const extras: Readonly<Record<string, () => string[][] | Promise<string[][]>>> = {
  small: smallCall,
  cold: () => coldCalls(isPaired),
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
  "onnxruntime-web": () => onnxruntime("web", threads),
  "onnxruntime-node": () => onnxruntime("node", threads),
  "jax-js": jax,
  "convnetjs": convnetjs,
  "torch float32": () => torch("float32", threads),
  "torch float64": () => torch("float64", threads),
};

const options = scriptOptions({
  usage: "deno task bench:peers",
  about: "Times cnn-layers beside what one would use instead: whole calls.",
  options: {
    threads: whole(
      1,
      [1, 256],
      "threads of those that have them here: ours, ONNX Runtime, PyTorch",
    ),
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
    pairs,
  },
});
const isPaired = choosePairs(options.pairs);

const { threads } = options;
const onThreads = threads > 1 ? `${threads} threads` : "one thread";

const settings: Settings = {
  rounds: options.quick ? 3 : 7,
  budget: options.quick ? 60 : 200,
  limit: options.quick ? 2_000 : 10_000,
  min: options.min,
  few: 2,
  reference: naive,
};

const wanted = (name: string) => options.only.includes(name);

function naive(job: Job): Results {
  using _ = useKernels("naive");
  return bind(job, "float64", "naive")();
}

/** How many times faster ours is than the best of some peers; undefined if there is none. */
function speedup(
  peers: Peer[],
  cells: Cell[],
  mine: (peer: Peer) => boolean,
  theirs: (peer: Peer) => boolean,
): number | undefined {
  const best = (which: (peer: Peer) => boolean) =>
    Math.min(...cells.map(({ ms = Infinity }, i) => which(peers[i]) ? ms : Infinity));
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
    title: `${dtype}: PyTorch, native, ${onThreads}`,
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
  using ours = await useThreads(threads);
  if (ours.reason !== undefined) throw new Error(ours.reason);
  const peers = await findPeers(makers, options.peers);
  const cells: Cell[][] = [];
  for (const { workload, direction } of columns) {
    note(`${workload.name} ${direction}`);
    cells.push(await compare(peers, workload, direction, settings));
  }
  console.log(`Whole calls, ${onThreads}, ${options.min ? "least" : "median"} ms:\n`);
  console.log(markdownTable([
    ["", "", ...heads],
    ...peers.map(({ name, dtype }, i) => [name, dtype, ...cells.map((column) => column[i].text)]),
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
