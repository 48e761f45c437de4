/**
 * Options of the commands: what they are is data, read by node's own argument parser.
 *
 * @module
 */

import { parseArgs, type ParseArgsConfig } from "node:util";

/** Something that the user can put right: told in one line, exit code 2. */
export class InputError extends Error {}

/** One option: its value if it is left out, how its text is read, and what help says of it. */
export interface Option<T> {
  readonly value: T;
  /** Undefined for a flag, which takes no text. */
  readonly read?: (text: string, name: string) => T;
  readonly help: string;
}

/** Options by name. */
export type Options = Readonly<Record<string, Option<unknown>>>;

/** The values of options. */
export type Values<O extends Options> = { [name in keyof O]: O[name]["value"] };

/** A whole number of at least a minimum. */
export function whole<T extends number | undefined>(
  value: T,
  minimum: number,
  help: string,
): Option<T | number> {
  const read = (text: string, name: string) => {
    const number = Number(text);
    if (text.trim() !== "" && Number.isSafeInteger(number) && number >= minimum) return number;
    throw new InputError(
      `--${name} must be a whole number of ${minimum} or more: received "${text}"`,
    );
  };
  return { value, read, help };
}

/** A finite number of at least a minimum. */
export function number<T extends number | undefined>(
  value: T,
  minimum: number,
  help: string,
): Option<T | number> {
  const read = (text: string, name: string) => {
    const number = Number(text);
    if (text.trim() !== "" && Number.isFinite(number) && number >= minimum) return number;
    throw new InputError(`--${name} must be a number of ${minimum} or more: received "${text}"`);
  };
  return { value, read, help };
}

/** One of some words. */
export function word<const W extends string>(
  value: W,
  words: readonly W[],
  help: string,
): Option<W> {
  const read = (text: string, name: string) => {
    const found = words.find((word) => word === text);
    if (found !== undefined) return found;
    throw new InputError(`--${name} must be one of ${words.join(", ")}: received "${text}"`);
  };
  return { value, read, help: `${help}: ${words.join(", ")}` };
}

/** Some of a list of words, separated by commas; all of them if left out. */
export function words<W extends string>(known: readonly W[], help: string): Option<readonly W[]> {
  const read = (text: string, name: string) =>
    text.split(",").map((part) => word(known[0], known, help).read!(part, name));
  return { value: known, read, help };
}

/** Any text; empty if left out. */
export function text(help: string): Option<string> {
  return { value: "", read: (text) => text, help };
}

/** A path. */
export function path(help: string): Option<string | undefined> {
  const read = (text: string, name: string) => {
    if (text !== "") return text;
    throw new InputError(`--${name} must be a path: received ""`);
  };
  return { value: undefined, read, help };
}

/** An option that is there or not. */
export function flag(help: string): Option<boolean> {
  return { value: false, help };
}

/**
 * Reads a command's arguments.
 *
 * @param options The options it has; --help is added.
 * @param args The arguments.
 * @returns The values; undefined if help was asked for.
 * @throws {InputError} If an option is unknown, lacks its value, or has one that cannot be read.
 */
export function readOptions<O extends Options>(
  options: O,
  args: readonly string[],
): Values<O> | undefined {
  const config: NonNullable<ParseArgsConfig["options"]> = {
    help: { type: "boolean", short: "h" },
  };
  for (const [name, { read }] of Object.entries(options)) {
    config[name] = { type: read === undefined ? "boolean" : "string" };
  }
  let parsed: Record<string, unknown>;
  try {
    parsed = parseArgs({ args: [...args], options: config, allowPositionals: false }).values;
  } catch (error) {
    // Only the first sentence: the others are advice on positional arguments, which are none here.
    throw new InputError(`${(error as Error).message.split(/\. |\n/)[0]} (see --help)`);
  }
  if (parsed.help) return undefined;
  const entries = Object.entries(options).map(([name, { value, read }]) => {
    const text = parsed[name];
    return [name, typeof text === "string" && read ? read(text, name) : text ?? value];
  });
  return Object.fromEntries(entries) as Values<O>;
}

/** What --help prints. */
export function helpText(usage: string, about: string, options: Options): string {
  const rows = Object.entries(options).map(([name, { value, read, help }]) => {
    const shown = read === undefined || value === undefined || value === "" ? "" : ` (${value})`;
    return [`--${name}`, help + shown];
  });
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, help]) => `  ${name.padEnd(width)}  ${help}`);
  return `${about}\n\nUsage: ${usage} [options]\n\n${lines.join("\n")}`;
}

/**
 * Runs a command: an {@linkcode InputError} becomes one line and exit code 2.
 *
 * @param main What it does; returns the exit code.
 */
export async function runCommand(main: () => Promise<number>): Promise<never> {
  try {
    Deno.exit(await main());
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    console.error(`Error: ${error.message}`);
    Deno.exit(2);
  }
}

/**
 * The options of a script without a main function: help and mistakes end it here.
 *
 * @param usage How it is called.
 * @param about What it does.
 * @param options The options it has; --help is added.
 * @returns The values.
 */
export function scriptOptions<O extends Options>(
  usage: string,
  about: string,
  options: O,
): Values<O> {
  try {
    const values = readOptions(options, Deno.args);
    if (values !== undefined) return values;
    console.log(helpText(usage, about, options));
    Deno.exit(0);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    console.error(`Error: ${error.message}`);
    Deno.exit(2);
  }
}
