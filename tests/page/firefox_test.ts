import { after, before, describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import puppeteer, { type Browser } from "puppeteer-core";
import { PATIENCE, SEVEN, Site } from "./site.ts";

/** Debian's. Playwright needs one of its own; this is driven by the standard protocol, WebDriver BiDi. */
const FIREFOX = "/usr/bin/firefox-esr";

const skip = !await Deno.stat(FIREFOX).then(() => true, () => false);
if (skip) console.log(`Skipped as there is no ${FIREFOX}`);

describe("The page in Firefox", { skip }, () => {
  let browser: Browser | undefined, site: Site | undefined;

  before(async () => {
    if (skip) return;
    [browser, site] = await Promise.all([
      puppeteer.launch({ browser: "firefox", executablePath: FIREFOX, headless: true }),
      Site.make(),
    ]);
  });

  after(async () => {
    await browser?.close();
    await site?.[Symbol.asyncDispose]();
  });

  it("trains to 95 % on MNIST, recognizes a drawn seven, and continues after a reload", async () => {
    const page = await browser!.newPage(), errors: unknown[] = [];
    page.on("pageerror", (error) => errors.push(error));
    page.setDefaultTimeout(2 * PATIENCE);
    await page.setViewport({ width: 1280, height: 900 });
    const statusHas = (text: string) =>
      page.waitForFunction(`new RegExp(${JSON.stringify(text)})
        .test(document.getElementById("status").textContent)`);
    const textOf = (selector: string) =>
      page.evaluate(`document.querySelector(${JSON.stringify(selector)}).textContent`);
    const press = (id: string) => page.locator(`#${id}`).click();
    await page.goto(site!.url);
    await statusHas("accuracy");
    assertEquals(await page.evaluate("crossOriginIsolated"), true);
    // Threads that wait for each other are slow where others take the cores.
    await page.evaluate("document.querySelector('#threads input[value=\"1\"]').click()");
    await press("train");
    await page.waitForFunction("document.getElementById('progress').value > 0.2");
    await press("pause");
    await statusHas("Paused");
    await page.reload();
    await statusHas("Paused.*accuracy");
    await page.evaluate("document.querySelector('#threads input[value=\"1\"]').click()");
    await press("train");
    await statusHas("Done.*accuracy 9[5-9]");

    const pad = await page.waitForSelector("#pad");
    await pad!.scrollIntoView();
    const { x, y, width, height } = (await pad!.boundingBox())!;
    for (const [i, [across, down]] of SEVEN.entries()) {
      await page.mouse.move(x + across * width, y + down * height, { steps: i === 0 ? 1 : 5 });
      if (i === 0) await page.mouse.down();
    }
    await page.mouse.up();
    assertEquals(await textOf("#guess"), "7");
    assert(await page.evaluate("document.querySelectorAll('#mistakes li').length") as number > 0);
    assertEquals(errors, []);
  });
});
