/**
 * Runs the project's commands as a user does.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";

/** What a command left behind. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * A command that was started.
 *
 * @param script Its path from the project's folder.
 * @param args Its arguments.
 * @param wrap What runs it, if Deno alone does not.
 */
export function start(
  script: string,
  args: readonly string[],
  wrap = (command: string[]) => command,
): Deno.ChildProcess {
  const [program, ...rest] = wrap([
    ...[Deno.execPath(), "run", "--quiet", "--no-check"],
    ...["--allow-read", "--allow-write", "--allow-env", "--allow-net"],
    fileURLToPath(new URL(`../../${script}`, import.meta.url)),
    ...args,
  ]);
  return new Deno.Command(program, {
    args: rest,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** What a command leaves behind at the end. */
export async function finish(child: Deno.ChildProcess): Promise<Finished> {
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

/** Runs a command to its end, with more options of Deno's if there are any. */
export async function run(
  script: string,
  args: readonly string[],
  ...options: readonly string[]
): Promise<Finished> {
  const wrap = ([deno, run, ...rest]: string[]) => [deno, run, ...options, ...rest];
  return await finish(start(script, args, wrap));
}

/** Asserts that a command says in one line what is wrong, and exits with 2. */
export async function assertRefused(
  script: string,
  args: readonly string[],
  message: string,
): Promise<void> {
  assertEquals(await run(script, args), { code: 2, stdout: "", stderr: `Error: ${message}\n` });
}

/**
 * Runs the text of a program to its end.
 *
 * @param text The program; it imports from "ROOT/...", which is the project's folder.
 * @param wrap What runs it, if Deno alone does not.
 */
export async function runText(text: string, wrap = (command: string[]) => command) {
  const root = new URL("../../", import.meta.url),
    path = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(path, text.replaceAll("ROOT/", root.href));
  const config = fileURLToPath(new URL("deno.json", root));
  const [program, ...args] = wrap([
    ...[Deno.execPath(), "run", "--quiet", "--no-check", "--allow-all", "--config", config, path],
  ]);
  const child = new Deno.Command(program, {
    args,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const finished = await finish(child);
  await Deno.remove(path);
  return finished;
}

/** Presses Ctrl-C as soon as a command has written to stderr, and waits for its end. */
export async function interrupt(script: string, args: readonly string[]): Promise<Finished> {
  const child = start(script, args);
  const stdout = new Response(child.stdout).text();
  const reader = child.stderr.getReader();
  let stderr = "";
  for (let sent = false;;) {
    const { done, value } = await reader.read();
    if (done) break;
    stderr += new TextDecoder().decode(value);
    if (!sent) child.kill("SIGINT");
    sent = true;
  }
  const { code } = await child.status;
  return { code, stdout: await stdout, stderr };
}
