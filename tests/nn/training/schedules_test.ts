import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { cosineSchedule, stepSchedule, triangularSchedule } from "../../../mod.ts";

describe("cosineSchedule() with a warm-up", () => {
  const schedule = cosineSchedule({ warmup: 0.2, floor: 0.1 });

  it("rises evenly, is 1 where the warm-up ends, and reaches the floor at the end", () => {
    assertEquals([0, 0.05, 0.1, 0.2].map(schedule), [0, 0.25, 0.5, 1]);
    assertAlmostEquals(schedule(0.6), 0.55, 1e-15);
    assertAlmostEquals(schedule(1), 0.1, 1e-15);
  });

  it("falls from the warm-up's end on, in both halves of the wave alike", () => {
    let last = schedule(0.2);
    for (let progress = 0.21; progress < 1; progress += 0.01) {
      assert(schedule(progress) < last, `${schedule(progress)} at ${progress}, after ${last}`);
      last = schedule(progress);
      const fallen = (progress - 0.2) / 0.8, cosine = Math.cos(Math.PI * fallen);
      assertAlmostEquals(last, 0.1 + 0.9 * (1 + cosine) / 2, 1e-14);
    }
  });

  it("never falls if the warm-up is all there is", () => {
    const rising = cosineSchedule({ warmup: 1 });
    assertEquals([0, 0.5, 0.999].map(rising), [0, 0.5, 0.999]);
  });
});

describe("stepSchedule() with no options", () => {
  it("falls to a tenth at the half and at three quarters", () => {
    const schedule = stepSchedule();
    assertEquals([0, 0.49, 0.5, 0.74].map(schedule), [1, 1, 0.1, 0.1]);
    assertAlmostEquals(schedule(0.75), 0.01, 1e-17);
    assertAlmostEquals(schedule(1), 0.01, 1e-17);
  });
});

describe("triangularSchedule()", () => {
  it("rises in a line to 1, and falls in a line", () => {
    const schedule = triangularSchedule({ start: 0.25, peak: 0.5, end: 0.5 });
    assertEquals([0, 0.25, 0.5, 0.75, 1].map(schedule), [0.25, 0.625, 1, 0.75, 0.5]);
    assertEquals([0, 0.125, 0.25, 0.625].map(triangularSchedule()), [0, 0.5, 1, 0.5]);
    assertEquals([0, 0.5].map(triangularSchedule({ peak: 0 })), [1, 0.5]);
    assertEquals([0, 0.5].map(triangularSchedule({ peak: 1 })), [0, 0.5]);
  });

  it("refuses corners outside 0 and 1", () => {
    assertThrows(() => triangularSchedule({ peak: 2 }), RangeError, "peak must be");
    assertThrows(() => triangularSchedule({ start: -1 }), RangeError, "start must be");
  });
});
