/**
 * The npm package, made and installed once by npm in an empty folder, beside what runs and bundles it.
 *
 * @module
 */

import { build, stop } from "esbuild";
import { arch, platform } from "node:os";
import { basename, join } from "node:path";
import { PACKAGE, ROOT, TARGET } from "../../tools/bundle.ts";
import { makePackage } from "../../tools/package.ts";

/** What a command printed. */
interface Printed {
  readonly success: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** The installed package. */
export interface Installed extends AsyncDisposable {
  /** The folder with node_modules, `program.mjs`, and dist/ with what was made. */
  readonly folder: string;
  /** The tarball. */
  readonly tarball: string;
  /** Programs that run JavaScript. */
  readonly runtimes: Readonly<Record<"node 20" | "node latest" | "bun", string>>;
  /** Runs a program in the folder. */
  run(program: string, ...args: string[]): Promise<Printed>;
}

const [os, cpu] = [platform(), arch()];
/** Packages that are one program each, so that nothing runs when they are installed. */
const nodePackage = `node-${os}-${cpu}`;
const bunPackage = `@oven/bun-${os}-${cpu === "arm64" ? "aarch64" : cpu}`;

const packageJson = (tarball: string) => ({
  private: true,
  type: "module",
  dependencies: { [PACKAGE]: `file:${tarball}` },
  devDependencies: {
    "@arethetypeswrong/cli": "^0.18.5",
    [bunPackage]: "latest",
    "esbuild": "^0.28.2",
    "node-20": `npm:${nodePackage}@20`,
    "node-latest": `npm:${nodePackage}@latest`,
    "publint": "^0.3.25",
    "typescript-5.7": "npm:typescript@~5.7.3",
    "typescript-5.9": "npm:typescript@~5.9.3",
    "typescript-latest": "npm:typescript@latest",
    "vite": "^8.3.8",
    "webpack": "^5.112.2",
  },
});

/** Runs a program to its end. */
async function run(cwd: string, program: string, args: readonly string[]): Promise<Printed> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1", FORCE_COLOR: "0" },
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  return { success, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

/** Why npm installs nothing here; undefined if it does. */
async function missing(): Promise<string | undefined> {
  const args = ["view", nodePackage, "version"];
  const printed = await run(ROOT, "npm", args).catch(() => undefined);
  if (printed === undefined) return "npm does not run here";
  return printed.success ? undefined : `npm does not find ${nodePackage}`;
}

/**
 * Makes the package and installs it.
 *
 * @returns Where it lies, or why npm does not install it.
 */
export async function install(): Promise<Installed | string> {
  const reason = await missing();
  if (reason !== undefined) return reason;
  const folder = await Deno.makeTempDir({ prefix: "cnn-layers-package-" });
  const remove = () => Deno.remove(folder, { recursive: true });
  try {
    const tarball = await makePackage(join(folder, "dist"));
    const text = JSON.stringify(packageJson(`dist/${basename(tarball)}`));
    await Deno.writeTextFile(join(folder, "package.json"), text);
    const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
    const { success, stderr } = await run(folder, "npm", ["install", ...options]);
    if (!success) throw new Error(`npm install failed: ${stderr}`);
    await writeProgram(join(folder, "program.mjs"));
    const module = (...path: string[]) => join(folder, "node_modules", ...path);
    return {
      folder,
      tarball,
      runtimes: {
        "node 20": module("node-20", "bin", "node"),
        "node latest": module("node-latest", "bin", "node"),
        bun: module(bunPackage, "bin", "bun"),
      },
      run: (program, ...args) => run(folder, program, args),
      [Symbol.asyncDispose]: remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Writes program.ts as plain JavaScript that imports the package. */
async function writeProgram(outfile: string): Promise<void> {
  try {
    await build({
      entryPoints: [join(ROOT, "tests", "package", "program.ts")],
      outfile,
      bundle: true,
      external: [PACKAGE],
      // Runtimes differ in whether a module may ask; here no other is the main one.
      define: { "import.meta.main": "false" },
      format: "esm",
      target: TARGET,
      logLevel: "error",
    });
  } finally {
    await stop();
  }
}
