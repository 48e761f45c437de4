/**
 * The report of a mutation run.
 *
 * @module
 */

import { areaOf } from "./areas.ts";
import type { Equivalent } from "./equivalents.ts";
import type { Mutant } from "./mutants.ts";
import type { Outcome } from "./workers.ts";

/** A mutant that was tried. */
export interface Tried {
  readonly mutant: Mutant;
  readonly outcome: Outcome;
}

/** How many mutants an area had, and what became of them. */
export interface Score {
  readonly area: string;
  readonly total: number;
  readonly killed: number;
  readonly timeouts: number;
  readonly survived: number;
  /** The part that was noticed, a time-out included, from 0 to 1; 1 of none. */
  readonly score: number;
}

/** The score of some mutants; those that are no TypeScript do not count. */
export function scoreOf(area: string, tried: readonly Tried[]): Score {
  const count = (outcome: Outcome) => tried.filter((one) => one.outcome === outcome).length;
  const killed = count("killed"), timeouts = count("timeout"), survived = count("survived");
  const total = killed + timeouts + survived;
  return {
    area,
    total,
    killed,
    timeouts,
    survived,
    score: total === 0 ? 1 : (killed + timeouts) / total,
  };
}

/** The score of each area that had mutants, and of all at the end. */
export function scores(tried: readonly Tried[]): Score[] {
  const groups = Map.groupBy(tried, ({ mutant }) => areaOf(mutant.file)?.folder ?? "none");
  const rows = [...groups].sort(([a], [b]) => a < b ? -1 : 1);
  return [...rows.map(([area, part]) => scoreOf(area, part)), scoreOf("all", tried)];
}

/** A part of 1 as a percentage with one digit. */
export const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;

/** What a mutant changes, in one line. */
export function describeMutant({ file, line, from, to, snippet }: Mutant): string {
  const short = (text: string) => {
    const flat = text.replaceAll(/\s+/g, " ");
    return flat.length > 60 ? `${flat.slice(0, 57)}...` : flat;
  };
  const where = from.length < 20 ? ` in ${short(snippet)}` : "";
  return `${file}:${line} ${short(from)} -> ${to === ";" ? "(removed)" : short(to)}${where}`;
}

/** A mutant's lines before and after. */
export function diffOf({ start, end, to, line }: Mutant, text: string): string {
  const first = text.lastIndexOf("\n", start - 1) + 1;
  const last = text.indexOf("\n", end) < 0 ? text.length : text.indexOf("\n", end);
  const prefix = (sign: string, lines: string) =>
    lines.split("\n").map((one) => `${sign}${one}`).join("\n");
  const before = text.slice(first, last);
  const after = text.slice(first, start) + to + text.slice(end, last);
  return `@@ ${line} @@\n${prefix("-", before)}\n${prefix("+", after)}`;
}

/**
 * The report as Markdown.
 *
 * @param tried Every mutant that was tried.
 * @param texts The files that were mutated.
 * @param equivalents What was left out, with reasons.
 * @param how The command's options, in words.
 */
export function markdown(
  tried: readonly Tried[],
  texts: ReadonlyMap<string, string>,
  equivalents: readonly Equivalent[],
  how: string,
): string {
  const row = (cells: readonly unknown[]) => `| ${cells.join(" | ")} |`;
  const table = [
    row(["area", "mutants", "killed", "timed out", "survived", "score"]),
    row(["---", "--:", "--:", "--:", "--:", "--:"]),
    ...scores(tried).map(({ area, total, killed, timeouts, survived, score }) =>
      row([area, total, killed, timeouts, survived, percent(score)])
    ),
  ];
  const survivors = tried.filter(({ outcome }) => outcome === "survived").map(({ mutant }) => {
    const diff = diffOf(mutant, texts.get(mutant.file)!);
    return `### ${mutant.file}:${mutant.line}\n\n\`\`\`diff\n${diff}\n\`\`\``;
  });
  const reasons = equivalents.map(({ file, snippet, from, to, reason }) => {
    const change = from === undefined ? "" : ` (\`${from}\` -> \`${to ?? "anything"}\`)`;
    return `- ${file}: \`${snippet}\`${change}: ${reason}`;
  });
  return [
    "# Mutation run",
    how,
    table.join("\n"),
    `## Survivors: ${survivors.length}`,
    ...survivors,
    `## Not counted, as no test could notice them: ${reasons.length} entries`,
    ...(reasons.length === 0 ? [] : [reasons.join("\n")]),
  ].join("\n\n") + "\n";
}
