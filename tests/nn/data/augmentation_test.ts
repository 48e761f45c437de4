import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { cropAndMirror, cutout, full, mixup, RandomState, tensor, zeros } from "../../../mod.ts";

describe("cutout()", () => {
  it("makes one square of each image zeros, in all channels", () => {
    const x = full([40, 2, 8, 6], 1), random = new RandomState(0);
    cutout({ size: 4 })(x, random);
    const counts = new Set<number>();
    for (let n = 0; n < 40; n++) {
      const planes = [0, 1].map((
        c,
      ) => [...x.data.subarray((2 * n + c) * 48, (2 * n + c + 1) * 48)]);
      assertEquals(planes[0], planes[1]);
      const gone = planes[0].flatMap((value, i) => value === 0 ? [[Math.floor(i / 6), i % 6]] : []);
      const span = (axis: number) => {
        const places = gone.map((place) => place[axis]);
        return Math.max(...places) - Math.min(...places) + 1;
      };
      assertEquals(span(0) * span(1), gone.length);
      assert(span(0) <= 4 && span(1) <= 4);
      counts.add(gone.length);
    }
    // Whole ones, and some that lie partly outside.
    assert(counts.has(16) && counts.size > 3, `${[...counts]}`);
  });

  it("may have any pixel as its center", () => {
    const x = full([400, 1, 3, 3], 1);
    cutout({ size: 1 })(x, new RandomState(1));
    const hits = Array<number>(9).fill(0);
    for (const [i, value] of x.data.entries()) if (value === 0) hits[i % 9]++;
    assert(Math.min(...hits) > 20, `${hits}`);
  });

  it("refuses sizes and tensors that cannot be", () => {
    assertThrows(() => cutout({ size: 0 }), RangeError, "size must be");
    assertThrows(() => cutout({} as never), TypeError, "size must be a number");
    assertThrows(() => cutout({ size: 1 })(zeros([4, 4]), new RandomState(0)), TypeError, "x must");
  });
});

describe("mixup()", () => {
  it("mixes examples and their classes by the same part", () => {
    const random = new RandomState(3), y = Int32Array.of(0, 1, 2, 0, 1);
    // Each example says which class it is.
    const x = tensor(
      Float64Array.from({ length: 15 }, (_, i) => Number(y[Math.floor(i / 3)] === i % 3)),
      [5, 3],
    );
    const targets = mixup({ classes: 3, alpha: 1 })(x, random, { y });
    assertEquals(targets.shape, [5, 3]);
    for (const [i, value] of targets.data.entries()) assertAlmostEquals(x.data[i], value, 1e-15);
    const part = targets.data.find((value) => value > 0 && value < 1) ?? NaN;
    assert(part > 0, "nothing was mixed");
    assert(
      targets.data.every((value) =>
        [0, 1, part, 1 - part].some((p) => Math.abs(p - value) < 1e-15)
      ),
    );
  });

  it("draws the parts from a beta distribution", () => {
    const part = (alpha: number, seed: number) => {
      const x = tensor(Float64Array.of(1, 0), [2, 1]);
      for (let s = 0;; s++) {
        // A batch of two, whose order must change for the part to be seen.
        const random = new RandomState(seed + 1000 * s);
        const targets = mixup({ classes: 2, alpha })(tensor(x.data.slice(), [2, 1]), random, {
          y: Int32Array.of(0, 1),
        });
        if (targets.data[1] > 0) return targets.data[0];
      }
    };
    const mean = (alpha: number, power: number) => {
      let sum = 0;
      for (let seed = 0; seed < 400; seed++) sum += part(alpha, seed) ** power / 400;
      return sum;
    };
    // The variance is 1 / (4 (2 alpha + 1)).
    for (const alpha of [1, 0.5, 0.2]) {
      assertAlmostEquals(mean(alpha, 1), 0.5, 0.06);
      assertAlmostEquals(mean(alpha, 2), 0.25 + 1 / (4 * (2 * alpha + 1)), 0.06);
    }
    assert(part(1e-4, 0) >= 0, "a small alpha gives a number too");
  });

  it("refuses what cannot be mixed", () => {
    assertThrows(() => mixup({ classes: 3, alpha: 0 }), RangeError, "alpha must be above 0");
    assertThrows(() => mixup({ classes: 3, alpha: 2 }), RangeError, "alpha must be");
    assertThrows(() => mixup({} as never), TypeError, "classes must be");
    const y = Int32Array.of(0, 5), x = full([2, 3], 1);
    const mix = () => mixup({ classes: 3 })(x, new RandomState(0), { y });
    assertThrows(mix, RangeError, "y[1] must be below classes, 3: it is 5");
    assertEquals([...x.data], Array(6).fill(1));
  });
});

describe("cropAndMirror() beyond the course", () => {
  const picture = () => tensor(Float64Array.from({ length: 9 }, (_, i) => i + 1), [1, 1, 3, 3]);

  it("reflects at the edge pixels", () => {
    const augment = cropAndMirror({ pad: 1, padding: "reflect", mirror: false });
    for (let seed = 0; seed < 30; seed++) {
      const x = picture(), random = new RandomState(seed), same = new RandomState(seed);
      augment(x, random);
      const dy = same.randint(-1, 2), dx = same.randint(-1, 2);
      const mirror = (i: number) => i < 0 ? 1 : i > 2 ? 1 : i;
      const expected = [0, 1, 2].flatMap((row) =>
        [0, 1, 2].map((column) => 3 * mirror(row + dy) + mirror(column + dx) + 1)
      );
      assertEquals([...x.data], expected, `${dy} ${dx}`);
    }
  });

  it("alternates: one half of the images is mirrored in an epoch, the other in the next", () => {
    const augment = cropAndMirror({ pad: 0, mirror: "alternate" });
    const mirrored = (pick: number, epoch: number) => {
      const x = picture();
      augment(x, new RandomState(0), { picks: Int32Array.of(pick), y: Int32Array.of(0), epoch });
      return x.data[0] === 3;
    };
    const picks = Array.from({ length: 1000 }, (_, i) => i);
    for (const pick of picks) {
      assert(mirrored(pick, 0) !== mirrored(pick, 1));
      assertEquals(mirrored(pick, 0), mirrored(pick, 2));
    }
    const half = picks.filter((pick) => mirrored(pick, 0)).length;
    assert(half > 450 && half < 550, `${half}`);
    const pairs = picks.filter((pick) => mirrored(pick, 0) && mirrored(pick + 1, 0)).length;
    assert(pairs > 100 && pairs < 400, `${pairs}`);
    assertThrows(() => augment(picture(), new RandomState(0)), TypeError, "batch must be given");
  });

  it("refuses what it does not know, and images too small to be reflected", () => {
    const wrong = (options: object) => () => cropAndMirror(options);
    assertThrows(wrong({ padding: "edge" }), TypeError, 'padding must be "zeros" or "reflect"');
    assertThrows(
      wrong({ mirror: "often" }),
      TypeError,
      'mirror must be true, false or "alternate"',
    );
    const augment = cropAndMirror({ pad: 3, padding: "reflect" });
    assertThrows(() => augment(picture(), new RandomState(0)), RangeError, "it is 3 x 3");
  });
});
