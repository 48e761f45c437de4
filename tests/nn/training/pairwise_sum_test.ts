import { describe, it } from "@std/testing/bdd";
import { assertEquals } from "@std/assert";
import { RandomState } from "../../../mod.ts";
import { PairwiseSum, partialSums, totalOf } from "../../../nn/training/pairwise_sum.ts";
import { shareOf } from "../../../nn/training/parallel.ts";
import { assertSameBits } from "../../support/bits.ts";

/** The partial sums of some micro-batches. */
function partsOf(values: readonly Float32Array[], first: number, end: number) {
  const sum = new PairwiseSum();
  for (let i = first; i < end; i++) sum.add({ first: i, size: 1, data: values[i] }, true);
  return sum.parts;
}

describe("PairwiseSum", () => {
  it("adds pairs, then pairs of pairs, then the rest", () => {
    const random = new RandomState(1);
    const values = Array.from({ length: 6 }, () => random.randn([50], "float32").data);
    const expected = Float32Array.from({ length: 50 }, (_, i) => {
      const [a, b, c, d, e, f] = values.map((value) => value[i]);
      const add = (a: number, b: number) => Math.fround(a + b);
      return add(add(add(a, b), add(c, d)), add(e, f));
    });
    assertSameBits(totalOf(partsOf(values, 0, 6)), expected);
  });

  it("leaves the values as they are, and gives the same bits whoever adds them", () => {
    const random = new RandomState(2);
    for (let count = 2; count <= 20; count++) {
      const values = Array.from({ length: count }, () => random.randn([9], "float32").data);
      const before = values.map((value) => value.slice());
      const expected = totalOf(partsOf(values, 0, count));
      for (let size = 1; size <= count; size++) {
        const joined = new PairwiseSum();
        for (let rank = 0; rank < size; rank++) {
          const share = shareOf(count, { rank, size }), parts = partsOf(values, ...share);
          assertEquals(parts.map(({ first, size }) => ({ first, size })), partialSums(...share));
          for (const part of parts) joined.add(part, false);
        }
        assertSameBits(totalOf(joined.parts), expected, `${count} by ${size}`);
      }
      assertEquals(values, before);
    }
  });
});

describe("shareOf()", () => {
  it("gives every micro-batch to one rank, and every rank one or more", () => {
    for (let count = 1; count <= 12; count++) {
      for (let size = 1; size <= count; size++) {
        let next = 0;
        for (let rank = 0; rank < size; rank++) {
          const [first, end] = shareOf(count, { rank, size });
          assertEquals([first, end > first], [next, true]);
          next = end;
        }
        assertEquals(next, count);
      }
    }
  });
});
