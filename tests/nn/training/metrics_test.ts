import { describe, it } from "@std/testing/bdd";
import { assertEquals, assertThrows } from "@std/assert";
import {
  classReports,
  confusionMatrix,
  predictedClasses,
  RandomState,
  Solver,
  tensor,
  topKAccuracy,
  zeros,
} from "../../../mod.ts";
import { data, linear, quiet } from "../../support/small_nets.ts";

const scores = tensor(Float64Array.of(3, 2, 1, 1, 3, 2, 2, 2, 2, NaN, 9, 1), [4, 3]);

describe("topKAccuracy()", () => {
  it("counts examples whose class is among the highest scores", () => {
    assertEquals(topKAccuracy(scores, [0, 0, 0, 0]), 3 / 4);
    assertEquals(topKAccuracy(scores, [1, 2, 1, 1]), 0);
    assertEquals(topKAccuracy(scores, [1, 2, 1, 1], 2), 1);
    assertEquals(topKAccuracy(scores, [2, 0, 2, 2], 2), 0);
    assertEquals(topKAccuracy(scores, [2, 0, 2, 2], 3), 1);
  });

  it("is with k = 1 what a solver measures", () => {
    const model = linear(), solver = new Solver(model, data, quiet);
    const accuracy = topKAccuracy(model.loss(data.xVal as never), data.yVal);
    assertEquals(accuracy, solver.checkAccuracy(data.xVal, data.yVal));
  });

  it("refuses a k that is not a rank, and labels that are not classes", () => {
    assertThrows(() => topKAccuracy(scores, [0, 0, 0, 0], 4), RangeError, "k must be");
    assertThrows(() => topKAccuracy(scores, [0, 0, 0, 3]), RangeError, "y[3]");
    assertThrows(() => topKAccuracy(scores, [0]), RangeError, "y must hold one label");
    assertThrows(() => topKAccuracy(zeros([0, 3]), []), RangeError, "[0,3]");
  });
});

describe("confusionMatrix() and classReports()", () => {
  it("count what was taken for what", () => {
    assertEquals([...predictedClasses(scores)], [0, 1, 0, 0]);
    assertEquals(confusionMatrix(scores, [0, 1, 1, 2]), [[1, 0, 0], [1, 1, 0], [1, 0, 0]]);
  });

  it("agree with the counts of many random predictions", () => {
    const random = new RandomState(0), x = random.randn([500, 4]), y = random.randint(0, 4, 500);
    const counts = confusionMatrix(x, y), predicted = predictedClasses(x);
    const ofClass = (c: number, of: ArrayLike<number>) =>
      Array.from(of).filter((value) => value === c).length;
    for (const [c, { precision, recall, support }] of classReports(counts).entries()) {
      assertEquals(support, ofClass(c, y));
      assertEquals(recall, counts[c][c] / ofClass(c, y));
      assertEquals(precision, counts[c][c] / ofClass(c, predicted));
    }
    const right = counts.reduce((sum, row, c) => sum + row[c], 0);
    assertEquals(right / 500, topKAccuracy(x, y));
  });

  it("give NaN where there is nothing to divide by", () => {
    const [first, second] = classReports([[2, 0], [0, 0]]);
    assertEquals(first, { precision: 1, recall: 1, support: 2 });
    assertEquals(second, { precision: NaN, recall: NaN, support: 0 });
  });

  it("refuse a matrix that is not square, or not of counts", () => {
    assertThrows(() => classReports([[1, 2], [3]]), RangeError, "row 1 has 1");
    assertThrows(() => classReports([[1.5]]), RangeError, "counts[0][0]");
  });
});
