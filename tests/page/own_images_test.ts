import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { encode as encodePng } from "fast-png";
import { type DroppedFile, readOwnImages } from "../../page/files/own_images.ts";

const file = (path: string, bytes: Uint8Array<ArrayBuffer>): DroppedFile => {
  return { path, size: bytes.length, bytes: () => Promise.resolve(bytes) };
};

const read = (...files: DroppedFile[]) => readOwnImages(files, () => {});

/** An image of one color, as PNG. */
function picture(size: number, color: readonly number[]): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(size * size * color.length).map((_, i) => color[i % color.length]);
  return Uint8Array.from(encodePng({ width: size, height: size, data, channels: color.length }));
}

describe("Own images", () => {
  it("are CIFAR-10's batches, any of them", async () => {
    const record = 3073, batch = new Uint8Array(10_000 * record);
    for (let n = 0; n < 10_000; n++) batch.fill(n % 256, n * record, (n + 1) * record);
    for (let n = 0; n < 10_000; n++) batch[n * record] = n % 10;
    const set = await read(file("cifar/data_batch_4.bin", batch));
    assertEquals(set.classes[3], "cat");
    assertEquals(set.xTrain.shape, [9000, 3, 32, 32]);
    assertEquals(set.xVal.shape, [1000, 3, 32, 32]);
    assertEquals([set.yTrain[12], set.xTrain.data[12 * 3072]], [2, 12]);
    assertEquals([set.yVal[7], set.xVal.data[7 * 3072]], [7, 9007 % 256]);
    const wrong = batch.slice(0, 100 * record);
    await assertRejects(
      () => read(file("data_batch_1.bin", wrong)),
      Error,
      "data_batch_1.bin cannot be read as CIFAR-10’s batches",
    );
  });

  it("are folders of images, the classes by name", async () => {
    const files = Array.from({ length: 40 }, (_, n) => {
      const isRed = n % 2 === 0;
      return file(
        `set/${isRed ? "red" : "blue"}/${n}.png`,
        picture(6, isRed ? [250, 0, n] : [0, n, 250]),
      );
    });
    const set = await read(...files, file("set/.hidden/1.png", new Uint8Array(3)));
    assertEquals(set.classes, ["blue", "red"]);
    assertEquals(set.shape, [3, 6, 6]);
    assertEquals([set.yTrain.length, set.yVal.length], [36, 4]);
    const size = 3 * 36;
    for (const [n, label] of set.yTrain.entries()) {
      assertEquals(set.xTrain.data[n * size], label === 1 ? 250 : 0);
    }
    assert(set.yTrain.includes(0) && set.yTrain.includes(1));
  });

  it("are made smaller if they are large, and gray if they are gray", async () => {
    const files = [0, 1, 2, 3].map((n) => file(`${n % 2}/${n}.png`, picture(100, [80 + 50 * n])));
    const set = await read(...files);
    assertEquals(set.shape, [1, 32, 32]);
    const values = new Set([...set.xTrain.data, ...set.xVal.data]);
    assertEquals([...values].sort((a, b) => a - b), [80, 130, 180, 230]);
  });

  it("are IDX files: images and labels", async () => {
    const images = new Uint8Array(16 + 20 * 4), labels = new Uint8Array(8 + 20);
    images.set([0, 0, 8, 3, 0, 0, 0, 20, 0, 0, 0, 2, 0, 0, 0, 2]);
    labels.set([0, 0, 8, 1, 0, 0, 0, 20]);
    for (let n = 0; n < 20; n++) labels[8 + n] = n % 3;
    const named = [file("a-idx3-ubyte", images), file("a-idx1-ubyte", labels)];
    const set = await read(...named);
    assertEquals([set.shape, set.classes], [[1, 2, 2], ["0", "1", "2"]]);
    assertEquals([set.yTrain.length, set.yVal.length], [18, 2]);
    await assertRejects(() => read(named[0]), Error, "a-idx3-ubyte has no partner");
  });

  it("are refused with what is wrong and what is taken", async () => {
    await assertRejects(
      () => read(file("a.txt", new Uint8Array(1)), file("b.txt", new Uint8Array(1))),
      Error,
      "a.txt, b.txt cannot be read: this page takes CIFAR-10’s .bin batches",
    );
    await assertRejects(
      () => read(file("a.zip", new Uint8Array(30))),
      Error,
      "a.zip cannot be read: bytes must be a whole zip archive",
    );
    await assertRejects(() => read(file("1.png", picture(4, [1]))), Error, "found no folder");
    const broken = [file("a/1.png", picture(4, [1])), file("b/2.png", new Uint8Array(9))];
    await assertRejects(() => read(...broken), Error, "b/2.png cannot be read");
  });
});
