import {
  averagePool1dBackward,
  averagePool1dForward,
  averagePoolBackward,
  averagePoolBackwardNaive,
  averagePoolForward,
  averagePoolForwardNaive,
  explainAveragePool,
  explainMaxPool,
  globalAverageForward,
  globalMaxBackward,
  globalMaxForward,
  maxPool1dBackward,
  maxPool1dForward,
  maxPoolForward,
  maxPoolForwardNaive,
  zeros,
} from "../../../mod.ts";
import { type Bad, describeRefusals, type Loose } from "../../support/refusals.ts";

const x = zeros([2, 4, 6, 7]);
const pool = { poolHeight: 2, poolWidth: 3, stride: 2 };
const averaged = averagePoolForward(x, pool);
const largest = globalMaxForward(x);
const row = zeros([2, 4, 9]);
const window = { poolSize: 3, stride: 2 };
const max1d = maxPool1dForward(row, window);
const average1d = averagePool1dForward(row, window);

const badMaxPoolForwards: readonly Bad[] = [
  [
    "dilation 0",
    [x, { ...pool, dilation: 0 }],
    RangeError,
    "dilation must be a whole number of 1 or more: received 0",
  ],
  [
    "dilation that is not whole",
    [x, { ...pool, dilation: [1.5, 1] }],
    RangeError,
    "dilation[0] must be a whole number of 1 or more: received 1.5",
  ],
  [
    "a dilated window larger than the input",
    [x, { ...pool, dilation: [1, 4] }],
    RangeError,
    "The pool window must not be larger than the padded input: it is [2,9], the padded input is [6,7] (input [6,7], pad [0,0,0,0], dilation [1,4])",
  ],
  [
    "ceilMode as a number",
    [x, { ...pool, ceilMode: 1 }],
    TypeError,
    "ceilMode must be true or false: received 1",
  ],
  [
    "countIncludePad",
    [x, { ...pool, countIncludePad: true }],
    TypeError,
    `poolParam has an unknown option "countIncludePad": known are poolHeight, poolWidth, stride, pad, ceilMode, dilation`,
  ],
  [
    "pad misspelt",
    [x, { ...pool, pad: "some" }],
    TypeError,
    `pad must be "same", "valid" or numbers: received "some"`,
  ],
  [
    "padding as large as the window",
    [x, { ...pool, pad: [0, 3] }],
    RangeError,
    "The pad of a pool must be smaller than its window: pad is [0,3,0,3], the window [2,3], x has shape [2,4,6,7]",
  ],
  [
    "a window that holds padding alone",
    [zeros([1, 1, 1, 4]), { poolHeight: 2, poolWidth: 1, stride: 1, dilation: 2, pad: [1, 0] }],
    RangeError,
    "Every window of a pool must hold a value of x: a window of [2,1] with dilation [2,1] and pad [1,0,1,0] misses x of shape [1,1,1,4]",
  ],
];

const badExplainMaxPools: readonly Bad[] = [
  [
    "dilation 0",
    [[2, 4, 6, 7], { ...pool, dilation: 0 }],
    RangeError,
    "dilation must be a whole number of 1 or more: received 0",
  ],
  [
    "ceilMode as a string",
    [[2, 4, 6, 7], { ...pool, ceilMode: "yes" }],
    TypeError,
    `ceilMode must be true or false: received "yes"`,
  ],
];

const badAveragePoolForwards: readonly Bad[] = [
  [
    "data too short",
    [{ data: new Float64Array(3), shape: [1, 1, 2, 2] }, pool],
    RangeError,
    "The data of x must hold 4 values, the product of its shape [1,1,2,2]: it holds 3",
  ],
  [
    "x of rank 3",
    [zeros([4, 6, 7]), pool],
    TypeError,
    "The shape of x must have 4 dimensions: received [4,6,7]",
  ],
  [
    "a window without height",
    [x, { poolWidth: 2, stride: 2 }],
    TypeError,
    "poolHeight must be a number: received undefined",
  ],
  [
    "a window of height 0",
    [x, { ...pool, poolHeight: 0 }],
    RangeError,
    "poolHeight must be a whole number of 1 or more: received 0",
  ],
  [
    "a window without stride",
    [x, { poolHeight: 2, poolWidth: 2 }],
    TypeError,
    "stride must be a number: received undefined",
  ],
  [
    "a window larger than the input",
    [x, { ...pool, poolHeight: 7 }],
    RangeError,
    "The pool window must not be larger than the padded input: it is [7,3], the padded input is [6,7] (input [6,7], pad [0,0,0,0])",
  ],
  [
    "padding as large as the window",
    [x, { ...pool, pad: 2 }],
    RangeError,
    "The pad of a pool must be smaller than its window: pad is [2,2,2,2], the window [2,3], x has shape [2,4,6,7]",
  ],
  [
    "pad misspelt",
    [x, { ...pool, pad: "same " }],
    TypeError,
    `pad must be "same", "valid" or numbers: received "same "`,
  ],
  [
    "ceilMode null",
    [x, { ...pool, ceilMode: null }],
    TypeError,
    "ceilMode must be true or false: received null",
  ],
  [
    "countIncludePad as a number",
    [x, { ...pool, countIncludePad: 0 }],
    TypeError,
    "countIncludePad must be true or false: received 0",
  ],
  [
    "countIncludePad as a string",
    [x, { ...pool, countIncludePad: "false" }],
    TypeError,
    `countIncludePad must be true or false: received "false"`,
  ],
  [
    "dilation",
    [x, { ...pool, dilation: 2 }],
    TypeError,
    `poolParam has an unknown option "dilation": known are poolHeight, poolWidth, stride, pad, ceilMode, countIncludePad`,
  ],
  ["params left out", [x], TypeError, "poolParam must be an object of options: received undefined"],
  [
    "an empty plane",
    [zeros([2, 4, 6, 0]), pool],
    RangeError,
    "x must have no empty dimension: it has shape [2,4,6,0]",
  ],
];

const badAveragePoolBackwards: readonly Bad[] = [
  [
    "dout of another size",
    [zeros([2, 4, 3, 4]), averaged.cache],
    RangeError,
    "dout must have the shape of the pool's output, [2,4,3,3]: received [2,4,3,4]",
  ],
  [
    "dout of another rank",
    [zeros([24]), averaged.cache],
    TypeError,
    "dout must have the shape of the pool's output, [2,4,3,3]: received [24]",
  ],
  [
    "a cache left out",
    [averaged.out],
    TypeError,
    "cache must be an object of options: received undefined",
  ],
  [
    "a max-pool's cache",
    [averaged.out, { x, poolParam: pool }],
    TypeError,
    `cache has an unknown option "x": known are shape, poolParam`,
  ],
  [
    "a cache of another shape",
    [averaged.out, { ...averaged.cache, shape: [4, 6, 7] }],
    TypeError,
    "The shape of x must have 4 dimensions: received [4,6,7]",
  ],
];

const badExplainAveragePools: readonly Bad[] = [
  [
    "countIncludePad as a number",
    [[2, 4, 6, 7], { ...pool, countIncludePad: 1 }],
    TypeError,
    "countIncludePad must be true or false: received 1",
  ],
  [
    "an unknown dtype",
    [[2, 4, 6, 7], pool, "int8"],
    TypeError,
    `dtype must be "float64" or "float32": received "int8"`,
  ],
];

const badGlobalForwards: readonly Bad[] = [
  [
    "data too short",
    [{ data: new Float64Array(3), shape: [1, 1, 2, 2] }],
    RangeError,
    "The data of x must hold 4 values, the product of its shape [1,1,2,2]: it holds 3",
  ],
  [
    "no channels",
    [zeros([2, 0, 6, 7])],
    RangeError,
    "x must have no empty dimension: it has shape [2,0,6,7]",
  ],
  [
    "x of rank 2",
    [zeros([2, 4])],
    TypeError,
    "The shape of x must have 4 dimensions: received [2,4]",
  ],
  [
    "no tensor",
    [[1, 2, 3]],
    TypeError,
    "x must be a tensor { data, shape }: received an Array of length 3",
  ],
  [
    "an empty plane",
    [zeros([2, 4, 0, 7])],
    RangeError,
    "x must have no empty dimension: it has shape [2,4,0,7]",
  ],
];

const badGlobalMaxBackwards: readonly Bad[] = [
  [
    "a cache without channels",
    [zeros([2, 0]), { x: zeros([2, 0, 6, 7]) }],
    RangeError,
    "cache.x must have no empty dimension: it has shape [2,0,6,7]",
  ],
  [
    "dout of x's shape",
    [x, largest.cache],
    TypeError,
    "dout must have the shape of the maximum's output, [2,4]: received [2,4,6,7]",
  ],
  [
    "dout of another size",
    [zeros([2, 5]), largest.cache],
    RangeError,
    "dout must have the shape of the maximum's output, [2,4]: received [2,5]",
  ],
  [
    "dout of another dtype",
    [zeros([2, 4], "float32"), largest.cache],
    TypeError,
    "Tensors of one call must have one dtype: dout is float32 [2,4], x is float64 [2,4,6,7]",
  ],
  [
    "a global average's cache",
    [largest.out, { shape: [2, 4, 6, 7] }],
    TypeError,
    `cache has an unknown option "shape": known are x`,
  ],
];

const badMaxPool1dForwards: readonly Bad[] = [
  [
    "x of rank 4",
    [x, window],
    TypeError,
    "The shape of x must have 3 dimensions: received [2,4,6,7]",
  ],
  [
    "a window without size",
    [row, { stride: 2 }],
    TypeError,
    "poolParam.poolSize must be a number: received undefined",
  ],
  [
    "a window without stride",
    [row, { poolSize: 2 }],
    TypeError,
    "poolParam.stride must be a number: received undefined",
  ],
  [
    "a window of size 0",
    [row, { ...window, poolSize: 0 }],
    RangeError,
    "poolParam.poolSize must be a whole number of 1 or more: received 0",
  ],
  [
    "a window larger than the input",
    [row, { ...window, poolSize: 10 }],
    RangeError,
    "The pool window must not be larger than the padded input: it is [1,10], the padded input is [1,9] (input [1,9], pad [0,0,0,0])",
  ],
  [
    "dilation 0",
    [row, { ...window, dilation: 0 }],
    RangeError,
    "poolParam.dilation must be a whole number of 1 or more: received 0",
  ],
  [
    "ceilMode as a number",
    [row, { ...window, ceilMode: 1 }],
    TypeError,
    "poolParam.ceilMode must be true or false: received 1",
  ],
  [
    "padding as large as the window",
    [row, { ...window, pad: 3 }],
    RangeError,
    "The pad of a pool must be smaller than its window: pad is [0,3,0,3], the window [1,3], x has shape [2,4,1,9]",
  ],
  [
    "pad misspelt",
    [row, { ...window, pad: "sane" }],
    TypeError,
    `poolParam.pad must be a number, [left, right], "same" or "valid": received "sane"`,
  ],
  [
    "poolWidth",
    [row, { ...window, poolWidth: 2 }],
    TypeError,
    `poolParam has an unknown option "poolWidth": known are poolSize, stride, pad, ceilMode, dilation`,
  ],
];

const badMaxPool1dBackwards: readonly Bad[] = [
  [
    "dout of another size",
    [row, max1d.cache],
    RangeError,
    "dout must have the shape of the pool's output, [2,4,4]: received [2,4,9]",
  ],
  [
    "an average pool's cache",
    [max1d.out, average1d.cache],
    TypeError,
    `cache has an unknown option "shape": known are x, poolParam`,
  ],
  [
    "dout of another dtype",
    [zeros([2, 4, 4], "float32"), max1d.cache],
    TypeError,
    "Tensors of one call must have one dtype: dout is float32 [2,4,4], x is float64 [2,4,9]",
  ],
];

const badAveragePool1dForwards: readonly Bad[] = [
  [
    "x of rank 2",
    [zeros([4, 9]), window],
    TypeError,
    "The shape of x must have 3 dimensions: received [4,9]",
  ],
  [
    "countIncludePad as a number",
    [row, { ...window, countIncludePad: 1 }],
    TypeError,
    "poolParam.countIncludePad must be true or false: received 1",
  ],
  [
    "dilation",
    [row, { ...window, dilation: 2 }],
    TypeError,
    `poolParam has an unknown option "dilation": known are poolSize, stride, pad, ceilMode, countIncludePad`,
  ],
  [
    "pad that is not whole",
    [row, { ...window, pad: 0.5 }],
    RangeError,
    "poolParam.pad must be a whole number of 0 or more: received 0.5",
  ],
];

const badAveragePool1dBackwards: readonly Bad[] = [
  [
    "dout of another size",
    [row, average1d.cache],
    RangeError,
    "dout must have the shape of the pool's output, [2,4,4]: received [2,4,9]",
  ],
  [
    "a max-pool's cache",
    [average1d.out, max1d.cache],
    TypeError,
    `cache has an unknown option "x": known are shape, poolParam`,
  ],
  [
    "a cache of an image",
    [average1d.out, { ...average1d.cache, shape: [2, 4, 1, 9] }],
    TypeError,
    "cache.shape must have 3 dimensions: received [2,4,1,9]",
  ],
];

describeRefusals([
  [maxPoolForward as Loose, badMaxPoolForwards],
  [maxPoolForwardNaive as Loose, badMaxPoolForwards],
  [explainMaxPool as Loose, badExplainMaxPools],
  [averagePoolForward as Loose, badAveragePoolForwards],
  [averagePoolForwardNaive as Loose, badAveragePoolForwards],
  [averagePoolBackward as Loose, badAveragePoolBackwards],
  [averagePoolBackwardNaive as Loose, badAveragePoolBackwards],
  [explainAveragePool as Loose, badExplainAveragePools],
  [globalAverageForward as Loose, badGlobalForwards],
  [globalMaxForward as Loose, badGlobalForwards],
  [globalMaxBackward as Loose, badGlobalMaxBackwards],
  [maxPool1dForward as Loose, badMaxPool1dForwards],
  [maxPool1dBackward as Loose, badMaxPool1dBackwards],
  [averagePool1dForward as Loose, badAveragePool1dForwards],
  [averagePool1dBackward as Loose, badAveragePool1dBackwards],
]);
