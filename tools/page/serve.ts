/**
 * Serves a built page: files of one folder, isolated, so that threads share memory.
 *
 * @module
 */

import { extname, join } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".bin": "application/octet-stream",
};

/** What makes a page isolated from others: browsers then give it shared memory. */
export const ISOLATION: Readonly<Record<string, string>> = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/** How a page is served. */
export interface ServeOptions {
  /** The port; 0 takes one that is free. Default: 0. */
  readonly port?: number;
  /** Headers of every answer. Default: {@linkcode ISOLATION}. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Serves the files of a folder to this machine.
 *
 * @param folder The folder.
 * @param options How.
 * @returns The server.
 */
export function servePage(
  folder: string,
  { port = 0, headers = ISOLATION }: ServeOptions = {},
): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ hostname: "127.0.0.1", port, onListen: () => {} }, async (request) => {
    const { pathname } = new URL(request.url);
    // A URL has no ".." left but an encoded one, and names of the site need no encoding.
    const isKnown = /^\/[\w.~[\]/-]*$/.test(pathname) && !pathname.includes("..");
    const path = join(folder, pathname.endsWith("/") ? `${pathname}index.html` : pathname);
    const body = isKnown ? await Deno.readFile(path).catch(() => undefined) : undefined;
    if (body === undefined) return new Response("Not found", { status: 404, headers });
    const type = TYPES[extname(path)] ?? "application/octet-stream";
    return new Response(body, {
      headers: { ...headers, "content-type": type, "cache-control": "no-cache" },
    });
  });
}
