/**
 * Debian's Chromium, for tests.
 *
 * @module
 */

import { type Browser, chromium } from "playwright-core";

const CHROMIUM = "/usr/bin/chromium";

/** Whether there is a Chromium; the reason is printed where there is none. */
export async function hasChromium(): Promise<boolean> {
  try {
    await Deno.stat(CHROMIUM);
    return true;
  } catch {
    console.log(`Skipped as there is no ${CHROMIUM}`);
    return false;
  }
}

/** Starts Chromium. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
}
