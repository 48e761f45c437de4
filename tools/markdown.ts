/**
 * Rows of cells as a Markdown table that also reads well as it is.
 *
 * @module
 */

/** Cells that are numbers, with what may accompany one: right-aligned. */
const NUMBER = /^(~?[\d.]+x?|-|)$/;

/**
 * A table with its columns aligned: numbers on the right, words on the left.
 *
 * @param rows Rows of as many cells each; the first is the head.
 * @returns The table, without a line break at its end.
 */
export function markdownTable([head, ...rows]: readonly (readonly string[])[]): string {
  const columns = head.map((title, i) => [title, ...rows.map((row) => row[i])]);
  const widths = columns.map((cells) => Math.max(...cells.map((cell) => cell.length)));
  const numeric = columns.map(([, ...cells]) =>
    cells.length > 0 && cells.every((cell) => NUMBER.test(cell))
  );
  const line = (cells: readonly string[]) => {
    const padded = cells.map((cell, i) =>
      numeric[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i])
    );
    return `| ${padded.join(" | ")} |`;
  };
  const rule = widths.map((width, i) =>
    numeric[i] ? `${"-".repeat(width + 1)}:` : "-".repeat(width + 2)
  );
  return [line(head), `|${rule.join("|")}|`, ...rows.map(line)].join("\n");
}
