/**
 * The page as a static site: what any host serves.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { type Manifest, SETS_FOLDER } from "../../page/data/manifest.ts";
import { ROOT } from "../bundle.ts";
import { statOf, tryFolder } from "../files.ts";
import { SET_NAMES, writeSet } from "./sets.ts";

/** The page's sources. */
const SOURCES = join(ROOT, "page");

/** Modules that are files of their own: the page, and the worker that trains. */
const ENTRIES = ["main.ts", "worker.ts"];

/** What a page is built with. */
export interface BuildOptions {
  /** The sets of images that it brings along. Default: all. */
  readonly sets?: readonly string[];
  /** At most this many images of a set to train on. Default: all. */
  readonly limit?: number;
  /** Called with what is done, in a few words. */
  readonly onStep?: (what: string) => void;
}

/**
 * Builds the page. Sets of images that are there already stay.
 *
 * @param folder The folder, which is made if it is missing.
 * @param options What it is built with.
 * @throws {InputError} If the folder cannot be written.
 */
export async function buildPage(
  folder: string,
  { sets = SET_NAMES, limit, onStep = () => {} }: BuildOptions = {},
): Promise<void> {
  await tryFolder(folder);
  const setsFolder = join(folder, SETS_FOLDER);
  await tryFolder(setsFolder);
  for (const id of sets) {
    if (await statOf(join(setsFolder, `${id}.json`)) !== undefined) continue;
    onStep(`packing the images of ${id}`);
    await writeSet(setsFolder, id, limit);
  }
  onStep("bundling");
  await removeBundles(folder);
  const entries = ENTRIES.map((name) => join(SOURCES, name));
  await bundle(entries, "--code-splitting", "--outdir", folder);
  await Deno.writeTextFile(join(folder, "style.css"), await styles());
  const html = await Deno.readTextFile(join(SOURCES, "index.html"));
  await Deno.writeTextFile(join(folder, "index.html"), html.replace("{{sets}}", sets.join()));
  await linkDocs(folder);
  await Deno.copyFile(join(SOURCES, "icon.svg"), join(folder, "icon.svg"));
  await writeServiceWorker(folder, sets);
}

/**
 * Shows the link to the documentation on a built page if it is beside the page.
 *
 * @param folder The page's folder.
 */
export async function linkDocs(folder: string): Promise<void> {
  if (await statOf(join(folder, "docs", "index.html")) === undefined) return;
  const file = join(folder, "index.html"), html = await Deno.readTextFile(file);
  await Deno.writeTextFile(file, html.replace('<p id="docs" hidden>', '<p id="docs">'));
}

/** Removes modules of an earlier build, whose names hold their hashes. */
async function removeBundles(folder: string): Promise<void> {
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile && name.endsWith(".js")) await Deno.remove(join(folder, name));
  }
}

/** Bundles modules for browsers. */
async function bundle(modules: string[], ...where: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["bundle", "--quiet", "--platform", "browser", "--minify"],
      ...[...where, ...modules],
    ],
    cwd: ROOT,
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`deno bundle failed: ${new TextDecoder().decode(stderr)}`);
}

/** uPlot's styles, those that the documentation shares, and the page's. */
async function styles(): Promise<string> {
  // Deno fetches the package when a file of it is imported, and says where to.
  await import("uplot");
  const curves = await Deno.readTextFile(
    fileURLToPath(import.meta.resolve("uplot/dist/uPlot.min.css")),
  );
  const files = [join(ROOT, "site/base.css"), join(SOURCES, "style.css")];
  return curves + (await Promise.all(files.map((file) => Deno.readTextFile(file)))).join("\n");
}

/** The service worker, which knows the site's files and their version. */
async function writeServiceWorker(folder: string, sets: readonly string[]): Promise<void> {
  const shell = ["./", "style.css", "icon.svg"], pieces: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (name.endsWith(".js")) shell.push(name);
  }
  for (const id of sets) {
    const path = join(folder, SETS_FOLDER, `${id}.json`);
    const { labels, validation, train }: Manifest = JSON.parse(await Deno.readTextFile(path));
    const files = [`${id}.json`, labels, validation.file, ...train.map(({ file }) => file)];
    pieces.push(...files.map((file) => `${SETS_FOLDER}/${file}`));
  }
  const version = await hashOf([
    ...["index.html", "style.css", ...shell.slice(3).sort()].map((name) => join(folder, name)),
    ...pieces.filter((name) => name.endsWith(".json")).map((name) => join(folder, name)),
  ]);
  const file = join(folder, "service_worker.js");
  await bundle([join(SOURCES, "service_worker.ts")], "--output", file);
  const site = JSON.stringify({ version, shell: shell.sort(), pieces });
  const code = await Deno.readTextFile(file);
  await Deno.writeTextFile(file, `self.SITE = ${site};\n${code}`);
}

/** A few digits that differ if a file does. */
async function hashOf(paths: readonly string[]): Promise<string> {
  const contents = await Promise.all(paths.map((path) => Deno.readFile(path)));
  const digest = await crypto.subtle.digest("SHA-256", await new Blob(contents).arrayBuffer());
  return Array.from(new Uint8Array(digest, 0, 6), (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
