import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { after, before, describe, it } from "@std/testing/bdd";
import axe from "axe-core";
import { dirname, join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { explainConv } from "../../mod.ts";
import { FIELDS, requestOf } from "../../site/kernel/form.ts";
import { reportOf } from "../../site/kernel/report.ts";
import { ROOT } from "../../tools/bundle.ts";
import { buildDocs } from "../../tools/docs/build.ts";
import { servePage } from "../../tools/page/serve.ts";
import { hasChromium, launchChromium } from "../support/chromium.ts";
import { present } from "../support/present.ts";

const skip = !await hasChromium();

/** The site, built once. */
const folder = await Deno.makeTempDir({ prefix: "cnn-layers-docs-" });

/** The HTML files of a folder and those below. */
function* pagesOf(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = join(folder, name);
    if (isDirectory) yield* pagesOf(path);
    else if (name.endsWith(".html")) yield path;
  }
}

/** An attribute's value as its text. */
function decoded(value: string): string {
  const names: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"' };
  return value.replaceAll(
    /&(?:#x([\da-f]+)|#(\d+)|(\w+));/gi,
    (_, hex, decimal, name) =>
      name === undefined
        ? String.fromCodePoint(hex === undefined ? Number(decimal) : parseInt(hex, 16))
        : names[name],
  );
}

/** What is at a path of the site: a file, that of a folder, or nothing. */
function fileAt(path: string): string | undefined {
  try {
    return Deno.statSync(path).isDirectory ? fileAt(join(path, "index.html")) : path;
  } catch {
    return undefined;
  }
}

/** The links of a page that lead nowhere in the site. */
function brokenLinks(path: string, html: string, ids: ReadonlyMap<string, ReadonlySet<string>>) {
  return [...html.matchAll(/\s(?:href|src)="([^"]*)"/g)].map(([, link]) => decoded(link))
    .filter((link) => {
      if (/^[a-z]+:|^\/\//.test(link)) return false;
      const [, file, anchor] = /^([^?#]*)(?:\?[^#]*)?(?:#(.*))?$/.exec(link)!;
      const target = file === "" ? path : fileAt(join(dirname(path), decodeURIComponent(file)));
      if (target === undefined) return true;
      return anchor !== undefined && ids.get(target)?.has(decodeURIComponent(anchor)) === false;
    });
}

describe("deno task docs", () => {
  let pages: ReadonlyMap<string, string>;

  before(async () => {
    // Beside the page that trains, and in place of an earlier build.
    await Deno.writeTextFile(join(folder, "index.html"), "<title>A page</title>");
    await Deno.mkdir(join(folder, "docs"));
    await Deno.writeTextFile(join(folder, "docs", "old.html"), "<title>Old</title>");
    await buildDocs(folder);
    pages = new Map([...pagesOf(folder)].map((path) => [path, Deno.readTextFileSync(path)]));
  });

  it("writes the documents, the notebooks with figures and the reference", () => {
    const page = (name: string) => pages.get(join(folder, "docs", name)) ?? "";
    assertStringIncludes(page("index.html"), "notebooks/CNN-Layers.html");
    assertStringIncludes(page("architecture.html"), `<h2 id="what-a-call-does">`);
    assertStringIncludes(page("training.html"), `<h2 id="in-a-worker">`);
    assertMatch(page("readme.html"), /<img src="images\/docs\/figures\/[\w-]+\.svg" alt="\w/);
    assertEquals(page("notebooks/CNN.html").match(/<img src="data:image\/png/g)?.length, 7);
    assertStringIncludes(page("notebooks/CNN-BatchNorm.html"), `class="katex-display"`);
    assertStringIncludes(page("reference/~/convForward.html"), "convForward");
    assertStringIncludes(
      page("reference/worker/~/trainInWorker.html"),
      "import { trainInWorker } from &quot;@cnn-layers/cnn-layers/worker&quot;",
    );
    for (const name of ["kernel.js", "kernel_worker.js", "style.css", "formulas.css"]) {
      assert(Deno.statSync(join(folder, "docs", name)).isFile);
    }
  });

  it("links to what exists", () => {
    assert(pages.size > 500, `${pages.size} pages`);
    const ids = new Map([...pages].map(([path, html]) => [
      path,
      new Set([...html.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => decoded(id))),
    ]));
    const broken = [...pages].flatMap(([path, html]) =>
      brokenLinks(path, html, ids).map((link) => `${path.slice(folder.length)}: ${link}`)
    );
    assertEquals(broken.slice(0, 20), []);
  });

  it("says nothing of the machine that it was built on", () => {
    const found = [...pages].filter(([, html]) => html.includes(ROOT) || html.includes(folder));
    assertEquals(found.map(([path]) => path), []);
  });

  it("leaves other files of the site, and links to the page that trains", async () => {
    assertEquals(await Deno.readTextFile(join(folder, "index.html")), "<title>A page</title>");
    assertStringIncludes(pages.get(join(folder, "docs", "index.html"))!, 'href="../index.html"');
    const names = [...Deno.readDirSync(join(folder, "docs"))].map(({ name }) => name);
    assert(!names.includes("old.html"));
  });

  describe("in Chromium", () => {
    let browser: Browser | undefined, server: Deno.HttpServer<Deno.NetAddr> | undefined;
    /** What pages complain of. */
    const errors: string[] = [];

    before(async () => {
      if (skip) return;
      server = servePage(folder);
      browser = await launchChromium();
    });
    after(async () => {
      await browser?.close();
      await server?.shutdown();
      await Deno.remove(folder, { recursive: true });
    });

    /** Opens a page of the documentation. */
    async function open(path: string, width = 1000): Promise<Page> {
      const viewport = { width, height: 800 };
      const page = await browser!.newPage({ viewport, colorScheme: "light" });
      page.on("pageerror", ({ message }) => errors.push(message));
      page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
      const response = await page.goto(`http://127.0.0.1:${server!.addr.port}/docs/${path}`);
      assert(response?.ok(), `${path} is not served`);
      return page;
    }

    /** Waits until the kernel's page says something that matches. */
    const said = (page: Page, text: RegExp) =>
      page.getByRole("status").filter({ hasText: text }).waitFor({ timeout: 20_000 });

    it("shows how the kernel of a shape is made that is typed in", { skip }, async () => {
      const page = await open("kernel.html");
      await said(page, /conv-3x31x31-25x3x3-s2p1-f32-simd runs/);
      // By the keyboard alone: from field to field, and a pass by an arrow.
      const fields = {
        ...FIELDS,
        x: "4,6,10,9",
        w: "5,3,3,5",
        stride: "1,2",
        pad: "2",
        groups: "1",
      };
      const shape = { ...fields, w: "6,3,3,5", groups: "2", dtype: "float64", direction: "dx" };
      await page.getByLabel("x N,C,H,W").focus();
      for (
        const text of [shape.x, shape.w, shape.stride, shape.pad, shape.dilation, shape.groups]
      ) {
        await page.keyboard.press("Control+a");
        await page.keyboard.type(text);
        await page.keyboard.press("Tab");
      }
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Tab");
      await page.keyboard.press("ArrowRight");
      const request = requestOf(shape), { x, w, params, dtype } = request;
      const { name, reason } = explainConv(x, w, params, dtype);
      await said(page, new RegExp(`^${name} runs, of the simd tier`));
      const report = reportOf(request);
      assertEquals(new URL(page.url()).hash.slice(0, 12), "#x=4,6,10,9&");
      const textOf = (selector: string) => page.locator(selector).first().textContent();
      assertEquals(await textOf("#typescript pre code"), present(report.typescript).text);
      const tiers = await textOf("#tiers table");
      assertStringIncludes(tiers ?? "", "none is generated for");
      assertStringIncludes(await textOf("#tiers > p") ?? "", reason);
      // The browser's WebAssembly may have other instructions than Deno's.
      const [first] = present(report.wasm).modules;
      const found = await textOf("#wasm pre code");
      assertEquals(found?.split("\n").slice(0, 3), first.text.split("\n").slice(0, 3));
      assertStringIncludes(
        await textOf("#passes figure p") ?? "",
        "columns of dout to those of dx",
      );
      await page.close();
    });

    it("takes a shape from its address, and says what is wrong with one", { skip }, async () => {
      const page = await open("kernel.html#x=1,2,4,4&w=3,2,7,7&stride=1&pad=0");
      const alert = page.getByRole("alert").filter({ hasText: /must not be larger/ });
      await alert.waitFor({ timeout: 20_000 });
      await page.getByLabel("x N,C,H,W").fill("1,2,4");
      await page.getByRole("alert").filter({ hasText: "x must be four sizes" }).waitFor();
      assertEquals(await page.getByLabel("x N,C,H,W").getAttribute("aria-invalid"), "true");
      await page.getByLabel("Example").selectOption({ label: "Pointwise, 1x1" });
      await said(page, /conv-96x28x28-24x1x1-s1-f32-simd runs/);
      assertEquals(await page.getByRole("alert").textContent(), "");
      await page.close();
    });

    it("moves the drawing of a pass by its slider", { skip }, async () => {
      const page = await open("kernel.html");
      const words = page.locator("#passes figure p");
      await words.filter({ hasText: "tap 0: padding to 0" }).waitFor({ timeout: 20_000 });
      await page.getByRole("slider").focus();
      await page.keyboard.press("ArrowRight");
      await words.filter({ hasText: "Position 1, columns of x to those of out: tap 0: 1 to 1" })
        .waitFor();
      await page.close();
    });

    it("fits a telephone, in light and dark", { skip }, async () => {
      const ground = "getComputedStyle(document.body).backgroundColor";
      for (
        const path of [
          ...["index.html", "readme.html", "migration.html", "kernel.html"],
          ...["notebooks/CNN-BatchNorm.html", "reference/~/Solver.html"],
          "reference/worker/~/WorkerTraining.prototype.[Symbol.dispose].html",
        ]
      ) {
        const page = await open(path, 375);
        if (path === "kernel.html") await said(page, /runs/);
        const width = await page.evaluate<number>("document.documentElement.scrollWidth");
        assert(width <= 375, `${path} is ${width} pixels wide`);
        const light = await page.evaluate<string>(ground);
        await page.emulateMedia({ colorScheme: "dark" });
        // The reference has a switch of its own.
        const isOurs = !path.startsWith("reference");
        if (isOurs) assertNotEquals(await page.evaluate<string>(ground), light, path);
        await page.close();
      }
    });

    it("has nothing that axe complains of, in light and dark", { skip }, async () => {
      for (const path of ["kernel.html", "readme.html", "notebooks/CNN-BatchNorm.html"]) {
        const page = await open(path);
        if (path === "kernel.html") await said(page, /runs/);
        await page.evaluate(axe.source);
        for (const colorScheme of ["light", "dark"] as const) {
          await page.emulateMedia({ colorScheme });
          const { violations } = await page.evaluate<axe.AxeResults>("axe.run()");
          const found = violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]);
          assertEquals(found, [], `${path}, ${colorScheme}`);
        }
        await page.close();
      }
    });

    it("runs without errors", { skip }, () => {
      assertEquals(errors.filter((text) => !text.includes("404")), []);
    });
  });
});
