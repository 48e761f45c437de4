import { describe, it } from "@std/testing/bdd";
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  globalMaxBackward,
  globalMaxForward,
  maxPoolBackwardNaive,
  maxPoolForwardNaive,
  RandomState,
  tensor,
} from "../../../mod.ts";
import { assertGradients } from "../../support/gradients.ts";
import { SEED } from "../../support/kernels.ts";
import { wholes } from "../../support/geometries.ts";

const size = fc.integer({ min: 1, max: 6 });

describe("The global maximum", () => {
  for (const dtype of ["float32", "float64"] as const) {
    it(`is the max-pool of whole planes, ties and all, ${dtype}`, () => {
      fc.assert(
        fc.property(fc.tuple(size, size, size, size), ([N, C, H, W]) => {
          const x = wholes([N, C, H, W], dtype);
          const pool = maxPoolForwardNaive(x, { poolHeight: H, poolWidth: W, stride: 1 });
          const { out, cache } = globalMaxForward(x);
          assertEquals(out, { ...pool.out, shape: [N, C] });
          const dout = wholes([N, C], dtype);
          const expected = maxPoolBackwardNaive({ ...dout, shape: [N, C, 1, 1] }, pool.cache);
          assertEquals(globalMaxBackward(dout, cache), expected);
        }),
        { numRuns: 200, seed: SEED },
      );
    });

    it(`is NaN where there is one, and the first NaN gets the gradient, ${dtype}`, () => {
      const numbers = [1, NaN, 9, NaN, -Infinity, -Infinity, -Infinity, -Infinity, -0, 0, 0, -0];
      const data = dtype === "float32" ? Float32Array.from(numbers) : Float64Array.from(numbers);
      const x = tensor(data, [1, 3, 2, 2]);
      const { out, cache } = globalMaxForward<typeof data>(x);
      assertEquals([...out.data], [NaN, -Infinity, -0]);
      const dout = tensor(out.data.slice().fill(5) as typeof data, [1, 3]);
      const dx = globalMaxBackward<typeof data>(dout, cache);
      assertEquals([...dx.data], [0, 5, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0]);
    });
  }

  it("has gradients that agree with central differences", () => {
    const random = new RandomState(231), x = random.randn([3, 4, 3, 5]);
    const { out, cache } = globalMaxForward(x), dout = random.randn(out.shape);
    const dx = globalMaxBackward(dout, cache);
    assertGradients(() => globalMaxForward(x).out, dout, { dx: [x, dx, 1e-7] });
  });

  it("serves an empty batch", () => {
    const x = tensor(new Float64Array(0), [0, 2, 3, 3]);
    const { out, cache } = globalMaxForward(x);
    assertEquals([out.shape, globalMaxBackward(out, cache)], [[0, 2], x]);
  });
});
