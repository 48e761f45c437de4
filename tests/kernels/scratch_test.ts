import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  affineForward,
  convBackward,
  convForward,
  type KernelChoice,
  maxPoolForward,
  RandomState,
  useKernels,
} from "../../mod.ts";
import { scratch } from "../../kernels/simd/memory.ts";
import { scratchBytes } from "../../kernels/generated/buffers.ts";

const random = new RandomState(231);
const walk = { stride: 1, pad: 1 };
const poolParam = { poolHeight: 2, poolWidth: 2, stride: 2 };

/** A convolution's inputs, and everything that it gives of them. */
function convOf(side: number): () => string {
  const x = random.randn([1, 2, side, side], "float32");
  const w = random.randn([2, 2, 3, 3], "float32"), b = random.randn([2], "float32");
  return () => {
    const { out, cache } = convForward(x, w, b, walk);
    const { dx, dw, db } = convBackward(out, cache);
    let bits = 0;
    for (const { data } of [out, dx, dw, db]) {
      for (const word of new Int32Array(data.buffer)) bits = Math.imul(bits, 31) + word | 0;
    }
    return String(bits);
  };
}

const large = convOf(600), medium = convOf(250), small = convOf(20);
const x = random.randn([3, 8]), w = random.randn([8, 5]), b = random.randn([5]);
const images = random.randn([1, 2, 8, 8]);
/** Kernels of other kinds, each a call. */
const others = [
  () => affineForward(x, w, b).out.data.join(),
  () => maxPoolForward(images, poolParam).out.data.join(),
];

const tiers: readonly { readonly kernels: KernelChoice; readonly bytes: () => number }[] = [
  { kernels: "simd", bytes: () => scratch("float32").byteLength },
  { kernels: "generated", bytes: scratchBytes },
];

describe("Scratch", () => {
  for (const { kernels, bytes } of tiers) {
    it(`is given back when a hundred calls have needed less than a tenth, ${kernels}`, () => {
      using _ = useKernels(kernels);
      const expected = [large, medium, small, ...others].map((run) => run());
      large();
      const most = bytes();
      assert(most > 4 * 600 * 600 * 4, `${most} bytes for an image of 2.9 MB`);
      // Forward and backward are two calls.
      for (let i = 0; i < 50; i++) small();
      assertEquals(bytes(), most);
      others[0]();
      assert(bytes() < most / 2, `${bytes()} of ${most} bytes are kept`);
      // Kernels from before ask for what they need again.
      assertEquals([large, medium, small, ...others].map((run) => run()), expected);
      assert(bytes() >= 0.9 * most, `${bytes()} bytes, ${most} before`);
    });

    it(`is kept while one call in a hundred needs a tenth, ${kernels}`, () => {
      using _ = useKernels(kernels);
      large();
      const most = bytes();
      for (let round = 0; round < 5; round++) {
        for (let i = 0; i < 49; i++) small();
        medium();
        assertEquals(bytes(), most);
      }
    });

    it(`is given back to calls of other tiers too, ${kernels}`, () => {
      {
        using _ = useKernels(kernels);
        large();
      }
      const most = bytes();
      {
        using _ = useKernels("naive");
        for (let i = 0; i < 60; i++) small();
      }
      using _ = useKernels(kernels);
      small();
      assert(bytes() < most / 2, `${bytes()} of ${most} bytes are kept`);
    });
  }

  it("that was given back is not kept alive by kernels of before", async () => {
    const program = `
      import { convForward, zeros } from "${new URL("../../mod.ts", import.meta.url)}";
      import { scratch } from "${new URL("../../kernels/simd/memory.ts", import.meta.url)}";
      const w = zeros([4, 4, 3, 3], "float32"), b = zeros([4], "float32");
      const run = (side) => convForward(zeros([1, 4, side, side], "float32"), w, b, { pad: 1 });
      run(8);
      run(1000);
      const buffer = new WeakRef(scratch("float32").buffer);
      console.log(buffer.deref().byteLength);
      for (let i = 0; i < 102; i++) run(8);
      await new Promise((resolve) => setTimeout(resolve, 0));
      globalThis.gc({ type: "major", execution: "sync", flavor: "last-resort" });
      console.log(buffer.deref()?.byteLength ?? 0);
      run(1000);
      run(8);
    `;
    const path = await Deno.makeTempFile({ suffix: ".js" });
    await Deno.writeTextFile(path, program);
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--allow-all", "--v8-flags=--expose-gc", path],
      env: { NO_COLOR: "1" },
    }).output();
    await Deno.remove(path);
    assert(success, new TextDecoder().decode(stderr));
    const [most, kept] = new TextDecoder().decode(stdout).trim().split("\n").map(Number);
    assert(most > 16_000_000, `${most} bytes for an image of 16 MB`);
    assertEquals(kept, 0);
  });
});
