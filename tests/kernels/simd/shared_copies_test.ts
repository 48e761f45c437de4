import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import { copiesOf, reserve } from "../../../kernels/simd/memory.ts";
import { immediate, scratchLike } from "../../../kernels/simd/queue.ts";
import { COPYING, memoryOf, sharedBuffer } from "../../../kernels/simd/shared_copies.ts";
import { linspace, useThreads } from "../../../mod.ts";
import type { FloatArray } from "../../../kernels/tensor.ts";
import { assertSameBits } from "../../support/bits.ts";

/** Arrays of a kind, with other numbers around them. */
type Make = (length: number) => FloatArray;

const plain: Readonly<Record<string, Make>> = {
  float32: (length) => new Float32Array(length + 30).subarray(5, length + 5),
  float64: (length) => new Float64Array(length + 30).subarray(5, length + 5),
};
const inMemories: typeof plain = {
  float32: (length) => new Float32Array(sharedBuffer(4 * length + 120)!, 20, length),
  float64: (length) => new Float64Array(sharedBuffer(8 * length + 240)!, 40, length),
};

/** Copies in and out by every step that there is; returns the array and what came into the memory. */
function copyAll(make: Make): FloatArray[] {
  const array = make(1000), size = array.BYTES_PER_ELEMENT;
  reserve(40_000);
  const memory = scratchLike(array).subarray(0, 3000).fill(-1);
  array.set(linspace(1, 2, [1000]).data);
  immediate.load(16 * size, array, 3, 120);
  // An end beyond the array's is its end.
  immediate.load(300 * size, array, 990, 1010);
  immediate.loadRows(400 * size, array, 7, 50, 11, 9);
  immediate.loadRows(600 * size, array, 7, 50, 50, 3);
  immediate.store(array, 800, 30, 20 * size);
  immediate.storeRows(array, 100, 60, 13, 8, 400 * size);
  immediate.storeRows(array, 860, 10, 10, 2, 610 * size);
  return [array.slice(), memory.slice()];
}

describe("Copies between two memories", () => {
  for (const dtype of ["float32", "float64"]) {
    it(`are those of arrays, ${dtype}`, () => {
      assertSameBits(copyAll(inMemories[dtype]), copyAll(plain[dtype]));
    });
  }

  it("are of buffers that are memories, of whole pages", () => {
    assert(WebAssembly.validate(COPYING), "this host has modules with two memories");
    const buffer = sharedBuffer(70_000)!;
    assertEquals([buffer.byteLength, copiesOf(buffer) !== undefined], [131_072, true]);
    assert(copiesOf(buffer) === copiesOf(buffer));
    assertEquals(memoryOf(new SharedArrayBuffer(70_000)), undefined);
    assertEquals(copiesOf(new ArrayBuffer(8)), undefined);
  });

  it("serve tensors that last, while threads are in force", async () => {
    assertEquals(memoryOf(linspace(0, 1, [100_000]).data.buffer), undefined);
    using _ = await useThreads(2);
    const { data } = linspace(0, 1, [100_000]);
    assert(memoryOf(data.buffer) !== undefined);
    assertEquals([data.length, data.byteOffset], [100_000, 0]);
    // Small ones are not worth a memory.
    assertEquals(memoryOf(linspace(0, 1, [10_000]).data.buffer), undefined);
  });
});
