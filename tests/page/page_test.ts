import { after, before, describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import axe from "axe-core";
import { encode as encodePng } from "fast-png";
import { zipSync } from "fflate";
import { Buffer } from "node:buffer";
import type { Browser, Page } from "playwright-core";
import { decodeSafetensors } from "../../io/safetensors.ts";
import { fromOnnx } from "../../io/onnx.ts";
import { hasChromium, launchChromium } from "../support/chromium.ts";
import { accuracyOf, draw, press, ready, SEVEN, Site, statusHas, visit } from "./site.ts";

const skip = !await hasChromium();

/** The text of an element. */
async function textOf(page: Page, selector: string): Promise<string> {
  return await page.locator(selector).textContent() ?? "";
}

/** Waits until a message tells something, and gives it. */
async function messageWith(page: Page, text: string): Promise<string> {
  const message = page.locator("#messages .message").filter({ hasText: text });
  await message.waitFor();
  return await message.textContent() ?? "";
}

/** What axe finds wrong with the page as it is. */
async function violations(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<axe.AxeResults>("axe.run()");
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}

/** The file that a button gives. */
async function downloaded(page: Page, button: string): Promise<Uint8Array<ArrayBuffer>> {
  const [download] = await Promise.all([page.waitForEvent("download"), press(page, button)]);
  return await Deno.readFile(await download.path());
}

describe("The page in Chromium", { skip }, () => {
  let browser: Browser, site: Site;

  before(async () => {
    if (skip) return;
    [browser, site] = await Promise.all([launchChromium(), Site.make()]);
  });

  after(async () => {
    await browser?.close();
    await site?.[Symbol.asyncDispose]();
  });

  it("trains to 95 % on MNIST, recognizes a drawn seven, and gives the net as files", async () => {
    await using visited = await visit(browser, site.url, {
      epochs: 4,
      viewport: { width: 1280, height: 800 },
    });
    const { page, errors } = visited;
    assertEquals(await page.evaluate("crossOriginIsolated"), true);
    await press(page, "Train");
    await statusHas(page, "images/s");
    // While it trains: one can draw, and the views are filled.
    await draw(page, SEVEN);
    await statusHas(page, "Done");
    await page.waitForFunction(
      "/accuracy 9[5-9]/.test(document.getElementById('status').textContent)",
    );
    assert(await accuracyOf(page) >= 95, await textOf(page, "#status"));
    assertEquals(await textOf(page, "#guess"), "7");
    assertEquals(await page.locator("#probabilities li.best .bar-name").textContent(), "7");
    assert(await page.locator("#mistakes li").count() > 0);
    const diagonal = await page.evaluate<number>(
      `[...document.querySelectorAll("#confusion tbody tr")]
      .reduce((sum, row, r) => sum + Number(row.cells[r + 1].textContent), 0)`,
    );
    assert(diagonal >= 900, `${diagonal} of 1000 on the diagonal`);
    assertStringIncludes(await textOf(page, "#filters-caption"), "8 of 5 × 5");
    assertEquals(await page.locator("#activations li").count(), 6);
    assert(await page.locator("#speeds tr").count() > 0);

    const { tensors } = decodeSafetensors(await downloaded(page, "Save weights"));
    assertEquals(Object.keys(tensors), ["W1", "b1", "W2", "b2", "W3", "b3"]);
    const net = fromOnnx(await downloaded(page, "Export ONNX"));
    assertEquals(net.params.W1.data, tensors.W1.data);
    const notebook = JSON.parse(new TextDecoder().decode(await downloaded(page, "Save notebook")));
    assertStringIncludes(notebook.cells[2].source.join(""), "conv(8, { kernel: 5 })");
    assertEquals(errors, []);
  });

  it("changes the net, and says what does not fit", async () => {
    await using visited = await visit(browser, site.url);
    const { page, errors } = visited;
    const shapes = () => page.locator("#layers li .layer-name + .layer-size").allTextContents();
    assertEquals(await shapes(), ["8 × 28 × 28", "8 × 28 × 28", "8 × 14 × 14", "100", "100", "10"]);
    const filters = page.getByLabel("Convolution, layer 1: filters");
    await filters.fill("4");
    await filters.press("Tab");
    assertEquals((await shapes())[0], "4 × 28 × 28");
    await page.getByLabel("Layer", { exact: true }).selectOption("batchnorm");
    await press(page, "Add layer");
    await press(page, "Move Batch normalization, layer 6 up");
    await press(page, "Remove ReLU, layer 2");
    const names = await page.locator("#layers .layer-name").allTextContents();
    assertEquals(names, [
      ...["Convolution", "Max pool", "Fully connected", "Batch normalization", "ReLU", "Scores"],
    ]);
    // A pool of a vector does not fit: the net before stays, and cannot be trained as it is shown.
    await page.getByLabel("Layer", { exact: true }).selectOption("maxPool");
    await press(page, "Add layer");
    assertStringIncludes(await textOf(page, "#net-error"), "Layer 6: needs an input of (C, H, W)");
    assert(await page.getByRole("button", { name: "Train", exact: true }).isDisabled());
    await press(page, "Remove Max pool, layer 6");
    assertEquals(await textOf(page, "#net-error"), "");
    await press(page, "Train");
    await statusHas(page, "images/s");
    await press(page, "Stop");
    await statusHas(page, "Done");
    await press(page, "Reset");
    await statusHas(page, "Ready");
    assertEquals(errors, []);
  });

  it("switches kernels and threads while it trains, and shows their speeds side by side", async () => {
    await using visited = await visit(browser, site.url, { epochs: 1000 });
    const { page, errors } = visited;
    const row = (kernels: string, threads: number) =>
      page.locator("#speeds tr").filter({ hasText: new RegExp(`^${kernels}${threads}[\\d,]+$`) });
    await press(page, "Train");
    await row("SIMD", 1).waitFor();
    await page.getByRole("radio", { name: "Generated TypeScript" }).check();
    await row("Generated TypeScript", 1).waitFor();
    await page.getByRole("radio", { name: "SIMD" }).check();
    await page.getByRole("radio", { name: "2", exact: true }).check();
    await row("SIMD", 2).waitFor();
    assertEquals(await page.locator("#speeds tr").count(), 3);
    await press(page, "Reset");
    await statusHas(page, "Ready");
    assertEquals(errors, []);
  });

  it("saves weights with their net, and loads them into another page", async () => {
    await using first = await visit(browser, site.url);
    await first.page.getByLabel("Start from").selectOption("Linear");
    await press(first.page, "Train");
    await statusHas(first.page, "Done");
    await first.page.waitForFunction(
      "/accuracy [89]/.test(document.getElementById('status').textContent)",
    );
    const reached = await accuracyOf(first.page);
    const buffer = await downloaded(first.page, "Save weights");

    await using second = await visit(browser, site.url);
    const { page } = second, file = { name: "mnist.safetensors", mimeType: "" };
    await page.locator("#weights-file").setInputFiles({ ...file, buffer: Buffer.from(buffer) });
    await messageWith(page, "mnist.safetensors is loaded");
    await page.waitForFunction(
      "/accuracy [89]/.test(document.getElementById('status').textContent)",
    );
    assertEquals(await accuracyOf(page), reached);
    assertEquals(await page.locator("#layers .layer-name").allTextContents(), ["Scores"]);

    buffer[0] ^= 1;
    await page.locator("#weights-file").setInputFiles({ ...file, buffer: Buffer.from(buffer) });
    assertStringIncludes(await messageWith(page, "cannot be loaded"), "JSON in UTF-8");
    assertEquals(await accuracyOf(page), reached);
  });

  it("continues a training run after a reload", async () => {
    await using visited = await visit(browser, site.url, { epochs: 4 });
    const { page, errors } = visited;
    await press(page, "Train");
    await page.waitForFunction("document.getElementById('progress').value > 0.1");
    await press(page, "Pause");
    await statusHas(page, "Paused");
    // Waits until the iteration at which it stands has been kept; one that is under way may follow.
    const kept = await page.waitForFunction(`new Promise((resolve) => {
      const request = indexedDB.open("cnn-layers");
      request.onsuccess = () => {
        const store = request.result.transaction("values").objectStore("values");
        store.get("training").onsuccess = ({ target }) => {
          const { checkpoint, progress } = target.result ?? {};
          const part = progress?.iteration / progress?.iterations;
          const isShown = part === document.getElementById("progress").value;
          resolve(checkpoint !== undefined && isShown && part);
        };
      };
    })`);
    const before = await kept.jsonValue() as number;
    await page.reload();
    await statusHas(page, "Paused");
    await messageWith(page, "press Train to continue");
    const resumed = await page.evaluate<number>("document.getElementById('progress').value");
    assert(resumed >= before && resumed < 1, `${resumed} after ${before}`);
    await ready(page);
    await press(page, "Train");
    await page.waitForFunction(`document.getElementById('progress').value > ${resumed}`);
    await statusHas(page, "Done");
    await page.waitForFunction(
      "/accuracy 9[5-9]/.test(document.getElementById('status').textContent)",
    );
    // What was learned is there at the next visit, too.
    const reached = await accuracyOf(page);
    await page.reload();
    await statusHas(page, "Done");
    await ready(page);
    assertEquals(await accuracyOf(page), reached);
    assertEquals(errors, []);
  });

  it("takes own images, and says what is wrong with a broken file", async () => {
    await using visited = await visit(browser, site.url);
    const { page } = visited, input = page.locator("#files");
    const drop = (name: string, bytes: Uint8Array) =>
      input.setInputFiles({ name, mimeType: "", buffer: Buffer.from(bytes) });
    await drop("notes.txt", new Uint8Array(3));
    assertStringIncludes(await messageWith(page, "notes.txt"), "CIFAR-10’s .bin batches");
    await drop("data_batch_1.bin", new Uint8Array(3073));
    assertStringIncludes(await messageWith(page, "data_batch_1.bin"), "must have 30730000 bytes");
    await drop("images.zip", new Uint8Array(50));
    assertStringIncludes(await messageWith(page, "images.zip"), "must be a whole zip archive");
    assertEquals(await page.getByRole("radio", { name: "MNIST", exact: true }).isChecked(), true);

    await drop("images.zip", imagesZip());
    await messageWith(page, "own images: 2 classes");
    assertStringIncludes(await textOf(page, "#images-note"), "36 to train on");
    await press(page, "Train");
    await statusHas(page, "Done");
    await page.waitForFunction(
      "/accuracy 100/.test(document.getElementById('status').textContent)",
    );
  });

  it("can be used by keyboard: draws, and walks through a convolution", async () => {
    await using visited = await visit(browser, site.url);
    const { page } = visited, pad = page.getByLabel("Draw a digit");
    await pad.focus();
    await page.keyboard.press("Space");
    for (let i = 0; i < 6; i++) await page.keyboard.press("ArrowDown");
    assertStringIncludes(await textOf(page, "#probe-note"), "your drawing");
    const output = page.locator("#convolution-output");
    await page.getByLabel("Show", { exact: true }).selectOption("course");
    assertStringIncludes(
      await output.getAttribute("aria-label") ?? "",
      "row 3 of 3, column 3 of 3",
    );
    await output.focus();
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ArrowLeft");
    assertStringIncludes(
      await output.getAttribute("aria-label") ?? "",
      "row 2 of 3, column 2 of 3",
    );
    // The products that are shown make the sum that is shown.
    const products = page.locator("#convolution-products table:nth-of-type(3) td");
    const numbers = (await products.allTextContents()).map((text) =>
      Number(text.replace("−", "-"))
    );
    const sum = await textOf(page, "#convolution-sum");
    const [, bias, out] = /bias (\S+): output (\S+)/.exec(sum.replaceAll("−", "-"))!;
    assertEquals(numbers.length, 27);
    assertEquals(numbers.reduce((a, b) => a + b, 0) + Number(bias), Number(out));
  });

  for (const [colorScheme, width] of [["light", 1280], ["dark", 360]] as const) {
    it(`is accessible and fits, ${colorScheme} and ${width} pixels wide`, async () => {
      const viewport = { width, height: 780 };
      await using visited = await visit(browser, site.url, { colorScheme, viewport });
      const { page } = visited;
      await page.locator("summary").click();
      assertEquals(await violations(page), []);
      await press(page, "Train");
      await statusHas(page, "Done");
      await page.locator("#mistakes li").first().waitFor();
      assertEquals(await violations(page), []);
      assertEquals(await page.evaluate("document.documentElement.scrollWidth"), width);
      const ground = await page.evaluate<string>("getComputedStyle(document.body).backgroundColor");
      const [red] = /\d+/.exec(ground)!;
      assertEquals(Number(red) < 60, colorScheme === "dark");
    });
  }

  it("isolates itself on a host without headers, and works offline after the first visit", async () => {
    const server = site.serve({});
    let isServed = true;
    try {
      await using visited = await visit(browser, `http://127.0.0.1:${server.addr.port}/`);
      const { page } = visited;
      await page.waitForFunction("crossOriginIsolated");
      await ready(page);
      // Everything that the first visit may need later has been kept.
      await page.waitForFunction(`(async () => {
        const names = await caches.keys(), keys = await (await caches.open(names[0])).keys();
        return keys.filter(({ url }) => url.endsWith(".bin")).length === 4;
      })()`);
      await server.shutdown();
      isServed = false;
      await page.reload();
      await ready(page);
      assertEquals(await page.evaluate("crossOriginIsolated"), true);
      // On every core, as this visit has not chosen.
      await press(page, "Train");
      await statusHas(page, "images/s");
      const cores = await page.evaluate<number>("navigator.hardwareConcurrency");
      assertEquals(await page.locator("#speeds td").first().textContent(), String(cores));
      await press(page, "Stop");
      await statusHas(page, "Done");
      await downloaded(page, "Export ONNX");
    } finally {
      if (isServed) await server.shutdown();
    }
  });

  it("trains without WebAssembly and isolation, and says what is missing", async () => {
    const policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:";
    const server = site.serve({ "content-security-policy": policy });
    try {
      await using visited = await visit(browser, `http://127.0.0.1:${server.addr.port}/`, {
        serviceWorkers: "block",
      });
      const { page } = visited, notes = await page.locator("#notes").textContent() ?? "";
      assertStringIncludes(notes, "Vector instructions do not work here");
      assertStringIncludes(notes, "one thread");
      await press(page, "Train");
      await statusHas(page, "images/s");
      assertStringIncludes(await textOf(page, "#speeds"), "Generated TypeScript");
    } finally {
      await server.shutdown();
    }
  });
});

/** A zip archive with two folders of twenty images: bright ones and dark ones. */
function imagesZip(): Uint8Array {
  const files: Record<string, Uint8Array> = {};
  for (let n = 0; n < 20; n++) {
    files[`set/bright/${n}.png`] = image(200 + n);
    files[`set/dark/${n}.png`] = image(20 + n);
  }
  return zipSync(files);
}

/** A gray image of 12 x 12. */
function image(value: number): Uint8Array {
  const data = new Uint8Array(144).map((_, i) => value + i % 7);
  return encodePng({ width: 12, height: 12, data, channels: 1 });
}
