import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  AttributeProtoSchema,
  FunctionProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
} from "onnx-buf";
import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  affine,
  ArgumentRangeError,
  ArgumentTypeError,
  conv,
  globalAverage,
  Net,
  RandomState,
  relu,
  softmaxLoss,
  type Tensor,
  tensor,
} from "../../mod.ts";
import { crossEntropyLoss, fromOnnx, softmax, toOnnx } from "../../io/onnx.ts";
import { SEED } from "../support/kernels.ts";
import {
  type ConstantText,
  modelOf,
  type ModelText,
  type NodeText,
  runModel,
} from "../support/onnx.ts";

/** Values of float32, other ones for each seed. */
function values(shape: readonly number[], seed = 1): Tensor<Float32Array> {
  return tensor(Float32Array.from(new RandomState(seed).randn([...shape]).data), shape);
}

/** One value everywhere. */
const number = (value: number) => tensor(Float32Array.of(value), []);

/** A node as a test writes it: operator, inputs and outputs by spaces, attributes. */
const node = (
  opType: string,
  inputs: string,
  outputs: string,
  attributes: NodeText["attributes"] = {},
): NodeText => ({
  opType,
  inputs: inputs.split(" ").map((name) => name === "-" ? "" : name),
  outputs: outputs.split(" "),
  attributes,
});

/** A model of nodes from x to y. */
function model(
  inputDim: readonly number[],
  nodes: readonly NodeText[],
  constants: Readonly<Record<string, ConstantText>> = {},
  more: Partial<ModelText> = {},
): ModelText {
  return {
    inputs: { x: ["N", ...inputDim] },
    outputs: ["y"],
    nodes,
    constants,
    opset: 17,
    irVersion: 8,
    ...more,
  };
}

/** Nodes that make scores of images "z" of so many values. */
const end = (size: number) => ({
  nodes: [node("Flatten", "z", "flat"), node("Gemm", "flat Wz bz", "y")],
  constants: { Wz: values([size, 3], 90), bz: values([3], 91) },
});

/** A model of nodes from images x to images "z". */
function images(
  size: number,
  nodes: readonly NodeText[],
  constants: Readonly<Record<string, ConstantText>> = {},
  more: Partial<ModelText> = {},
): ModelText {
  const { nodes: last, constants: all } = end(size);
  return model([4, 7, 6], [...nodes, ...last], { ...constants, ...all }, more);
}

const W = values([4, 4, 3, 3]), b = values([4], 2), SAME = 4 * 7 * 6;
const positive = (shape: readonly number[]) =>
  tensor(values(shape, 5).data.map((v) => 0.5 + v * v), shape);

const MODELS: Readonly<Record<string, ModelText>> = {
  "MatMul": model([5], [node("MatMul", "x W", "y")], { W: values([5, 3]) }),
  "MatMul and Add": model([5], [node("MatMul", "x W", "h"), node("Add", "h b", "y")], {
    W: values([5, 3]),
    b: values([3]),
  }),
  "Add before the value, of a row": model(
    [5],
    [node("MatMul", "x W", "h"), node("Add", "b h", "y")],
    { W: values([5, 3]), b: values([1, 3]) },
  ),
  "Gemm, transposed": model([5], [node("Gemm", "x W b", "y", { transB: 1, alpha: { float: 1 } })], {
    W: values([3, 5]),
    b: values([1, 3]),
  }),
  "Gemm without a bias": model([5], [node("Gemm", "x W", "y")], { W: values([5, 3]) }),
  "Gemm with one bias for all": model([5], [node("Gemm", "x W b", "y")], {
    W: values([5, 3]),
    b: number(2),
  }),
  "Conv with no attribute": images(4 * 5 * 4, [node("Conv", "x W b", "z")], { W, b }),
  "Conv, SAME_UPPER": images(
    4 * 4 * 3,
    [node("Conv", "x W b", "z", { auto_pad: "SAME_UPPER", strides: [2, 2] })],
    { W, b },
  ),
  "Conv, SAME_LOWER": images(
    4 * 4 * 3,
    [node("Conv", "x W -", "z", { auto_pad: "SAME_LOWER", strides: [2, 2], kernel_shape: [3, 3] })],
    { W },
  ),
  "Conv, VALID": images(4 * 5 * 4, [node("Conv", "x W", "z", { auto_pad: "VALID" })], { W }),
  "Conv and Add": images(SAME, [
    node("Conv", "x W", "h", { pads: [1, 1, 1, 1] }),
    node("Add", "h b", "z"),
  ], { W, b: values([1, 4, 1, 1]) }),
  "Pad and Conv": images(4 * 4 * 3, [
    node("Pad", "x pads", "h"),
    node("Conv", "h W", "z", { strides: [2, 2] }),
  ], { W, pads: [0, 0, 0, 1, 0, 0, 2, 1] }),
  "Pad by attributes, and Conv": images(
    4 * 4 * 3,
    [
      node("Pad", "x", "h", { pads: [0, 0, 0, 1, 0, 0, 2, 1] }),
      node("Conv", "h W", "z", { strides: [2, 2] }),
    ],
    { W },
    { opset: 10, irVersion: 5 },
  ),
  "ConvTranspose": images(4 * 15 * 12, [
    node("ConvTranspose", "x W b", "z", {
      strides: [2, 2],
      output_padding: [1, 0],
      pads: [0, 0, 1, 1],
    }),
  ], { W, b }),
  "ConvTranspose, SAME_UPPER": images(4 * 14 * 12, [
    node("ConvTranspose", "x W b", "z", { strides: [2, 2], auto_pad: "SAME_UPPER" }),
  ], { W, b }),
  "ConvTranspose and Add": images(4 * 9 * 8, [
    node("ConvTranspose", "x W", "h"),
    node("Add", "b h", "z"),
  ], { W, b: values([4, 1, 1]) }),
  "MaxPool with no stride": images(4 * 6 * 4, [
    node("MaxPool", "x", "z", { kernel_shape: [2, 3] }),
  ]),
  "MaxPool, SAME_LOWER": images(4 * 4 * 3, [
    node("MaxPool", "x", "z i", { kernel_shape: [2, 3], strides: [2, 2], auto_pad: "SAME_LOWER" }),
  ]),
  "MaxPool in ceil mode": images(4 * 4 * 3, [
    node("MaxPool", "x", "z", {
      kernel_shape: [2, 2],
      strides: [2, 2],
      ceil_mode: 1,
      dilations: [1, 1],
    }),
  ]),
  "AveragePool": images(4 * 4 * 3, [
    node("AveragePool", "x", "z", { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
  ]),
  "AveragePool that counts padding": images(4 * 4 * 3, [
    node("AveragePool", "x", "z", {
      ...{ kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], count_include_pad: 1 },
    }),
  ]),
  "Pad and AveragePool": images(4 * 4 * 3, [
    node("Pad", "x pads zero", "h"),
    node("AveragePool", "h", "z", { kernel_shape: [3, 3], strides: [2, 2] }),
  ], { pads: [0, 0, 1, 1, 0, 0, 1, 1], zero: number(0) }),
  "Pad and MaxPool": images(4 * 4 * 3, [
    node("Pad", "x pads low", "h"),
    node("MaxPool", "h", "z", { kernel_shape: [3, 3], strides: [2, 2] }),
  ], { pads: [0, 0, 1, 1, 0, 0, 1, 1], low: number(-Infinity) }),
  "BatchNormalization": images(SAME, [
    node("BatchNormalization", "x g b m v", "z", { epsilon: { float: 0.01 } }),
  ], { g: values([4], 3), b, m: values([4], 4), v: positive([4]) }),
  "BatchNormalization of 2018, of vectors": model(
    [3],
    [
      node("BatchNormalization", "x g b m v", "y"),
    ],
    { g: values([3], 3), b: values([3], 2), m: values([3], 4), v: positive([3]) },
    {
      opset: 9,
      irVersion: 4,
    },
  ),
  "InstanceNormalization": images(SAME, [node("InstanceNormalization", "x g b", "z")], {
    g: values([4], 3),
    b,
  }),
  "GroupNormalization": images(
    SAME,
    [
      node("GroupNormalization", "x g b", "z", { num_groups: 2, epsilon: { float: 0.1 } }),
    ],
    { g: values([4], 3), b },
    { opset: 21, irVersion: 10 },
  ),
  "LayerNormalization without a shift": model([3], [
    node("LayerNormalization", "x g", "y", { axis: 1 }),
  ], { g: values([3], 3) }),
  "Gelu": images(SAME, [node("Gelu", "x", "z")], {}, { opset: 20, irVersion: 9 }),
  "gelu with its half first": images(SAME, [
    node("Mul", "x c", "a"),
    node("Erf", "a", "e"),
    node("Add", "one e", "p"),
    node("Mul", "half x", "h"),
    node("Mul", "h p", "z"),
  ], { c: number(Math.SQRT1_2), one: number(1), half: number(0.5) }),
  "LeakyRelu, Sigmoid, Tanh, Relu, Identity": images(SAME, [
    node("LeakyRelu", "x", "a"),
    node("Identity", "a", "b"),
    node("Sigmoid", "b", "c"),
    node("Tanh", "c", "d"),
    node("Relu", "d", "z"),
  ]),
  "Softmax": model([5], [node("MatMul", "x W", "h"), node("Softmax", "h", "y")], {
    W: values([5, 3]),
  }),
  "Softmax of 2019": model([5], [node("MatMul", "x W", "h"), node("Softmax", "h", "y")], {
    W: values([5, 3]),
  }, { opset: 11, irVersion: 6 }),
  "Reshape by 0 and -1": model([4, 3, 2], [
    node("Reshape", "x s", "h"),
    node("Gemm", "h W", "y"),
  ], { s: [0, -1], W: values([24, 3]) }),
  "Reshape by its size": model([4, 3, 2], [
    node("Reshape", "x s", "h"),
    node("Gemm", "h W", "y"),
  ], { s: [-1, 24], W: values([24, 3]) }),
  "Reshape for one example, and of a constant": model(
    [4, 3, 2],
    [
      node("Reshape", "x s", "h"),
      node("Reshape", "V t", "U"),
      node("Identity", "U", "W"),
      node("MatMul", "h W", "y"),
    ],
    { s: [1, 24], V: values([4, 6, 3]), t: [-1, 3] },
    { inputs: { x: [1, 4, 3, 2] } },
  ),
  "Flatten by a negative axis": model([4, 3, 2], [
    node("Flatten", "x", "h", { axis: -3 }),
    node("Flatten", "h", "g"),
    node("Gemm", "g W", "y"),
  ], { W: values([24, 3]) }),
  "Dropout of 2019": model([3], [node("Dropout", "x", "y mask", { ratio: { float: 0.25 } })], {}, {
    opset: 10,
    irVersion: 5,
  }),
  "Dropout": model([3], [node("Dropout", "x r", "y")], { r: number(0.25) }),
  "Concat by a negative axis": images(SAME * 2, [
    node("Relu", "x", "a"),
    node("Concat", "a x", "z", { axis: -3 }),
  ]),
  "Add of a value and itself": images(SAME, [node("Add", "x x", "z")]),
  "Add with its shortcut first": images(SAME, [
    node("Conv", "x W", "h", { pads: [1, 1, 1, 1] }),
    node("Relu", "h", "a"),
    node("Add", "x a", "z"),
  ], { W }),
  "blocks in blocks": images(SAME * 2, [
    node("Relu", "x", "a"),
    node("Conv", "a W", "b", { pads: [1, 1, 1, 1] }),
    node("Tanh", "b", "c"),
    node("Add", "b c", "d"),
    node("Sigmoid", "d", "e"),
    node("Add", "a e", "f"),
    node("Concat", "f x", "z", { axis: 1 }),
  ], { W }),
  "GlobalAveragePool, its planes kept": images(4, [
    node("GlobalAveragePool", "x", "a"),
    node("Conv", "a V", "z"),
  ], { V: values([4, 4, 1, 1]) }),
  "ReduceMean": model([4, 7, 6], [
    node("ReduceMean", "x", "a", { axes: [3, -2], keepdims: 0 }),
    node("Gemm", "a W", "y"),
  ], { W: values([4, 3]) }),
  "ReduceMean and Reshape, as PyTorch 2 writes them": model(
    [4, 7, 6],
    [
      node("ReduceMean", "x axes", "a", { keepdims: 1, noop_with_empty_axes: 0 }),
      node("Reshape", "a s", "b", { allowzero: 0 }),
      node("Gemm", "b W", "y"),
    ],
    { axes: [-1, -2], s: [-1, 4], W: values([4, 3]) },
    { opset: 18 },
  ),
  "GlobalAveragePool and Squeeze": model([4, 7, 6], [
    node("GlobalAveragePool", "x", "a"),
    node("Squeeze", "a axes", "b"),
    node("Gemm", "b W", "y"),
  ], { axes: [2, 3], W: values([4, 3]) }),
  "GlobalMaxPool and Squeeze of 2019": model(
    [4, 7, 6],
    [
      node("GlobalMaxPool", "x", "a"),
      node("Squeeze", "a", "b", { axes: [2, 3] }),
      node("Gemm", "b W", "y"),
    ],
    { W: values([4, 3]) },
    { opset: 11, irVersion: 6 },
  ),
  "GlobalMaxPool and Reshape": model([4, 7, 6], [
    node("GlobalMaxPool", "x", "a"),
    node("Reshape", "a s", "b"),
    node("Gemm", "b W", "y"),
  ], { s: [-1, 4], W: values([4, 3]) }),
};

describe("fromOnnx()", () => {
  for (const [what, text] of Object.entries(MODELS)) {
    it(`reads ${what} as ONNX Runtime does`, async () => {
      const bytes = modelOf(text), [N, ...inputDim] = text.inputs.x!;
      const x = values([N === 1 ? 1 : 3, ...inputDim.map(Number)], 8);
      const expected = await runModel(bytes, { x }), net = fromOnnx(bytes);
      const { data, shape } = net.predict(x);
      assertEquals(shape, expected.shape);
      const scale = expected.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      for (const [i, value] of data.entries()) {
        assert(Math.abs(value - expected.data[i]) <= 1e-5 * scale, `${value}, ${expected.data[i]}`);
      }
      const { loss, grads } = net.loss(x, Array.from({ length: x.shape[0] }, (_, n) => n % 3));
      assert(Number.isFinite(loss));
      assertEquals(Object.keys(grads).sort(), Object.keys(net.params).sort());
    });
  }

  it("makes dropout of Dropout, which draws in training alone", () => {
    const net = fromOnnx(modelOf(MODELS["Dropout"]));
    assertEquals(net.layers[0].layer, { ...net.layers[0].layer, type: "dropout", args: [0.75] });
    const random = new RandomState(5), same = new RandomState(5), x = values([50, 3]);
    const first = fromOnnx(modelOf(MODELS["Dropout"]), { random }).loss(x, new Uint8Array(50));
    const second = fromOnnx(modelOf(MODELS["Dropout"]), { random: same }).loss(
      x,
      new Uint8Array(50),
    );
    assertEquals(first.loss, second.loss);
    assert(first.loss !== net.loss(x, new Uint8Array(50)).loss);
  });

  it("makes float64 nets of models of doubles, and reads values that are not bytes", () => {
    const { W, b } = { W: [1, 2, 3, 4, 5, 6], b: [0.1, 0.2, 0.3] };
    const proto = fromBinary(ModelProtoSchema, modelOf(MODELS["MatMul and Add"]));
    const { graph } = proto;
    const type = graph!.input[0].type!.value;
    if (type.case !== "tensorType") throw new TypeError(`it is of ${type.case}`);
    type.value.elemType = DataType.DOUBLE;
    type.value.shape!.dim[1].value = { case: "dimValue", value: 2n };
    const dataType = DataType.DOUBLE;
    graph!.initializer = [
      create(TensorProtoSchema, { name: "W", dims: [2n, 3n], dataType, doubleData: W }),
      create(TensorProtoSchema, { name: "b", dims: [3n], dataType, doubleData: b }),
    ];
    const net = fromOnnx(toBinary(ModelProtoSchema, proto));
    const x = { data: Float64Array.of(1, 10), shape: [1, 2] };
    assertEquals(net.predict(x).data, Float64Array.of(41.1, 52.2, 63.3));
    graph!.initializer[1] = create(TensorProtoSchema, {
      ...{ name: "b", dims: [3n], dataType: DataType.FLOAT, floatData: b },
    });
    assertThrows(
      () => fromOnnx(toBinary(ModelProtoSchema, proto)),
      TypeError,
      "node y (Add) has a constant of F32, where F64 is read",
    );
  });

  it("reads a global pool with a flatten as one layer, and drops a flatten before a Gemm", () => {
    const types = (what: string) => fromOnnx(modelOf(MODELS[what])).layers.map((l) => l.layer.type);
    assertEquals(types("GlobalMaxPool and Reshape"), ["globalMax", "affine"]);
    assertEquals(types("ReduceMean"), ["globalAverage", "affine"]);
    assertEquals(types("GlobalAveragePool and Squeeze"), ["globalAverage", "affine"]);
    assertEquals(types("GlobalAveragePool, its planes kept"), ["averagePool", "conv", "affine"]);
    assertEquals(types("Add with its shortcut first"), ["residual", "affine"]);
    assertEquals(types("blocks in blocks"), ["concat", "affine"]);
  });
});

/** What is refused, and what the message says. */
const REFUSED: Readonly<Record<string, readonly [ModelText, string]>> = {
  "an operator": [
    images(SAME, [node("HardSwish", "x", "z")]),
    "node z (HardSwish) is of an operator that is not read",
  ],
  "an input too many": [
    images(SAME, [node("Relu", "x W", "z")], { W }),
    "node z (Relu) takes W as well, which is not read",
  ],
  "no input": [
    images(SAME, [{ opType: "Concat", inputs: [], outputs: ["z"], attributes: { axis: 1 } }]),
    "node z (Concat) has no input",
  ],
  "an Identity of nothing": [
    images(SAME, [{ opType: "Identity", inputs: [], outputs: ["z"] }]),
    "node z (Identity) takes nothing as its input number 1",
  ],
  "planes of other sizes": [
    images(SAME, [node("GlobalMaxPool", "x", "a"), node("Concat", "x a", "z", { axis: 1 })]),
    "node z (Concat) joins [4,7,6], [4,1,1], whose planes differ",
  ],
  "an attribute": [
    images(SAME, [node("Relu", "x", "z", { slope: 1 })]),
    "node z (Relu) has the attribute slope, which is not read",
  ],
  "an attribute of a wrong type": [
    images(SAME, [node("LeakyRelu", "x", "z", { alpha: 1 })]),
    "node z (LeakyRelu) has the attribute alpha of a wrong type, INT",
  ],
  "a value of an attribute": [
    images(SAME, [node("Gelu", "x", "z", { approximate: "tanh" })], {}, { opset: 20 }),
    "node z (Gelu) has approximate = tanh, where none is read",
  ],
  "a scaled Gemm": [
    model([5], [node("Gemm", "x W", "y", { alpha: { float: 2 } })], { W: values([5, 3]) }),
    "node y (Gemm) has an alpha or beta that is not 1",
  ],
  "a Gemm of a transposed input": [
    model([5], [node("Gemm", "x W", "y", { transA: 1 })], { W: values([5, 3]) }),
    "has transA = 1, where 0 alone is read",
  ],
  "a Gemm of images": [
    model([5, 2, 2], [node("MatMul", "x W", "y")], { W: values([2, 3]) }),
    "node y (MatMul) gets [N,5,2,2], where 2 dimensions are read",
  ],
  "weights that are no constant": [
    model([3], [node("Relu", "x", "a"), node("MatMul", "x a", "y")]),
    "node y (MatMul) takes a, where a constant is read",
  ],
  "weights of another size": [
    model([4], [node("MatMul", "x W", "y")], { W: values([5, 3]) }),
    "node y (MatMul) has weights for 5 values, and gets 4",
  ],
  "batch normalization in training": [
    images(SAME, [node("BatchNormalization", "x g b m v", "z", { training_mode: 1 })], {
      ...{ g: b, b, m: b, v: b },
    }),
    "node z (BatchNormalization) has training_mode = 1",
  ],
  "a second output": [
    images(SAME, [node("BatchNormalization", "x g b m v", "z mean")], { g: b, b, m: b, v: b }),
    "node z (BatchNormalization) gives mean as well",
  ],
  "a convolution of vectors": [
    model([5], [node("Conv", "x W", "y")], { W }),
    "node y (Conv) gets [N,5], where 4 dimensions are read",
  ],
  "a convolution of other channels": [
    model([5, 7, 6], [node("Conv", "x W", "y")], { W }),
    "node y (Conv) has W [4,4,3,3], where its input asks for [4,5,3,3]",
  ],
  "an Add that stretches": [
    images(SAME, [node("GlobalAveragePool", "x", "a"), node("Add", "x a", "z")]),
    "node z (Add) adds [4,7,6], [4,1,1], where two of one shape are read",
  ],
  "an Add of a constant to no layer": [
    images(SAME, [node("Relu", "x", "a"), node("Add", "a b", "z")], { b: values([4, 1, 1]) }),
    "node z (Add) adds a constant, where the bias of the node before it is read",
  ],
  "an Add of a constant of another shape": [
    images(SAME, [node("Conv", "x W", "a", { pads: [1, 1, 1, 1] }), node("Add", "a b", "z")], {
      W,
      b: values([6]),
    }),
    "node z (Add) adds a constant [6], where [4,1,1] is read",
  ],
  "an Add of a constant of a row": [
    images(SAME, [node("Conv", "x W", "a", { pads: [1, 1, 1, 1] }), node("Add", "a b", "z")], {
      W,
      b: values([4]),
    }),
    "node z (Add) adds a constant [4], where [4,1,1] is read",
  ],
  "a Pad before an Add": [
    images(4 * 9 * 8, [node("Pad", "x p", "a"), node("Add", "a a", "z")], {
      p: [0, 0, 1, 1, 0, 0, 1, 1],
    }),
    "node z (Add) is after a Pad",
  ],
  "an input without values": [
    model([0], [node("Relu", "x", "y")]),
    "its input x has the shape [?,0]: all but the first must be fixed",
  ],
  "a Concat of rows": [
    images(2 * SAME, [node("Concat", "x x", "z", { axis: 2 })]),
    "node z (Concat) has axis = 2, where 1 is read",
  ],
  "a Reshape to images": [
    images(SAME, [node("Reshape", "x s", "z")], { s: [0, 2, 14, 6] }),
    "node z (Reshape) makes [0,2,14,6] of a batch of [4,7,6], where vectors are read",
  ],
  "a Flatten of the batch": [
    model([4, 7, 6], [node("Flatten", "x", "y", { axis: 0 })]),
    "node y (Flatten) has axis = 0, where 1 is read",
  ],
  "a mean of channels": [
    images(SAME, [node("ReduceMean", "x", "z", { axes: [1] })]),
    "node z (ReduceMean) has axes = [1], where [2,3] is read",
  ],
  "a Squeeze of whole planes": [
    images(SAME, [node("Squeeze", "x a", "z")], { a: [2, 3] }),
    "node z (Squeeze) squeezes [4,7,6], whose planes have more than a value",
  ],
  "a Softmax of images": [
    images(SAME, [node("Softmax", "x", "z")]),
    "node z (Softmax) gets [N,4,7,6], where 2 dimensions are read",
  ],
  "a Pad before something else": [
    images(4 * 9 * 8, [node("Pad", "x p", "a"), node("Relu", "a", "z")], {
      p: [0, 0, 1, 1, 0, 0, 1, 1],
    }),
    "node z (Relu) is after a Pad, where Conv, MaxPool, AveragePool are read",
  ],
  "a Pad that reflects": [
    images(SAME, [node("Pad", "x p", "a", { mode: "reflect" }), node("MaxPool", "a", "z")], {
      p: [0, 0, 1, 1, 0, 0, 1, 1],
    }),
    "node a (Pad) has mode = reflect, where constant is read",
  ],
  "a Pad of zeros before a MaxPool": [
    images(SAME, [
      node("Pad", "x p", "a"),
      node("MaxPool", "a", "z", { kernel_shape: [3, 3] }),
    ], { p: [0, 0, 1, 1, 0, 0, 1, 1] }),
    "node z (MaxPool) is after a Pad with 0, where -Infinity is read",
  ],
  "paths that cross": [
    images(SAME, [
      node("Relu", "x", "a"),
      node("Tanh", "x", "b"),
      node("Add", "a b", "c"),
      node("Sigmoid", "b", "d"),
      node("Add", "c d", "z"),
    ]),
    "node b (Tanh) is used on two paths that sequential, residual and concat cannot hold",
  ],
  "a node that the output does not need": [
    images(SAME, [node("Relu", "x", "z"), node("Tanh", "x", "a")]),
    "node a (Tanh) gives a value that the output does not need",
  ],
  "nodes out of order": [
    images(SAME, [node("Relu", "a", "z"), node("Tanh", "x", "a")]),
    "node z (Relu) takes a as its input number 1, which no node before it gives",
  ],
  "a name twice": [
    images(SAME, [node("Relu", "x", "z"), node("Tanh", "z", "z")]),
    "node z (Tanh) gives z, which must be a new name",
  ],
  "two inputs": [
    images(SAME, [node("Add", "x x2", "z")], {}, {
      inputs: { x: ["N", 4, 7, 6], x2: ["N", 4, 7, 6] },
    }),
    "its inputs are x, x2, where one is read",
  ],
  "two outputs": [
    model([3], [node("Relu", "x", "y"), node("Tanh", "x", "z")], {}, { outputs: ["y", "z"] }),
    "its outputs are y, z, where one is read",
  ],
  "sizes that are not fixed": [
    images(SAME, [node("Relu", "x", "z")], {}, { inputs: { x: ["N", 4, "H", "W"] } }),
    "its input x has the shape [?,4,?,?]: all but the first must be fixed",
  ],
  "operators of the future": [
    model([3], [node("Relu", "x", "y")], {}, { opset: 99 }),
    "its operators are those of set 99, where 7 to 25 are read",
  ],
  "an output of images": [
    model([4, 7, 6], [node("Relu", "x", "y")]),
    "layers must end in one score per class",
  ],
};

describe("fromOnnx() refuses by node and reason", () => {
  for (const [what, [text, message]] of Object.entries(REFUSED)) {
    it(what, () => {
      const error = assertThrows(() => fromOnnx(modelOf(text)), Error, message);
      assert(error instanceof ArgumentTypeError || error instanceof ArgumentRangeError);
    });
  }

  /** A plain model, changed. */
  const changed = (change: (model: ModelProto) => void): Uint8Array => {
    const proto = fromBinary(ModelProtoSchema, modelOf(MODELS["MatMul and Add"]));
    change(proto);
    return toBinary(ModelProtoSchema, proto);
  };

  it("data in other files", () => {
    const bytes = changed(({ graph }) => {
      const [W] = graph!.initializer;
      W.dataLocation = DataLocation.EXTERNAL;
      W.externalData = [{
        $typeName: "onnx.StringStringEntryProto",
        key: "location",
        value: "net.data",
      }];
      W.rawData = new Uint8Array();
    });
    assertThrows(
      () => fromOnnx(bytes),
      TypeError,
      "The initializer W must have its data in the model, not as external data in net.data",
    );
  });

  it("data that names another file, wherever it says that it lies", () => {
    const bytes = changed(({ graph }) => {
      const [W] = graph!.initializer;
      W.externalData = [{ $typeName: "onnx.StringStringEntryProto", key: "offset", value: "0" }];
    });
    assertThrows(() => fromOnnx(bytes), TypeError, "not as external data in another file");
  });

  it("types, domains, and parts of a model that are not read", () => {
    const cases: readonly (readonly [(model: ModelProto) => void, string])[] = [
      [({ graph }) => graph!.initializer[0].dataType = DataType.FLOAT16, "it is of FLOAT16"],
      [
        ({ graph }) => graph!.node[0].domain = "com.microsoft",
        "(MatMul) is of the domain com.microsoft",
      ],
      [
        ({ graph }) => {
          const { attribute } = graph!.node[0];
          attribute.push(...[1, 2].map(() => create(AttributeProtoSchema, { name: "axis" })));
        },
        "node h (MatMul) has an attribute twice",
      ],
      [(proto) => proto.opsetImport = [], "it names no set of ONNX's operators"],
      [(proto) => proto.graph = undefined, "it has no graph"],
      [
        (proto) => proto.functions = [create(FunctionProtoSchema)],
        "it has functions of its own",
      ],
      [
        ({ graph }) => graph!.node[0].$unknown = [{ no: 77, wireType: 0, data: Uint8Array.of(1) }],
        "node h (MatMul) must have the fields of ONNX 1.20: it has a field of number 77",
      ],
    ];
    for (const [change, message] of cases) {
      assertThrows(() => fromOnnx(changed(change)), ArgumentTypeError, message);
    }
    const short = changed(({ graph }) => graph!.initializer[0].rawData = new Uint8Array(8));
    assertThrows(() => fromOnnx(short), ArgumentRangeError, "its shape [5,3]: it has 2");
    assertThrows(() => fromOnnx("x" as never), TypeError, "bytes must be a Uint8Array");
    assertThrows(() => fromOnnx(short, { rand: 1 } as never), TypeError, 'unknown option "rand"');
  });

  it("any damaged file, or reads it, and never fails otherwise", () => {
    const layers = [conv(2), relu(), globalAverage(), affine(3)];
    const bytes = toOnnx(new Net({ inputDim: [1, 4, 4], layers }));
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.boolean(), (at, byte, cut) => {
        const damaged = cut ? bytes.slice(0, at) : bytes.slice();
        if (!cut) damaged[at] = byte;
        try {
          fromOnnx(damaged);
        } catch (error) {
          const isOwn = error instanceof ArgumentTypeError || error instanceof ArgumentRangeError;
          assert(isOwn, String(error));
        }
      }),
      { seed: SEED, numRuns: 3000 },
    );
  });
});

describe("softmax() and crossEntropyLoss()", () => {
  it("are together the softmax loss, with its gradient", () => {
    const x = new RandomState(3).randn([4, 5]), y = [0, 4, 2, 2];
    const rows = tensor(Float64Array.from({ length: 20 }, (_, i) => i % 5 === 1 ? 0.6 : 0.1), [
      4,
      5,
    ]);
    const net = (loss?: typeof crossEntropyLoss) =>
      new Net({ inputDim: 5, layers: [affine(5), ...loss ? [softmax()] : []], loss });
    const plain = net(), soft = net(crossEntropyLoss);
    soft.loadState(plain.state());
    for (const targets of [y, rows]) {
      const expected = plain.loss(x, targets), found = soft.loss(x, targets);
      assert(Math.abs(found.loss - expected.loss) < 1e-12);
      for (const [name, { data }] of Object.entries(expected.grads)) {
        for (const [i, value] of data.entries()) {
          assert(Math.abs(found.grads[name].data[i] - value) < 1e-12, name);
        }
      }
    }
    assertEquals(softmaxLoss(plain.predict(x), y).loss, plain.loss(x, y).loss);
  });

  it("stay finite where a probability is 0, and refuse what is not probabilities or labels", () => {
    const p = tensor(Float32Array.of(0, 1), [1, 2]);
    const { loss, dx } = crossEntropyLoss(p, [0]);
    assert(Number.isFinite(loss) && dx.data.every(Number.isFinite));
    assertThrows(() => crossEntropyLoss(p, [2]), RangeError);
    assertThrows(() => crossEntropyLoss(tensor(Float32Array.of(0, 1), [2]), [0]), TypeError);
    const layers = [conv(2), softmax()];
    assertThrows(
      () => new Net({ inputDim: [1, 4, 4], layers }),
      TypeError,
      "needs an input of (D)",
    );
  });

  it("come back from JSON with their functions", () => {
    const net = fromOnnx(modelOf(MODELS["Softmax"])), text = JSON.stringify(net);
    const copy = Net.fromJSON(JSON.parse(text), { layers: { softmax }, loss: crossEntropyLoss });
    copy.loadState(net.state());
    const x = values([2, 5]);
    assertEquals(copy.loss(x, [0, 1]).loss, net.loss(x, [0, 1]).loss);
  });
});
