/**
 * Reads the report of a training run.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { FIGURES, PAGE } from "../../tools/plots/report.ts";
import { ZOOM } from "../../tools/plots/drawing.ts";
import { assertPngOf } from "./svg.ts";

/** A report that is whole. */
export interface ReadReport {
  /** The text of the page. */
  readonly page: string;
  /** The SVG of each figure. */
  readonly figures: Readonly<Record<string, string>>;
}

/**
 * Reads a report, and asserts that it is whole: every figure is there as SVG and as PNG, in the page, and
 * nothing else is in the folder.
 *
 * @param folder The folder.
 * @param names The figures that it must have. Default: all.
 */
export async function readReport(
  folder: string,
  names: readonly string[] = FIGURES,
): Promise<ReadReport> {
  const files = [...names.flatMap((name) => [`${name}.png`, `${name}.svg`]), PAGE].toSorted();
  assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).toSorted(), files);
  const page = await Deno.readTextFile(`${folder}/${PAGE}`);
  const figures: Record<string, string> = {};
  for (const name of names) {
    const svg = await Deno.readTextFile(`${folder}/${name}.svg`);
    assertPngOf(await Deno.readFile(`${folder}/${name}.png`), svg, ZOOM);
    assert(page.includes(svg), `${name} is not in the page`);
    figures[name] = svg;
  }
  // The page needs no other file.
  const links = page.match(/(?:src|href)="[^"]*"/g) ?? [];
  assertEquals(links.filter((link) => !/="(data:|#)/.test(link)), []);
  return { page, figures };
}
