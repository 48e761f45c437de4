/**
 * Runs the commands of examples/ as a user does.
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

/** A command that was started. */
export function start(script: string, args: readonly string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-check"],
      ...["--allow-read", "--allow-write", "--allow-env", "--allow-net"],
      fileURLToPath(new URL(`../examples/${script}`, import.meta.url)),
      ...args,
    ],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs a command to its end. */
export async function run(script: string, args: readonly string[]): Promise<Finished> {
  const { code, stdout, stderr } = await start(script, args).output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

/** Asserts that a command says in one line what is wrong, and exits with 2. */
export async function assertRefused(
  script: string,
  args: readonly string[],
  message: string,
): Promise<void> {
  assertEquals(await run(script, args), { code: 2, stdout: "", stderr: `Error: ${message}\n` });
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
