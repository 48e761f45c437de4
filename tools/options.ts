/**
 * What every command line of the project shares: options that are data, read by node's own argument
 * parser; help; and mistakes that are told in one line.
 *
 * @module
 */

import process from "node:process";
import { parseArgs, type ParseArgsConfig } from "node:util";
import { ArgumentRangeError, ArgumentTypeError } from "../kernels/errors.ts";

/** Something that the user can put right: told in one line, exit code 2. */
export class InputError extends Error {}

/**
 * What the library says of wrong input is for the user to put right; every other error stays what it is.
 *
 * @param error The error.
 * @param what What the line begins with.
 * @returns What to throw.
 */
export function asInputError(error: unknown, what = ""): unknown {
  const isInput = error instanceof ArgumentTypeError || error instanceof ArgumentRangeError ||
    error instanceof SyntaxError;
  return isInput ? new InputError(what + error.message) : error;
}

/** Does what the library may refuse: see {@linkcode asInputError}. */
export function orRefused<T>(work: () => T, what = ""): T {
  try {
    return work();
  } catch (error) {
    throw asInputError(error, what);
  }
}

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

/** The least and the most that a number may be. */
export type Bounds = readonly [least: number, most: number];

/** A command, as far as its arguments and its help go. */
export interface Command<O extends Options> {
  /** How it is called. */
  readonly usage: string;
  /** What it does. */
  readonly about: string;
  /** The options it has; --help is added. */
  readonly options: O;
  /** Options of an earlier version, and those that took their places. */
  readonly replaced?: Readonly<Record<string, string>>;
  /**
   * What may stand beside the options: some of these words, or with "any" whatever the user has, such as
   * files. Default: nothing.
   */
  readonly operands?: readonly string[] | "any";
}

/** What a command was called with. */
export interface Arguments<O extends Options> {
  readonly values: Values<O>;
  readonly operands: readonly string[];
}

/** What RandomState takes: numpy's seeds. */
export const SEEDS: Bounds = [0, 2 ** 32 - 1];

/** A whole number. */
export function whole<T extends number | undefined>(
  value: T,
  bounds: Bounds,
  help: string,
): Option<T | number> {
  return numeric("a whole number", value, bounds, Number.isSafeInteger, help);
}

/** The option of every command that trains: on how many threads. */
export const threads = whole(
  undefined,
  [1, 256],
  "threads to run on; the results are the same for any number (default: every core)",
);

/** An odd number. */
export function odd(value: number, bounds: Bounds, help: string): Option<number> {
  return numeric("an odd number", value, bounds, (number) => number % 2 === 1, help);
}

/** Any number. */
export function number<T extends number | undefined>(
  value: T,
  bounds: Bounds,
  help: string,
): Option<T | number> {
  return numeric("a number", value, bounds, Number.isFinite, help);
}

function numeric<T extends number | undefined>(
  kind: string,
  value: T,
  [least, most]: Bounds,
  allowed: (number: number) => boolean,
  help: string,
): Option<T | number> {
  const read = (text: string, name: string) => {
    const number = text.trim() === "" ? NaN : Number(text);
    if (allowed(number) && number >= least && number <= most) return number;
    throw new InputError(
      `--${name} must be ${kind} from ${least} to ${most}: received ${JSON.stringify(text)}`,
    );
  };
  return { value, read, help };
}

/**
 * Whole numbers, separated by commas.
 *
 * @param forms The lists that it takes, each number named: "C,H,W".
 * @param most The most that each may be.
 * @param help What it is for.
 */
export function sizes(
  forms: readonly string[],
  most: number,
  help: string,
): Option<readonly number[] | undefined> {
  const read = (text: string, name: string) => {
    const list = text.split(",").map((part) => part.trim() === "" ? NaN : Number(part));
    const shown = JSON.stringify(text);
    if (!list.every((size) => Number.isInteger(size) && size >= 0 && size <= most)) {
      throw new InputError(
        `--${name} takes whole numbers from 0 to ${most}, separated by commas: received ${shown}`,
      );
    }
    if (forms.some((form) => form.split(",").length === list.length)) return list;
    throw new InputError(`--${name} takes ${forms.join(", or ")}: received ${shown}`);
  };
  return { value: undefined, read, help: `${forms.join(", or ")}: ${help}` };
}

/** Any numbers, separated by commas. */
export function numbers(help: string): Option<readonly number[] | undefined> {
  const read = (text: string, name: string) => {
    const list = text.split(",").map((part) => part.trim() === "" ? NaN : Number(part));
    if (list.every(Number.isFinite)) return list;
    throw new InputError(
      `--${name} takes numbers, separated by commas: received ${JSON.stringify(text)}`,
    );
  };
  return { value: undefined, read, help };
}

/** One of some words. */
export function word<const W extends string>(
  value: W,
  words: readonly W[],
  help: string,
): Option<W> {
  const read = (text: string, name: string) => find(words, text, `--${name}`);
  return { value, read, help: `${help}: ${words.join(", ")}` };
}

/** Some of a list of words, separated by commas. Default: all of them. */
export function words<W extends string>(known: readonly W[], help: string): Option<readonly W[]> {
  const read = (text: string, name: string) =>
    text.split(",").map((part) => find(known, part, `--${name}`));
  return { value: known, read, help };
}

/** The words that hold one of some texts, separated by commas. Default: all of them. */
export function matching(known: readonly string[], help: string): Option<readonly string[]> {
  const read = (text: string, name: string) => {
    const parts = text.split(",");
    const idle = parts.find((part) => part === "" || !known.some((word) => word.includes(part)));
    if (idle === undefined) {
      return known.filter((word) => parts.some((part) => word.includes(part)));
    }
    throw new InputError(
      `--${name} must be a part of ${summary(known)}: received ${JSON.stringify(idle)}`,
    );
  };
  return { value: known, read, help };
}

function find<W extends string>(known: readonly W[], text: string, what: string): W {
  const found = known.find((word) => word === text);
  if (found !== undefined) return found;
  throw new InputError(
    `${what} must be one of ${known.join(", ")}: received ${JSON.stringify(text)}`,
  );
}

/** Words for a line, which need not hold hundreds of them. */
function summary(words: readonly string[]): string {
  return words.length <= 20 ? words.join(", ") : `${words.slice(0, 3).join(", ")}, …`;
}

/** A path or an address, on one line. */
export function path(help: string): Option<string | undefined> {
  const read = (text: string, name: string) => {
    if (text !== "" && !/[\p{Cc}\u2028\u2029]/u.test(text)) return text;
    throw new InputError(`--${name} must be a path in one line: received ${JSON.stringify(text)}`);
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
 * @param command The command.
 * @param args The arguments.
 * @returns What it was called with; undefined if help was asked for.
 * @throws {InputError} If an option is unknown, lacks its value, or has one that cannot be read.
 */
export function readArguments<O extends Options>(
  { options, operands, replaced = {} }: Command<O>,
  args: readonly string[],
): Arguments<O> | undefined {
  const config: NonNullable<ParseArgsConfig["options"]> = {
    help: { type: "boolean", short: "h" },
  };
  for (const [name, { read }] of Object.entries(options)) {
    config[name] = { type: read === undefined ? "boolean" : "string" };
  }
  for (const name of Object.keys(replaced)) config[name] = { type: "string" };
  let parsed: ReturnType<typeof parseArgs>;
  try {
    const allowPositionals = operands !== undefined;
    parsed = parseArgs({ args: [...args], options: config, allowPositionals });
  } catch (error) {
    // Only the first sentence: the others are advice on positional arguments, which are none here.
    throw new InputError(`${(error as Error).message.split(/\. |\n/)[0]} (see --help)`);
  }
  for (const [name, successor] of Object.entries(replaced)) {
    if (parsed.values[name] === undefined) continue;
    throw new InputError(`--${name} was replaced by --${successor} (see --help)`);
  }
  if (parsed.values.help) return undefined;
  const entries = Object.entries(options).map(([name, { value, read }]) => {
    const text = parsed.values[name];
    return [name, typeof text === "string" && read ? read(text, name) : text ?? value];
  });
  return {
    values: Object.fromEntries(entries) as Values<O>,
    operands: operands === "any" || operands === undefined
      ? parsed.positionals
      : parsed.positionals.map((text) => find(operands, text, "An argument")),
  };
}

/** What --help prints. */
export function helpText({ usage, about, options }: Command<Options>): string {
  const rows = Object.entries(options).map(([name, { value, read, help }]) => {
    const shown = Array.isArray(value) ? summary(value) : value;
    return [`--${name}`, read === undefined || value === undefined ? help : `${help} (${shown})`];
  });
  rows.push(["--help", "print this"]);
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, help]) => `  ${name.padEnd(width)}  ${help}`);
  return `${about}\n\nUsage: ${usage} [options]\n\n${lines.join("\n")}`;
}

/**
 * Runs a command: an {@linkcode InputError} becomes one line and exit code 2.
 *
 * @param command The command.
 * @param main What it does; returns the exit code.
 * @param args What it was called with. Default: the program's arguments.
 */
export async function runCommand<O extends Options>(
  command: Command<O>,
  main: (values: Values<O>, operands: readonly string[]) => number | Promise<number>,
  args: readonly string[] = process.argv.slice(2),
): Promise<never> {
  try {
    const { values, operands } = argumentsOf(command, args);
    process.exit(await main(values, operands));
  } catch (error) {
    refuse(error);
  }
}

/**
 * The options of a script without a main function: help and mistakes end it here.
 *
 * @param command The script.
 * @returns The values.
 */
export function scriptOptions<O extends Options>(command: Command<O>): Values<O> {
  try {
    return argumentsOf(command, process.argv.slice(2)).values;
  } catch (error) {
    refuse(error);
  }
}

function argumentsOf<O extends Options>(
  command: Command<O>,
  args: readonly string[],
): Arguments<O> {
  const read = readArguments(command, args);
  if (read !== undefined) return read;
  console.log(helpText(command));
  process.exit(0);
}

function refuse(error: unknown): never {
  if (!(error instanceof InputError)) throw error;
  console.error(`Error: ${error.message}`);
  process.exit(2);
}
