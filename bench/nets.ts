/**
 * The layers of well-known nets: cnn-layers beside tfjs wasm, onnxruntime-web and PyTorch on one thread, in
 * one run, whole calls with weights packed in the call. Each implementation's numbers are checked against
 * ours in float64, which the tests hold to the definition.
 *
 * `deno task bench:nets [--quick] [--only fast,resnet18] [--batch 1] [--peers ours,torch]` (--help: what they
 * mean).
 *
 * @module
 */

import { flag, matching, scriptOptions, whole, words } from "../tools/options.ts";
import { useKernels } from "../mod.ts";
import { type Cell, compare, findPeers, note, type Settings } from "./compare.ts";
import { estimateConv } from "./estimate.ts";
import { markdownTable } from "../tools/markdown.ts";
import { type NetLayer, netLayers } from "./nets_layers.ts";
import { onnxruntime } from "./peers/onnxruntime.ts";
import { bind, explain, ours, prepared } from "./peers/ours.ts";
import { type Job, makeJob, type Peer, type Results } from "./peers/peer.ts";
import { tfjs } from "./peers/tfjs.ts";
import { torch } from "./peers/torch.ts";
import { choosePairs, pairs } from "./vector_pairs.ts";

const dtypes = ["float32", "float64"] as const;
const directions = ["fwd", "bwd"] as const;
const makers: Record<string, () => Peer | Promise<Peer>> = {
  ...Object.fromEntries(dtypes.map((dtype) => [`ours ${dtype}`, () => ours("simd", dtype, true)])),
  "prepared float32": () => prepared("float32"),
  "tfjs wasm": () => tfjs("wasm"),
  "onnxruntime-web": () => onnxruntime("web"),
  ...Object.fromEntries(dtypes.map((dtype) => [`torch ${dtype}`, () => torch(dtype)])),
};

const options = scriptOptions({
  usage: "deno task bench:nets",
  about:
    "Times the layers of well-known nets beside other libraries: whole calls, one core, least ms.",
  options: {
    quick: flag("fewer rounds"),
    only: matching(
      netLayers.map(({ workload }) => workload.name),
      "layers by parts of their names, separated by commas",
    ),
    batch: whole(undefined, [1, 1000], "one batch size (default: each layer's own)"),
    direction: words(directions, "passes, separated by commas"),
    peers: matching(
      Object.keys(makers),
      "implementations, by parts of their names, separated by commas",
    ),
    pairs,
  },
});
choosePairs(options.pairs);

const settings: Settings = {
  rounds: options.quick ? 3 : 7,
  budget: options.quick ? 20 : 100,
  limit: options.quick ? 4_000 : 20_000,
  min: true,
  few: 1,
  reference,
};

function reference(job: Job): Results {
  using _ = useKernels("simd");
  return bind(job, "float64", "simd")();
}

/** Additions and multiplications of a job; undefined for a pool. */
function operations({ workload: { kind, w }, dout, direction }: Job): number | undefined {
  if (w === undefined) return undefined;
  const terms = kind === "affine" ? w[0] : w[1] * w[2] * w[3];
  return 2 * dout.length * terms * (direction === "bwd" ? 2 : 1);
}

/** A row of the table, and how many times faster ours is than the web's best and than PyTorch. */
interface Row {
  readonly cells: string[];
  readonly web?: number;
  readonly prepared?: number;
  readonly torch?: number;
  readonly torch64?: number;
  /** The measured time, and the cost by which its algorithm was chosen. */
  readonly ms?: number;
  readonly estimate?: number;
}

async function row(
  peers: readonly Peer[],
  { workload }: NetLayer,
  batch: number,
  direction: typeof directions[number],
): Promise<Row> {
  note(`${workload.name}, ${batch}, ${direction}`);
  // A fully-connected layer takes about as long for one image as for some: nothing can be scaled up.
  const few = workload.kind === "affine" ? batch : settings.few;
  const times = await compare(peers, workload, direction, { ...settings, few }, batch);
  const job = makeJob(workload, direction, batch);
  const flops = operations(job);
  const find = (name: string, dtype: string): Cell | undefined =>
    times[peers.findIndex((peer) => peer.name.startsWith(name) && peer.dtype === dtype)];
  const mine = find("cnn-layers simd", "float32")?.ms;
  const mine64 = find("cnn-layers simd", "float64")?.ms;
  const ratio = (theirs?: number, ours?: number) =>
    theirs === undefined || ours === undefined ? undefined : theirs / ours;
  const web = Math.min(
    find("tfjs", "float32")?.ms ?? Infinity,
    find("onnxruntime", "float32")?.ms ?? Infinity,
  );
  const theWeb = Number.isFinite(web) ? web : undefined;
  const result = {
    web: ratio(theWeb, mine),
    prepared: ratio(theWeb, find("cnn-layers prepared", "float32")?.ms),
    torch: ratio(find("PyTorch", "float32")?.ms, mine),
    torch64: ratio(find("PyTorch", "float64")?.ms, mine64),
  };
  const { name } = explain(job, "float32");
  const show = (value: number | undefined) => value?.toPrecision(3) ?? "-";
  return {
    ...result,
    ms: mine,
    estimate: estimateConv(workload, direction, batch, "float32"),
    cells: [
      workload.name,
      String(batch),
      direction,
      ...times.map(({ text }) => text),
      flops === undefined || mine === undefined ? "" : (flops / mine / 1e6).toFixed(1),
      show(result.web),
      show(result.prepared),
      show(result.torch),
      show(result.torch64),
      /-f32(?:-(.*))?-simd$/.exec(name)?.[1] ?? "",
    ],
  };
}

const peers = await findPeers(makers, options.peers);
const rows: Row[] = [];
for (const layer of netLayers.filter(({ workload }) => options.only.includes(workload.name))) {
  for (const batch of options.batch === undefined ? layer.batches : [options.batch]) {
    for (const direction of options.direction) {
      rows.push(await row(peers, layer, batch, direction));
    }
  }
}
// The cost of a millisecond on this machine: with it, half the estimates are too high and half too low.
const speeds = rows.flatMap(({ ms, estimate }) => ms && estimate ? [estimate / ms] : []);
const speed = speeds.sort((a, b) => a - b)[speeds.length >> 1];
const estimated = ({ estimate }: Row) => estimate && estimate / speed;
const isClose = (row: Row) => Math.abs(Math.log(estimated(row)! / row.ms!)) <= Math.log(1.2);
console.log("Least ms of whole calls, one core; and how many times faster ours is.\n");
console.log(markdownTable([
  [
    "layer",
    "images",
    "",
    ...peers.map(({ name, dtype }) => `${name} ${dtype}`),
    "GFLOP/s",
    "web",
    "web, prepared",
    "PyTorch",
    "PyTorch 64",
    "algorithm",
    "estimated ms",
  ],
  ...rows.map((row) => [...row.cells, estimated(row)?.toPrecision(3) ?? ""]),
]));
const known = rows.filter(({ ms, estimate }) => ms && estimate);
if (known.length > 0) {
  const close = known.filter(isClose).length;
  console.log(`\nOf ${known.length} estimates ${close} are within 20 % of the time.`);
}
for (const column of ["web", "prepared", "torch", "torch64"] as const) {
  for (const direction of options.direction) {
    const ratios = rows.filter(({ cells }) => cells[2] === direction)
      .flatMap((row) => row[column] ?? []);
    if (ratios.length === 0) continue;
    const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
    const least = Math.min(...ratios);
    const worst = rows.find((row) => row[column] === least && row.cells[2] === direction)!;
    console.log(
      `\n${column} ${direction}: geometric mean ${
        mean.toPrecision(3)
      } over ${ratios.length} rows, ` +
        `worst ${least.toPrecision(3)} (${worst.cells.slice(0, 2).join(", ")})`,
    );
  }
}
for (const peer of peers) peer.dispose?.();
// Some peers keep timers or workers that would hold the process open.
Deno.exit(0);
