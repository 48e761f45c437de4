import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  BlockNet,
  type Checkpoint,
  decodeCheckpoint,
  encodeCheckpoint,
  RandomState,
  Solver,
  tensor,
} from "../../../mod.ts";
import { crc32 } from "../../../nn/training/crc32.ts";
import { data, noisy, NoisyNet } from "../../support/small_nets.ts";
import { assertSameBits } from "../../support/bits.ts";
import { watchArrays } from "../../support/watch.ts";

describe("encodeCheckpoint()", () => {
  const solver = new Solver(new NoisyNet(), data, noisy);
  solver.train();

  it("keeps every bit", () => {
    const checkpoint = { ...solver.checkpoint(), lossHistory: [NaN, -0, Infinity, -Infinity, 0.1] };
    assertSameBits(decodeCheckpoint(encodeCheckpoint(checkpoint)), checkpoint);
    const float32 = { W: tensor(Float32Array.of(1.5, -0, NaN), [3]) };
    const mixed = { ...checkpoint, bestParams: float32, bestModelState: null };
    assertSameBits(decodeCheckpoint(encodeCheckpoint(mixed)), mixed);
  });

  it("writes a safetensors file", () => {
    const bytes = encodeCheckpoint(solver.checkpoint());
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    assertEquals(length % 8, 0);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    const { dtype, shape, data_offsets: [from, to] } = header["params.W1"];
    assertEquals([dtype, shape], ["F64", [4, 6]]);
    const weights = new Float64Array(bytes.buffer.slice(8 + length + from, 8 + length + to));
    assertEquals(weights, solver.checkpoint().params.W1.data);
  });

  it("refuses what is not plain data, and says where it is", () => {
    const circle: Record<string, unknown> = {};
    circle.again = circle;
    class Thing {
      value = 1;
    }
    const cases: Record<string, unknown> = {
      "a Map": new Map([[1, 2]]),
      "a Set": new Set([1]),
      "a Date": new Date(0),
      "a RegExp": /x/,
      "a Promise": Promise.resolve(),
      "an object of a class": new Thing(),
      "an array of whole numbers": new Int32Array(3),
      "an array of numbers without a shape": new Float64Array(3),
      "a function": () => {},
      "a symbol": Symbol("x"),
      "a bigint": 1n,
      "a hole": [1, , 3], // deno-lint-ignore no-sparse-arrays
      "undefined in an array": [undefined],
      "a tensor of a wrong shape": { data: new Float64Array(3), shape: [4] },
      "a tensor with more to it": { data: new Float64Array(3), shape: [3], grad: 1 },
      "a circle": circle,
    };
    for (const [what, value] of Object.entries(cases)) {
      for (const part of [{ value }, [value], { deeper: { value } }]) {
        const checkpoint = { ...solver.checkpoint(), extra: part } as Checkpoint;
        const error = assertThrows(
          () => encodeCheckpoint(checkpoint),
          Error,
          "checkpoint.extra",
          what,
        );
        assert(error instanceof TypeError || error instanceof RangeError, what);
      }
    }
  });

  it("keeps keys apart that look alike, and keys that look like its own signs", () => {
    const one = (v: number) => tensor(Float64Array.of(v), [1]);
    const keys = ["a.b", "a\\", "a\\.b", "", ".", "$tensor", "$number", "$", "$$x", "__proto__"];
    const odd = Object.fromEntries(
      [...keys, "__metadata__", "constructor", "7"].map((key, i) =>
        [key, { plain: i, tensor: one(i), [key]: { [key]: one(-i) }, $number: key }] as const
      ),
    );
    const checkpoint = {
      ...odd,
      __metadata__: one(5),
      "8": one(9),
      "a.b": one(1),
      a: { b: one(2), "c.d": one(3), c: { d: one(4) }, ...odd },
      "a.b.c": { $tensor: "a.b" },
      "a\\": { b: one(10) },
      list: [one(6), [one(7)], { $number: "-0" }],
      "list.0": one(8),
    } as unknown as Checkpoint;
    assertSameBits(decodeCheckpoint(encodeCheckpoint(checkpoint)), checkpoint);
  });

  it("takes any number of tensors", () => {
    const count = 200_000;
    const params = Object.fromEntries(
      Array.from({ length: count }, (_, i) => [`W${i}`, tensor(Float32Array.of(i), [1])] as const),
    );
    const { params: read } = decodeCheckpoint(
      encodeCheckpoint({ params } as unknown as Checkpoint),
    );
    assertEquals(Object.keys(read).length, count);
    assertEquals(read[`W${count - 1}`].data, Float32Array.of(count - 1));
  });

  it("is undone by decodeCheckpoint alone, which takes no part of a file", () => {
    const bytes = encodeCheckpoint(solver.checkpoint());
    assertThrows(() => decodeCheckpoint(bytes.subarray(0, 5)), RangeError, "it has 5 bytes");
    assertThrows(() => decodeCheckpoint(bytes.subarray(0, 100)), RangeError, "it has 100 bytes");
    const short = bytes.subarray(0, bytes.length - 1);
    assertThrows(() => decodeCheckpoint(short), RangeError, `it has ${short.length}`);
    const other = new TextEncoder().encode("........{}");
    other.set([2, 0, 0, 0, 0, 0, 0, 0]);
    assertThrows(() => decodeCheckpoint(other), TypeError, "must be a checkpoint");
  });
});

describe("decodeCheckpoint()", () => {
  /** A file of format 1, which has no checksum: nothing but the checks of its header stands before us. */
  function fileOf(
    tensors: Record<string, unknown>,
    { data = 16, rest = Object.keys(tensors).map((name) => ({ $tensor: name })) as unknown } = {},
    metadata: Record<string, unknown> = {},
  ): Uint8Array {
    const format = "cnn-layers checkpoint 1", checkpoint = JSON.stringify(rest);
    const header = { __metadata__: { format, checkpoint, ...metadata }, ...tensors };
    return withLength(JSON.stringify(header), data);
  }

  function withLength(header: string, data: number): Uint8Array {
    const text = new TextEncoder().encode(header), bytes = new Uint8Array(8 + text.length + data);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
    bytes.set(text, 8);
    return bytes;
  }

  const entry = (shape: unknown, data_offsets: unknown, dtype: unknown = "F64") => //
  ({ dtype, shape, data_offsets });
  const left = entry([1], [0, 8]), right = entry([1], [8, 16]);

  it("takes a header that is in order", () => {
    const read: unknown = decodeCheckpoint(fileOf({ left, right }));
    assertEquals(read, [1, 2].map(() => tensor(new Float64Array(1), [1])));
    const none: unknown = decodeCheckpoint(fileOf({}, { data: 0, rest: { none: 1 } }));
    assertEquals(none, { none: 1 });
    const empty: unknown = decodeCheckpoint(fileOf({ left: entry([0, 3], [0, 0]) }, { data: 0 }));
    assertEquals(empty, [tensor(new Float64Array(0), [0, 3])]);
  });

  const tensors: Record<string, Record<string, unknown>> = {
    "offsets that are short": { left: entry([1], [0, 4]), right },
    "offsets that are long": { left: entry([1], [0, 16]) },
    "offsets that overlap": { left: entry([2], [0, 16]), right },
    "offsets of the same bytes": { left, right: left, end: right },
    "offsets that are reversed": { left: entry([1], [8, 0]), right },
    "offsets that are negative": { left: entry([1], [-8, 0]), right: entry([2], [0, 16]) },
    "offsets that are text": { left: entry([1], ["0", "8"]), right },
    "offsets with a gap before them": { right },
    "offsets in another order": { right, left },
    "one offset": { left: entry([1], [0]), right },
    "no offsets": { left: { dtype: "F64", shape: [1] }, right },
    "a size that is text": { left: entry(["1"], [0, 8]), right },
    "a negative size": { left: entry([-1, -1], [0, 8]), right },
    "sizes whose product is too large": { left: entry([2 ** 27, 3], [0, 16]) },
    "sizes whose product is not a number": { left: entry([1e308, 1e308, 0], [0, 16]) },
    "a dtype that is not ours": { left: entry([1], [0, 8], "I64"), right },
    "a dtype of another size": { left: entry([1], [0, 8], "F32"), right },
    "an unknown part of an entry": { left: { ...left, stride: 1 }, right },
    "null for an entry": { left, right, end: null },
  };
  for (const [what, header] of Object.entries(tensors)) {
    it(`refuses ${what}, and makes room for nothing`, () => {
      const bytes = fileOf(header);
      assertThrows(() => decodeCheckpoint(bytes), TypeError, "checkpoint");
      const arrays = watchArrays(() => {
        try {
          decodeCheckpoint(bytes);
        } catch {
          // As it should.
        }
      });
      assert(arrays.every((size) => size <= bytes.length), String(arrays));
    });
  }

  const deep = (depth: number) => JSON.parse("[".repeat(depth) + "]".repeat(depth));
  const rests: Record<string, unknown> = {
    "a tensor that is not there": [{ $tensor: "left" }, { $tensor: "right" }, { $tensor: "end" }],
    "a tensor that every object has": [{ $tensor: "left" }, { $tensor: "right" }, {
      $tensor: "constructor",
    }],
    "a tensor in two places": [{ $tensor: "left" }, { $tensor: "right" }, { $tensor: "left" }],
    "a tensor in no place": [{ $tensor: "left" }],
    "a number that is none": [{ $tensor: "left" }, { $tensor: "right" }, { $number: "1e5" }],
    "a number that every object has": [{ $tensor: "left" }, { $tensor: "right" }, {
      $number: "toString",
    }],
    "lists in lists without end": [{ $tensor: "left" }, { $tensor: "right" }, deep(5000)],
  };
  for (const [what, rest] of Object.entries(rests)) {
    it(`refuses ${what}`, () => {
      assertThrows(
        () => decodeCheckpoint(fileOf({ left, right }, { rest })),
        TypeError,
        "checkpoint",
      );
    });
  }

  it("refuses other formats, and none", () => {
    const attempt = (metadata: Record<string, unknown>) => () =>
      decodeCheckpoint(fileOf({ left, right }, {}, metadata));
    assertThrows(attempt({ format: "pt" }), TypeError, "its format is pt");
    assertThrows(attempt({ format: "cnn-layers checkpoint 3" }), TypeError, "checkpoint 3");
    assertThrows(attempt({ format: "cnn-layers checkpoint 2" }), TypeError, "checkpoint 2");
    assertThrows(attempt({ checkpoint: 5 }), TypeError, "must be JSON");
    assertThrows(attempt({ checkpoint: "{" }), TypeError, "must be a checkpoint");
    assertThrows(attempt({ crc32: "00000000" }), TypeError, '"crc32"');
    for (const header of ["null", "[]", "{}", '{"__metadata__":null}', "1", '"', ""]) {
      assertThrows(
        () => decodeCheckpoint(withLength(header, 0)),
        TypeError,
        "must be a checkpoint",
      );
    }
    assertThrows(() => decodeCheckpoint([] as unknown as Uint8Array), TypeError, "Uint8Array");
  });

  const small = {
    iteration: 1,
    params: { W: tensor(Float64Array.of(0.5, -0), [2]), b: tensor(Float32Array.of(7), [1]) },
    lossHistory: [0.25, NaN],
  } as unknown as Checkpoint;

  it("refuses bytes that are missing, and bytes that are left over", () => {
    const bytes = encodeCheckpoint(small);
    for (let length = 0; length < bytes.length; length++) {
      assertThrows(() => decodeCheckpoint(bytes.slice(0, length)), RangeError, `${length}`);
    }
    for (const extra of [1, 8, 1000]) {
      const longer = new Uint8Array(bytes.length + extra);
      longer.set(bytes);
      assertThrows(() => decodeCheckpoint(longer), RangeError, `it has ${longer.length}`);
    }
  });

  it("refuses bytes of which a single bit is another, wherever it is", () => {
    const bytes = encodeCheckpoint(small);
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const damaged = bytes.slice();
      damaged[bit >> 3] ^= 1 << (bit & 7);
      assertThrows(() => decodeCheckpoint(damaged), Error, "checkpoint", `bit ${bit}`);
    }
    assertSameBits(decodeCheckpoint(bytes), small);
  });

  it("says that the bytes are damaged where a number of a tensor is another", () => {
    const bytes = encodeCheckpoint(small);
    bytes[bytes.length - 1] ^= 1;
    assertThrows(() => decodeCheckpoint(bytes), TypeError, "its bytes are damaged");
  });

  it("takes bytes wherever they lie in their buffer", () => {
    const bytes = encodeCheckpoint(small), shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    assertSameBits(decodeCheckpoint(shifted.subarray(3)), small);
  });

  it("reads a file of format 1, from which a training run continues as ever", async () => {
    const bytes = await Deno.readFile(
      new URL("../../fixtures/checkpoint-1.safetensors", import.meta.url),
    );
    const random = new RandomState(10), x = random.randn([60, 4]);
    const y = Array.from({ length: 60 }, (_, i) => i % 3);
    for (let i = 0; i < 60; i++) x.data[i * 4 + y[i]] += 2;
    const make = () => {
      const net = new BlockNet({
        inputDim: 4,
        blocks: [{ affine: 6, batchnorm: true, dropout: 0.8 }],
        numClasses: 3,
        random: new RandomState(1),
      });
      return new Solver(net, { xTrain: x, yTrain: y, xVal: x, yVal: y }, {
        updateRule: "adam",
        optimConfig: { learningRate: 0.02 },
        lrDecay: 0.9,
        numEpochs: 4,
        batchSize: 10,
        numTrainSamples: 25,
        verbose: false,
      });
    };
    const whole = make(), resumed = make();
    whole.train();
    resumed.resume(decodeCheckpoint(bytes));
    assertEquals(resumed.iteration, 15);
    resumed.train();
    assertEquals(resumed.iteration, 24);
    // What the file was written with may round otherwise than today's layers.
    for (const [i, loss] of whole.lossHistory.entries()) {
      assertAlmostEquals(resumed.lossHistory[i], loss, 1e-12);
    }
    assertAlmostEquals(resumed.lossHistory[23], 0.8676377756124832, 1e-12);
    assertEquals(resumed.valAccHistory, whole.valAccHistory);
    assertEquals(resumed.bestValAcc, 0.6);
  });
});

describe("crc32()", () => {
  it("gives the checksum of zip and PNG", () => {
    const bytes = new TextEncoder().encode("123456789");
    assertEquals(crc32(bytes), 0xcbf43926);
    assertEquals(crc32(bytes.subarray(4), crc32(bytes.subarray(0, 4))), 0xcbf43926);
    assertEquals(crc32(new Uint8Array(0)), 0);
    // The end of every PNG: the checksum of "IEND".
    assertEquals(crc32(new TextEncoder().encode("IEND")), 0xae426082);
  });
});
