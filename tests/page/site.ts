/**
 * The page as a site, for the tests in browsers: built once, with few images.
 *
 * @module
 */

import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { buildPage } from "../../tools/page/build.ts";
import { ISOLATION, servePage } from "../../tools/page/serve.ts";

/** Images of MNIST that the site trains on: enough for 95 %. */
const LIMIT = 12_000;

/** Milliseconds that the page may take for anything, on a machine that has much else to do. */
export const PATIENCE = 60_000;

/** A built page that is served. */
export class Site implements AsyncDisposable {
  readonly folder: string;
  #server: Deno.HttpServer<Deno.NetAddr>;

  private constructor(folder: string, server: Deno.HttpServer<Deno.NetAddr>) {
    this.folder = folder;
    this.#server = server;
  }

  /** Builds the page, and serves it. */
  static async make(): Promise<Site> {
    const folder = await Deno.makeTempDir({ prefix: "cnn-layers-page-" });
    await buildPage(folder, { sets: ["mnist"], limit: LIMIT });
    return new Site(folder, servePage(folder));
  }

  /** Its address. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  /** The same files by another server, with other headers. */
  serve(headers: Readonly<Record<string, string>> = ISOLATION): Deno.HttpServer<Deno.NetAddr> {
    return servePage(this.folder, { headers });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** The page in a browser, with nothing kept of earlier visits. */
export interface Visit extends AsyncDisposable {
  readonly page: Page;
  /** What the page's scripts threw. */
  readonly errors: readonly string[];
}

/**
 * Opens the page, and waits until it is ready. It then trains on one thread: threads that wait for each
 * other are slow where others take the cores.
 *
 * @param browser Where.
 * @param url The page's address.
 * @param options The window, and for how many epochs it trains: 4 reach 95 %. Default: 2.
 */
export async function visit(
  browser: Browser,
  url: string,
  { epochs = 2, ...options }: BrowserContextOptions & { readonly epochs?: number } = {},
): Promise<Visit> {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  const page = await context.newPage(), errors: string[] = [];
  page.setDefaultTimeout(PATIENCE);
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(url);
  await ready(page);
  await page.getByLabel("Epochs").fill(String(epochs));
  await page.getByLabel("Epochs").press("Enter");
  await page.getByRole("radio", { name: "1", exact: true }).check();
  return { page, errors, [Symbol.asyncDispose]: () => context.close() };
}

/** Waits until the page has looked at its first images. */
export async function ready(page: Page): Promise<void> {
  await statusHas(page, "accuracy");
}

/** Waits until the status says something. */
export async function statusHas(page: Page, text: string): Promise<void> {
  await page.getByRole("status").filter({ hasText: text }).waitFor();
}

/** Presses a button. */
export async function press(page: Page, name: string): Promise<void> {
  await page.getByRole("button", { name, exact: true }).click();
}

/** The validation accuracy that the status tells, in percent. */
export async function accuracyOf(page: Page): Promise<number> {
  const text = await page.getByRole("status").textContent() ?? "";
  return Number(/accuracy ([\d.]+)/.exec(text)?.[1]);
}

/** Draws lines between points, which are parts of the canvas's width and height. */
export async function draw(page: Page, points: readonly (readonly [number, number])[]) {
  const pad = page.getByLabel("Draw a digit");
  await pad.scrollIntoViewIfNeeded();
  const { x, y, width, height } = (await pad.boundingBox())!;
  for (const [i, [across, down]] of points.entries()) {
    await page.mouse.move(x + across * width, y + down * height, { steps: i === 0 ? 1 : 6 });
    if (i === 0) await page.mouse.down();
  }
  await page.mouse.up();
}

/** A seven, as people draw it. */
export const SEVEN = [[0.28, 0.22], [0.7, 0.22], [0.62, 0.42], [0.45, 0.8]] as const;
