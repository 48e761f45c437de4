/**
 * `deno task page`: a classroom in the browser, which trains nets without a server's help.
 *
 * @module
 */

import { join } from "node:path";
import { ROOT } from "../bundle.ts";
import { orInputError } from "../files.ts";
import { path, runCommand, type Values, whole } from "../options.ts";
import { buildPage } from "./build.ts";
import { servePage } from "./serve.ts";

const options = {
  port: whole(8000, [0, 65535], "port to serve at; 0 takes one that is free"),
  build: path("write the page to this folder as a static site for any host, and end"),
};

const about =
  `Serves a page that trains convolutional nets in the browser: layers to change, curves,
filters, a digit to draw. The first call packs the images that npm carries.`;

async function main({ port, build }: Values<typeof options>): Promise<number> {
  const folder = build ?? join(ROOT, "dist", "page");
  await buildPage(folder, { onStep: (what) => console.error(`${what} ...`) });
  if (build !== undefined) {
    console.log(`The page is in ${folder}`);
    return 0;
  }
  const server = await orInputError(
    `Port ${port} cannot be served`,
    // deno-lint-ignore require-await
    async () => servePage(folder, { port }),
  );
  console.log(`http://localhost:${server.addr.port}/`);
  Deno.addSignalListener("SIGINT", () => server.shutdown());
  await server.finished;
  return 0;
}

await runCommand({ usage: "deno task page", about, options }, main);
