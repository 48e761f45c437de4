import { after, before, describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import type { Browser } from "playwright-core";
import { bundle } from "../../support/bundles.ts";
import { hasChromium, launchChromium } from "../../support/chromium.ts";
import type { PageReport } from "../../support/worker_page.ts";

const skip = !await hasChromium();

const isolation = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

describe("trainInWorker() in Chromium", () => {
  let browser: Browser | undefined;
  let server: Deno.HttpServer<Deno.NetAddr> | undefined;

  before(async () => {
    if (skip) return;
    const scripts: Readonly<Record<string, string>> = {
      "/page.js": await bundle("worker_page.ts"),
      "/training.js": await bundle("../../io/worker/training_worker.ts"),
    };
    server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
      const { pathname } = new URL(request.url), isScript = pathname in scripts;
      return new Response(isScript ? scripts[pathname] : "<!doctype html><title>training</title>", {
        headers: {
          ...isolation,
          "content-type": isScript ? "text/javascript" : "text/html",
        },
      });
    });
    browser = await launchChromium();
  });

  after(async () => {
    await browser?.close();
    await server?.shutdown();
  });

  it("leaves the page's main thread alone, and gives a solver's bits", { skip }, async () => {
    const page = await browser!.newPage();
    await page.goto(`http://127.0.0.1:${server!.addr.port}/`);
    const { iteration, progress, longest, frames, time, isSame } = await page.evaluate<PageReport>(
      `import("/page.js").then(({ trainInPage }) => trainInPage())`,
    );
    const rounded = (value: number) => value.toFixed(0);
    console.log(
      `${rounded(iteration)} ms an iteration, longest task of the page ${rounded(longest)} ms, ` +
        `${rounded(1000 * frames / time)} frames a second`,
    );
    assert(isSame);
    assertEquals(progress.threads, 1);
    // On the main thread each iteration would be a task, and there would be no more frames than that.
    assert(iteration > 100, `${iteration} ms an iteration`);
    assert(longest < iteration, `a task of ${longest} ms`);
    assert(frames > 2 * time / iteration, `${frames} frames in ${time} ms`);
  });
});
