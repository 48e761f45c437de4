/**
 * Times implementations side by side on one job: each is checked, warmed up, and timed in rounds over all
 * of them, so that a slow spell of the machine strikes them alike.
 *
 * @module
 */

import type { Direction, Job, Peer, Results, Runnable, Workload } from "./peers/peer.ts";
import { makeJob } from "./peers/peer.ts";

/** How long, how often, and what is too slow. */
export interface Settings {
  /** Rounds over all implementations. */
  readonly rounds: number;
  /** Milliseconds of one implementation in one round. */
  readonly budget: number;
  /** A call that would take longer, in milliseconds, is scaled up from a few images. */
  readonly limit: number;
  /** Whether the least time counts, not the median: for a machine that others use too. */
  readonly min: boolean;
  /** Images of the check. */
  readonly few: number;
  /** The values that every implementation must have. */
  readonly reference: (job: Job) => Results;
}

/** A time in milliseconds, or what stands in its place. */
export interface Cell {
  readonly ms?: number;
  /** The time as text; `-`: it can't do it; `wrong`: its numbers differ; `~`: scaled up. */
  readonly text: string;
}

/** How far a peer's numbers may be from ours, relative to the largest. */
const TOLERANCE = 1e-4;

/** Tells what happens, beside the table. */
export function note(text: string): void {
  console.error(`# ${text}`);
}

/** The first line of an error's message. */
export function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0].slice(0, 160);
}

/** The implementations of some names that are here; the others say why not. */
export async function findPeers(
  makers: Readonly<Record<string, () => Peer | Promise<Peer>>>,
  names: readonly string[],
): Promise<Peer[]> {
  const peers: Peer[] = [];
  for (const name of names) {
    try {
      peers.push(await makers[name]());
    } catch (error) {
      note(`${name} is not here: ${firstLine(error)}`);
    }
  }
  return peers;
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

/** Checks a peer on a few images; tells how long the whole batch would take, in milliseconds. */
async function check(
  peer: Peer,
  job: Job,
  images: number,
  reference: Results,
  { budget, limit }: Settings,
): Promise<number | undefined> {
  const trial = await peer.prepare(job);
  if (trial === undefined) return undefined;
  try {
    const error = difference(await trial.results(), reference);
    if (!(error <= TOLERANCE)) throw new WrongNumbers(`off by ${error.toExponential(1)}`);
    const scaled = async (budget: number) =>
      Math.min(...await trial.sample(budget)) * images / job.N;
    const estimate = await scaled(budget);
    // Code that is not optimized yet looks slower than it will be.
    return estimate > limit ? Math.min(estimate, await scaled(10 * budget)) : estimate;
  } finally {
    trial.dispose?.();
  }
}

function format(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms.toPrecision(3);
}

/** A pass of a workload by every peer: a cell each, by the peer's index. */
export async function compare(
  peers: readonly Peer[],
  workload: Workload,
  direction: Direction,
  settings: Settings,
  images = workload.x[0],
): Promise<Cell[]> {
  const { rounds, budget, limit, min, reference } = settings;
  const few = makeJob(workload, direction, Math.min(settings.few, images));
  const whole = makeJob(workload, direction, images);
  const expected = reference(few);
  const cells: Cell[] = peers.map(() => ({ text: "-" }));
  const ready: { index: number; runnable: Runnable; times: number[] }[] = [];
  for (const [index, peer] of peers.entries()) {
    try {
      const estimate = await check(peer, few, images, expected, settings);
      if (estimate === undefined) continue;
      if (estimate > limit) {
        cells[index] = { ms: estimate, text: `~${format(estimate)}` };
        continue;
      }
      const runnable = await peer.prepare(whole);
      if (runnable === undefined) continue;
      // Warm-up: optimized code arrives after some calls.
      const times = await runnable.sample(budget);
      ready.push({ index, runnable, times: times[0] > 1000 ? times : [] });
    } catch (error) {
      if (error instanceof WrongNumbers) cells[index] = { text: "wrong" };
      note(`${peer.name} ${peer.dtype} ${workload.name} ${direction}: ${firstLine(error)}`);
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const { runnable, times } of ready) {
      // What takes seconds is measured by fewer calls.
      if (times[0] > 1000 && times.length >= 3) continue;
      times.push(...await runnable.sample(budget));
    }
  }
  for (const { index, runnable, times } of ready) {
    const ms = min ? Math.min(...times) : median(times);
    cells[index] = { ms, text: format(ms) };
    runnable.dispose?.();
  }
  return cells;
}
