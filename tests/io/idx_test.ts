import { describe, it } from "@std/testing/bdd";
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { decodeIdx, decodeMnist } from "../../io/data.ts";
import { idx } from "../support/idx.ts";

async function zipped(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return await new Response(stream).bytes();
}

describe("decodeIdx()", () => {
  const file = idx([2, 3], Uint8Array.of(1, 2, 3, 4, 5, 6));

  it("reads a file, packed or not", async () => {
    const expected = { shape: [2, 3], data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    assertEquals(await decodeIdx(file), expected);
    assertEquals(await decodeIdx(await zipped(file)), expected);
    assertStrictEquals((await decodeIdx(file)).data.buffer, file.buffer);
  });
  it("reads every data type, most significant byte first", async () => {
    const numbers = [
      [0x09, Int8Array.of(-1, 127), [0xff, 0x7f]],
      [0x0b, Int16Array.of(-2, 258), [0xff, 0xfe, 1, 2]],
      [0x0c, Int32Array.of(-2, 16909060), [0xff, 0xff, 0xff, 0xfe, 1, 2, 3, 4]],
      [0x0d, Float32Array.of(1.5, -2), [0x3f, 0xc0, 0, 0, 0xc0, 0, 0, 0]],
      [0x0e, Float64Array.of(1.5, -2), [
        0x3f,
        0xf8,
        ...Array(6).fill(0),
        0xc0,
        ...Array(7).fill(0),
      ]],
    ] as const;
    for (const [type, data, bytes] of numbers) {
      const packed = idx([1, 2, 1], Uint8Array.from(bytes), type);
      // A file may begin anywhere in its buffer.
      const moved = new Uint8Array(packed.length + 1);
      moved.set(packed, 1);
      assertEquals(await decodeIdx(moved.subarray(1)), { data, shape: [1, 2, 1] });
    }
  });
  it("takes a scalar, and nothing", async () => {
    assertEquals(await decodeIdx(idx([], Uint8Array.of(7))), { data: Uint8Array.of(7), shape: [] });
    assertEquals(await decodeIdx(idx([0, 3], new Uint8Array(0))), {
      data: new Uint8Array(0),
      shape: [0, 3],
    });
  });
  it("refuses what is truncated, too long, damaged or something else", async () => {
    const attempt = (
      bytes: Uint8Array,
      error: typeof TypeError | typeof RangeError,
      text: string,
    ) => assertRejects(() => decodeIdx(bytes, "x.idx"), error, `x.idx must ${text}`);
    await attempt(file.subarray(0, 17), RangeError, "have 18 bytes for its shape [2,3]: it has 17");
    await attempt(idx([2, 3], new Uint8Array(7)), RangeError, "have 18 bytes for its shape [2,3]");
    await attempt(file.subarray(0, 5), RangeError, "have a header of 12 bytes: it has 5");
    await attempt(file.subarray(0, 3), RangeError, "have a header of 4 bytes: it has 3");
    await attempt(new TextEncoder().encode("<!doctype html>"), TypeError, "be an IDX file");
    await attempt(new Uint8Array(0), TypeError, "be an IDX file");
    await attempt(idx([1], new Uint8Array(1), 0x0a), TypeError, "be an IDX file");
    const packed = await zipped(file);
    await attempt(packed.subarray(0, 20), TypeError, "be a whole gzip file");
    const damaged = packed.slice();
    damaged[damaged.length - 6] ^= 1; // In its checksum.
    await attempt(damaged, TypeError, "be a whole gzip file");
    await assertRejects(() => decodeIdx("x" as unknown as Uint8Array), TypeError, "a Uint8Array");
  });
});

describe("decodeMnist()", () => {
  const pixels = Uint8Array.from({ length: 24 }, (_, i) => 10 * i);
  const images = idx([2, 3, 4], pixels), labels = idx([2], Uint8Array.of(7, 46));

  it("gives images and labels, as bytes or as numbers", async () => {
    const bytes = await decodeMnist(await zipped(images), await zipped(labels));
    assertEquals(bytes, { x: { data: pixels, shape: [2, 1, 3, 4] }, y: Uint8Array.of(7, 46) });
    const { x } = await decodeMnist(images, labels, { dtype: "float32" });
    assertEquals(x, { data: Float32Array.from(pixels), shape: [2, 1, 3, 4] });
    const double = await decodeMnist(images, labels, { dtype: "float64" });
    assertEquals(double.x.data, Float64Array.from(pixels));
  });
  it("refuses files that do not belong together", async () => {
    await assertRejects(
      () => decodeMnist(labels, labels),
      TypeError,
      "images must be an IDX file of bytes with 3 dimensions: it has 1 and numbers of type Uint8",
    );
    await assertRejects(
      () => decodeMnist(images, idx([2], new Uint8Array(8), 0x0d), { names: ["a", "b"] }),
      TypeError,
      "b must be an IDX file of bytes with 1 dimensions: it has 1 and numbers of type Float32",
    );
    await assertRejects(
      () => decodeMnist(images, idx([3], new Uint8Array(3))),
      RangeError,
      "labels must have 2 labels, one per image: it has 3",
    );
    const wrong = { dtype: "int8" } as unknown as { dtype: "uint8" };
    await assertRejects(() => decodeMnist(images, labels, wrong), TypeError, "dtype must be");
  });
});
