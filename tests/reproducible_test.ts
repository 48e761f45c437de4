import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertMatch } from "@std/assert";
import * as lib from "../mod.ts";
import { reportTraining, TRAINING_HASH } from "./support/reproducible.ts";

const real = globalThis.WebAssembly;

/** Runs a function while something else, or nothing, stands in WebAssembly's place. */
async function withWebAssembly<T>(stub: unknown, run: () => T): Promise<Awaited<T>> {
  const define = (value: unknown) => {
    Object.defineProperty(globalThis, "WebAssembly", { value, configurable: true, writable: true });
  };
  define(stub);
  try {
    return await run();
  } finally {
    define(real);
  }
}

/** A WebAssembly of a time before vectors. */
const withoutSimd = {
  ...real,
  validate: () => false,
  Module: class {
    constructor() {
      throw new SyntaxError("invalid opcode 0xfd");
    }
  },
};

describe('useArithmetic("reproducible")', () => {
  it("trains to the same bits by SIMD", async () => {
    const { hash, reasons } = await reportTraining(lib);
    assertEquals(reasons.filter((reason) => !/^simd: (?!interpreted)/.test(reason)), []);
    assertEquals(hash, TRAINING_HASH);
  });

  it("trains to the same bits where WebAssembly has no vectors, and says how", async () => {
    const { hash, reasons } = await withWebAssembly(withoutSimd, () => reportTraining(lib));
    for (const reason of reasons) assertMatch(reason, /^simd: interpreted, as .*0xfd/);
    assertEquals(hash, TRAINING_HASH);
  });

  it("trains to the same bits where there is no WebAssembly from the start", async () => {
    const program = `
      delete globalThis.WebAssembly;
      const lib = await import("${new URL("../mod.ts", import.meta.url)}");
      const { reportTraining } = await import("${new URL(
      "support/reproducible.ts",
      import.meta.url,
    )}");
      console.log((await reportTraining(lib)).hash);
    `;
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-config", program],
      env: { NO_COLOR: "1" },
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
    assertEquals(text(stdout), TRAINING_HASH, text(stderr));
  });

  it("computes nothing by the engine's elementary functions, whose last bits differ", async () => {
    const exact = /^(abs|ceil|clz32|floor|fround|imul|max|min|round|sign|sqrt|trunc)$/;
    const saved = Object.getOwnPropertyDescriptors(Math);
    const called: string[] = [];
    for (const [name, { value }] of Object.entries(saved)) {
      if (typeof value !== "function" || exact.test(name)) continue;
      Object.defineProperty(Math, name, {
        configurable: true,
        value: (...args: number[]) => {
          called.push(name);
          return value(...args);
        },
      });
    }
    try {
      await reportTraining(lib);
    } finally {
      Object.defineProperties(Math, saved);
    }
    assertEquals(called, []);
  });

  it("interprets kernels of any shape to the bits of SIMD, and keeps hosts apart", async () => {
    using _ = lib.useArithmetic("reproducible");
    const random = new lib.RandomState(231);
    for (let i = 0; i < 40; i++) {
      const dtype = i % 2 === 0 ? "float32" : "float64";
      const whole = (from: number, to: number) => random.randint(from, to + 1);
      const C = whole(1, 6), F = whole(1, 12), H = whole(5, 14), W = whole(5, 19);
      const x = random.randn([2, C, H, W], dtype);
      const w = random.randn([F, C, whole(1, 5), whole(1, 5)], dtype);
      const b = random.randn([F], dtype);
      const convParam = { stride: [whole(1, 3), whole(1, 3)] as const, pad: whole(0, 2) };
      const poolParam = { poolHeight: whole(1, 3), poolWidth: whole(1, 3), stride: whole(1, 3) };
      const m = random.randn([C * H * W, F], dtype);
      const run = () => {
        const conv = lib.convForward(x, w, b, convParam);
        const convGradients = lib.convBackward(conv.out, conv.cache);
        const pool = lib.maxPoolForward(x, poolParam);
        const poolGradient = lib.maxPoolBackward(pool.out, pool.cache);
        const affine = lib.affineForward(x, m, b);
        const affineGradients = lib.affineBackward(affine.out, affine.cache);
        const results = [conv.out, pool.out, poolGradient, affine.out];
        results.push(...Object.values(convGradients), ...Object.values(affineGradients));
        return results.map(({ data }) => [...new Uint8Array(data.buffer)]);
      };
      const expected = run();
      assertEquals(await withWebAssembly(undefined, run), expected, `case ${i}`);
      // What was made without WebAssembly is not used with it.
      assertEquals(run(), expected);
    }
  });

  it("says of every layer that it is interpreted, and leaves fast arithmetic to other tiers", async () => {
    const explain = () => [
      lib.explainConv([1, 2, 8, 8], [3, 2, 3, 3], {}),
      lib.explainMaxPool([1, 2, 8, 8], { poolHeight: 2, poolWidth: 2, stride: 2 }),
    ];
    const interpreted = await withWebAssembly(undefined, () => {
      using _ = lib.useArithmetic("reproducible");
      return explain();
    });
    for (const { tier, reason } of interpreted) {
      assertEquals(tier, "simd");
      assertMatch(reason, /^simd: interpreted, as WebAssembly .* reproducible arithmetic/);
    }
    for (const { tier, reason } of await withWebAssembly(undefined, explain)) {
      assert(tier !== "simd");
      assertMatch(reason, /simd: WebAssembly/);
    }
  });
});
