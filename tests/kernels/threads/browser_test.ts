import { after, before, describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Browser } from "playwright-core";
import { bundles } from "../../support/bundles.ts";
import { hasChromium, launchChromium } from "../../support/chromium.ts";

const skip = !await hasChromium();

/** What a page or a worker finds. */
interface Found {
  readonly count: number;
  readonly reason?: string;
  readonly explanation: string;
  readonly isShared: boolean;
  readonly isSame: boolean;
}

const find = `async (lib) => {
  const random = new lib.RandomState(1);
  const x = random.randn([30, 8, 16, 16]), w = random.randn([8, 8, 3, 3]);
  const alone = lib.convForward(x, w, null, { pad: 1 });
  const threads = await lib.useThreads(2);
  const { out } = lib.convForward(x, w, null, { pad: 1 });
  const { count, reason } = threads;
  const explanation = lib.explainConv(x.shape, w.shape, { pad: 1 }).reason;
  return {
    count,
    reason,
    explanation,
    isShared: typeof SharedArrayBuffer === "function" &&
      out.data.buffer instanceof SharedArrayBuffer,
    isSame: out.data.join() === alone.out.data.join(),
  };
}`;

const scripts: Record<string, string> = {
  "/worker.js": `import * as lib from "/mod.js"; postMessage(await (${find})(lib));`,
};

const isolation = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/** The headers of pages and of the scripts that they load from a folder of the same name. */
const headers: Readonly<Record<string, Record<string, string>>> = {
  "/plain": {},
  "/isolated": isolation,
  "/strict": {
    ...isolation,
    "content-security-policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'",
  },
};

describe("threads in Chromium", () => {
  let browser: Browser | undefined;
  let server: Deno.HttpServer<Deno.NetAddr> | undefined;

  before(async () => {
    if (skip) return;
    scripts["/mod.js"] = (await bundles()).mod;
    server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
      const { pathname } = new URL(request.url);
      const folder = Object.keys(headers).find((name) => pathname.startsWith(name));
      const path = folder === undefined ? pathname : pathname.slice(folder.length);
      const isScript = path in scripts;
      return new Response(isScript ? scripts[path] : "<!doctype html><title>threads</title>", {
        headers: {
          ...headers[folder ?? "/isolated"],
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

  /** What is found in a page, by itself or in a worker of it. */
  async function foundIn(folder: string, inWorker: boolean): Promise<Found> {
    if (browser === undefined || server === undefined) throw new Error("no browser");
    const page = await browser.newPage();
    try {
      await page.goto(`http://127.0.0.1:${server.addr.port}${folder}/`);
      return await page.evaluate<Found>(
        inWorker
          ? `new Promise((resolve, reject) => {
              const worker = new Worker("${folder}/worker.js", { type: "module" });
              worker.onmessage = ({ data }) => resolve(data);
              worker.onerror = ({ message }) => reject(new Error(message));
            })`
          : `import("/mod.js").then(${find})`,
      );
    } finally {
      await page.close();
    }
  }

  it("serve a worker of an isolated page", { skip }, async () => {
    const { count, reason, explanation, isShared, isSame } = await foundIn("/isolated", true);
    assertEquals({ count, reason, isShared, isSame }, {
      count: 2,
      reason: undefined,
      isShared: true,
      isSame: true,
    });
    assertStringIncludes(explanation, "2 threads");
  });

  const alone:
    readonly (readonly [where: string, folder: string, inWorker: boolean, why: string])[] = [
      ["the page itself, which may not wait", "/isolated", false, "main thread of a page"],
      ["a page that is not isolated", "/plain", true, "isolated by its headers"],
      ["a page whose policy forbids workers of blobs", "/strict", true, "workers cannot start"],
    ];
  for (const [where, folder, inWorker, why] of alone) {
    it(`leave one thread to ${where}, and say why`, { skip }, async () => {
      const { count, reason, explanation, isShared, isSame } = await foundIn(folder, inWorker);
      assertEquals({ count, isShared, isSame }, { count: 1, isShared: false, isSame: true });
      assert(reason !== undefined);
      assertStringIncludes(reason, why);
      assertStringIncludes(explanation, `one thread: ${reason}`);
    });
  }
});
