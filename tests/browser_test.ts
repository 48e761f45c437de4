import { after, before, describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import type { Browser } from "playwright-core";
import { bundles } from "./support/bundles.ts";
import { hasChromium, launchChromium } from "./support/chromium.ts";
import { TRAINING_HASH, type TrainingReport } from "./support/reproducible.ts";
import type { TierReport } from "./support/tiers.ts";

const skip = !await hasChromium();

/** Pages by path: a policy that allows WebAssembly, and one that forbids it. */
const policies: Readonly<Record<string, string>> = {
  "/": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'",
  "/no-wasm": "default-src 'self'; script-src 'self'",
};

describe("The bundle in Chromium", () => {
  let browser: Browser | undefined;
  let server: Deno.HttpServer<Deno.NetAddr> | undefined;

  before(async () => {
    if (skip) return;
    const scripts = Object.fromEntries(
      Object.entries(await bundles()).map(([name, text]) => [`/${name}.js`, text]),
    );
    server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
      const { pathname } = new URL(request.url);
      if (pathname in scripts) {
        return new Response(scripts[pathname], { headers: { "content-type": "text/javascript" } });
      }
      if (!(pathname in policies)) return new Response(null, { status: 404 });
      return new Response("<!doctype html><title>cnn-layers</title>", {
        headers: { "content-type": "text/html", "content-security-policy": policies[pathname] },
      });
    });
    browser = await launchChromium();
  });

  after(async () => {
    await browser?.close();
    await server?.shutdown();
  });

  /** What a function of a module gives in a page, called with the library. */
  async function reportOf<T>(path: string, module: string, name: string): Promise<T> {
    if (browser === undefined || server === undefined) throw new Error("no browser");
    const page = await browser.newPage();
    try {
      await page.goto(`http://127.0.0.1:${server.addr.port}${path}`);
      return await page.evaluate<T>(`(async () => {
        const lib = await import("/mod.js");
        const { ${name} } = await import("/${module}.js");
        return await ${name}(lib);
      })()`);
    } finally {
      await page.close();
    }
  }

  async function reportsOf(path: string): Promise<TierReport[]> {
    const reports = await reportOf<TierReport[]>(path, "tiers", "reportTiers");
    assert(reports.length > 0);
    return reports;
  }

  it("runs every tier with the naive loops' numbers", { skip }, async () => {
    const reports = await reportsOf("/");
    assertEquals(reports.filter(({ difference }) => difference !== undefined), []);
    for (const { layer, asked, tier, reason } of reports) {
      if (asked !== "simd" || tier === undefined) continue;
      assertEquals({ layer, tier, reason }, { layer, tier: "simd", reason });
    }
  });

  it("runs where the page's policy forbids WebAssembly", { skip }, async () => {
    const reports = await reportsOf("/no-wasm");
    assertEquals(reports.filter(({ difference }) => difference !== undefined), []);
    assertEquals(reports.filter(({ tier }) => tier === "simd"), []);
    for (const { layer, asked, reason } of reports) {
      if (asked !== "simd" || reason === undefined) continue;
      assert(reason.includes("WebAssembly with SIMD does not work here"), `${layer}: ${reason}`);
    }
    // Convolutions and pools of common sizes still have kernels of their own.
    const generated = reports.filter(({ asked, tier }) => asked === "auto" && tier === "generated");
    assert(generated.length > 0);
  });

  for (const [path, policy] of [["/", ""], ["/no-wasm", " under a policy without WebAssembly"]]) {
    it(`trains to the same bits${policy}`, { skip }, async () => {
      const report = await reportOf<TrainingReport>(path, "reproducible", "reportTraining");
      const others = report.reasons.filter((why) => why.includes("interpreted") === (path === "/"));
      assertEquals(others, []);
      assertEquals(report.hash, TRAINING_HASH);
    });
  }
});
