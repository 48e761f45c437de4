/**
 * The recipe "fast" beside PyTorch: the same iterations of both, a few of one and then of the other.
 *
 * `deno task bench:fast --data DIR [--threads 2] [--iterations 100]`, where DIR holds CIFAR-10 and
 * Debian's python3-torch is installed with libopenblas0-pthread.
 *
 * @module
 */

import { RandomState, useThreads } from "../mod.ts";
import { readForRecipe, recipeSolver } from "../examples/lib/recipe_solver.ts";
import { type Recipe, recipes } from "../examples/lib/recipes.ts";
import { path, scriptOptions, whole } from "../tools/options.ts";
import { choosePairs, pairs } from "./vector_pairs.ts";

const options = scriptOptions({
  usage: "deno task bench:fast",
  about: "Times training iterations of the recipe fast, here and in PyTorch.",
  options: {
    data: path("folder with CIFAR-10's binary files (default: data)"),
    threads: whole(2, [1, 64], "threads of both"),
    iterations: whole(100, [1, 10_000], "iterations of both"),
    slot: whole(20, [1, 1000], "iterations of one before the other takes its turn"),
    pairs,
  },
});
choosePairs(options.pairs);

const { data: folder = "data", threads, iterations, slot } = options;

/** Runs so many iterations, and tells the seconds of each. */
type Run = (count: number) => Promise<number[]>;

async function ours(): Promise<Run> {
  const recipe: Recipe = recipes.fast, data = await readForRecipe(folder, recipe);
  const random = new RandomState(0), net = recipe.net(random, recipe.reg);
  recipe.prepare?.(net, data.xTrain);
  const solver = recipeSolver(recipe, net, data, { random });
  return (count) => {
    const times: number[] = [], enough = new AbortController();
    let start = performance.now();
    solver.train({
      signal: enough.signal,
      onProgress() {
        times.push((performance.now() - start) / 1000);
        start = performance.now();
        if (times.length === count) enough.abort();
      },
    });
    return Promise.resolve(times);
  };
}

/** Debian's python3-torch belongs to Debian's Python. */
function torch(): { run: Run; [Symbol.dispose](): void } {
  const script = new URL("torch_fast.py", import.meta.url).pathname;
  const child = new Deno.Command("/usr/bin/python3", {
    args: [script, "--data", folder, "--threads", `${threads}`, "--ask"],
    env: { OMP_NUM_THREADS: `${threads}` },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter(), reader = child.stdout.getReader();
  return {
    async run(count) {
      await writer.write(new TextEncoder().encode(`${count}\n`));
      let text = "";
      while (!text.endsWith("\n")) {
        const { value, done } = await reader.read();
        if (done) throw new Error("PyTorch has ended: is python3-torch installed?");
        text += new TextDecoder().decode(value);
      }
      return JSON.parse(text);
    },
    [Symbol.dispose]: () => child.kill(),
  };
}

const median = (times: number[]) => times.toSorted((a, b) => a - b)[times.length >> 1];

using used = await useThreads(threads);
using peer = torch();
const sides = { "cnn-layers": await ours(), PyTorch: peer.run };
const times: Record<keyof typeof sides, number[]> = { "cnn-layers": [], PyTorch: [] };
for (let done = 0; done < iterations; done += slot) {
  for (const [name, run] of Object.entries(sides) as [keyof typeof sides, Run][]) {
    times[name].push(...await run(Math.min(slot, iterations - done)));
    const last = times[name].slice(-slot);
    console.error(`${name.padEnd(10)}  ${times[name].length}  ${median(last).toFixed(3)} s`);
  }
}
const { batchSize } = recipes.fast.solver;
console.log(
  `an iteration of ${batchSize} images, ${used.count} threads, ${iterations} iterations\n`,
);
console.log("            median s  least s");
for (const [name, all] of Object.entries(times)) {
  const figures = [median(all), Math.min(...all)].map((s) => s.toFixed(3).padStart(8));
  console.log(`${name.padEnd(10)}  ${figures.join(" ")}`);
}
console.log(
  `ratio       ${(median(times.PyTorch) / median(times["cnn-layers"])).toFixed(2).padStart(8)}`,
);
