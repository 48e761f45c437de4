/**
 * Notebooks as HTML: their text, code, what it printed, and their figures.
 *
 * @module
 */

import { escaped } from "./layout.ts";
import { type Converter, highlighted } from "./markdown.ts";

/** Text in a notebook: in one piece, or line by line. */
type Text = string | readonly string[];

/** What a cell of code gave. */
interface Output {
  readonly output_type: string;
  readonly text?: Text;
  readonly data?: Readonly<Record<string, Text>>;
}

/** A cell. */
interface Cell {
  readonly cell_type: string;
  readonly source: Text;
  readonly outputs?: readonly Output[];
}

/** A notebook, as far as it is shown. */
export interface Notebook {
  readonly cells: readonly Cell[];
}

const joined = (text: Text) => typeof text === "string" ? text : text.join("");

/** What a program printed, without the colors of a terminal. */
function plain(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replaceAll(/\x1b\[[\d;]*m/g, "");
}

function outputHtml({ output_type, text, data = {} }: Output, figure: number): string {
  if (output_type === "stream" && text !== undefined) return printed(joined(text));
  const png = data["image/png"];
  if (png !== undefined) {
    const source = `data:image/png;base64,${joined(png).replaceAll("\n", "")}`;
    return `<img src="${source}" alt="Figure ${figure}, drawn by the code above it">\n`;
  }
  const words = data["text/plain"];
  if (words !== undefined) return printed(joined(words));
  throw new TypeError(`A notebook has an output of a kind that is not known: ${output_type}`);
}

function printed(text: string): string {
  return `<pre class="output" tabindex="0"><samp>${escaped(plain(text).trimEnd())}</samp></pre>\n`;
}

/**
 * A notebook as HTML.
 *
 * @param notebook The notebook.
 * @param converter What makes HTML of its text.
 * @returns HTML, and its title.
 */
export function notebookHtml(
  { cells }: Notebook,
  converter: Converter,
): { readonly title: string; readonly body: string } {
  let figures = 0;
  const parts = cells.map(({ cell_type, source, outputs = [] }) => {
    const text = joined(source);
    if (cell_type === "markdown") return converter.html(text, true);
    if (cell_type !== "code") throw new TypeError(`A notebook has a cell that is ${cell_type}`);
    const shown = outputs.map((output) =>
      outputHtml(output, output.data?.["image/png"] === undefined ? 0 : ++figures)
    );
    const code = highlighted(text.trimEnd(), "typescript");
    return `<div class="cell-code"><pre class="input" tabindex="0"><code>${code}</code></pre>\n` +
      `${shown.join("")}</div>\n`;
  });
  const title = cells.map(({ source }) => /^# (.*)$/m.exec(joined(source))?.[1])
    .find((title) => title !== undefined);
  if (title === undefined) throw new TypeError("A notebook has no heading");
  return { title, body: parts.join("") };
}
