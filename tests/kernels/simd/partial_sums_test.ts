import { describe, it } from "@std/testing/bdd";
import { assertEquals } from "@std/assert";
import { addParts, partialSums } from "../../../kernels/simd/partial_sums.ts";
import { scratch } from "../../../kernels/simd/memory.ts";
import { zerosOf } from "../../../kernels/tensor.ts";
import { convBackward, convForward, RandomState, useKernels } from "../../../mod.ts";
import { assertSameBits } from "../../support/bits.ts";

describe("Sums of parts", () => {
  for (const dtype of ["float32", "float64"] as const) {
    it(`are added in their order, in float64, and rounded once, ${dtype}`, () => {
      const random = new RandomState(231);
      for (const length of [1, 5, 4095, 4096, 4097, 9001]) {
        for (const parts of [1, 2, 7]) {
          const first = 3, pitch = length + 5;
          const sums = random.randn([parts, pitch]).data;
          const expected = zerosOf(dtype, length);
          for (let i = 0; i < length; i++) {
            let sum = 0;
            for (let part = 0; part < parts; part++) sum += sums[part * pitch + first + i];
            expected[i] = sum;
          }
          const actual = zerosOf(dtype, length).fill(NaN);
          // It relies on nothing that the memory holds.
          if (length > 4096) scratch("float64").fill(NaN);
          addParts(sums, parts, pitch, first, actual);
          assertSameBits(actual, expected);
        }
      }
    });
  }

  it("lie in one array as long as it is large enough", () => {
    const one = partialSums(1000);
    assertEquals(partialSums(10) === one, true);
    assertEquals(partialSums(one.length + 1) === one, false);
  });

  it("make the weight gradients of the definition, exactly on whole numbers", () => {
    const random = new RandomState(1);
    const whole = (shape: number[]) => {
      const { data } = random.randn(shape, "float32");
      return { data: data.map((value) => Math.round(value)), shape };
    };
    const x = whole([37, 24, 9, 9]), w = whole([24, 24, 3, 3]), b = whole([24]);
    const dout = whole([37, 24, 9, 9]);
    const backward = () => convBackward(dout, convForward(x, w, b, { pad: 1 }).cache);
    const { dw, db } = backward();
    using _ = useKernels("generated");
    const expected = backward();
    assertSameBits([dw, db], [expected.dw, expected.db]);
  });
});
