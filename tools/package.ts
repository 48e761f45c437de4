/**
 * `deno task package`: the npm package, and one file for web pages with its types.
 *
 * @module
 */

import { build, stop, transform } from "esbuild";
import { packTar, unpackTar } from "modern-tar/fs";
import { createReadStream, createWriteStream } from "node:fs";
import { join, relative } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { NO_GENERATED, ROOT, TARGET } from "./bundle.ts";
import { path, runCommand, type Values } from "./options.ts";

/** What package.json says beyond deno.json. */
const PACKAGE_JSON = {
  description: "Convolutional-network layers, forward and backward, with kernels made for each " +
    "shape: float64 and float32, by WebAssembly SIMD or plain JavaScript",
  keywords: ["cnn", "convolution", "deep-learning", "neural-network", "simd", "webassembly"],
  // No module does anything but define what it exports: bundlers may leave out what is not used.
  sideEffects: false,
  engines: { node: ">=20" },
  imports: {
    "#generated-tier": {
      [NO_GENERATED]: "./kernels/generated/none.js",
      default: "./kernels/generated/tier.js",
    },
  },
};

/** Where the type of what `using` takes is declared; TypeScript knows it from 5.2 on. */
const DISPOSABLE = `/// <reference lib="esnext.disposable" />\n`;

/** Modules that no entry point imports: they take another's place, or are a worker's. */
const BESIDE = ["kernels/generated/none", "io/worker/training_worker"];

/** Files of the same sources are the same bytes. */
const MADE = new Date(0);

/** Runs Deno in the project's folder, and returns what it prints. */
async function deno(args: string[], input = ""): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = child.output();
  await new Blob([input]).stream().pipeTo(child.stdin);
  const { success, stdout, stderr } = await output;
  const text = new TextDecoder();
  if (!success) throw new Error(`deno ${args[0]} failed: ${text.decode(stderr)}`);
  return text.decode(stdout);
}

/** The files below a folder. */
async function* filesOf(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) yield* filesOf(path);
    else yield path;
  }
}

/** What package.json says, as far as it is used here. */
interface PackageJson {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** Writes the package's files to a folder, JavaScript, types and package.json, which it returns. */
async function writeFiles(folder: string): Promise<PackageJson> {
  const packed = join(folder, "packed.tgz");
  await deno(["pack", "--quiet", "--allow-dirty", "--no-source-maps", "--output", packed]);
  await pipeline(createReadStream(packed), createGunzip(), unpackTar(folder, { strip: 1 }));
  await Deno.remove(packed);
  const file = join(folder, "package.json");
  const { name, version, ...rest } = JSON.parse(await Deno.readTextFile(file));
  const packageJson = { name, version, ...PACKAGE_JSON, ...rest };
  await Deno.writeTextFile(file, JSON.stringify(packageJson, null, 2) + "\n");
  for await (const path of filesOf(folder)) {
    const text = await Deno.readTextFile(path), edited = editedFile(path, text);
    if (edited !== text) await Deno.writeTextFile(path, edited);
  }
  for (const name of BESIDE) await writeScript(name, folder);
  // `deno pack` takes it along as it is.
  await Deno.remove(join(folder, "io", "worker", "training_worker.ts"));
  return packageJson;
}

/** Writes a module to a folder as JavaScript. */
async function writeScript(name: string, folder: string): Promise<void> {
  const text = await Deno.readTextFile(join(ROOT, `${name}.ts`));
  const { code } = await transform(text, { loader: "ts", target: TARGET });
  await Deno.writeTextFile(join(folder, `${name}.js`), withScripts(code));
}

/** The text of a module, which names others by their JavaScript. */
function withScripts(text: string): string {
  return text.replaceAll(/"(\.{1,2}\/[\w./]+)\.ts"/g, `"$1.js"`);
}

/** A file of the package as package.json means it. */
function editedFile(path: string, text: string): string {
  if (path.endsWith(".js")) {
    return withScripts(text).replaceAll(/"[./]+\/generated\/tier\.js"/g, `"#generated-tier"`);
  }
  return path.endsWith(".d.ts") && /\bDisposable\b/.test(text) ? DISPOSABLE + text : text;
}

/** Packs a folder of files as npm does. */
async function writeTarball(folder: string, tarball: string): Promise<void> {
  const paths: string[] = [];
  for await (const path of filesOf(folder)) paths.push(path);
  const sources = paths.sort().map((source) => ({
    type: "file" as const,
    source,
    target: `package/${relative(folder, source).replaceAll("\\", "/")}`,
    mtime: MADE,
    mode: 0o644,
    uid: 0,
    gid: 0,
    uname: "",
    gname: "",
  }));
  await pipeline(packTar(sources), createGzip({ level: 9 }), createWriteStream(tarball));
}

/** Writes everything that mod.ts exports as one minified module, with its source map. */
async function writeModule(file: string, banner: string): Promise<void> {
  await build({
    entryPoints: [join(ROOT, "mod.ts")],
    outfile: file,
    bundle: true,
    minify: true,
    format: "esm",
    target: TARGET,
    sourcemap: true,
    banner: { js: banner },
    logLevel: "error",
  });
}

/** Writes the types of everything that mod.ts exports as one file. */
async function writeTypes(folder: string, file: string, banner: string): Promise<void> {
  // Loaded here, as it is native code, for which the help needs no permission.
  const [{ rollup }, { dts }] = await Promise.all([import("rollup"), import("rollup-plugin-dts")]);
  const bundle = await rollup({ input: join(folder, "mod.d.ts"), plugins: [dts()] });
  const { output: [{ code }] } = await bundle.generate({ format: "es" });
  await bundle.close();
  // Each comment on lines of its own, above what it describes.
  const lines = code.replaceAll(/ \*\/ (?=\S)/g, " */\n");
  const formatted = await deno(["fmt", "--line-width", "100", "--ext", "ts", "-"], lines);
  const reference = formatted.includes("Disposable") ? DISPOSABLE : "";
  await Deno.writeTextFile(file, `${banner}\n${reference}\n${formatted}`);
}

/** Makes everything that `deno task package` makes, and returns the tarball's path. */
export async function makePackage(out: string): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    const { name, version, license } = await writeFiles(folder);
    const tarball = join(out, `${name.split("/").at(-1)}-${version}.tgz`);
    const banner = `/*! ${name} ${version}, ${license} license */`;
    await Deno.mkdir(out, { recursive: true });
    await writeTarball(folder, tarball);
    await writeModule(join(out, "cnn-layers.js"), banner);
    await writeTypes(folder, join(out, "cnn-layers.d.ts"), banner);
    return tarball;
  } finally {
    await stop();
    await Deno.remove(folder, { recursive: true });
  }
}

const options = { out: path("folder to write (default: dist/)") };

const about =
  `Makes the npm package of the entry points in deno.json, cnn-layers-VERSION.tgz, and for
web pages cnn-layers.js, one module with its source map, and its types, cnn-layers.d.ts.`;

async function main({ out = join(ROOT, "dist") }: Values<typeof options>): Promise<number> {
  const tarball = await makePackage(out);
  for (
    const path of [
      tarball,
      ...["js", "js.map", "d.ts"].map((end) => `${out}/cnn-layers.${end}`),
    ]
  ) {
    const { size } = await Deno.stat(path);
    console.log(`${relative(Deno.cwd(), path)}: ${(size / 1000).toFixed(0)} KB`);
  }
  return 0;
}

if (import.meta.main) await runCommand({ usage: "deno task package", about, options }, main);
