/**
 * The frame of every page of the documentation.
 *
 * @module
 */

/** The pages that every page links to, by their paths from the documentation's folder. */
const NAVIGATION = [
  ["index.html", "cnn-layers"],
  ["readme.html", "Read me"],
  ["reference/index.html", "Reference"],
  ["architecture.html", "Architecture"],
  ["notebooks/index.html", "Notebooks"],
  ["kernel.html", "How a kernel is made"],
] as const;

/** A page. */
export interface Page {
  /** Where it lies in the documentation's folder: "notebooks/CNN.html". */
  readonly path: string;
  readonly title: string;
  /** What stands in its main part, as HTML. */
  readonly body: string;
  /** A module that it runs, from its own folder. */
  readonly script?: string;
}

/** Text as HTML. */
export function escaped(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
  };
  return text.replaceAll(/[&<>"]/g, (sign) => entities[sign]);
}

/** The way from a page to the documentation's folder: "../". */
export function upFrom(path: string): string {
  return "../".repeat(path.split("/").length - 1);
}

/**
 * A page as a file.
 *
 * @param page The page.
 * @returns HTML.
 */
export function pageHtml({ path, title, body, script }: Page): string {
  const up = upFrom(path);
  const links = NAVIGATION.map(([to, name]) => {
    const current = to === path ? ' aria-current="page"' : "";
    return `<li><a href="${up}${to}"${current}>${name}</a></li>`;
  });
  const formulas = body.includes('class="katex')
    ? `\n<link rel="stylesheet" href="${up}formulas.css">`
    : "";
  const run = script === undefined ? "" : `\n<script type="module" src="${script}"></script>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${escaped(path === "index.html" ? title : `${title} - cnn-layers`)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${up}style.css">${formulas}${run}
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="top"><nav aria-label="Documentation"><ul>
${links.join("\n")}
</ul></nav></header>
<main id="main">
${body}
</main>
</body>
</html>
`;
}
