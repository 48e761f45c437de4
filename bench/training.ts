/**
 * Where the time of a training iteration goes: a recipe's net on images of CIFAR-10's size, by kinds of
 * layers, forward and backward; drawing the batch, the update, and what is left; and images per second.
 *
 * `deno task bench:training [--recipe resnet20] [--batch 100] [--dtype float64] [--kernels generated] ...`;
 * the options and their defaults stand below. Each time is the least of all rounds. A layer
 * that the kernel before it does, such as a relu, counts there; what is left of it has its own row.
 * With `--threads` a second net takes turns with the first one, on so many threads.
 *
 * @module
 */

import { recipes } from "../examples/lib/recipes.ts";
import { LayerTimes, type Phase } from "./layer_times.ts";
import { scriptOptions, whole, word } from "../tools/options.ts";
import { choosePairs, pairs } from "./vector_pairs.ts";
import {
  cropAndMirror,
  Net,
  type OptimConfig,
  RandomState,
  type Tensor,
  updateRules,
  useKernels,
  useThreads,
  zeros,
} from "../mod.ts";

const names = Object.keys(recipes) as (keyof typeof recipes)[];
const options = scriptOptions({
  usage: "deno task bench:training",
  about: "Splits a training iteration of a recipe on CIFAR-10's shapes by kinds of layers.",
  options: {
    recipe: word("course", names, "whose net and update rule"),
    batch: whole(undefined, [1, 1000], "images in a batch; default: the recipe's"),
    dtype: word("float32", ["float32", "float64"], "data type"),
    threads: whole(1, [1, 256], "threads, to compare with one"),
    kernels: word("auto", ["auto", "simd", "generated", "naive"], "which kernels run"),
    rounds: whole(10, [1, 100_000], "iterations that are timed"),
    pairs,
  },
});
choosePairs(options.pairs);

/** Iterations before the timed ones, for the compiler. */
const WARMUP = 2;
/** Images that batches are drawn from. */
const IMAGES = 2000;

const times = new LayerTimes();
const timed = times.timed.bind(times);

const { kernels, dtype, rounds, threads, recipe: name } = options;
useKernels(kernels);
const recipe = recipes[name], { solver, crop, mirror, reg } = recipe;
const { batch = solver.batchSize } = options;
const random = new RandomState(0);
const padding = "padding" in recipe ? recipe.padding : undefined;
const augment = crop > 0 || mirror ? cropAndMirror({ pad: crop, mirror, padding }) : undefined;
const average = "average" in solver ? solver.average : undefined;
const images = random.randn([IMAGES, 3, 32, 32], dtype);
const labels = random.randint(0, 10, IMAGES);
const size = images.data.length / IMAGES;
const rule = updateRules[solver.updateRule];
const optimConfig = "optimConfig" in recipe ? recipe.optimConfig : {};

/** A net of the recipe and its training run. */
function start() {
  const { layers } = recipe.net(random, reg);
  const net = new Net({
    inputDim: [3, 32, 32],
    layers: layers.map(({ layer }) => times.watched(layer)),
    ...{ reg, dtype, random },
  });
  const frozen = new Set(
    Object.keys(net.params).filter((param) =>
      ("frozen" in solver ? solver.frozen : []).some((one) =>
        typeof one === "string" ? one === param : one.test(param)
      )
    ),
  );
  const configs: Record<string, OptimConfig> = {};
  const averages = average?.start(net);
  const drawn: Tensor = zeros([batch, 3, 32, 32], dtype);
  let spent: Record<string, Tensor> = {};
  const run = { net, least: new Map<string, Map<Phase, number>>(), iteration: Infinity };

  /** An iteration as the solver goes about it. */
  function iterate(place: number): void {
    const picks = random.randint(0, IMAGES, batch), y = picks.map((pick) => labels[pick]);
    const x = timed("batch", "other", () => {
      for (const [n, pick] of picks.entries()) {
        drawn.data.set(images.data.subarray(pick * size, (pick + 1) * size), n * size);
      }
      augment?.(drawn, random, { picks, y, epoch: 0 });
      return drawn;
    });
    const { grads } = timed("loss, penalty", "other", () => net.loss(x, y, { frozen, spent }));
    spent = grads;
    timed("update", "other", () => {
      for (const [param, grad] of Object.entries(grads)) {
        if (frozen.has(param)) continue;
        // A step of next to nothing: the numbers stay those of a net at its start.
        configs[param] ??= { ...optimConfig, learningRate: 1e-6 };
        rule(net.params[param], grad, configs[param]);
      }
    });
    if (averages === undefined) return;
    const places = { iteration: place, iterations: rounds };
    timed("average", "other", () => average!.follow(averages, net, places));
  }

  return Object.assign(run, {
    next(place: number): void {
      times.start();
      const start = performance.now();
      iterate(place + WARMUP + 1);
      if (place < 0) return;
      run.iteration = Math.min(run.iteration, performance.now() - start);
      for (const [row, phases] of times.spent) {
        const best = run.least.get(row) ?? new Map<Phase, number>();
        for (const [phase, ms] of phases) {
          best.set(phase, Math.min(ms, best.get(phase) ?? Infinity));
        }
        run.least.set(row, best);
      }
    },
  });
}

const alone = start();
let together: ReturnType<typeof start> | undefined;
{
  using team = threads > 1 ? await useThreads(threads) : undefined;
  if (team !== undefined) {
    if (team.count < threads) throw new Error(team.reason);
    // Its parameters lie in shared memory.
    together = start();
  }
  for (let i = -WARMUP; i < rounds; i++) {
    together?.next(i);
    using _ = await useThreads(1);
    alone.next(i);
  }
}

const sum = (numbers: Iterable<number>) => [...numbers].reduce((total, value) => total + value, 0);
const rows = [...alone.least].map(([row, phases]) => ({ row, phases, ms: sum(phases.values()) }))
  .sort((a, b) => b.ms - a.ms);
const all = sum(rows.map(({ ms }) => ms));
const cell = (value: number | undefined, digits = 2) => (value?.toFixed(digits) ?? "").padStart(10);
console.log(`${name}, ${dtype}, ${batch} x 3 x 32 x 32, ${solver.updateRule}`);
for (const { layer, name } of alone.net.explain()) console.log(`  ${layer}: ${name}`);
console.log();
const heads = ["forward", "backward", "ms", "%"];
if (together) heads.push(`${threads} threads`, "speed-up");
console.log("".padEnd(14) + heads.map((s) => s.padStart(10)).join(""));
for (const { row, phases, ms } of rows) {
  const cells = [cell(phases.get("forward")), cell(phases.get("backward")), cell(ms)];
  cells.push(cell(100 * ms / all, 1));
  if (together) {
    const least = sum(together.least.get(row)!.values());
    cells.push(cell(least), cell(ms / least));
  }
  console.log(row.padEnd(14) + cells.join(""));
}
console.log();
const outside = rows.filter(({ row }) => !/^(conv|affine)/.test(row)).map(({ ms }) => ms);
console.log(
  `outside convolutions and fully-connected layers: ${(100 * sum(outside) / all).toFixed(1)} %`,
);
const show = (ms: number) => `${ms.toFixed(1)} ms: ${Math.round(1000 * batch / ms)} images/s`;
console.log(`sum of the rows ${all.toFixed(1)} ms; whole iteration ${show(alone.iteration)}`);
if (together) {
  const { iteration } = together, speedUp = (alone.iteration / iteration).toFixed(2);
  console.log(`on ${threads} threads ${show(iteration)}, ${speedUp} times as fast`);
}
