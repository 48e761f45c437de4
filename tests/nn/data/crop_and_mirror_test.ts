import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { shiftImage } from "../../../nn/data/crop_and_mirror.ts";
import { cropAndMirror, RandomState, tensor, zeros } from "../../../mod.ts";

describe("cropAndMirror()", () => {
  const count = (n: number) => tensor(Float64Array.from({ length: n }, (_, i) => i + 1), [n]).data;

  it("shifts by at most the padding, and fills with zeros", () => {
    const augment = cropAndMirror({ pad: 1, mirror: false });
    const x = tensor(count(9), [1, 1, 3, 3]), seen = new Set<string>();
    const random = new RandomState(0);
    for (let i = 0; i < 200; i++) {
      const y = tensor(x.data.slice(), x.shape);
      augment(y, random);
      seen.add(y.data.join());
    }
    assertEquals(seen.size, 9);
    for (const shifted of ["1,2,3,4,5,6,7,8,9", "5,6,0,8,9,0,0,0,0", "0,0,0,0,1,2,0,4,5"]) {
      assert(seen.has(shifted), `never shifted to ${shifted}`);
    }
  });

  it("mirrors half of the images, every channel alike", () => {
    const augment = cropAndMirror({ pad: 0 });
    const x = tensor(new Float32Array(1000 * 2 * 4), [1000, 2, 2, 2]);
    for (let n = 0; n < 1000; n++) x.data.set([1, 2, 3, 4, 5, 6, 7, 8], n * 8);
    augment(x, new RandomState(3));
    let mirrored = 0;
    for (let n = 0; n < 1000; n++) {
      const image = x.data.subarray(n * 8, n * 8 + 8).join();
      if (image === "2,1,4,3,6,5,8,7") mirrored++;
      else assertEquals(image, "1,2,3,4,5,6,7,8");
    }
    assertAlmostEquals(mirrored, 500, 60);
  });

  it("takes each pixel from where its definition says, by any shift", () => {
    const reflected = (i: number, size: number) => i < 0 ? -i : i < size ? i : 2 * (size - 1) - i;
    for (const [C, H, W] of [[2, 3, 3], [1, 5, 4], [3, 4, 7]] as const) {
      const from = count(C * H * W);
      for (
        const [mirrored, reflect] of [[false, false], [false, true], [true, false], [true, true]]
      ) {
        const most = reflect ? Math.min(H, W) - 1 : 9;
        for (let dy = -most; dy <= most; dy++) {
          for (let dx = -most; dx <= most; dx++) {
            const to = from.map(() => -1);
            shiftImage(from, to, [C, H, W], { dy, dx, mirrored, reflect });
            const expected = from.map((_, i) => {
              const x = i % W, row = Math.floor(i / W) % H + dy, c = Math.floor(i / (H * W));
              const column = (mirrored ? W - 1 - x : x) + dx;
              const [ry, rx] = reflect ? [reflected(row, H), reflected(column, W)] : [row, column];
              const isInside = ry >= 0 && ry < H && rx >= 0 && rx < W;
              return isInside ? from[(c * H + ry) * W + rx] : 0;
            });
            assertEquals(to, expected, `${[dy, dx]} ${mirrored} ${reflect}`);
          }
        }
      }
    }
  });

  it("serves both dtypes and all sizes in turn, without rounding", () => {
    const augment = cropAndMirror();
    const third = new RandomState(0).rand([2, 1, 4, 4]);
    const sizes = [[2, 1, 4, 4], [2, 1, 4, 4], [1, 2, 4, 4], [2, 3, 4, 4]];
    for (const [turn, shape] of sizes.entries()) {
      for (const dtype of ["float32", "float64", "float32"] as const) {
        const x = new RandomState(turn).rand(shape, dtype);
        const y = tensor(Float64Array.from(x.data), shape);
        augment(x, new RandomState(9));
        cropAndMirror()(y, new RandomState(9));
        assertEquals([...x.data], [...y.data]);
      }
    }
    const kept = new Set(third.data);
    augment(third, new RandomState(9));
    for (const value of third.data) assert(value === 0 || kept.has(value), `${value} is rounded`);
  });

  it("does the same for the same random numbers", () => {
    const x = new RandomState(0).randn([4, 3, 8, 8]), y = tensor(x.data.slice(), x.shape);
    cropAndMirror()(x, new RandomState(5));
    cropAndMirror()(y, new RandomState(5));
    assertEquals(x, y);
  });

  it("refuses what it cannot do", () => {
    assertThrows(() => cropAndMirror({ pad: -1 }), RangeError, "pad");
    assertThrows(() => cropAndMirror({ flip: true } as object), TypeError, '"flip"');
    assertThrows(() => cropAndMirror()(zeros([4, 4]), new RandomState(0)), TypeError, "x must");
  });
});
