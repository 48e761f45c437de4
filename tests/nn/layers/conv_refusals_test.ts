import {
  averagePoolForward,
  conv1dBackward,
  conv1dForward,
  convBackward,
  convBackwardNaive,
  convForward,
  convForwardNaive,
  convTransposeBackward,
  convTransposeBackwardNaive,
  convTransposeForward,
  convTransposeForwardNaive,
  explainConv,
  explainConvTranspose,
  zeros,
} from "../../../mod.ts";
import { type Bad, describeRefusals, type Loose } from "../../support/refusals.ts";

const x = zeros([2, 4, 6, 7]);
const w = zeros([6, 2, 3, 3]), b = zeros([6]), groups = { groups: 2 };
const transposedW = zeros([4, 3, 3, 3]);
const pool = { poolHeight: 2, poolWidth: 3, stride: 2 };
const conv = convForward(x, w, b, groups);
const transposed = convTransposeForward(x, transposedW, b, groups);
const averaged = averagePoolForward(x, pool);
const row = zeros([2, 4, 9]), filters = zeros([6, 2, 3]);
const conv1d = conv1dForward(row, filters, b, groups);

const badConvForwards: readonly Bad[] = [
  [
    "groups that do not divide the channels",
    [x, w, b, { groups: 3 }],
    RangeError,
    "groups must divide the channels of x and the filters of w: received 3, x has shape [2,4,6,7], w has shape [6,2,3,3]",
  ],
  [
    "groups that do not divide the filters",
    [x, zeros([5, 2, 3, 3]), zeros([5]), groups],
    RangeError,
    "groups must divide the channels of x and the filters of w: received 2, x has shape [2,4,6,7], w has shape [5,2,3,3]",
  ],
  [
    "filters of another group's channels",
    [x, zeros([6, 4, 3, 3]), b, groups],
    RangeError,
    "Cannot convolve x with w as their channels must match, x having those of 2 groups: x has shape [2,4,6,7], w has shape [6,4,3,3]",
  ],
  [
    "0 groups",
    [x, w, b, { groups: 0 }],
    RangeError,
    "groups must be a whole number of 1 or more: received 0",
  ],
  [
    "groups that are not whole",
    [x, w, b, { groups: 1.5 }],
    RangeError,
    "groups must be a whole number of 1 or more: received 1.5",
  ],
  [
    "groups as a string",
    [x, w, b, { groups: "2" }],
    TypeError,
    `groups must be a number: received "2"`,
  ],
  [
    "groups as an array",
    [x, w, b, { groups: [2, 2] }],
    TypeError,
    "groups must be a number: received an Array of length 2",
  ],
  [
    "dilation 0",
    [x, w, b, { ...groups, dilation: 0 }],
    RangeError,
    "dilation must be a whole number of 1 or more: received 0",
  ],
  [
    "dilation that is not whole",
    [x, w, b, { ...groups, dilation: [1, 1.5] }],
    RangeError,
    "dilation[1] must be a whole number of 1 or more: received 1.5",
  ],
  [
    "dilation of three numbers",
    [x, w, b, { ...groups, dilation: [1, 1, 1] }],
    TypeError,
    "dilation must be a number or [vertical, horizontal]: received [1,1,1]",
  ],
  [
    "dilation as a string",
    [x, w, b, { ...groups, dilation: "2" }],
    TypeError,
    `dilation must be a number: received "2"`,
  ],
  [
    "a dilated kernel larger than the padded input",
    [x, w, b, { ...groups, dilation: [2, 4], pad: [1, 0] }],
    RangeError,
    "The kernel must not be larger than the padded input: it is [5,9], the padded input is [8,7] (input [6,7], pad [1,0,1,0], dilation [2,4])",
  ],
  [
    "pad misspelt",
    [x, w, b, { ...groups, pad: "sane" }],
    TypeError,
    `pad must be "same", "valid" or numbers: received "sane"`,
  ],
  [
    "pad in capitals",
    [x, w, b, { ...groups, pad: "SAME" }],
    TypeError,
    `pad must be "same", "valid" or numbers: received "SAME"`,
  ],
  [
    "outputPad",
    [x, w, b, { ...groups, outputPad: 1 }],
    TypeError,
    `convParam has an unknown option "outputPad": known are stride, pad, dilation, groups`,
  ],
  [
    "too few biases",
    [x, w, zeros([5]), groups],
    RangeError,
    "b must have the shape of one bias a filter of w [6,2,3,3], [6]: received [5]",
  ],
  [
    "biases of a column",
    [x, w, zeros([6, 1]), groups],
    TypeError,
    "b must have the shape of one bias a filter of w [6,2,3,3], [6]: received [6,1]",
  ],
  [
    "biases left out",
    [x, w, undefined, groups],
    TypeError,
    "b must be a tensor, or null for no biases: received undefined",
  ],
  [
    "biases of another dtype",
    [x, w, zeros([6], "float32"), groups],
    TypeError,
    "Tensors of one call must have one dtype: x is float64 [2,4,6,7], w is float64 [6,2,3,3], b is float32 [6]",
  ],
  [
    "filters of another dtype and no biases",
    [x, zeros([6, 2, 3, 3], "float32"), null, groups],
    TypeError,
    "Tensors of one call must have one dtype: x is float64 [2,4,6,7], w is float32 [6,2,3,3]",
  ],
];

const badConvBackwards: readonly Bad[] = [
  [
    "dout of another size",
    [zeros([2, 6, 4, 4]), conv.cache],
    RangeError,
    "dout must have the shape of the convolution's output, [2,6,4,5]: received [2,6,4,4]",
  ],
  [
    "a cache without b",
    [conv.out, { x, w, convParam: groups }],
    TypeError,
    "cache must have x, w, b, convParam: received an object with keys [x, w, convParam]",
  ],
  [
    "a cache with other groups",
    [conv.out, { ...conv.cache, convParam: { groups: 4 } }],
    RangeError,
    "groups must divide the channels of x and the filters of w: received 4, x has shape [2,4,6,7], w has shape [6,2,3,3]",
  ],
  [
    "a cache with too few biases",
    [conv.out, { ...conv.cache, b: zeros([5]) }],
    RangeError,
    "b must have the shape of one bias a filter of w [6,2,3,3], [6]: received [5]",
  ],
  [
    "a transposed convolution's cache",
    [conv.out, transposed.cache],
    TypeError,
    `convParam has an unknown option "outputPad": known are stride, pad, dilation, groups`,
  ],
];

const badExplainConvs: readonly Bad[] = [
  [
    "groups that do not divide",
    [[2, 4, 6, 7], [6, 2, 3, 3], { groups: 3 }],
    RangeError,
    "groups must divide the channels of x and the filters of w: received 3, x has shape [2,4,6,7], w has shape [6,2,3,3]",
  ],
  [
    "dilation 0",
    [[2, 4, 6, 7], [6, 2, 3, 3], { groups: 2, dilation: 0 }],
    RangeError,
    "dilation must be a whole number of 1 or more: received 0",
  ],
  [
    "pad misspelt",
    [[2, 4, 6, 7], [6, 2, 3, 3], { groups: 2, pad: "Valid" }],
    TypeError,
    `pad must be "same", "valid" or numbers: received "Valid"`,
  ],
];

const badConvTransposeForwards: readonly Bad[] = [
  [
    "x of rank 3",
    [zeros([4, 6, 7]), transposedW, b, groups],
    TypeError,
    "The shape of x must have 4 dimensions: received [4,6,7]",
  ],
  [
    "filters of rank 3",
    [x, zeros([4, 3, 3]), b, groups],
    TypeError,
    "The shape of w must have 4 dimensions: received [4,3,3]",
  ],
  [
    "filters of other channels",
    [x, zeros([6, 3, 3, 3]), b, groups],
    RangeError,
    "The channels of x and w must match, and groups must divide them: received groups 2, x has shape [2,4,6,7], w has shape [6,3,3,3]",
  ],
  [
    "groups that do not divide the channels",
    [x, transposedW, b, { groups: 3 }],
    RangeError,
    "The channels of x and w must match, and groups must divide them: received groups 3, x has shape [2,4,6,7], w has shape [4,3,3,3]",
  ],
  [
    "0 groups",
    [x, transposedW, b, { groups: 0 }],
    RangeError,
    "groups must be a whole number of 1 or more: received 0",
  ],
  [
    "dilation 0",
    [x, transposedW, b, { ...groups, dilation: [0, 1] }],
    RangeError,
    "dilation[0] must be a whole number of 1 or more: received 0",
  ],
  [
    "dilation that is not whole",
    [x, transposedW, b, { ...groups, dilation: 0.5 }],
    RangeError,
    "dilation must be a whole number of 1 or more: received 0.5",
  ],
  [
    "stride 0",
    [x, transposedW, b, { ...groups, stride: 0 }],
    RangeError,
    "stride must be a whole number of 1 or more: received 0",
  ],
  [
    "outputPad as large as the stride",
    [x, transposedW, b, { ...groups, stride: [2, 3], outputPad: [1, 3] }],
    RangeError,
    "outputPad must be less than the stride: received [1,3], the stride is [2,3]",
  ],
  [
    "outputPad without a stride",
    [x, transposedW, b, { ...groups, outputPad: 1 }],
    RangeError,
    "outputPad must be less than the stride: received [1,1], the stride is [1,1]",
  ],
  [
    "outputPad below 0",
    [x, transposedW, b, { ...groups, stride: 2, outputPad: -1 }],
    RangeError,
    "outputPad must be a whole number of 0 or more: received -1",
  ],
  [
    "outputPad as a string",
    [x, transposedW, b, { ...groups, stride: 2, outputPad: "1" }],
    TypeError,
    `outputPad must be a number: received "1"`,
  ],
  [
    "outputPad beside padding as same",
    [x, transposedW, b, { ...groups, stride: 2, outputPad: 1, pad: "same" }],
    RangeError,
    `outputPad must be 0 with "same" padding: received [1,1]`,
  ],
  [
    "pad misspelt",
    [x, transposedW, b, { ...groups, pad: "full" }],
    TypeError,
    `pad must be "same", "valid" or numbers: received "full"`,
  ],
  [
    "padding that leaves nothing",
    [x, transposedW, b, { ...groups, pad: [4, 0] }],
    RangeError,
    "The padding of a transposed convolution must leave something of its output: it would be [0,9] (input [6,7], pad [4,0,4,0], kernel [3,3])",
  ],
  [
    "biases as many as the channels",
    [x, transposedW, zeros([4]), groups],
    RangeError,
    "b must have the shape of one bias an output channel of w [4,3,3,3] with groups 2, [6]: received [4]",
  ],
  [
    "biases left out",
    [x, transposedW, undefined, groups],
    TypeError,
    "b must be a tensor, or null for no biases: received undefined",
  ],
  [
    "biases of another dtype",
    [x, transposedW, zeros([6], "float32"), groups],
    TypeError,
    "Tensors of one call must have one dtype: x is float64 [2,4,6,7], w is float64 [4,3,3,3], b is float32 [6]",
  ],
  [
    "an unknown option",
    [x, transposedW, b, { ...groups, outputPadding: 1 }],
    TypeError,
    `convParam has an unknown option "outputPadding": known are stride, pad, dilation, groups, outputPad`,
  ],
  [
    "null as params",
    [x, transposedW, b, null],
    TypeError,
    "convParam must be an object of options: received null",
  ],
  [
    "an empty plane",
    [zeros([2, 4, 0, 7]), transposedW, b, groups],
    RangeError,
    "x must have no empty dimension: it has shape [2,4,0,7]",
  ],
  [
    "no filters",
    [x, zeros([4, 0, 3, 3]), zeros([0]), groups],
    RangeError,
    "w must have no empty dimension: it has shape [4,0,3,3]",
  ],
];

const badConvTransposeBackwards: readonly Bad[] = [
  [
    "dout of another size",
    [x, transposed.cache],
    RangeError,
    "dout must have the shape of the transposed convolution's output, [2,6,8,9]: received [2,4,6,7]",
  ],
  [
    "dout of another dtype",
    [zeros([2, 6, 8, 9], "float32"), transposed.cache],
    TypeError,
    "Tensors of one call must have one dtype: dout is float32 [2,6,8,9], x is float64 [2,4,6,7]",
  ],
  [
    "a cache left out",
    [transposed.out],
    TypeError,
    "cache must be an object of options: received undefined",
  ],
  [
    "an unknown option",
    [transposed.out, transposed.cache, { dw: false }],
    TypeError,
    `options has an unknown option "dw": known are dx`,
  ],
  [
    "dx as a number",
    [transposed.out, transposed.cache, { dx: 0 }],
    TypeError,
    "dx must be true or false: received 0",
  ],
  [
    "a cache with another stride",
    [transposed.out, { ...transposed.cache, convParam: { ...groups, stride: 2 } }],
    RangeError,
    "dout must have the shape of the transposed convolution's output, [2,6,13,15]: received [2,6,8,9]",
  ],
  [
    "a pool's cache",
    [transposed.out, averaged.cache],
    TypeError,
    `cache has an unknown option "shape": known are x, w, b, convParam`,
  ],
];

const badExplainConvTransposes: readonly Bad[] = [
  [
    "channels that differ",
    [[2, 4, 6, 7], [6, 3, 3, 3], groups],
    RangeError,
    "The channels of x and w must match, and groups must divide them: received groups 2, x has shape [2,4,6,7], w has shape [6,3,3,3]",
  ],
  [
    "outputPad as large as the stride",
    [[2, 4, 6, 7], [4, 3, 3, 3], { stride: 2, outputPad: 2 }],
    RangeError,
    "outputPad must be less than the stride: received [2,2], the stride is [2,2]",
  ],
  [
    "an unknown dtype",
    [[2, 4, 6, 7], [4, 3, 3, 3], {}, "float16"],
    TypeError,
    `dtype must be "float64" or "float32": received "float16"`,
  ],
];

const badConv1dForwards: readonly Bad[] = [
  [
    "x of rank 4",
    [x, filters, b, groups],
    TypeError,
    "The shape of x must have 3 dimensions: received [2,4,6,7]",
  ],
  [
    "filters of rank 4",
    [row, w, b, groups],
    TypeError,
    "The shape of w must have 3 dimensions: received [6,2,3,3]",
  ],
  [
    "channels that differ",
    [row, filters, b, {}],
    RangeError,
    "Cannot convolve x with w as their channels must match: x has shape [2,4,9], w has shape [6,2,3]",
  ],
  [
    "groups that do not divide",
    [row, filters, b, { groups: 3 }],
    RangeError,
    "groups must divide the channels of x and the filters of w: received 3, x has shape [2,4,9], w has shape [6,2,3]",
  ],
  [
    "stride of two numbers",
    [row, filters, b, { ...groups, stride: [1, 1] }],
    TypeError,
    "convParam.stride must be a number: received an Array of length 2",
  ],
  [
    "stride 0",
    [row, filters, b, { ...groups, stride: 0 }],
    RangeError,
    "convParam.stride must be a whole number of 1 or more: received 0",
  ],
  [
    "dilation 0",
    [row, filters, b, { ...groups, dilation: 0 }],
    RangeError,
    "convParam.dilation must be a whole number of 1 or more: received 0",
  ],
  [
    "dilation that is not whole",
    [row, filters, b, { ...groups, dilation: 1.5 }],
    RangeError,
    "convParam.dilation must be a whole number of 1 or more: received 1.5",
  ],
  [
    "0 groups",
    [row, filters, b, { groups: 0 }],
    RangeError,
    "convParam.groups must be a whole number of 1 or more: received 0",
  ],
  [
    "pad below 0",
    [row, filters, b, { ...groups, pad: [0, -1] }],
    RangeError,
    "convParam.pad[1] must be a whole number of 0 or more: received -1",
  ],
  [
    "pad of four numbers",
    [row, filters, b, { ...groups, pad: [0, 0, 1, 1] }],
    TypeError,
    `convParam.pad must be a number, [left, right], "same" or "valid": received an Array of length 4`,
  ],
  [
    "pad misspelt",
    [row, filters, b, { ...groups, pad: "causal" }],
    TypeError,
    `convParam.pad must be a number, [left, right], "same" or "valid": received "causal"`,
  ],
  [
    "pad null",
    [row, filters, b, { ...groups, pad: null }],
    TypeError,
    `convParam.pad must be a number, [left, right], "same" or "valid": received null`,
  ],
  [
    "a kernel larger than the padded input",
    [row, filters, b, { ...groups, dilation: 6, pad: 1 }],
    RangeError,
    "The kernel must not be larger than the padded input: it is [1,13], the padded input is [1,11] (input [1,9], pad [0,1,0,1], dilation [1,6])",
  ],
  [
    "too many biases",
    [row, filters, zeros([7]), groups],
    RangeError,
    "b must have the shape of one bias a filter of w [6,2,3], [6]: received [7]",
  ],
  [
    "an unknown option",
    [row, filters, b, { ...groups, outputPad: 1 }],
    TypeError,
    `convParam has an unknown option "outputPad": known are stride, pad, dilation, groups`,
  ],
  [
    "null as params",
    [row, filters, b, null],
    TypeError,
    "convParam must be an object of options: received null",
  ],
];

const badConv1dBackwards: readonly Bad[] = [
  [
    "dout of another size",
    [row, conv1d.cache],
    RangeError,
    "dout must have the shape of the convolution's output, [2,6,7]: received [2,4,9]",
  ],
  [
    "dout of rank 4",
    [zeros([2, 6, 1, 7]), conv1d.cache],
    TypeError,
    "dout must have the shape of the convolution's output, [2,6,7]: received [2,6,1,7]",
  ],
  [
    "dout of another dtype",
    [zeros([2, 6, 7], "float32"), conv1d.cache],
    TypeError,
    "Tensors of one call must have one dtype: dout is float32 [2,6,7], x is float64 [2,4,9]",
  ],
  [
    "a cache of images",
    [conv1d.out, conv.cache],
    TypeError,
    "The shape of x must have 3 dimensions: received [2,4,6,7]",
  ],
  [
    "a cache left out",
    [conv1d.out],
    TypeError,
    "cache must be an object of options: received undefined",
  ],
  [
    "dx as a string",
    [conv1d.out, conv1d.cache, { dx: "no" }],
    TypeError,
    `dx must be true or false: received "no"`,
  ],
];

describeRefusals([
  [convForward as Loose, badConvForwards],
  [convForwardNaive as Loose, badConvForwards],
  [convBackward as Loose, badConvBackwards],
  [convBackwardNaive as Loose, badConvBackwards],
  [explainConv as Loose, badExplainConvs],
  [convTransposeForward as Loose, badConvTransposeForwards],
  [convTransposeForwardNaive as Loose, badConvTransposeForwards],
  [convTransposeBackward as Loose, badConvTransposeBackwards],
  [convTransposeBackwardNaive as Loose, badConvTransposeBackwards],
  [explainConvTranspose as Loose, badExplainConvTransposes],
  [conv1dForward as Loose, badConv1dForwards],
  [conv1dBackward as Loose, badConv1dBackwards],
]);
