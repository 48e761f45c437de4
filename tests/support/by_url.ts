/**
 * Programs that import this repository by its URL, as from a server.
 *
 * @module
 */

import { assert } from "@std/assert";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/**
 * Serves the repository on a local port and runs a program that imports it, in an empty folder.
 *
 * @param program The program's text, given the URL of the repository, which ends with "/".
 * @param permissions What it is run with.
 * @param env Environment variables.
 * @returns What it printed.
 */
export async function runByUrl(
  program: (url: string) => string,
  permissions: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (req) => {
    const path = new URL(req.url).pathname;
    const body = await Deno.readTextFile(`${root}${path.slice(1)}`).catch(() => undefined);
    if (body === undefined) return new Response("not found", { status: 404 });
    return new Response(body, { headers: { "content-type": "application/typescript" } });
  });
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/program.ts`;
    await Deno.writeTextFile(path, program(`http://127.0.0.1:${server.addr.port}/`));
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--quiet", ...permissions, path],
      cwd: folder,
      env: { NO_COLOR: "1", DENO_DIR: `${folder}/cache`, ...env },
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout).trim();
  } finally {
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
}
