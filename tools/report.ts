/**
 * What the commands print at the end.
 *
 * @module
 */

import type { DType, LayeredNet, TrainResult } from "../mod.ts";

/** How far a training run came, and why no further. */
export function outcome({ end, iteration, iterations, epoch, loss, hint }: TrainResult): string {
  const why = {
    done: "",
    patience: "",
    stopped: "stopped by Ctrl-C after ",
    diverged: "diverged after ",
  };
  const line = `${why[end]}${iteration} of ${iterations} iterations, ${epoch} epochs, loss ${loss}`;
  return hint === undefined ? line : `${line}\n${hint}`;
}

/** The exit code of a training run: 130 after Ctrl-C, as shells have it. */
export function exitCode({ end }: TrainResult): number {
  return { done: 0, patience: 0, stopped: 130, diverged: 1 }[end];
}

/** Rows of words in columns that stand below each other. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const lines = rows.map((row) =>
    row.map((word, i) => word.padEnd(widths[i])).join("  ").trimEnd()
  );
  return lines.join("\n");
}

/** A table of the kernels that run in a net: which layer, which kernel, of which tier. */
export function kernelTable(net: Pick<LayeredNet<DType>, "explain">): string {
  const rows = net.explain().map(({ layer, name, tier }) => [layer, name, tier]);
  return table([["layer", "kernel", "tier"], ...rows]);
}
