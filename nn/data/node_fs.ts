/**
 * Node's file system, which Deno and Bun have too. It is asked for where it is used and not imported, so
 * that these modules load in a browser.
 *
 * @module
 */

import { checkType } from "../../kernels/check.ts";

/** What is used of it. */
export interface NodeFs {
  existsSync(path: string): boolean;
  readFileSync(path: string): Uint8Array;
  readdirSync(
    path: string,
    options: { withFileTypes: true },
  ): { readonly name: string; isDirectory(): boolean }[];
  createReadStream(path: string, options: { highWaterMark: number }): AsyncIterable<Uint8Array>;
}

/**
 * The file system.
 *
 * @param name What the message calls the path that needs it.
 * @param path The path.
 * @returns Its functions.
 * @throws {TypeError} If there is none.
 */
export function nodeFs(name: string, path: unknown): NodeFs {
  const { process } = globalThis as {
    process?: { getBuiltinModule?(id: "node:fs"): NodeFs | undefined };
  };
  const fs = process?.getBuiltinModule?.("node:fs");
  checkType(fs !== undefined, name, "be a URL where there is no file system", path);
  return fs;
}
