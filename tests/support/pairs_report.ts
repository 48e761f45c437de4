/**
 * What a host does with pairs of vectors, printed as JSON: for tests that start one with V8's flag. With
 * `--ask` useVectorPairs() is called first, as in hosts that do not show their command lines.
 *
 * @module
 */

import process from "node:process";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { timePairs } from "../../kernels/simd/pairs.ts";
import * as lib from "../../mod.ts";
import { reportTraining } from "./reproducible.ts";
import { reportTiers, type TierReport } from "./tiers.ts";

/** What one thread finds. */
export interface Found {
  /** Whether pairs are faster, each time that they are timed. */
  readonly faster: readonly boolean[];
  /** The kernel of a convolution. */
  readonly kernel: string;
}

/** What a host does. */
export interface PairsReport {
  readonly main: Found;
  /** The same in a worker, started afterwards. */
  readonly worker: Found;
  /** Every layer by every tier. */
  readonly tiers: readonly TierReport[];
  /** The hash of a training run under reproducible arithmetic. */
  readonly hash: string;
  /** How many threads ran layers, and those whose bits differ from those of one. */
  readonly threads: number;
  readonly different: readonly string[];
}

function find(): Found {
  const faster = Array.from({ length: 5 }, timePairs);
  return { faster, kernel: lib.explainConv([1, 3, 32, 32], [8, 3, 3, 3], { pad: 1 }).name };
}

function findInWorker(): Promise<Found> {
  const worker = new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
  return new Promise((resolve, reject) => {
    worker.on("message", resolve);
    worker.on("error", reject);
  });
}

/** The results of layers whose kernels are for pairs, on the threads in force. */
function results(): Readonly<Record<string, lib.FloatArray>> {
  const random = new lib.RandomState(7);
  const draw = (...shape: number[]) => random.randn(shape, "float32");
  const w = draw(25, 3, 3, 3);
  const { out, cache } = lib.convForward(draw(50, 3, 31, 31), w, null, { stride: 2, pad: 1 });
  const { dx, dw } = lib.convBackward(draw(...out.shape), cache);
  const affine = lib.affineForward(draw(200, 300), draw(300, 170), draw(170));
  const gradients = lib.affineBackward(draw(200, 170), affine.cache);
  return {
    ...{ out: out.data, dx: dx.data, dw: dw.data },
    "affine out": affine.out.data,
    "affine dx": gradients.dx.data,
    "affine dw": gradients.dw.data,
  };
}

async function report(): Promise<PairsReport> {
  const main = find(), worker = await findInWorker();
  const tiers = reportTiers(lib), { hash } = await reportTraining(lib);
  const alone = results(), team = await lib.useThreads(2), together = results();
  team[Symbol.dispose]();
  const different = Object.keys(alone).filter((name) =>
    !alone[name].every((value, i) => Object.is(value, together[name][i]))
  );
  return { main, worker, tiers, hash, threads: team.count, different };
}

if (process.argv.includes("--ask")) lib.useVectorPairs();
if (!isMainThread) parentPort!.postMessage(find());
else console.log(JSON.stringify(await report()));
