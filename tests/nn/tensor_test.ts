import { describe, it } from "@std/testing/bdd";
import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import {
  argmax,
  ArgumentRangeError,
  ArgumentTypeError,
  formatTensor,
  linspace,
  predictedClasses,
  RandomState,
  reshape,
  slice,
  type Tensor,
  tensor,
  zeros,
} from "../../mod.ts";
import type { Loose } from "../support/refusals.ts";

const loose = { tensor: tensor as Loose, reshape: reshape as Loose, slice: slice as Loose };

/** A call that is refused: with which error, and what its message says. */
function assertRefused(
  call: () => unknown,
  error: typeof ArgumentTypeError | typeof ArgumentRangeError,
  message: string,
): void {
  assertEquals(assertThrows(call, error).message, message);
}

describe("tensor()", () => {
  it("takes nested arrays, whose lengths are the shape", () => {
    assertEquals(tensor([[1, 2], [3, 4], [5, 6]]), {
      data: Float64Array.of(1, 2, 3, 4, 5, 6),
      shape: [3, 2],
    });
    assertEquals(tensor([1, 2], "float32"), { data: Float32Array.of(1, 2), shape: [2] });
    assertEquals(tensor([[[1], [2]]]).shape, [1, 2, 1]);
    assertEquals(tensor([]).shape, [0]);
    assertEquals(tensor([[], []]).shape, [2, 0]);
  });
  it("takes an array of numbers and a shape", () => {
    const m = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
    assertEquals(m, { data: Float64Array.of(1, 2, 3, 4, 5, 6), shape: [2, 3] });
    assertEquals(tensor([0.1], [], "float32").data, Float32Array.of(0.1));
  });
  it("copies plain numbers, and uses typed arrays as they are", () => {
    const typed = Float32Array.of(1, 2);
    assertStrictEquals(tensor(typed, [2]).data, typed);
    const shape = [2];
    const t = tensor([1, 2], shape);
    shape[0] = 3;
    assertEquals(t.shape, [2]);
  });
  it("says where nested arrays are ragged, or hold something else", () => {
    assertRefused(
      () => tensor([[1, 2], [3]]),
      ArgumentRangeError,
      "data[1] must have length 2, like those beside it: it has 1",
    );
    assertRefused(
      () => tensor([[[1], [2]], [[3], []]]),
      ArgumentRangeError,
      "data[1][1] must have length 1, like those beside it: it has 0",
    );
    assertRefused(
      () => loose.tensor([[1, 2], 3]),
      ArgumentTypeError,
      "data[1] must be an array, like those beside it: received 3",
    );
    assertRefused(
      () => loose.tensor([[1, 2], [3, "4"]]),
      ArgumentTypeError,
      'data[1][1] must be a number: received "4"',
    );
    assertRefused(
      () => loose.tensor([1, [2]]),
      ArgumentTypeError,
      "data[1] must be a number: received an Array of length 1",
    );
    // deno-lint-ignore no-sparse-arrays
    const holed = [1, , 3];
    assertRefused(
      () => loose.tensor(holed),
      ArgumentTypeError,
      "data[1] must be a number: received undefined",
    );
    const round: unknown[] = [];
    round.push(round);
    assertRefused(
      () => loose.tensor(round),
      ArgumentRangeError,
      "data must have at most 64 dimensions",
    );
  });
  it("refuses a shape that does not fit, nested numbers beside a shape, and a wrong dtype", () => {
    assertThrows(() => tensor([1, 2, 3], [2]), ArgumentRangeError, "must hold 2 values");
    assertThrows(() => loose.tensor([[1, 2]], [1, 2]), ArgumentTypeError, "data[0] must be a numb");
    assertThrows(() => loose.tensor([1, 2], "float16"), ArgumentTypeError, 'received "float16"');
    assertThrows(() => loose.tensor([1, 2], "float32", "float32"), ArgumentTypeError, "shape must");
    assertThrows(
      () => loose.tensor(new Float32Array(2), [2], "float64"),
      ArgumentTypeError,
      'dtype must be that of the data, float32: received "float64"',
    );
  });
});

describe("reshape()", () => {
  const x = linspace(0, 11, [3, 4]);

  it("shows the same numbers in another shape", () => {
    assertStrictEquals(reshape(x, [2, 6]).data, x.data);
    assertEquals(reshape(x, [2, 6]).shape, [2, 6]);
    assertEquals(reshape(x, [-1]).shape, [12]);
    assertEquals(reshape(x, [2, -1, 3]).shape, [2, 2, 3]);
    assertEquals(reshape(zeros([0, 4]), [2, 0]).shape, [2, 0]);
    assertEquals(reshape(zeros([0, 4]), [-1, 4]).shape, [0, 4]);
  });
  it("refuses another number of numbers", () => {
    const says = (shape: string) => `shape must have the 12 values of x [3,4]: received [${shape}]`;
    assertRefused(() => reshape(x, [5, 3]), ArgumentRangeError, says("5,3"));
    assertRefused(() => reshape(x, [5, -1]), ArgumentRangeError, says("5,-1"));
    assertRefused(() => reshape(x, [0, -1]), ArgumentRangeError, says("0,-1"));
    assertThrows(() => reshape(x, [-1, -1]), ArgumentRangeError, "below 2^53");
    assertThrows(() => reshape(zeros([0]), [0, -1]), ArgumentRangeError, "shape must have the 0");
    assertThrows(() => loose.reshape(x, 12), ArgumentTypeError, "shape must be an array of sizes");
    assertThrows(() => loose.reshape([1], [1]), ArgumentTypeError, "x must be a tensor");
  });
});

/** A part of a tensor by the definition: element by element. */
function sliced({ data, shape }: Tensor, start: number, end: number, axis: number): number[] {
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
  return [...data].filter((_, i) => {
    const place = Math.floor(i / strides[axis]) % shape[axis];
    return place >= start && place < end;
  });
}

describe("slice()", () => {
  const x = new RandomState(0).randn([4, 3, 5]);

  it("copies a part along any axis", () => {
    for (const axis of [0, 1, 2]) {
      for (const [start, end] of [[0, 2], [1, 3], [2, 2], [0, 3]]) {
        const part = slice(x, start, end, axis);
        assertEquals([...part.data], sliced(x, start, end, axis));
        assertEquals(part.shape[axis], end - start);
      }
    }
    const copy = slice(x, 0);
    assertEquals(copy, x);
    copy.data[0]++;
    assertEquals(copy.data[0], x.data[0] + 1);
  });
  it("counts as Array.slice does", () => {
    const numbers = [0, 1, 2, 3, 4], t = tensor(numbers, "float32");
    for (const start of [-9, -5, -2, 0, 3, 5, 9]) {
      for (const end of [-9, -1, 0, 2, 5, 9, undefined]) {
        assertEquals([...slice(t, start, end).data], numbers.slice(start, end));
      }
    }
    assertEquals(slice(x, -1, undefined, -1).shape, [4, 3, 1]);
  });
  it("refuses numbers that are not whole, and axes that there are not", () => {
    assertThrows(() => slice(x, 0.5), ArgumentRangeError, "start must be a whole number");
    assertThrows(() => slice(x, 0, 1, 3), ArgumentRangeError, "from -3 to 2: received 3");
    assertThrows(() => loose.slice(x), ArgumentTypeError, "start must be a number");
  });
});

describe("argmax()", () => {
  it("gives the first of the largest along an axis", () => {
    const x = tensor([[1, 5, 5], [7, 0, -1]]);
    assertEquals(argmax(x, 1), Int32Array.of(1, 0));
    assertEquals(argmax(x, -1), argmax(x, 1));
    assertEquals(argmax(x, 0), Int32Array.of(1, 0, 0));
    assertEquals(argmax(x), 3);
    assertEquals(argmax(tensor([7], [])), 0);
  });
  it("goes through the axes between others", () => {
    const x = new RandomState(1).randn([3, 4, 5]), places = argmax(x, 1);
    for (let i = 0; i < 3; i++) {
      for (let j = 0; j < 5; j++) {
        const line = [0, 1, 2, 3].map((k) => x.data[(i * 4 + k) * 5 + j]);
        assertEquals(places[i * 5 + j], line.indexOf(Math.max(...line)));
      }
    }
  });
  it("lets a NaN win, and gives the classes that a net predicts", () => {
    assertEquals(argmax(tensor([1, NaN, 3, NaN])), 1);
    const scores = new RandomState(2).randn([20, 10]);
    assertEquals(argmax(scores, 1), predictedClasses(scores));
  });
  it("refuses an empty axis", () => {
    assertThrows(() => argmax(zeros([0])), ArgumentRangeError, "no empty dimension");
    assertThrows(() => argmax(zeros([2, 0]), 1), ArgumentRangeError, "no empty dimension");
    assertEquals(argmax(zeros([2, 0]), 0).length, 0);
    assertThrows(() => argmax(zeros([2]), 1), ArgumentRangeError, "axis must be");
  });
});

describe("formatTensor()", () => {
  it("shows all numbers of a small tensor", () => {
    assertEquals(
      formatTensor(tensor([[1, -2.5], [1 / 3, 1e-7]])),
      "float64 [2,2]\n[[1, -2.5],\n [0.333333, 1e-7]]",
    );
    assertEquals(
      formatTensor(tensor([[[1], [NaN]]], "float32")),
      "float32 [1,2,1]\n[[[1],\n  [NaN]]]",
    );
    assertEquals(formatTensor(tensor([3], [])), "float64 []\n3");
    assertEquals(formatTensor(zeros([0])), "float64 [0]\n[]");
  });
  it("shows the ends of each dimension of a large one", () => {
    const text = formatTensor(linspace(0, 9999, [100, 100]));
    const [head, first] = text.split("\n");
    assertEquals(head, "float64 [100,100]");
    assertEquals(first, "[[0, 1, 2, ..., 97, 98, 99],");
    assertEquals(text.split("\n").length, 8);
    assertEquals(text.endsWith(" [9900, 9901, 9902, ..., 9997, 9998, 9999]]"), true);
  });
});
