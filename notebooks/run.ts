/**
 * Runs the notebooks as a reader would, with jupyter-nbconvert and Deno's own kernel, and writes the
 * exercises.
 *
 *   deno task notebooks [--check] [NAME.ipynb ...]
 *
 * Every cell is formatted, linted and type-checked, then executed. A cell that throws, as one does
 * whose number is outside the bound that it prints, fails the run. The outputs are written back into
 * the notebooks; with --check nothing is written, and the run fails where the committed outputs are
 * not those of these cells: another text, another kind of output, or none. Numbers may differ, as
 * times and the last digits do from machine to machine: the bounds in the cells are what holds them.
 * The exercises are compared to the last character.
 *
 * Needs jupyter-nbconvert (Debian: apt-get install jupyter-nbconvert). The kernel is installed into a
 * temporary folder, so the user's own Jupyter stays as it is.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { type Cell, exerciseOf, join, type Notebook } from "./exercises.ts";
import { flag, runCommand, type Values } from "../tools/options.ts";

const folder = new URL("./", import.meta.url);
const config = fileURLToPath(new URL("../deno.json", import.meta.url));

/** Runs a program in this folder; throws what it said if it fails. */
async function run(program: string, args: string[], env: Record<string, string> = {}) {
  const { success, stdout, stderr } = await new Deno.Command(
    program === "deno" ? Deno.execPath() : program,
    { args, env: { NO_COLOR: "1", ...env }, cwd: folder },
  ).output();
  if (success) return;
  const said = new TextDecoder().decode(stderr) + new TextDecoder().decode(stdout);
  throw new Error(`${program} ${args.join(" ")} failed\n${said}`);
}

/**
 * Writes a notebook's formatted text, or compares it with the file. Deno's formatter calls every
 * notebook unformatted when it is asked to check one, so deno.json leaves them to this.
 */
async function format(
  name: string,
  text: string,
  temporary: string,
  check: boolean,
): Promise<void> {
  const file = new URL(name, folder), copy = `${temporary}/formatted.ipynb`;
  await Deno.writeTextFile(copy, text);
  await run("deno", ["fmt", "--quiet", "--config", config, copy]);
  const formatted = await Deno.readTextFile(copy);
  if (formatted === await Deno.readTextFile(file).catch(() => "")) return;
  if (check) throw new Error(`${name} is not as written by "deno task notebooks": run it.`);
  await Deno.writeTextFile(file, formatted);
}

/**
 * The kernel runs TypeScript without checking its types, and lint passes notebooks by: both see the
 * cells as one module here.
 */
async function checkCode(
  name: string,
  notebook: Notebook,
  temporary: string,
  lintOptions: string[] = [],
): Promise<void> {
  const beside = new URL(name, folder);
  const code = notebook.cells.filter((cell) => cell.cell_type === "code")
    .map((cell) => join(cell.source)).join("\n\n")
    .replace(/from "(\.[^"]*)"/g, (_, path) => `from "${new URL(path, beside).href}"`);
  const file = `${temporary}/cells.ts`;
  await Deno.writeTextFile(file, code);
  await run("deno", ["check", "--config", config, "--no-lock", file]);
  await run("deno", ["lint", "--config", config, ...lintOptions, file]);
}

/** What a cell printed and showed, every value replaced by #. */
function outline(cell: Cell): string[] {
  return (cell.outputs ?? []).map((output) =>
    output.output_type === "stream"
      ? `${output.name}: ${join(output.text ?? "").replace(/-?\d+(\.\d+)?(e[+-]?\d+)?/g, "#")}`
      : `${output.output_type}: ${Object.keys(output.data ?? {}).sort().join(" ")}`
  );
}

/** Throws where the committed outputs are not those that the cells have now. */
function compare(name: string, committed: Notebook, executed: Notebook): void {
  executed.cells.forEach((cell, i) => {
    const now = outline(cell).join("\n"), then = outline(committed.cells[i]).join("\n");
    if (now !== then) {
      throw new Error(
        `${name}, cell ${i}: the committed output is not this cell's. Run "deno task notebooks".\n` +
          `--- committed\n${then}\n--- now\n${now}`,
      );
    }
  });
}

const options = {
  check: flag("write nothing, but fail if the committed outputs are not those of the cells"),
};

const names = [...Deno.readDirSync(folder)].map(({ name }) => name)
  .filter((name) => name.endsWith(".ipynb")).sort();

/** Runs one notebook and writes or compares its outputs. */
async function runNotebook(name: string, temporary: string, check: boolean): Promise<void> {
  const start = performance.now();
  const file = new URL(name, folder);
  await format(name, await Deno.readTextFile(file), temporary, check);
  const committed: Notebook = JSON.parse(await Deno.readTextFile(file));
  await checkCode(name, committed, temporary);
  await run("jupyter-nbconvert", [
    "--to=notebook",
    "--execute",
    "--config=nbconvert_config.py",
    `--output-dir=${temporary}`,
    name,
  ], { JUPYTER_PATH: `${temporary}/jupyter` });
  const text = await Deno.readTextFile(`${temporary}/${name}`);
  const executed: Notebook = JSON.parse(text);
  if (check) compare(name, committed, executed);
  else await Deno.writeTextFile(file, text);

  const exercise = exerciseOf(name, executed);
  await format(`exercises/${name}`, JSON.stringify(exercise), temporary, check);
  // Only its solution uses an exercise's parameters.
  await checkCode(`exercises/${name}`, exercise, temporary, ["--rules-exclude=no-unused-vars"]);
  console.log(`${name}: ran in ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

async function main({ check }: Values<typeof options>, asked: readonly string[]): Promise<number> {
  const temporary = await Deno.makeTempDir();
  try {
    await run("deno", ["jupyter", "--install"], { XDG_DATA_HOME: temporary });
    for (const name of asked.length > 0 ? asked : names) {
      await runNotebook(name, temporary, check);
    }
    return 0;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    console.error(error.message);
    return 1;
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

const about = `Runs the notebooks and writes their outputs: ${names.join(", ")}.`;
const usage = "deno task notebooks [NAME.ipynb ...]";
await runCommand({ usage, about, options, operands: names }, main);
