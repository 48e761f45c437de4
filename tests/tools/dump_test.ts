import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { fileURLToPath } from "node:url";
import wabt from "wabt";

const tool = await wabt();
const script = fileURLToPath(new URL("../../tools/dump.ts", import.meta.url));

/** Runs the command, without any permission. */
async function dump(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", script, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

/** The modules of a dump as text, and what another assembler makes of each. */
function modulesOf(text: string): { readonly lines: string[]; readonly bytes: Uint8Array }[] {
  return text.split(/^(?=;; )/m).map((part) => {
    const module = tool.parseWat("dump.wat", part, { simd: true, relaxed_simd: true });
    const bytes = module.toBinary({}).buffer;
    module.destroy();
    return { lines: part.trimEnd().split("\n"), bytes };
  });
}

const strided = ["--x", "100,3,31,31", "--w", "25,3,3,3", "--stride", "2", "--pad", "1"];
const small = ["--x", "8,9,9", "--w", "8,8,3,3", "--pad", "1"];

describe("deno task dump", () => {
  const cases: Record<string, readonly [readonly string[], RegExp]> = {
    "a convolution": [strided, /^;; conv-3x31x31-25x3x3-s2p1-f32\S* forward float32: module 1 of /],
    "its gradient of x": [[...strided, "--direction", "dx"], /^;; conv-3x31x31-\S+ dx float32: /],
    "its gradient of w in float64": [
      [...strided, "--direction", "dw", "--dtype", "float64"],
      /^;; conv-3x31x31-25x3x3-s2p1-f64\S* dw float64: /,
    ],
    "a convolution and its relu": [[...small, "--relu"], /^;; conv-8x9x9-8x3x3-s1p1\S* forward /],
    "a convolution for pairs of vectors": [[...strided, "--pairs"], /^;; \S+-pairs-simd forward /],
    "a max-pool": [["--x", "3,8,8", "--pool", "2,2", "--stride", "2"], /^;; maxpool-8x8-2x2-s2/],
    "an average pool's gradient": [
      ["--x", "3,8,8", "--average", "2,2", "--stride", "2", "--direction", "dx"],
      /^;; averagepool-8x8-2x2-s2\S* dx /,
    ],
  };
  for (const [what, [args, title]] of Object.entries(cases)) {
    it(`prints ${what} as text that assembles and loads`, async () => {
      const { code, out, err } = await dump(...args);
      assertEquals([code, err], [0, ""]);
      assertMatch(out, title);
      for (const { lines, bytes } of modulesOf(out)) {
        const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes.slice()), {
          e: { m: new WebAssembly.Memory({ initial: 1 }) },
        });
        const functions = lines.flatMap((line) =>
          line.match(/\(func \(export "(.*?)"\)/)?.[1] ?? []
        );
        assertEquals(Object.keys(exports), functions);
      }
    });
  }
  it("prints what the arithmetic asks for", async () => {
    const [fast, reproducible] = await Promise.all(
      ["fast", "reproducible"].map((arithmetic) => dump(...small, "--arithmetic", arithmetic)),
    );
    assert(!reproducible.out.includes("relaxed_madd"));
    assert(fast.out !== reproducible.out);
  });
  const mistakes: Record<string, readonly [readonly string[], RegExp]> = {
    "no shape": [[], /--x C,H,W is missing/],
    "a shape that no SIMD kernel serves": [
      ["--x", "3,90,90", "--average", "9,9", "--stride", "2"],
      /the simd tier does not serve such a shape: /,
    ],
    "a batch of no image": [["--x", "0,3,8,8", "--pool", "2,2"], /--x must hold an image/],
    "dw of a pool": [["--x", "3,8,8", "--pool", "2,2", "--direction", "dw"], /dw is for convol/],
    "relu of a pool": [["--x", "3,8,8", "--pool", "2,2", "--relu"], /--relu is for convolutions/],
    "pairs that may not fuse": [
      [...small, "--pairs", "--arithmetic", "reproducible"],
      /--pairs needs fast arithmetic/,
    ],
    "a direction that is none": [[...small, "--direction", "back"], /--direction must be one of/],
  };
  for (const [what, [args, message]] of Object.entries(mistakes)) {
    it(`refuses ${what} in one line`, async () => {
      const { code, out, err } = await dump(...args);
      assertEquals([code, out], [2, ""]);
      assertMatch(err, message);
      assertEquals(err.trim().split("\n").length, 1, err);
    });
  }
});
