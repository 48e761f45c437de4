/**
 * Programs in Node.
 *
 * @module
 */

/** Node's version; undefined, with the reason printed, where there is none. */
export async function nodeVersion(): Promise<string | undefined> {
  try {
    const { stdout } = await new Deno.Command("node", { args: ["--version"] }).output();
    return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    console.log(`Skipped as node does not run: ${error instanceof Error ? error.message : error}`);
    return undefined;
  }
}

/** Whether Node's version, such as "v24.1.0", is at least a major one. */
export function isAtLeast(version: string | undefined, major: number): boolean {
  return Number(/^v(\d+)/.exec(version ?? "")?.[1] ?? 0) >= major;
}

/** Runs Node, and returns what it prints. */
export async function node(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("node", { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Runs a module in Node beside files of the names given, and returns what it prints. */
export async function runInNode(
  program: string,
  files: Readonly<Record<string, string>> = {},
): Promise<string> {
  const directory = await Deno.makeTempDir();
  try {
    for (const [name, text] of Object.entries({ ...files, "main.mjs": program })) {
      await Deno.writeTextFile(`${directory}/${name}`, text);
    }
    return await node(`${directory}/main.mjs`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
