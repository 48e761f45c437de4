/**
 * The programs of the documents: code blocks, run in the environment that they are for.
 *
 * @module
 */

import { assert } from "@std/assert";

/** A code block of a Markdown file. */
export interface Block {
  /** What stands after the fence: the language, and "ignore" where deno test must not run it. */
  readonly info: string;
  readonly text: string;
}

/**
 * The code blocks of a document of this repository.
 *
 * @param path Its path from the repository's root.
 * @returns The blocks in order.
 */
export async function blocksOf(path: string): Promise<Block[]> {
  const text = await Deno.readTextFile(new URL(`../../${path}`, import.meta.url));
  return [...text.matchAll(/^```(\S.*)\n([\s\S]*?)^```$/gm)].map(([, info, text]) => ({
    info,
    text,
  }));
}

/**
 * Runs a program.
 *
 * @param command The program and its arguments.
 * @param options Where, and with which environment variables.
 * @returns What it printed.
 */
export async function printedBy(
  [program, ...args]: readonly string[],
  options: Pick<Deno.CommandOptions, "cwd" | "env"> = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    ...options,
    args,
    env: { NO_COLOR: "1", ...options.env },
  }).output();
  const printed = new TextDecoder().decode(stdout);
  assert(success, `${program} ${args.join(" ")}\n${printed}${new TextDecoder().decode(stderr)}`);
  return printed;
}
