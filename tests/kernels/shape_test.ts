import { describe, it } from "@std/testing/bdd";
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  convBackward,
  convBackwardNaive,
  convForward,
  convForwardNaive,
  explainConv,
  explainMaxPool,
  full,
  linspace,
  maxPoolBackward,
  maxPoolBackwardNaive,
  maxPoolForward,
  maxPoolForwardNaive,
  RandomState,
  tensor,
  useKernels,
  zeros,
} from "../../mod.ts";

type ErrorClass = typeof TypeError | typeof RangeError;

/** A bad value in place of a good one, the error that it must bring, and what its message must hold. */
type Bad = readonly [what: string, args: unknown[], error: ErrorClass, ...parts: string[]];

/** Any function, called with arguments that its types forbid. */
type Loose = (...args: unknown[]) => unknown;

const random = new RandomState(231);
const x = random.randn([2, 3, 8, 8]), w = random.randn([4, 3, 3, 3]), b = random.randn([4]);
const params = { stride: 1, pad: 1 };
const pool = { poolHeight: 2, poolWidth: 2, stride: 2 };
const conv = convForward(x, w, b, params), pooled = maxPoolForward(x, pool);

/** Values that no step or width may have, with the error class and the text for each. */
const noWhole: readonly [unknown, ErrorClass, string][] = [
  [1.5, RangeError, "1.5"],
  [-1, RangeError, "-1"],
  [NaN, RangeError, "NaN"],
  [Infinity, RangeError, "Infinity"],
  [2 ** 53, RangeError, "9007199254740992"],
  ["2", TypeError, '"2"'],
  [null, TypeError, "null"],
  [true, TypeError, "true"],
  [{}, TypeError, "an object"],
  [[1, 1.5], RangeError, "[1] must be a whole number"],
  [[-1, 1], RangeError, "[0] must be a whole number"],
  [[1, "1"], TypeError, "[1] must be a number"],
  [[], TypeError, "received []"],
  [[1], TypeError, "received [1]"],
  [[1, 2, 3], TypeError, "received [1,2,3]"],
];

/** A value as a title has it: JSON, but for numbers that JSON does not know. */
const label = (value: unknown) =>
  typeof value === "number" ? String(value) : JSON.stringify(value) ?? String(value);

/** What is not a tensor, in place of a tensor that a message calls by `name`. */
function noTensors(name: string): [unknown, ErrorClass, ...string[]][] {
  return [
    [null, TypeError, name, "must be a tensor", "received null"],
    [undefined, TypeError, name, "must be a tensor", "received undefined"],
    [[1, 2], TypeError, name, "must be a tensor", "an Array of length 2"],
    [new Float64Array(3), TypeError, name, "must be a tensor", "a Float64Array of 24 bytes"],
    [{ data: [1, 2], shape: [2] }, TypeError, name, "Float32Array", "an Array of length 2"],
    [{ data: new Int32Array(2), shape: [2] }, TypeError, name, "Float32Array", "Int32Array"],
    [{ data: null, shape: [2] }, TypeError, name, "Float32Array", "null"],
    [{ data: new Float64Array(2), shape: 2 }, TypeError, name, "array of sizes", "received 2"],
    [{ data: new Float64Array(2), shape: ["2"] }, TypeError, name, "numbers", '"2"'],
    [{ data: new Float64Array(2), shape: [1.5] }, RangeError, name, "whole sizes", "[1.5]"],
    [{ data: new Float64Array(2), shape: [-2, -1] }, RangeError, name, "whole sizes", "[-2,-1]"],
    [{ data: new Float64Array(0), shape: [2 ** 53, 0] }, RangeError, name, "below 2^53", "[9007"],
  ];
}

/** A tensor of (2,3,8,8) that holds a number too few, or too many. */
const wrongLength = (length: number) => ({ data: new Float64Array(length), shape: [2, 3, 8, 8] });

/** What convolution and pooling say alike about x and the walk over it. */
const badWalks = (rest: (walk: object) => unknown[], least: string): Bad[] => [
  ...noWhole.flatMap(([value, error, text]): Bad[] => [
    [`stride ${label(value)}`, rest({ stride: value }), error, "stride", text],
    [`pad ${label(value)}`, rest({ pad: value }), error, "pad", text],
  ]),
  ["stride 0", rest({ stride: 0 }), RangeError, "stride", "1 or more: received 0"],
  ["stride [1, 0]", rest({ stride: [1, 0] }), RangeError, "stride[1]", "received 0"],
  ["stride of four", rest({ stride: [1, 1, 1, 1] }), TypeError, "stride", "[1,1,1,1]"],
  ["pad of five", rest({ pad: [1, 1, 1, 1, 1] }), TypeError, "pad", "[1,1,1,1,1]"],
  ["pad [0, 0, -1, 0]", rest({ pad: [0, 0, -1, 0] }), RangeError, "pad[2]", "-1"],
  ["an unknown option", rest({ strides: 2 }), TypeError, '"strides"', least],
];

const badConvs: readonly Bad[] = [
  [
    "channels that differ",
    [x, zeros([4, 2, 3, 3]), b, params],
    RangeError,
    "channels must match",
    "x has shape [2,3,8,8]",
    "w has shape [4,2,3,3]",
  ],
  ["x of rank 3", [zeros([3, 8, 8]), w, b, params], TypeError, "x must have 4", "[3,8,8]"],
  [
    "w of rank 5",
    [x, zeros([4, 3, 3, 3, 1]), b, params],
    TypeError,
    "w must have 4",
    "[4,3,3,3,1]",
  ],
  ["b of rank 2", [x, w, zeros([4, 1]), params], TypeError, "w [4,3,3,3]", "[4]: received [4,1]"],
  ["too many biases", [x, w, zeros([5]), params], RangeError, "w [4,3,3,3]", "[4]: received [5]"],
  ["data too short", [wrongLength(383), w, b, params], RangeError, "384", "[2,3,8,8]", "holds 383"],
  ["data too long", [wrongLength(385), w, b, params], RangeError, "384", "[2,3,8,8]", "holds 385"],
  [
    "w of another dtype",
    [x, zeros(w.shape, "float32"), b, params],
    TypeError,
    "x is float64 [2,3,8,8]",
    "w is float32 [4,3,3,3]",
  ],
  [
    "b of another dtype",
    [x, w, zeros([4], "float32"), params],
    TypeError,
    "x is float64 [2,3,8,8]",
    "b is float32 [4]",
  ],
  [
    "a kernel higher than the padded input",
    [x, zeros([4, 3, 11, 3]), b, params],
    RangeError,
    "[11,3]",
    "padded input is [10,10]",
    "input [8,8]",
    "pad [1,1,1,1]",
  ],
  [
    "a kernel wider than the padded input",
    [x, zeros([4, 3, 3, 9]), b, { pad: [5, 0] }],
    RangeError,
    "[3,9]",
    "padded input is [18,8]",
    "pad [5,0,5,0]",
  ],
  ["no filters", [x, zeros([0, 3, 3, 3]), zeros([0]), params], RangeError, "w", "[0,3,3,3]"],
  ["no channels", [zeros([2, 0, 8, 8]), w, b, params], RangeError, "x", "[2,0,8,8]"],
  ["an empty plane", [zeros([2, 3, 0, 8]), w, b, params], RangeError, "x", "[2,3,0,8]"],
  ["params null", [x, w, b, null], TypeError, "convParam", "null"],
  ["null as params", [x, w, b, null], TypeError, "convParam", "null"],
  ["a number as params", [x, w, b, 1], TypeError, "convParam", "received 1"],
  ["an array as params", [x, w, b, [1, 1]], TypeError, "convParam", "an Array of length 2"],
  ...badWalks((walk) => [x, w, b, walk], "stride, pad"),
  // Null in place of b is a convolution without biases.
  ...["x", "w", "b"].flatMap((name, at) =>
    noTensors(name).filter(([value]) => name !== "b" || value !== null).map((
      [value, error, ...parts],
    ): Bad => [
      `${name} as ${label(value)}`,
      [x, w, b, params].with(at, value as typeof x),
      error,
      ...parts,
    ])
  ),
];

const badConvGradients: readonly Bad[] = [
  [
    "dout of another size",
    [zeros([2, 4, 8, 7]), conv.cache],
    RangeError,
    "dout",
    "[2,4,8,8]: received [2,4,8,7]",
  ],
  ["dout of another rank", [zeros([8, 8, 8]), conv.cache], TypeError, "[2,4,8,8]", "[8,8,8]"],
  [
    "dout of another dtype",
    [zeros([2, 4, 8, 8], "float32"), conv.cache],
    TypeError,
    "dout is float32 [2,4,8,8]",
    "x is float64 [2,3,8,8]",
  ],
  ["cache null", [conv.out, null], TypeError, "cache", "null"],
  ["cache left out", [conv.out], TypeError, "cache", "undefined"],
  ["an empty cache", [conv.out, {}], TypeError, "cache must have x, w, b, convParam", "[]"],
  ["a pool's cache", [conv.out, pooled.cache], TypeError, "cache", '"poolParam"'],
  [
    "a cache that fits no convolution",
    [conv.out, { ...conv.cache, w: zeros([4, 2, 3, 3]) }],
    RangeError,
    "[2,3,8,8]",
    "[4,2,3,3]",
  ],
  [
    "a cache with another stride",
    [conv.out, { ...conv.cache, convParam: { stride: 2, pad: 1 } }],
    RangeError,
    "dout",
    "[2,4,4,4]: received [2,4,8,8]",
  ],
  ["an unknown option", [conv.out, conv.cache, { dw: false }], TypeError, '"dw"', "known are dx"],
  ["options null", [conv.out, conv.cache, null], TypeError, "options", "null"],
  ["dx as a string", [conv.out, conv.cache, { dx: "no" }], TypeError, "dx", '"no"'],
  ...noTensors("dout").map(([value, error, ...parts]): Bad => [
    `dout as ${label(value)}`,
    [value, conv.cache],
    error,
    ...parts,
  ]),
];

const badPools: readonly Bad[] = [
  ["x of rank 3", [zeros([3, 8, 8]), pool], TypeError, "x must have 4", "[3,8,8]"],
  ["data too short", [wrongLength(383), pool], RangeError, "384", "[2,3,8,8]", "holds 383"],
  [
    "a window higher than its input",
    [x, { poolHeight: 9, poolWidth: 2, stride: 1 }],
    RangeError,
    "[9,2]",
    "padded input is [8,8]",
  ],
  [
    "a window wider than its padded input",
    [x, { poolHeight: 2, poolWidth: 11, stride: 1, pad: [0, 1] }],
    RangeError,
    "[2,11]",
    "padded input is [8,10]",
    "pad [0,1,0,1]",
  ],
  [
    "padding as large as the window",
    [x, { ...pool, pad: [0, 0, 2, 0] }],
    RangeError,
    "pad is [0,0,2,0]",
    "the window [2,2]",
    "[2,3,8,8]",
  ],
  ["no height", [x, { poolWidth: 2, stride: 2 }], TypeError, "poolHeight", "undefined"],
  ["no width", [x, { poolHeight: 2, stride: 2 }], TypeError, "poolWidth", "undefined"],
  ["no stride", [x, { poolHeight: 2, poolWidth: 2 }], TypeError, "stride", "undefined"],
  ["height 0", [x, { ...pool, poolHeight: 0 }], RangeError, "poolHeight", "received 0"],
  ["width 1.5", [x, { ...pool, poolWidth: 1.5 }], RangeError, "poolWidth", "1.5"],
  ["an empty plane", [zeros([2, 3, 8, 0]), pool], RangeError, "x", "[2,3,8,0]"],
  ["params null", [x, null], TypeError, "poolParam", "null"],
  ["params left out", [x], TypeError, "poolParam", "undefined"],
  ...badWalks((walk) => [x, { ...pool, ...walk }], "poolHeight, poolWidth, stride, pad"),
  ...noTensors("x").map(([value, error, ...parts]): Bad => [
    `x as ${label(value)}`,
    [value, pool],
    error,
    ...parts,
  ]),
];

const badPoolGradients: readonly Bad[] = [
  [
    "dout of another size",
    [zeros([2, 3, 4, 5]), pooled.cache],
    RangeError,
    "dout",
    "[2,3,4,4]: received [2,3,4,5]",
  ],
  ["dout of another rank", [zeros([96]), pooled.cache], TypeError, "[2,3,4,4]: received [96]"],
  [
    "dout of another dtype",
    [zeros([2, 3, 4, 4], "float32"), pooled.cache],
    TypeError,
    "dout is float32 [2,3,4,4]",
    "x is float64 [2,3,8,8]",
  ],
  ["cache null", [pooled.out, null], TypeError, "cache", "null"],
  ["cache left out", [pooled.out], TypeError, "cache", "undefined"],
  ["an empty cache", [pooled.out, {}], TypeError, "cache must have x, poolParam", "[]"],
  ["a convolution's cache", [pooled.out, conv.cache], TypeError, "cache", '"w"'],
  [
    "a cache with another window",
    [pooled.out, { x, poolParam: { ...pool, stride: 1 } }],
    RangeError,
    "dout",
    "[2,3,7,7]: received [2,3,4,4]",
  ],
  ...noTensors("dout").map(([value, error, ...parts]): Bad => [
    `dout as ${label(value)}`,
    [value, pooled.cache],
    error,
    ...parts,
  ]),
];

/** What is asked of a shape alone. */
const badExplanations: readonly Bad[] = [
  [
    "channels that differ",
    [[2, 3, 8, 8], [4, 2, 3, 3], params],
    RangeError,
    "x has shape [2,3,8,8]",
    "w has shape [4,2,3,3]",
  ],
  [
    "x of rank 3",
    [[3, 8, 8], [4, 3, 3, 3], params],
    TypeError,
    "x has shape [3,8,8]",
    "w has shape [4,3,3,3]",
  ],
  ["a size that is not whole", [[2, 3, 8, 8.5], [4, 3, 3, 3], params], RangeError, "[2,3,8,8.5]"],
  ["a tensor as a shape", [x, [4, 3, 3, 3], params], TypeError, "shape of x", "an object"],
  ["a shape null", [[2, 3, 8, 8], null, params], TypeError, "shape of w", "null"],
  ["an unknown dtype", [[2, 3, 8, 8], [4, 3, 3, 3], params, "int8"], TypeError, '"int8"'],
  ...badWalks((walk) => [[2, 3, 8, 8], [4, 3, 3, 3], walk], "stride, pad"),
];

const badPoolExplanations: readonly Bad[] = [
  ["x of rank 2", [[8, 8], pool], TypeError, "The shape of x", "[8,8]"],
  ["a window too large", [[2, 3, 8, 8], { ...pool, poolHeight: 9 }], RangeError, "[9,2]", "[8,8]"],
  ["an unknown dtype", [[2, 3, 8, 8], pool, "float16"], TypeError, '"float16"'],
  ...badWalks((walk) => [[2, 3, 8, 8], { ...pool, ...walk }], "poolHeight"),
];

const refusals: readonly [Loose, readonly Bad[]][] = [
  [convForwardNaive as Loose, badConvs],
  [convForward as Loose, badConvs],
  [convBackwardNaive as Loose, badConvGradients],
  [convBackward as Loose, badConvGradients],
  [maxPoolForwardNaive as Loose, badPools],
  [maxPoolForward as Loose, badPools],
  [maxPoolBackwardNaive as Loose, badPoolGradients],
  [maxPoolBackward as Loose, badPoolGradients],
  [explainConv as Loose, badExplanations],
  [explainMaxPool as Loose, badPoolExplanations],
  [tensor as Loose, [
    ["too few numbers", [new Float64Array(5), [2, 3]], RangeError, "6", "[2,3]", "holds 5"],
    ["too many plain numbers", [[1, 2], [1]], RangeError, "must hold 1", "holds 2"],
    ["an array of bytes", [new Uint8Array(2), [2]], TypeError, "Float32Array", "a Uint8Array"],
    ["no shape", [new Float64Array(5)], TypeError, "array of sizes", "undefined"],
  ]],
  [zeros as Loose, [
    ["a number as shape", [3], TypeError, "shape", "received 3"],
    ["a negative size", [[2, -1]], RangeError, "shape", "[2,-1]"],
    ["an unknown dtype", [[2], "float16"], TypeError, '"float16"'],
  ]],
  [full as Loose, [["no value", [[2]], TypeError, "value", "undefined"]]],
  [linspace as Loose, [
    ["a string as end", [0, "1", [2]], TypeError, "stop", '"1"'],
    ["a size that is not whole", [0, 1, [0.5]], RangeError, "[0.5]"],
  ]],
  [useKernels as Loose, [
    ["an unknown choice", ["fast"], TypeError, "auto, simd, generated, naive", '"fast"'],
    ["null", [null], TypeError, "auto, simd, generated, naive", "null"],
  ]],
];

for (const [call, bads] of refusals) {
  describe(`${call.name}() refuses`, () => {
    for (const [what, args, error, ...parts] of bads) {
      it(`${what}, before it writes`, () => {
        const kept = structuredClone(args);
        const thrown = assertThrows(() => call(...args), error);
        for (const part of parts) assertStringIncludes(thrown.message, part);
        assertEquals(args, kept);
      });
    }
  });
}

describe("Sizes that can be", () => {
  it("are a stride above the input's size, and a kernel as large as the padded input", () => {
    const { out } = convForward(x, zeros([1, 3, 10, 10]), zeros([1]), { stride: 99, pad: 1 });
    assertEquals(out.shape, [2, 1, 1, 1]);
  });

  it("are every way to write one walk", () => {
    const { out } = convForward(x, w, b, { stride: 2, pad: 1 });
    for (const stride of [2, [2, 2]] as const) {
      for (const pad of [1, [1, 1], [1, 1, 1, 1]] as const) {
        assertEquals(convForward(x, w, b, { stride, pad }).out, out);
      }
    }
    const plain = convForward(x, w, b, { stride: 1, pad: 0 }).out;
    assertEquals(convForward(x, w, b, {}).out, plain);
    assertEquals(convForward(x, w, b, { stride: undefined, pad: undefined }).out, plain);
  });
});
