/**
 * `deno task cnn`: nets from the command line. Each command is a file of this folder.
 *
 * @module
 */

import { InputError, runCommand } from "../options.ts";

/** The commands: what they do, and where they are. Only the one that is called is loaded. */
const commands: Readonly<Record<string, { about: string; load: () => Promise<CommandModule> }>> = {
  train: { about: "train a net on images", load: () => import("./train.ts") },
  eval: { about: "measure how well a model does", load: () => import("./eval.ts") },
  predict: { about: "say what images show", load: () => import("./predict.ts") },
  export: { about: "write a model in other formats", load: () => import("./export.ts") },
  import: { about: "make a model of other programs' weights", load: () => import("./import.ts") },
  explain: {
    about: "say which kernel runs a shape, and how fast",
    load: () => import("./explain.ts"),
  },
  bench: { about: "time a shape in every tier", load: () => import("./bench.ts") },
};

interface CommandModule {
  /** Runs the command with its arguments, and ends the program. */
  run(args: readonly string[]): Promise<never>;
}

const names = Object.keys(commands);
const rows = Object.entries(commands).map(([name, { about }]) => `  ${name.padEnd(9)}${about}`);
const about = `Trains, measures and uses convolutional nets.

${rows.join("\n")}

deno task cnn COMMAND --help tells a command's options. Exit codes: 0 if all went well, 1 if a training run
diverged, 2 if the input is wrong, with one line that says what, and 130 after Ctrl-C.`;

/** The arguments; `deno task cnn -- train` hands on its two dashes. */
const args = Deno.args[0] === "--" ? Deno.args.slice(1) : Deno.args;
const [name = "", ...rest] = args;
if (Object.hasOwn(commands, name)) {
  const { run } = await commands[name].load();
  await run(rest);
}
await runCommand({ usage: "deno task cnn COMMAND", about, options: {}, operands: "any" }, () => {
  const found = name === "" ? "none" : JSON.stringify(name);
  throw new InputError(`the command must be one of ${names.join(", ")}: received ${found}`);
}, args);
