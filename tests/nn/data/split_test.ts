import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  channelStatistics,
  type Examples,
  normalize,
  RandomState,
  splitData,
  tensor,
  zeros,
} from "../../../mod.ts";

const x = tensor(Float64Array.from({ length: 20 }, (_, i) => i), [10, 2]);
const y = Array.from({ length: 10 }, (_, i) => i);

describe("splitData()", () => {
  it("parts examples and labels alike, in random order, each once", () => {
    const { xTrain, yTrain, xVal, yVal } = splitData(x, y, { validation: 0.3 });
    assertEquals([xTrain.shape, xVal.shape], [[7, 2], [3, 2]]);
    const labels = [...yTrain, ...yVal];
    assertEquals(
      [...xTrain.data, ...xVal.data],
      labels.flatMap((label) => [2 * label, 2 * label + 1]),
    );
    assertEquals(labels.toSorted((a, b) => a - b), y);
    assert(labels.join() !== y.join());
    const order = (options: object) => [...splitData(x, y, options).yTrain].join();
    assertEquals(order({ validation: 3 }), [...yTrain].join());
    assertEquals(order({}).split(",").length, 9);
    assert(order({ seed: 1 }) !== order({}));
  });

  it("parts examples that are read batch by batch without reading them", () => {
    const reads: number[] = [];
    const all: Examples = {
      shape: [10, 2],
      read: (picks, to) => {
        reads.push(...picks);
        picks.forEach((n, i) => to.set([2 * n, 2 * n + 1], 2 * i));
      },
    };
    const { xVal } = splitData(all, y, { validation: 3 }), own = splitData(x, y, { validation: 3 });
    assertEquals(reads, []);
    const to = new Float64Array(4);
    xVal.read(Int32Array.of(2, 0), to);
    const { data } = own.xVal;
    assertEquals([...to], [...data.subarray(4, 6), ...data.subarray(0, 2)]);
  });

  it("refuses parts without examples", () => {
    for (const validation of [0, 10, 0.01, 2.5]) {
      assertThrows(() => splitData(x, y, { validation }), RangeError, "validation must leave");
    }
    assertThrows(() => splitData(x, [1, 2]), RangeError, "y must hold one label per example, 10");
  });
});

describe("channelStatistics() and normalize()", () => {
  it("bring each channel to mean 0 and deviation 1", () => {
    const images = new RandomState(0).randn([20, 3, 4, 5]);
    for (let i = 0; i < images.data.length; i++) {
      const c = Math.floor(i / 20) % 3;
      images.data[i] = images.data[i] * (c + 1) + 10 * c;
    }
    const { mean, deviation } = channelStatistics(images);
    for (const c of [0, 1, 2]) {
      assertAlmostEquals(mean[c], 10 * c, 0.5);
      assertAlmostEquals(deviation[c], c + 1, 0.3);
    }
    assertEquals(normalize(images, { mean, deviation }), images);
    const after = channelStatistics(images);
    for (const c of [0, 1, 2]) {
      assertAlmostEquals(after.mean[c], 0, 1e-12);
      assertAlmostEquals(after.deviation[c], 1, 1e-12);
    }
  });

  it("only shift a channel that is the same everywhere", () => {
    const flat = tensor(Float64Array.of(7, 1, 7, 3), [2, 2]);
    normalize(flat, channelStatistics(flat));
    assertEquals([...flat.data], [0, -1, 0, 1]);
  });

  it("refuse statistics of another number of channels", () => {
    const wrong = { mean: [0], deviation: [1, 1] };
    assertThrows(
      () => normalize(zeros([4, 2]), wrong),
      RangeError,
      "mean must hold one value per channel",
    );
    assertThrows(() => channelStatistics(zeros([4])), TypeError, "x must have 2 dimensions");
  });
});
