/**
 * Single vectors and pairs of vectors in turn, in one process: layers of well-known nets, and training
 * iterations of the recipes. Node runs it as it is, from 24 on:
 *
 * `node --experimental-wasm-revectorize bench/pairs.ts [--only resnet18] [--recipes deep,fast]`
 *
 * and Deno by
 * `deno run --v8-flags=--experimental-wasm-revectorize,--no-wasm-bounds-checks bench/pairs.ts`
 * (--help: the options).
 *
 * @module
 */

import process from "node:process";
import { type Recipe, recipes } from "../examples/lib/recipes.ts";
import { timePairs } from "../kernels/simd/pairs.ts";
import { RandomState, Solver, useVectorPairs } from "../mod.ts";
import { markdownTable } from "../tools/markdown.ts";
import { matching, scriptOptions, whole, word, words } from "../tools/options.ts";
import { netLayers } from "./nets_layers.ts";
import { bind, explain } from "./peers/ours.ts";
import { type Direction, makeJob, type Workload } from "./peers/peer.ts";

const names = netLayers.map(({ workload }) => workload.name);
const recipeNames = ["course", "deep", "resnet20", "fast"] as const;
const options = scriptOptions({
  usage: "node --experimental-wasm-revectorize bench/pairs.ts",
  about: "Times layers and training iterations by single vectors and by pairs, in turn: least ms.",
  options: {
    only: matching(names, "layers by parts of their names, separated by commas"),
    batch: whole(1, [1, 1000], "images of a layer's call"),
    dtype: word("float32", ["float32", "float64"], "data type of the layers"),
    budget: whole(
      200,
      [1, 100_000],
      "milliseconds of a layer's pass, at least three calls of each",
    ),
    recipes: words(recipeNames, "recipes, separated by commas"),
    iterations: whole(10, [0, 10_000], "timed training iterations of each; 0: none"),
  },
});

/** Calls before the timed ones, for the engine's compilers. */
const WARMUP = 2;

/** The least times of both, in ms. */
interface Times {
  single: number;
  pairs: number;
}

const kinds = ["single", "pairs"] as const;

function cells({ single, pairs }: Times): string[] {
  const show = (ms: number) => ms < 1000 ? ms.toPrecision(3) : ms.toFixed(0);
  return [show(single), show(pairs), `${(single / pairs).toFixed(2)}x`];
}

/** Times a pass of a layer; undefined if its kernel is not for pairs. */
function layerTimes(workload: Workload, direction: Direction): Times | undefined {
  const job = makeJob(workload, direction, options.batch);
  {
    using _ = useVectorPairs(true);
    if (!explain(job, options.dtype).name.includes("-pairs-")) return undefined;
  }
  const run = bind(job, options.dtype, "simd"),
    least: Times = { single: Infinity, pairs: Infinity };
  const end = performance.now() + options.budget;
  for (let round = -WARMUP; round < 3 || performance.now() < end; round++) {
    for (const kind of kinds) {
      using _ = useVectorPairs(kind === "pairs");
      const start = performance.now();
      run();
      if (round >= 0) least[kind] = Math.min(least[kind], performance.now() - start);
    }
  }
  return least;
}

/** Times iterations of a recipe's net on noise of CIFAR-10's size, by one kind and by the other in turn. */
function recipeTimes(recipe: Recipe): Times {
  const { batchSize } = recipe.solver, random = new RandomState(0);
  // Three batches an epoch: what comes at its end strikes both kinds in turn.
  const x = random.randn([3 * batchSize, 3, 32, 32], "float32");
  const y = random.randint(0, 10, 3 * batchSize);
  const least: Times = { single: Infinity, pairs: Infinity };
  const all = 2 * (WARMUP + options.iterations), enough = new AbortController();
  let done = 0, choice = useVectorPairs(false), start = performance.now();
  new Solver(recipe.net(random, recipe.reg), { xTrain: x, yTrain: y, xVal: x, yVal: y }, {
    ...recipe.solver,
    // A step of next to nothing: the numbers stay those of a net at its start.
    optimConfig: { ...recipe.optimConfig, learningRate: 1e-6 },
    numEpochs: all,
    ...{ numTrainSamples: 1, numValSamples: 1, verbose: false },
  }).train({
    signal: enough.signal,
    onProgress() {
      const kind = kinds[done % 2], time = performance.now() - start;
      if (done >= 2 * WARMUP) least[kind] = Math.min(least[kind], time);
      if (++done === all) enough.abort();
      choice[Symbol.dispose]();
      choice = useVectorPairs(done % 2 === 1);
      start = performance.now();
    },
  });
  choice[Symbol.dispose]();
  return least;
}

const { versions } = process;
const host = "deno" in versions ? `Deno ${versions.deno}` : `Node ${versions.node}`;
console.log(`${host}, V8 ${versions.v8}: pairs are ${timePairs() ? "" : "not "}faster here.\n`);
const rows: string[][] = [];
for (
  const { workload } of netLayers.filter(({ workload }) => options.only.includes(workload.name))
) {
  const passes = (["fwd", "bwd"] as const).map((direction) => layerTimes(workload, direction));
  if (passes.includes(undefined)) continue;
  rows.push([workload.name, ...passes.flatMap((times) => cells(times!))]);
}
if (rows.length > 0) {
  const heads = ["forward", "backward"].flatMap((pass) => [pass, "by pairs", ""]);
  console.log(markdownTable([[`${options.dtype}, images: ${options.batch}`, ...heads], ...rows]));
}
if (options.iterations > 0) {
  const iterations = options.recipes.map((name) => [name, ...cells(recipeTimes(recipes[name]))]);
  console.log(`\n${markdownTable([["iteration of", "ms", "by pairs", ""], ...iterations])}`);
}
