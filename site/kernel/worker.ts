/**
 * Makes one report, away from the page: a kernel that is compiled runs once, which may take a while.
 *
 * @module
 */

import { type KernelReport, type KernelRequest, reportOf } from "./report.ts";

/** What comes back: a report, or what is wrong with the shape. */
export type Answer =
  | { readonly report: KernelReport }
  | { readonly refused: string }
  | { readonly failed: string };

function answer(request: KernelRequest): Answer {
  try {
    return { report: reportOf(request) };
  } catch (error) {
    const { message } = error as Error;
    // The library refuses wrong shapes by errors of these classes.
    const isRefused = error instanceof TypeError || error instanceof RangeError;
    return isRefused && "code" in error ? { refused: message } : { failed: message };
  }
}

addEventListener(
  "message",
  ({ data }: MessageEvent<KernelRequest>) => postMessage(answer(data)),
);
