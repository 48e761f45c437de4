/**
 * Where the time of a training iteration goes: ThreeLayerConvNet on images of CIFAR-10's size, layer
 * by layer, forward, backward and update, in milliseconds and percent; and images per second.
 *
 * `deno task bench:training [--hidden 500] [--batch 100] [--dtype float64] [--kernels generated] ...`;
 * the options and their defaults stand below. Each time is the least of all rounds. The
 * row of a layer with weights holds their update: adam's square root and division, for each weight.
 *
 * @module
 */

import { odd, scriptOptions, whole, word } from "../tools/options.ts";
import {
  adam,
  affineBackward,
  affineForward,
  affineReluForward,
  convBackward,
  convReluForward,
  maxPoolBackward,
  maxPoolForward,
  type OptimConfig,
  RandomState,
  reluBackward,
  softmaxLoss,
  type Tensor,
  ThreeLayerConvNet,
  useKernels,
} from "../mod.ts";
import { penalize } from "../nn/nets/layered_net.ts";

const options = scriptOptions({
  usage: "deno task bench:training",
  about: "Splits a training iteration of ThreeLayerConvNet on CIFAR-10's shapes by layer.",
  options: {
    batch: whole(50, [1, 1000], "images in a batch"),
    filters: whole(32, [1, 256], "filters of the convolution"),
    "filter-size": odd(7, [1, 31], "height and width of the filters, an odd number"),
    hidden: whole(100, [1, 4096], "size of the hidden layer"),
    dtype: word("float32", ["float32", "float64"], "number type"),
    kernels: word("auto", ["auto", "simd", "generated", "naive"], "which kernels run"),
    rounds: whole(25, [1, 100_000], "iterations that are timed"),
  },
});

type Numbers = Float32Array | Float64Array;
type Params = Record<string, Tensor<Numbers>>;
const phases = ["forward", "backward", "update"] as const;
type Phase = typeof phases[number];

/** Iterations before the timed ones, for the compiler. */
const WARMUP = 5;
const REG = 1e-3;

useKernels(options.kernels);
const random = new RandomState(0);
const { dtype } = options;
const { batch, "filter-size": filterSize } = options;
const net = new ThreeLayerConvNet({
  numFilters: options.filters,
  filterSize,
  hiddenDim: options.hidden,
  reg: REG,
  dtype,
  random,
});
const params: Params = net.params;
const x = random.randn([batch, 3, 32, 32], dtype), y = random.randint(0, 10, batch);
const convParam = { stride: 1, pad: Math.floor((filterSize - 1) / 2) };
const poolParam = { poolHeight: 2, poolWidth: 2, stride: 2 };

/** The milliseconds of each layer in each phase, one a round. */
const times = new Map<string, Record<Phase, number[]>>();

function timed<T>(layer: string, phase: Phase, run: () => T): T {
  const start = performance.now();
  const result = run();
  const passed = performance.now() - start;
  const row = times.get(layer) ?? { forward: [], backward: [], update: [] };
  row[phase].push(passed);
  times.set(layer, row);
  return result;
}

const configs: Record<string, OptimConfig> = {};

function update(grads: Params, ...names: readonly string[]): void {
  for (const name of names) {
    const { nextW, config } = adam(params[name], grads[name], configs[name] ?? {});
    params[name] = nextW;
    configs[name] = config;
  }
}

/** One iteration as the net and the solver go about it, but each layer on its own and timed. */
function layers(): void {
  const { W1, b1, W2, b2, W3, b3 } = params;
  const conv = timed(
    "conv + relu",
    "forward",
    () => convReluForward<Numbers>(x, W1, b1, convParam),
  );
  const pool = timed("max pool", "forward", () => maxPoolForward(conv.out, poolParam));
  const hidden = timed("affine + relu", "forward", () => affineReluForward(pool.out, W2, b2));
  const scores = timed("affine", "forward", () => affineForward(hidden.out, W3, b3));
  const { dx: dscores } = timed("softmax", "backward", () => softmaxLoss(scores.out, y));

  const last = timed("affine", "backward", () => affineBackward(dscores, scores.cache));
  const drelu2 = timed("relu 2", "backward", () => reluBackward(last.dx, hidden.cache.relu));
  const first = timed(
    "affine + relu",
    "backward",
    () => affineBackward(drelu2, hidden.cache.affine),
  );
  const drelu1 = timed(
    "relu 1",
    "backward",
    () => reluBackward(first.dx, { out: pool.out }),
  );
  const dconv = timed("max pool", "backward", () => maxPoolBackward(drelu1, pool.cache));
  const filters = timed(
    "conv + relu",
    "backward",
    () => convBackward(dconv, conv.cache.conv, { dx: false }),
  );

  const grads = {
    ...{ W1: filters.dw, b1: filters.db, W2: first.dw, b2: first.db, W3: last.dw, b3: last.db },
  };
  timed("penalty", "backward", () => penalize(REG, params, grads));
  timed("conv + relu", "update", () => update(grads, "W1", "b1"));
  timed("affine + relu", "update", () => update(grads, "W2", "b2"));
  timed("affine", "update", () => update(grads, "W3", "b3"));
}

/** The same iteration, as a user calls it. */
function iterate(): void {
  timed("whole", "forward", () => {
    const { grads } = net.loss(x, y);
    update(grads, ...Object.keys(grads));
  });
}

/** The least is what the work takes; all above it is the machine's other work. */
function fastest(numbers: readonly number[]): number {
  return numbers.length === 0 ? 0 : Math.min(...numbers);
}

for (let i = 0; i < WARMUP; i++) {
  layers();
  iterate();
}
times.clear();
for (let i = 0; i < options.rounds; i++) {
  layers();
  iterate();
}

const iteration = fastest(times.get("whole")!.forward);
times.delete("whole");
const rows = [...times].map(([layer, row]) => {
  const [forward, backward, update] = phases.map((phase) => fastest(row[phase]));
  return { layer, forward, backward, update, all: forward + backward + update };
});
const all = rows.reduce((total, row) => total + row.all, 0);
const share = (part: number) => `${(100 * part / all).toFixed(1)} %`;
const sum = (numbers: readonly number[]) => numbers.reduce((total, value) => total + value, 0);
const others = sum(rows.map(({ layer, all }) => /conv|affine/.test(layer) ? 0 : all));
const updates = sum(rows.map(({ update }) => update));

const inputs = `${batch} x ${x.shape.slice(1).join(" x ")}`;
console.log(
  `ThreeLayerConvNet, ${dtype}, x ${inputs}, filters ${params.W1.shape.join(" x ")}, ` +
    `hidden ${options.hidden}, adam`,
);
for (const { layer, name } of net.explain()) console.log(`  ${layer}: ${name}`);
console.log();
const cell = (value: number) => (value === 0 ? "" : value.toFixed(2)).padStart(9);
console.log(
  "layer".padEnd(14) +
    ["forward", "backward", "update", "ms", "%"].map((s) => s.padStart(9)).join(""),
);
for (const { layer, forward, backward, update, all: ms } of rows) {
  const cells = [forward, backward, update, ms, 100 * ms / all].map(cell);
  console.log(layer.padEnd(14) + cells.join(""));
}
console.log();
console.log(`outside convolution and affine layers: ${share(others)}`);
console.log(`in these layers, the update of the weights: ${share(updates)}`);
console.log(
  `sum of the layers ${all.toFixed(1)} ms; whole iteration ${iteration.toFixed(1)} ms: ` +
    `${Math.round(1000 * batch / iteration)} images/s`,
);
