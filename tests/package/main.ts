/**
 * `deno task test:package`: the npm package as users have it. It is made, installed in an empty folder, and
 * run there by runtimes, bundlers and browsers, which npm downloads, browsers apart. What is missing is
 * skipped; with --all nothing may be.
 *
 * @module
 */

import { after, describe, it } from "@std/testing/bdd";
import { testBrowsers } from "./browsers.ts";
import { testBundlers } from "./bundlers.ts";
import { install } from "./install.ts";
import { testReadme } from "./readme.ts";
import { testRuntimes } from "./runtimes.ts";
import { testTypes } from "./types.ts";

const installed = await install();

describe("The npm package", () => {
  if (typeof installed === "string") {
    if (Deno.args.includes("--all")) throw new Error(installed);
    console.log(`Skipped as ${installed}`);
    it("is installed by npm", { skip: true }, () => {});
    return;
  }
  after(() => installed[Symbol.asyncDispose]());
  testTypes(installed);
  testRuntimes(installed);
  testReadme(installed);
  testBundlers(installed);
  testBrowsers(installed);
});
