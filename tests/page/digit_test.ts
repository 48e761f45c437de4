import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { digitOf, type Point, SIDE, type Stroke } from "../../page/draw/digit.ts";

/** The pixels that are not black: first and last row and column. */
function boxOf(image: Uint8Array) {
  const lit = [...image.keys()].filter((i) => image[i] > 0);
  const rows = lit.map((i) => Math.floor(i / SIDE)), columns = lit.map((i) => i % SIDE);
  return {
    height: Math.max(...rows) - Math.min(...rows) + 1,
    width: Math.max(...columns) - Math.min(...columns) + 1,
  };
}

/** The mean row and column, by brightness. */
function centerOf(image: Uint8Array): Point {
  let mass = 0, x = 0, y = 0;
  for (const [i, value] of image.entries()) {
    mass += value;
    x += value * (i % SIDE);
    y += value * Math.floor(i / SIDE);
  }
  return [x / mass, y / mass];
}

const SEVEN: Stroke = [[80, 60], [200, 60], [130, 230]];

describe("A drawn digit", () => {
  it("is black where nothing is drawn", () => {
    assertEquals(digitOf([]), new Uint8Array(SIDE * SIDE));
    assertEquals(digitOf([[]]), new Uint8Array(SIDE * SIDE));
  });

  it("fits 20 x 20 pixels, keeps its proportions, and has its center of mass in the middle", () => {
    const image = digitOf([SEVEN]), { height, width } = boxOf(image), [x, y] = centerOf(image);
    // The soft edge of a line reaches half a pixel further on either side.
    assert(height >= 20 && height <= 22, String(height));
    assertAlmostEquals((width - 1) / (height - 1), 120 / 170, 0.1);
    assertAlmostEquals(x, 13.5, 0.1);
    assertAlmostEquals(y, 13.5, 0.1);
    assertEquals(Math.max(...image), 255);
    // Soft edges: values between black and white.
    assert(image.some((value) => value > 40 && value < 215));
  });

  it("does not depend on where and how large it is drawn", () => {
    const small = SEVEN.map(([x, y]): Point => [x / 4 + 3, y / 4 + 100]);
    assertEquals(digitOf([small]), digitOf([SEVEN]));
  });

  it("is a dot for a point, not scaled up", () => {
    const image = digitOf([[[9, 9]]]), { height, width } = boxOf(image);
    assertEquals([height, width], [4, 4]);
    const center = centerOf(image);
    assertAlmostEquals(center[0], 13.5, 1e-9);
    assertAlmostEquals(center[1], 13.5, 1e-9);
  });

  it("has several strokes", () => {
    const cross: Stroke[] = [[[0, 50], [100, 50]], [[50, 0], [50, 100]]];
    const image = digitOf(cross), at = (y: number, x: number) => image[y * SIDE + x];
    assert(at(13, 4) > 200 && at(13, 23) > 200 && at(4, 13) > 200 && at(23, 13) > 200);
    assertEquals([at(4, 4), at(23, 23)], [0, 0]);
  });
});
