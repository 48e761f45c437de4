/**
 * Whole nets, forward, beside tfjs wasm and onnxruntime-web, one thread each: every implementation's scores are
 * checked against ours, and they take turns.
 *
 * `deno task bench:whole [--only resnet18] [--batch 8] [--layers]` (--help: what they mean).
 *
 * @module
 */

import { toOnnx } from "../io/onnx.ts";
import { RandomState, type Tensor } from "../mod.ts";
import { markdownTable } from "../tools/markdown.ts";
import { flag, scriptOptions, whole, words } from "../tools/options.ts";
import { firstLine, note } from "./compare.ts";
import { LayerTimes } from "./layer_times.ts";
import { loadOrt, sessionOptions } from "./peers/onnxruntime.ts";
import { tfjsNet } from "./peers/tfjs_net.ts";
import { choosePairs, pairs } from "./vector_pairs.ts";
import { drawnNet, wholeNets } from "./whole_nets.ts";

const names = Object.keys(wholeNets) as (keyof typeof wholeNets)[];
const options = scriptOptions({
  usage: "deno task bench:whole",
  about: "Times whole nets, forward, beside other libraries: one thread, least ms.",
  options: {
    only: words(names, "nets, separated by commas"),
    batch: whole(1, [1, 100], "images"),
    rounds: whole(7, [1, 1000], "rounds of each implementation in turn"),
    layers: flag("split ours by layers, in place of the others"),
    pairs,
  },
});
choosePairs(options.pairs);

/** How far scores may be from ours, relative to the largest: sums of other orders, in float32. */
const TOLERANCE = 1e-3;

type Run = () => ArrayLike<number> | Promise<ArrayLike<number>>;

async function onnxNet(model: Uint8Array, x: Tensor): Promise<Run> {
  const ort = await loadOrt("web");
  const session = await ort.InferenceSession.create(model, sessionOptions("web"));
  const feeds = { x: new ort.Tensor("float32", x.data as Float32Array, x.shape) };
  return async () => Object.values(await session.run(feeds))[0].data;
}

/** The largest distance of scores, relative to the largest score. */
function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let error = 0, largest = 0;
  for (let i = 0; i < expected.length; i++) {
    error = Math.max(error, Math.abs(actual[i] - expected[i]));
    largest = Math.max(largest, Math.abs(expected[i]));
  }
  return Number.isNaN(error) ? Infinity : error / largest;
}

async function beside(name: keyof typeof wholeNets): Promise<string[]> {
  const net = drawnNet(name), x = new RandomState(1).randn([options.batch, 3, 224, 224], "float32");
  const prepared = net.prepare();
  const makers: Record<string, () => Run | Promise<Run>> = {
    ours: () => () => net.predict(x).data,
    prepared: () => () => prepared.predict(x).data,
    tfjs: () => tfjsNet(net, x),
    ort: () => onnxNet(toOnnx(net), x),
  };
  const expected = net.predict(x).data.slice();
  const runs: [string, Run][] = [], least: Record<string, number> = {};
  for (const [peer, make] of Object.entries(makers)) {
    note(`${name}: ${peer}`);
    try {
      const run = await make();
      const error = distance(await run(), expected);
      if (!(error <= TOLERANCE)) throw new Error(`off by ${error.toExponential(1)}`);
      runs.push([peer, run]);
      least[peer] = Infinity;
    } catch (error) {
      note(`${name}, ${peer}: ${firstLine(error)}`);
    }
  }
  for (let round = 0; round < options.rounds; round++) {
    for (const [peer, run] of runs) {
      const start = performance.now();
      await run();
      least[peer] = Math.min(least[peer], performance.now() - start);
    }
  }
  const web = Math.min(least.tfjs ?? Infinity, least.ort ?? Infinity);
  return [
    name,
    ...Object.keys(makers).map((peer) => least[peer]?.toFixed(1) ?? "-"),
    (web / least.ours).toFixed(2),
    (web / least.prepared).toFixed(2),
  ];
}

/** Our prepared net's time by layers. */
function split(name: keyof typeof wholeNets): void {
  const times = new LayerTimes();
  const net = drawnNet(
    name,
    (layer) =>
      times.watched(
        layer,
        ({ type, args }, inShape) =>
          ["residual", "sequential"].includes(type)
            ? type
            : `${type} ${inShape.join("x")} ${JSON.stringify(args)}`,
      ),
  );
  const server = net.prepare(),
    x = new RandomState(1).randn([options.batch, 3, 224, 224], "float32");
  const least = new Map<string, number>();
  let all = Infinity;
  for (let round = -2; round < options.rounds; round++) {
    times.start();
    const start = performance.now();
    server.predict(x);
    if (round < 0) continue;
    all = Math.min(all, performance.now() - start);
    for (const [row, phases] of times.spent) {
      least.set(row, Math.min(least.get(row) ?? Infinity, phases.get("forward") ?? 0));
    }
  }
  console.log(`\n${name}: ${all.toFixed(1)} ms\n`);
  const rows = [...least].sort(([, a], [, b]) => b - a).map(([row, ms]) => [row, ms.toFixed(2)]);
  console.log(markdownTable([["layers alike", "ms"], ...rows]));
}

if (options.layers) options.only.forEach(split);
else {
  const rows: string[][] = [];
  for (const name of options.only) rows.push(await beside(name));
  console.log(`Least ms of ${options.batch} x 3 x 224 x 224 forward, one thread each.\n`);
  const head = ["net", "ours", "prepared", "tfjs wasm", "onnxruntime-web", "web", "web, prepared"];
  console.log(markdownTable([head, ...rows]));
}
// Some peers keep timers or workers that would hold the process open.
Deno.exit(0);
