import { describe, it } from "@std/testing/bdd";
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  type Examples,
  type LossAndGradients,
  type Model,
  RandomState,
  type Tensor,
  tensor,
  testTimeScores,
} from "../../../mod.ts";
import { assertSameBits } from "../../support/bits.ts";

/** Its scores are the upper left pixel and its right neighbor. */
class Corner implements Model<Float64Array> {
  params = { W: tensor(Float64Array.of(1), [1]) };
  readonly sizes: number[] = [];
  loss(x: Tensor<Float64Array>): Tensor<Float64Array>;
  loss(x: Tensor<Float64Array>, y: unknown): LossAndGradients<Float64Array>;
  loss(x: Tensor<Float64Array>): Tensor<Float64Array> & LossAndGradients<Float64Array> {
    const [N] = x.shape, size = x.data.length / N;
    this.sizes.push(N);
    const scores = Float64Array.from(
      { length: 2 * N },
      (_, i) => x.data[Math.floor(i / 2) * size + i % 2],
    );
    return { ...tensor(scores, [N, 2]), loss: 0, grads: {} };
  }
}

const x = new RandomState(0).randn([5, 1, 4, 4]);
/** Pixel (row, column) of image n. */
const at = (n: number, row: number, column: number) => x.data[n * 16 + row * 4 + column];

describe("testTimeScores()", () => {
  it("is the mean of the scores of an image and its mirror image", () => {
    const { data, shape } = testTimeScores(new Corner(), x);
    assertEquals(shape, [5, 2]);
    for (let n = 0; n < 5; n++) {
      assertAlmostEquals(data[2 * n], (at(n, 0, 0) + at(n, 0, 3)) / 2, 1e-15);
      assertAlmostEquals(data[2 * n + 1], (at(n, 0, 1) + at(n, 0, 2)) / 2, 1e-15);
    }
  });

  it("counts shifted images half, with what comes in reflected", () => {
    const { data } = testTimeScores(new Corner(), x, { mirror: false, shift: 1 });
    for (let n = 0; n < 5; n++) {
      // Shifted down and right, the pixel before the first is the reflected (1, 1).
      assertAlmostEquals(data[2 * n], at(n, 0, 0) / 2 + at(n, 1, 1) / 2, 1e-15);
      const second = at(n, 0, 1) / 2 + at(n, 1, 0) / 4 + at(n, 1, 2) / 4;
      assertAlmostEquals(data[2 * n + 1], second, 1e-15);
    }
  });

  it("gives the model's own scores if no view is wanted, in batches of any size", () => {
    const model = new Corner(), options = { mirror: false, batchSize: 2 };
    assertSameBits(testTimeScores(model, x, options).data, new Corner().loss(x).data);
    assertEquals(model.sizes, [2, 2, 1]);
    const all = testTimeScores(new Corner(), x, { shift: 2 });
    const read: Examples = {
      shape: x.shape,
      read: (picks, to) =>
        picks.forEach((n, i) => to.set(x.data.subarray(n * 16, n * 16 + 16), i * 16)),
    };
    assertSameBits(testTimeScores(new Corner(), read, { shift: 2, batchSize: 3 }).data, all.data);
  });

  it("refuses what holds no images, and shifts larger than they are", () => {
    const model = new Corner();
    assertThrows(() => testTimeScores(model, tensor(x.data, [5, 16])), TypeError, "(N, C, H, W)");
    assertThrows(() => testTimeScores(model, x, { shift: 4 }), RangeError, "shift must be");
    // @ts-expect-error: an option that there is not
    assertThrows(() => testTimeScores(model, x, { flip: true }), TypeError, '"flip"');
  });
});
