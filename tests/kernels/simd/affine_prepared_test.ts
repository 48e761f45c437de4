import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import { naiveAffine } from "../../../kernels/naive/affine.ts";
import { prepareAffine } from "../../../kernels/simd/affine_prepared.ts";
import { features } from "../../../kernels/simd/features.ts";
import { reserve, scratch } from "../../../kernels/simd/memory.ts";
import { vectors } from "../../../kernels/simd/vector.ts";
import { made, unwritten } from "../../support/kernels.ts";

/** Rows and columns of weights: the last are sums of several parts in float32. */
const SIZES = [[300, 130], [513, 97], [1024, 32], [4097, 33], [12_500, 9]] as const;

/** Fills the memory with NaN, which a kernel must not rely on. */
function spoilMemory(): void {
  assertEquals(reserve(1 << 20), undefined);
  new Uint8Array(scratch("float32").buffer).fill(0xff);
}

describe("A fully-connected layer with weights that last", () => {
  for (const dtype of ["float32", "float64"] as const) {
    for (const [D, M] of SIZES) {
      it(`gives the definition's numbers of few rows, ${D} to ${M}, ${dtype}`, () => {
        for (const fused of new Set([features().fused, false])) {
          for (const epilogue of [{}, { bias: made(M, dtype, "integers"), relu: true }]) {
            const w = made(D * M, dtype, "integers"), kept = w.slice();
            const run = prepareAffine({ D, M }, vectors[dtype], fused, w, epilogue)!;
            // They are in a memory of their own.
            w.fill(NaN);
            for (let N = 0; N <= 8; N++) {
              const x = made(N * D, dtype, "integers"), out = unwritten(N * M, dtype);
              const expected = unwritten(N * M, dtype);
              naiveAffine({ D, M }).forward(N, x, kept, expected, epilogue);
              spoilMemory();
              assert(run(N, x, out));
              assertEquals(out, expected);
            }
            const nine = made(9 * D, dtype, "integers");
            assertEquals(run(9, nine, unwritten(9 * M, dtype)), false);
          }
        }
      });
    }

    it(`keeps values that are not finite where they belong, ${dtype}`, () => {
      const D = 600, M = 70;
      const w = made(D * M, dtype, "integers"), x = made(3 * D, dtype, "integers");
      w[5 * M + 69] = NaN;
      w[7 * M] = -Infinity;
      x[D + 9] = Infinity;
      const out = unwritten(3 * M, dtype), expected = unwritten(3 * M, dtype);
      naiveAffine({ D, M }).forward(3, x, w, expected, {});
      assert(prepareAffine({ D, M }, vectors[dtype], false, w, {})!(3, x, out));
      assertEquals(out, expected);
    });
  }

  it("leaves few weights to copies", () => {
    const w = made(100 * 100, "float32", "integers");
    assertEquals(prepareAffine({ D: 100, M: 100 }, vectors.float32, false, w, {}), undefined);
  });

  it("leaves all but two rows to copies where weights come from the main memory", () => {
    const D = 4096, M = 2304, w = made(D * M, "float32", "integers");
    const run = prepareAffine({ D, M }, vectors.float32, features().fused, w, {})!;
    const x = made(3 * D, "float32", "integers"), out = unwritten(2 * M, "float32");
    const expected = unwritten(2 * M, "float32");
    naiveAffine({ D, M }).forward(2, x, w, expected, {});
    assert(run(2, x, out));
    assertEquals(out, expected);
    assertEquals(run(3, x, unwritten(3 * M, "float32")), false);
  });
});
