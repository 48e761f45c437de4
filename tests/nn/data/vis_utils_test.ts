import { describe, it } from "@std/testing/bdd";
import { assertEquals, assertThrows } from "@std/assert";
import { RandomState, tensor, visualizeGrid, zeros } from "../../../mod.ts";

describe("visualizeGrid()", () => {
  it("puts stretched images side by side, with black between them", () => {
    // Three gray images of 1 x 2 pixels in a grid of 2 x 2.
    const xs = tensor(Float64Array.of(1, 3, -1, 0, 5, 5), [3, 1, 2, 1]);
    const grid = visualizeGrid(xs, 100, 1);
    assertEquals(grid.shape, [3, 5, 1]);
    assertEquals([...grid.data.subarray(0, 5)], [0, 100, 0, 0, 100]);
    // The last image has one brightness: black, not NaN.
    assertEquals([...grid.data.subarray(5)], Array(10).fill(0));
  });

  it("takes a net's filters as they are", () => {
    const filters = new RandomState(0).randn([5, 3, 4, 6], "float32");
    const turned = zeros([5, 4, 6, 3], "float32");
    for (let n = 0, i = 0; n < 5; n++) {
      for (let p = 0; p < 24; p++) {
        for (let c = 0; c < 3; c++, i++) turned.data[i] = filters.data[(n * 3 + c) * 24 + p];
      }
    }
    const grid = visualizeGrid(filters, 255, 1, "NCHW");
    assertEquals(grid.shape, [3 * 4 + 2, 3 * 6 + 2, 3]);
    assertEquals(grid, visualizeGrid(turned));
    assertEquals([Math.min(...grid.data), Math.max(...grid.data)], [0, 255]);
  });

  it("refuses what is not a set of images", () => {
    assertThrows(() => visualizeGrid(zeros([3, 4, 4])), TypeError, "xs must have 4 dimensions");
    assertThrows(() => visualizeGrid(zeros([0, 4, 4, 3])), RangeError, "[0,4,4,3]");
    assertThrows(() => visualizeGrid(zeros([1, 4, 4, 3]), 255, 0.5), RangeError, "padding");
    assertThrows(
      () => visualizeGrid(zeros([1, 4, 4, 3]), 255, 1, "CHWN" as "NCHW"),
      TypeError,
      'layout must be "NHWC" or "NCHW": received "CHWN"',
    );
  });
});
