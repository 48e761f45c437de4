/**
 * What the commands print in the end.
 *
 * @module
 */

import type { BlockNet } from "../../mod.ts";

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
