/**
 * What this browser can do, and what is said of what it cannot.
 *
 * @module
 */

import { features } from "../kernels/simd/features.ts";

/** What this browser can do. */
export interface HostReport {
  /** Whether SIMD kernels run. */
  readonly hasSimd: boolean;
  /** What is missing, in sentences. */
  readonly notes: readonly string[];
  /** What there is, in one line. */
  readonly summary: string;
}

/** Finds out. */
export function reportHost(): HostReport {
  const { simd, reason } = features(), notes: string[] = [];
  if (!simd) {
    notes.push(
      `Vector instructions do not work here (${reason}). TypeScript kernels train instead, some ` +
        "ten times slower; everything else is the same.",
    );
  }
  if (!globalThis.crossOriginIsolated) {
    notes.push(
      globalThis.isSecureContext && "serviceWorker" in navigator
        ? "This page is not isolated from others, so it trains on one thread. Reload it once; if " +
          "this note stays, the browser does not let the page isolate itself."
        : "This page trains on one thread, as browsers give shared memory only to isolated pages " +
          "that come by https or from this device.",
    );
  }
  const cores = globalThis.crossOriginIsolated ? navigator.hardwareConcurrency || 1 : 1;
  const kernels = simd ? `WebAssembly SIMD (${reason})` : "TypeScript kernels";
  const threads = cores === 1 ? "one thread" : `up to ${cores} threads`;
  return { hasSimd: simd, notes, summary: `${kernels}, ${threads}.` };
}
