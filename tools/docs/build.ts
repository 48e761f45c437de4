/**
 * The documentation as a static site: what any host serves.
 *
 * @module
 */

import { stop } from "esbuild";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ROOT } from "../bundle.ts";
import { statOf, tryFolder } from "../files.ts";
import { linkDocs } from "../page/build.ts";
import { type DocumentPage, documents, linksOf } from "./documents.ts";
import { escaped, type Page, pageHtml } from "./layout.ts";
import { Converter } from "./markdown.ts";
import { notebookHtml } from "./notebooks.ts";
import { writeReference } from "./reference.ts";
import { kernelScripts } from "./scripts.ts";

/** The sources of what is no document. */
const SITE = join(ROOT, "site");

/** The documentation's folder in that of the site, whose first page is the one that trains. */
export const DOCS_FOLDER = "docs";

/**
 * Builds the documentation.
 *
 * @param folder The site's folder, which is made if it is missing; other files in it stay.
 * @param onStep Called with what is done, in a few words.
 * @throws {InputError} If the folder cannot be written.
 */
export async function buildDocs(
  folder: string,
  onStep: (what: string) => void = () => {},
): Promise<void> {
  const docs = join(folder, DOCS_FOLDER);
  await tryFolder(folder);
  await Deno.remove(docs, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  const write = async (path: string, text: string) => {
    const file = join(docs, path);
    await Deno.mkdir(dirname(file), { recursive: true });
    await Deno.writeTextFile(file, text);
  };
  onStep("documents and notebooks");
  const all = await documents(), pages: Page[] = [], images = new Map<string, string>();
  for (const document of all) pages.push(await pageOf(document, all, images));
  for (const [path, source] of images) {
    await Deno.mkdir(dirname(join(docs, path)), { recursive: true });
    await Deno.copyFile(join(ROOT, source), join(docs, path));
  }
  const classroom = await statOf(join(folder, "index.html")) !== undefined;
  for (const page of [...pages, indexPage(pages, classroom)]) {
    await write(page.path, pageHtml(page));
  }
  onStep("how a kernel is made");
  const body = await Deno.readTextFile(join(SITE, "kernel", "kernel.html"));
  const kernel = { path: "kernel.html", title: "How a kernel is made", body, script: "kernel.js" };
  await write(kernel.path, pageHtml(kernel));
  try {
    for (const [name, text] of Object.entries(await kernelScripts())) {
      await write(`${name}.js`, text);
    }
  } finally {
    await stop();
  }
  await writeStyles(docs);
  onStep("reference");
  await writeReference(join(docs, "reference"));
  if (classroom) await linkDocs(folder);
}

/** Writes the styles, those of formulas and their fonts among them. */
async function writeStyles(docs: string): Promise<void> {
  const styles = ["base.css", "style.css"].map((name) => Deno.readTextFile(join(SITE, name)));
  await Deno.writeTextFile(join(docs, "style.css"), (await Promise.all(styles)).join("\n"));
  const katex = dirname(fileURLToPath(import.meta.resolve("katex/dist/katex.min.css")));
  const text = await Deno.readTextFile(join(katex, "katex.min.css"));
  // Every browser that runs the library knows fonts of this form.
  const others = /,url\(fonts\/[\w-]+\.(?:woff|ttf)\) format\("\w+"\)/g;
  await Deno.writeTextFile(join(docs, "formulas.css"), text.replaceAll(others, ""));
  const fonts = join(docs, "fonts");
  await Deno.mkdir(fonts);
  for await (const { name } of Deno.readDir(join(katex, "fonts"))) {
    if (name.endsWith(".woff2")) await Deno.copyFile(join(katex, "fonts", name), join(fonts, name));
  }
}

/** The page of a document. */
async function pageOf(
  document: DocumentPage,
  all: readonly DocumentPage[],
  images: Map<string, string>,
): Promise<Page> {
  const { source, path } = document;
  const text = await Deno.readTextFile(join(ROOT, source));
  const converter = new Converter(linksOf(document, all, images));
  if (source.endsWith(".ipynb")) return { path, ...notebookHtml(JSON.parse(text), converter) };
  if (!source.endsWith(".md")) {
    const body = `<h1>License</h1>\n<pre class="plain">${escaped(text)}</pre>`;
    return { path, title: "License", body };
  }
  const title = /^# (.*)$/m.exec(text)?.[1] ?? source;
  return { path, title, body: converter.html(text) };
}

/** What a card of the first page says. */
type Card = readonly [path: string, title: string, words: string];

const FIRST: readonly Card[] = [
  ["readme.html", "Read me", "What the library is, how it is installed, first programs."],
  ["reference/index.html", "Reference", "Every function, class and type, by entry point."],
  [
    "kernel.html",
    "How a kernel is made",
    "Type a shape: passes, schedule, TypeScript and WebAssembly.",
  ],
  ["architecture.html", "Architecture", "How the library is built, for those who change it."],
];

function indexPage(pages: readonly Page[], classroom: boolean): Page {
  const card = ([path, title, words]: Card) =>
    `<li><a href="${path}">${escaped(title)}</a><p>${escaped(words)}</p></li>`;
  const page: Card = [
    "../index.html",
    "A net that learns",
    "Train a net in the browser, layer by layer.",
  ];
  const first = FIRST.map(([path]) => path);
  const list = (of: readonly Page[]) =>
    `<ul>\n${
      of.map(({ path, title }) => `<li><a href="${path}">${escaped(title)}</a></li>`).join("\n")
    }\n</ul>`;
  const isNotebook = ({ path }: Page) => path.startsWith("notebooks/");
  const isExercise = ({ path }: Page) => path.startsWith("notebooks/exercises/");
  const others = pages.filter((page) => !isNotebook(page) && !first.includes(page.path));
  const notebooks = pages.filter((page) =>
    isNotebook(page) && !isExercise(page) && !page.path.endsWith("index.html")
  );
  const body = `<h1>cnn-layers</h1>
<p class="lead">Convolutional-network layers for TypeScript: forward and backward, with kernels made for
each shape.</p>
<ul class="cards">
${[...classroom ? [page] : [], ...FIRST].map(card).join("\n")}
</ul>
<h2>Documents</h2>
${list(others)}
<h2>Notebooks</h2>
${list(notebooks)}
<h2>Exercises</h2>
${list(pages.filter(isExercise))}`;
  return { path: "index.html", title: "cnn-layers: documentation", body };
}
