/**
 * A training iteration on threads and on the ranks of an MPI job, on this machine: the same updates of a
 * recipe's net, to the same bits, by one process on one thread, by one on several, and by several ranks on
 * one thread each. And what they send, from which follows what more machines would take.
 *
 * `deno task bench:ranks [--recipe deep] [--ranks 2] [--rounds 3] ...`. Each way takes its turn in each
 * round; a time is the least of all.
 *
 * @module
 */

import process from "node:process";
import { type Parallel, RandomState, Solver, useThreads } from "../mod.ts";
import { type Mpi, withMpi } from "../io/mpi.ts";
import { type Recipe, recipes } from "../examples/lib/recipes.ts";
import { table } from "../tools/report.ts";
import { scriptOptions, whole, word } from "../tools/options.ts";

const options = scriptOptions({
  usage: "deno task bench:ranks",
  about: "Times training iterations on threads and on the ranks of an MPI job.",
  options: {
    recipe: word("deep", ["course", "deep", "resnet20", "fast"], "whose net and batch"),
    ranks: whole(2, [2, 64], "ranks, and threads"),
    "micro-batches": whole(2, [2, 64], "parts of a batch, in every way"),
    rounds: whole(3, [1, 100], "turns of each way"),
    iterations: whole(6, [2, 1000], "iterations of a turn"),
    way: word("all", ["all", "threads", "ranks"], "what this process does; all starts the others"),
    threads: whole(1, [1, 64], "threads of one process"),
  },
});

/** What a turn gives. */
interface Turn {
  /** The least time of an iteration, in ms. */
  readonly iteration: number;
  /** How long it waited for the sums at its end. */
  readonly wait: number;
  /** The least processor time of an iteration, waiting aside: what a busy machine changes little. */
  readonly processor: number;
  /** The bytes of all gradients. */
  readonly bytes: number;
  /** What the sums take if nothing is computed meanwhile; 0 without ranks. */
  readonly sums?: number;
}

/** Iterations before the timed ones. */
const WARMUP = 2;
/** How often the sums alone are made. */
const SUMS = 200;

/** Trains on noise of CIFAR-10's size, and times it; rank 0 alone is told how it goes. */
async function turn(mpi: Mpi | undefined): Promise<Turn | undefined> {
  using _ = await useThreads(options.threads);
  const recipe: Recipe = recipes[options.recipe], accumulate = options["micro-batches"];
  const { batchSize } = recipe.solver, random = new RandomState(0);
  const x = random.randn([4 * batchSize, 3, 32, 32], "float32");
  const y = random.randint(0, 10, 4 * batchSize);
  const net = recipe.net(random, recipe.reg);
  let waited = 0, idle = 0;
  const parallel: Parallel | undefined = mpi && {
    rank: mpi.rank,
    size: mpi.size,
    share: (checkpoint) => mpi.share(checkpoint),
    gather: (own) => mpi.gather(own),
    sums(count) {
      const sums = mpi.sums(count);
      return {
        add: (parts) => sums.add(parts),
        end() {
          const start = performance.now(), before = processorTime();
          sums.end();
          waited = performance.now() - start;
          idle = processorTime() - before;
        },
      };
    },
  };
  const times: Omit<Turn, "bytes">[] = [];
  let start = performance.now(), before = processorTime();
  const enough = new AbortController();
  new Solver(net, { xTrain: x, yTrain: y, xVal: x, yVal: y }, {
    ...recipe.solver,
    optimConfig: { ...recipe.optimConfig, learningRate: 1e-4 },
    batchSize: batchSize / accumulate,
    accumulate,
    parallel,
    numEpochs: 1000,
    ...{ numTrainSamples: 1, numValSamples: 1, verbose: false },
  }).train({
    signal: enough.signal,
    onProgress() {
      const processor = processorTime() - before - idle;
      times.push({ iteration: performance.now() - start, wait: waited, processor });
      if (times.length === WARMUP + options.iterations) enough.abort();
      start = performance.now();
      before = processorTime();
    },
  });
  if (times.length === 0) return undefined;
  const sizes = Object.values(net.params).map(({ data }) => data.byteLength);
  const timed = times.slice(WARMUP);
  const processor = Math.min(...timed.map(({ processor }) => processor));
  return { ...least(timed), processor, bytes: sizes.reduce((sum, size) => sum + size) };
}

function least<T extends { readonly iteration: number }>(turns: readonly T[]): T {
  return turns.reduce((best, turn) => turn.iteration < best.iteration ? turn : best);
}

/** The processor time of this process so far, all threads together, in ms. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The least time of the sums of an update's gradients alone, with one micro-batch in each rank, in ms. */
function sumsAlone(mpi: Mpi): number {
  const { params } = recipes[options.recipe].net(new RandomState(0), 0);
  const gradients = Object.values(params).map(({ data }) => data.slice()).toReversed();
  let least = Infinity;
  for (let i = 0; i < SUMS; i++) {
    mpi.barrier();
    const start = performance.now(), sums = mpi.sums(mpi.size);
    for (const data of gradients) sums.add([{ first: mpi.rank, size: 1, data }]);
    sums.end();
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

/** Lets a process, or several, take a turn. */
async function started(command: readonly string[], args: readonly string[]): Promise<Turn> {
  const own = [import.meta.filename!, "--recipe", options.recipe];
  const same = ["micro-batches", "iterations"].map((name) =>
    `--${name}=${options[name as "iterations"]}`
  );
  const [program, ...rest] = [
    ...command,
    ...[Deno.execPath(), "run", "--quiet", "--allow-ffi", "--allow-env", ...own, ...same, ...args],
  ];
  const { stdout, success } = await new Deno.Command(program, {
    args: rest,
    env: {
      OMPI_ALLOW_RUN_AS_ROOT: "1",
      OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
      OMPI_MCA_rmaps_base_oversubscribe: "1",
    },
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`${program} has ended: is MPI installed?`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

if (options.way === "threads") console.log(JSON.stringify(await turn(undefined)));
else if (options.way === "ranks") {
  await withMpi(async (mpi) => {
    const result = await turn(mpi), sums = sumsAlone(mpi);
    if (result !== undefined) console.log(JSON.stringify({ ...result, sums }));
  });
} else {
  const { ranks, rounds } = options;
  const ways = {
    "1 thread": () => started([], ["--way", "threads"]),
    [`${ranks} threads`]: () => started([], ["--way", "threads", "--threads", `${ranks}`]),
    [`${ranks} ranks`]: () => started(["mpirun", "-n", `${ranks}`], ["--way", "ranks"]),
  };
  const turns: Record<string, Turn[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (const [name, start] of Object.entries(ways)) (turns[name] ??= []).push(await start());
  }
  const [one] = Object.values(turns).map((own) => least(own).iteration);
  const rows = Object.entries(turns).map(([name, own]) => {
    const { iteration, wait } = least(own);
    const sums = Math.min(...own.map(({ sums = 0 }) => sums));
    const processor = Math.min(...own.map(({ processor }) => processor));
    return [
      name,
      ...[iteration.toFixed(1), `${(one / iteration).toFixed(2)}x`],
      ...[wait.toFixed(1), sums.toFixed(1), processor.toFixed(1)],
    ];
  });
  const head = [
    "",
    "ms an iteration",
    "speed-up",
    "ms waiting for sums",
    "ms of the sums alone",
    "ms of processor",
  ];
  console.log(table([head, ...rows]));
  console.log(`\n${(Object.values(turns)[0][0].bytes / 1e6).toFixed(2)} MB of gradients`);
}
