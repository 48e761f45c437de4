/**
 * `deno task docs`: the documentation as a static site.
 *
 * @module
 */

import { join } from "node:path";
import { ROOT } from "../bundle.ts";
import { path, runCommand, type Values } from "../options.ts";
import { buildDocs, DOCS_FOLDER } from "./build.ts";

const options = {
  build: path("folder of the site; the documentation goes to its docs/ (default: dist/site)"),
};

const about =
  `Writes the documentation as a static site for any host: the reference, the documents, the
notebooks with their figures, and "How a kernel is made".

  deno task page --build dist/site && deno task docs
                                   write the page that trains and the documentation beside it`;

async function main({ build = join(ROOT, "dist", "site") }: Values<typeof options>) {
  await buildDocs(build, (what) => console.error(`${what} ...`));
  console.log(join(build, DOCS_FOLDER, "index.html"));
  return 0;
}

if (import.meta.main) await runCommand({ usage: "deno task docs", about, options }, main);
