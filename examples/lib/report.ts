/**
 * What the commands print in the end.
 *
 * @module
 */

import type { BlockNet, TrainResult } from "../../mod.ts";

/** How far a training came, and why no further. */
export function outcome({ end, iteration, iterations, epoch, loss }: TrainResult): string {
  const stopped = end === "stopped" ? "stopped by Ctrl-C after " : "";
  return `${stopped}${iteration} of ${iterations} iterations, ${epoch} epochs, loss ${loss}`;
}

/** The exit code of a training: 130 after Ctrl-C, as shells have it. */
export function exitCode({ end }: TrainResult): number {
  return end === "stopped" ? 130 : 0;
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
export function kernelTable(net: BlockNet<"float32">): string {
  const rows = net.explain().map(({ layer, name, tier }) => [layer, name, tier]);
  return table([["layer", "kernel", "tier"], ...rows]);
}
