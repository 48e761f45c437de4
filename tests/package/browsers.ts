/**
 * Pages in browsers: cnn-layers.js as a module of a page, and the bundles of a program.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { after, before, describe, it } from "@std/testing/bdd";
import { join } from "node:path";
import { PACKAGE } from "../../tools/bundle.ts";
import { bundlers, workerBundlers } from "./bundlers.ts";
import type { Installed } from "./install.ts";
import { assertReport } from "./report.ts";
import { TRAINED } from "./training.ts";

/** How Debian's browsers open a page without a window, with a profile in a folder of its own. */
const browsers = {
  Chromium: (profile: string, page: string) => [
    "chromium",
    ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
    ...[`--user-data-dir=${profile}`, page],
  ],
  Firefox: (profile: string, page: string) => [
    "firefox-esr",
    ...["--headless", "--no-remote", "--profile", profile, page],
  ],
} as const;

/** The pages in the order in which a browser opens them: what runs there, as HTML. */
const pages: Readonly<Record<string, string>> = {
  "cnn-layers.js": `<script type="importmap">
    {"imports": {"${PACKAGE}": "/dist/cnn-layers.js"}}
    </script><script type="module" src="/program.mjs"></script>`,
  ...Object.fromEntries(bundlers.map((name) => [name, bundleOf(name, "program")])),
  ...Object.fromEntries(
    workerBundlers.map((name) => [`training-${name}`, bundleOf(name, "training")]),
  ),
};

/** What runs a bundle. */
function bundleOf(bundler: string, program: string): string {
  return `<script type="module" src="/bundles/${bundler}/${program}.js"></script>`;
}

/** Milliseconds that a page may take. */
const PATIENCE = 60_000;

/** Pages of a folder, and the reports that they send. */
class Pages implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #reports = new Map<string, PromiseWithResolvers<string>>();

  constructor(folder: string) {
    for (const name of Object.keys(pages)) this.#reports.set(name, Promise.withResolvers());
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
      const name = new URL(request.url).pathname.slice(1);
      if (request.method === "POST") return this.#receive(name, request);
      return name in pages ? page(pages[name]) : script(join(folder, name));
    });
  }

  async #receive(name: string, request: Request): Promise<Response> {
    this.#reports.get(name)?.resolve(await request.text());
    const names = Object.keys(pages);
    return new Response(names[names.indexOf(name) + 1] ?? "");
  }

  /** The address of a page. */
  url(name: string): string {
    return `http://127.0.0.1:${this.#server.addr.port}/${name}`;
  }

  /** What a page sent. */
  async report(name: string): Promise<string> {
    const late = Promise.withResolvers<string>();
    const timer = setTimeout(() => late.resolve("nothing came"), PATIENCE);
    const text = await Promise.race([this.#reports.get(name)!.promise, late.promise]);
    clearTimeout(timer);
    return text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

function page(body: string): Response {
  // An error that stops a script is a report too.
  const onerror = `addEventListener("error", ({ message, target }) => fetch(location.href, {
    method: "POST", body: JSON.stringify({ error: message ?? target.src + " does not load" }),
  }), true)`;
  const html = `<!doctype html><title>cnn-layers</title><script>${onerror}</script>${body}`;
  return new Response(html, { headers: { "content-type": "text/html" } });
}

async function script(path: string): Promise<Response> {
  const body = await Deno.readFile(path).catch(() => undefined);
  if (body === undefined) return new Response(null, { status: 404 });
  return new Response(body, { headers: { "content-type": "text/javascript" } });
}

/** Whether a program is there. */
async function has(program: string): Promise<boolean> {
  const { success } = await new Deno.Command("which", { args: [program], stdout: "null" }).output();
  return success;
}

/** Browsers that are missing; with --all their tests run, and fail. */
export const skipped = new Set<string>();
for (const [browser, command] of Object.entries(browsers)) {
  const [program] = command("", "");
  if (Deno.args.includes("--all") || await has(program)) continue;
  skipped.add(browser);
  console.log(`${browser} is skipped as there is no ${program}`);
}

/** Tests in each browser. */
export function testBrowsers({ folder }: Installed): void {
  for (const [browser, command] of Object.entries(browsers)) {
    const [program] = command("", ""), skip = skipped.has(browser);
    describe(`In ${browser}`, { skip }, () => {
      let served: Pages, profile: string, child: Deno.ChildProcess;

      before(async () => {
        served = new Pages(folder);
        profile = await Deno.makeTempDir({ prefix: "cnn-layers-profile-" });
        const [, ...args] = command(profile, served.url(Object.keys(pages)[0]));
        child = new Deno.Command(program, { args, stdout: "null", stderr: "null" }).spawn();
      });
      after(async () => {
        child.kill();
        await child.status;
        await served[Symbol.asyncDispose]();
        // A browser's last process may still write there.
        await Deno.remove(profile, { recursive: true }).catch(() => {});
      });

      for (const name of workerBundlers) {
        it(`a bundle by ${name} trains in a worker to a solver's bits`, async () => {
          assertEquals(await served.report(`training-${name}`), TRAINED);
        });
      }
      for (const name of ["cnn-layers.js", ...bundlers]) {
        const what = name === "cnn-layers.js"
          ? `a page that imports ${name}`
          : `a bundle by ${name}`;
        it(`${what} has the naive loops' numbers and trains to the known bits`, async () => {
          assertReport(await served.report(name));
        });
      }
    });
  }
}
