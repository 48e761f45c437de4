/**
 * What this host's WebAssembly can do, and how the kernels may round.
 *
 * @module
 */

import { Assembly } from "./assembler.ts";
import { timePairs } from "./pairs.ts";

/** How kernels may compute: see `useArithmetic`. */
export type Arithmetic = "fast" | "reproducible";

/** What the SIMD kernels may use here. */
export interface Features {
  /** Whether vectors work: by the host's WebAssembly, or by the interpreter. */
  readonly simd: boolean;
  /** Whether kernels are interpreted. */
  readonly interpreted: boolean;
  /** Whether multiply-add may be one relaxed instruction, rounded once where the host can. */
  readonly fused: boolean;
  /** Whether the engine runs two neighboring vectors as one of 32 bytes. */
  readonly pairs: boolean;
  /** Whether faster algorithms with other intermediate sums may be used, such as Winograd's. */
  readonly reassociate: boolean;
  /** Why so. */
  readonly reason: string;
}

let arithmetic: Arithmetic = "fast";

/** Sets the arithmetic of kernels chosen from now on, and returns what it was. */
export function setArithmetic(value: Arithmetic): Arithmetic {
  const previous = arithmetic;
  arithmetic = value;
  return previous;
}

/** How kernels chosen now compute. */
export function currentArithmetic(): Arithmetic {
  return arithmetic;
}

/** What the host can do, found out once, and again if a test or a page replaces `WebAssembly`. */
let known: { readonly host: unknown; readonly simd: string | true; readonly fused: boolean } = {
  host: undefined,
  simd: "WebAssembly is not defined",
  fused: false,
};

/** Whether the host has vectors; kernels are interpreted where it has not. */
export function hasSimd(): boolean {
  const host: unknown = globalThis.WebAssembly;
  if (host !== known.host) known = probe(host);
  return known.simd === true;
}

/** Whether kernels are for pairs of vectors; undefined before that has been found out. */
let paired: boolean | undefined;

/** Sets whether kernels that are chosen from now on are for pairs, and returns what was set before. */
export function setPairs(pairs: boolean | undefined): boolean | undefined {
  const previous = paired;
  paired = pairs;
  return previous;
}

/** Whether kernels chosen now are for pairs of vectors. */
export function hasPairs(): boolean {
  if (arithmetic === "reproducible" || !hasSimd() || !known.fused) return false;
  return paired ??= isToldToPair() && timePairs();
}

/** Whether pairs are faster here, which is timed. */
export function probePairs(): boolean {
  return hasSimd() && known.fused && timePairs();
}

/** Whether the program's command line turns pairs on. Not every host shows that. */
function isToldToPair(): boolean {
  const { process } = globalThis as { process?: { execArgv?: readonly string[] } };
  return process?.execArgv?.some((word) => word.endsWith("-wasm-revectorize")) ?? false;
}

/** What the kernels may use now. */
export function features(): Features {
  const simd = hasSimd();
  if (arithmetic === "reproducible") {
    const how = simd ? "SIMD" : `interpreted, as ${known.simd}`;
    const reason = `${how}, reproducible arithmetic`;
    return {
      simd: true,
      interpreted: !simd,
      fused: false,
      pairs: false,
      reassociate: false,
      reason,
    };
  }
  const { fused } = known;
  const reason = simd
    ? `SIMD ${fused ? "with" : "without"} relaxed multiply-add`
    : String(known.simd);
  const pairs = hasPairs();
  return {
    simd,
    interpreted: false,
    fused,
    pairs,
    reassociate: simd,
    reason: pairs ? `${reason} in pairs` : reason,
  };
}

/** The probes: a module is made, not only validated, as a page's policy may forbid just that. */
function probe(host: unknown): typeof known {
  try {
    new WebAssembly.Module(simdProbe());
    return { host, simd: true, fused: WebAssembly.validate(relaxedProbe()) };
  } catch (error) {
    const why = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return { host, simd: `WebAssembly with SIMD does not work here (${why})`, fused: false };
  }
}

/** A module with SIMD, larger than the 4 KB that some hosts compile at once on a page's main thread. */
function simdProbe(): Uint8Array<ArrayBuffer> {
  const assembly = new Assembly();
  assembly.func("probe").vector(new Uint8Array(16)).op("v128.any_true").op("drop");
  const code = assembly.bytes();
  const bytes = new Uint8Array(code.length + 3 + 8000);
  bytes.set(code);
  // A section of zeros that engines skip: its number, and 8000 as LEB128.
  bytes.set([0, 0xc0, 0x3e], code.length);
  return bytes;
}

function relaxedProbe(): Uint8Array<ArrayBuffer> {
  const assembly = new Assembly();
  const f = assembly.func("probe");
  for (const madd of ["f32x4.relaxed_madd", "f64x2.relaxed_madd"] as const) {
    for (let i = 0; i < 3; i++) f.vector(new Uint8Array(16));
    f.op(madd).op("drop");
  }
  return assembly.bytes();
}
