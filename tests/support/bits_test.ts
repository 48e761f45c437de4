import { describe, it } from "@std/testing/bdd";
import { assertThrows } from "@std/assert";
import { assertSameBits } from "./bits.ts";

/** A NaN with other bits than the usual one's. */
function oddNaN(): Float64Array {
  const array = new Float64Array(1);
  new Uint32Array(array.buffer).set([1, 0xfff00000]);
  return array;
}

describe("assertSameBits()", () => {
  it("takes what is equal to the last bit", () => {
    const value = () => ({
      numbers: [0, -0, NaN, Infinity, 0.1],
      data: Float32Array.of(0, -0, NaN, 1e-45),
      nested: { text: "a", none: null, missing: undefined },
    });
    assertSameBits(value(), value());
    assertSameBits(new Float64Array(3).subarray(1), new Float64Array(2));
    assertSameBits(new Map([["a", 1]]), new Map([["a", 1]]));
  });

  it("tells 0 from -0 wherever it stands", () => {
    for (const type of [Float32Array, Float64Array]) {
      assertThrows(() => assertSameBits(type.of(1, 0), type.of(1, -0)), Error, "[1] is 0, not -0");
      assertThrows(() => assertSameBits(type.of(-0), type.of(0)), Error, "[0] is -0, not 0");
    }
    assertThrows(() => assertSameBits([1, -0], [1, 0]), Error, "[1] is -0, not 0");
    assertThrows(() => assertSameBits({ a: { b: 0 } }, { a: { b: -0 } }), Error, "value.a.b is 0");
    assertThrows(() => assertSameBits(0, -0, "the sum"), Error, "the sum is 0, not -0");
  });

  it("tells other numbers, lengths, types and names apart", () => {
    const close = 1 + Number.EPSILON;
    assertThrows(() => assertSameBits(Float64Array.of(1), Float64Array.of(close)), Error, "is 1, ");
    assertThrows(() => assertSameBits([1, 2], [1]), Error, "holds 2 values, not 1");
    assertThrows(() => assertSameBits([1], [1, undefined]), Error, "holds 1 values, not 2");
    assertThrows(() => assertSameBits(new Float32Array(1), new Float64Array(1)), Error, "Float32");
    assertThrows(() => assertSameBits({ a: 1 }, { a: 1, b: undefined }), Error, "has no b");
    assertThrows(() => assertSameBits({ a: 1, b: 2 }, { a: 1 }), Error, "has b");
    assertThrows(() => assertSameBits(null, {}), Error, "is null");
    assertThrows(() => assertSameBits("1", 1), Error, 'is "1", not 1');
    assertThrows(() => assertSameBits(new Map([["a", 1]]), new Map([["a", 2]])), Error);
  });

  it("tells one NaN from another only if payloads count", () => {
    assertSameBits(oddNaN(), Float64Array.of(NaN));
    assertSameBits(oddNaN(), oddNaN(), "x", { payloads: true });
    const differ = () => assertSameBits(oddNaN(), Float64Array.of(NaN), "x", { payloads: true });
    assertThrows(differ, Error, "byte");
  });
});
