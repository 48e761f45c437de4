/**
 * The reference: what `deno doc` makes of every entry point.
 *
 * @module
 */

import { parse } from "@std/jsonc";
import { join } from "node:path";
import { PACKAGE, ROOT } from "../bundle.ts";
import { escaped } from "./layout.ts";

/**
 * Writes the reference.
 *
 * @param folder The folder, which is made.
 */
export async function writeReference(folder: string): Promise<void> {
  const config = parse(await Deno.readTextFile(join(ROOT, "deno.json")));
  const { exports } = config as { readonly exports: Readonly<Record<string, string>> };
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--html", "--name=cnn-layers", `--output=${folder}`, ...Object.values(exports)],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`deno doc failed: ${new TextDecoder().decode(stderr)}`);
  const names = Object.keys(exports).map((entry) => entry.replace("./", ""));
  await edit(folder, "../", names.join("|").replace(".", "\\."));
  const more = await Deno.readTextFile(join(ROOT, "site", "reference.css"));
  await Deno.writeTextFile(join(folder, "page.css"), more, { append: true });
}

/** Adds the way back to every page, names the package in imports, and takes out anchors to nowhere. */
async function edit(folder: string, up: string, names: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) await edit(path, `../${up}`, names);
    else if (name.endsWith(".html")) await Deno.writeTextFile(path, editedPage(path, up, names));
  }
}

const BREADCRUMBS = '<ul class="breadcrumbs">';

function editedPage(path: string, up: string, names: string): string {
  const modules = new RegExp(`from &quot;(${names})&quot;`, "g");
  const html = Deno.readTextFileSync(path);
  const home = `<a class="contextLink" href="${escaped(up)}index.html">Documentation</a>`;
  return html.replace(BREADCRUMBS, `${home}<span>&nbsp;/&nbsp;</span>${BREADCRUMBS}`)
    .replaceAll(modules, (_, name) => {
      return `from &quot;${name === "." ? PACKAGE : `${PACKAGE}/${name}`}&quot;`;
    })
    .replaceAll(/ href="#([^"]+)"/g, (link, id) => html.includes(`id="${id}"`) ? link : "");
}
