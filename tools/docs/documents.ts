/**
 * The project's documents, and the pages that they become.
 *
 * @module
 */

import { dirname, join } from "node:path/posix";
import { ROOT } from "../bundle.ts";
import { upFrom } from "./layout.ts";
import type { Links } from "./markdown.ts";

/** Folders with documents, and what their names end in. */
const FOLDERS = ["", "docs/", "bench/", "notebooks/", "notebooks/exercises/"];

/** A document, by its path in the project, and its page, by its path in the documentation. */
export interface DocumentPage {
  readonly source: string;
  readonly path: string;
}

/** The page of a document. */
function pageOf(source: string): string {
  return source.replace(/^docs\//, "").replace(/\/README\.md$/, "/index.html")
    .replace(/^[A-Z]+(\.md)?$/, (name) => `${name.toLowerCase().replace(".md", "")}.html`)
    .replace(/\.(md|ipynb)$/, ".html");
}

/** All documents: Markdown, notebooks and the license. */
export async function documents(): Promise<DocumentPage[]> {
  const found: string[] = [];
  for (const folder of FOLDERS) {
    for await (const { name, isFile } of Deno.readDir(join(ROOT, folder))) {
      if (isFile && /\.(md|ipynb)$|^LICENSE$/.test(name)) found.push(folder + name);
    }
  }
  return found.sort().map((source) => ({ source, path: pageOf(source) }));
}

/** Where images of documents lie in the documentation. */
const IMAGES = "images";

/**
 * What becomes of the links of a document: those to other documents lead to their pages.
 *
 * @param document The document.
 * @param all All documents.
 * @param images Takes the images that it shows: their paths in the documentation, and in the project.
 * @returns Its links.
 */
export function linksOf(
  { source, path }: DocumentPage,
  all: readonly DocumentPage[],
  images: Map<string, string>,
): Links {
  const up = upFrom(path);
  return {
    page(link) {
      const [file, anchor] = link.split("#");
      const target = join(dirname(source), file);
      const page = all.find(({ source }) =>
        source === target || source === join(target, "README.md")
      );
      if (page === undefined) return undefined;
      return up + page.path + (anchor === undefined ? "" : `#${anchor}`);
    },
    image(link) {
      const target = join(dirname(source), link), place = join(IMAGES, target);
      images.set(place, target);
      return up + place;
    },
  };
}
