import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  affine,
  averagePool,
  batchnorm,
  concat,
  conv,
  convTranspose,
  depthwiseConv,
  dropout,
  gelu,
  globalAverage,
  groupnorm,
  type LayerDefinition,
  leakyRelu,
  maxPool,
  Net,
  RandomState,
  relu,
  residual,
  sequential,
  Solver,
  tanh,
  type Tensor,
  tensor,
  ThreeLayerConvNet,
} from "../../mod.ts";
import { fromOnnx, softmax, toOnnx } from "../../io/onnx.ts";
import { EXPORTERS } from "../../io/onnx/exporters.ts";
import { LAYERS as LAYER_FUNCTIONS } from "../../nn/nets/net.ts";
import { readMnist } from "../../examples/lib/mnist.ts";
import { assertSameBits } from "../support/bits.ts";
import { SEED } from "../support/kernels.ts";
import { LAYERS, netOf } from "../support/nets.ts";
import { runModel } from "../support/onnx.ts";
import { isMissing, runPython } from "../support/python.ts";

const INPUT = [4, 9, 11] as const;

/** A batch of float32. */
function batchOf(N: number, shape: readonly number[], seed = 7): Tensor<Float32Array> {
  const { data, shape: all } = new RandomState(seed).randn([N, ...shape]);
  return { data: Float32Array.from(data), shape: all };
}

/** Asserts that scores agree to 1e-5 of the largest. */
function assertScores(actual: Tensor, expected: Tensor, what: string): void {
  assertEquals(actual.shape, expected.shape, what);
  let scale = 1e-30, error = 0;
  for (const [i, value] of expected.data.entries()) {
    scale = Math.max(scale, Math.abs(value));
    error = Math.max(error, Math.abs(actual.data[i] - value));
    assert(Number.isFinite(value), what);
  }
  assert(error <= 1e-5 * scale, `${what}: off by ${error}, the largest score is ${scale}`);
}

/** Asserts that a net can be trained on: its loss falls, and every parameter has a gradient. */
function assertTrainable(net: Net<"float32" | "float64">, x: Tensor, what: string): void {
  const y = Array.from({ length: x.shape[0] }, (_, n) => n % 3);
  const before = net.loss(x, y);
  assertEquals(Object.keys(before.grads).sort(), Object.keys(net.params).sort(), what);
  let squares = 0;
  for (const { data } of Object.values(before.grads)) {
    for (const value of data) squares += value * value;
  }
  assert(Number.isFinite(squares), what);
  const step = Math.min(0.01, 0.01 * before.loss / squares);
  for (const [name, { data }] of Object.entries(before.grads)) {
    for (let i = 0; i < data.length; i++) net.params[name].data[i] -= step * data[i];
  }
  const after = net.loss(x, y).loss;
  assert(after < before.loss, `${what}: the loss goes from ${before.loss} to ${after}`);
}

/** Layers that keep the shape of images of 4 channels. */
const KEEPING: Readonly<Record<string, () => LayerDefinition>> = {
  conv: () => conv(4),
  groups: () => conv(4, { groups: 2, dilation: 2, bias: false }),
  depthwise: () => depthwiseConv(),
  transposed: () => convTranspose(4),
  batchnorm: () => batchnorm(),
  groupnorm: () => groupnorm(2),
  relu: () => relu(),
  leakyRelu: () => leakyRelu(0.3),
  gelu: () => gelu(),
  tanh: () => tanh(),
  dropout: () => dropout(0.5),
  maxPool: () => maxPool(3, { stride: 1, pad: 1 }),
  averagePool: () => averagePool(3, { stride: 1, pad: 1 }),
  concat: () => concat(conv(1), sequential(maxPool(3, { stride: 1, pad: 1 }), conv(3))),
};

/** What a net is made of: names of layers, sequences, and residual blocks with a shortcut or without. */
interface Tree {
  readonly kind: string;
  readonly parts: readonly Tree[];
}

const { tree: anyTree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.record({ kind: fc.constantFrom(...Object.keys(KEEPING)), parts: fc.constant([]) }),
    fc.record({
      kind: fc.constantFrom("sequential", "residual", "shortcut"),
      parts: fc.array(tie("tree"), { maxLength: 4 }),
    }),
  ),
}));

function grown({ kind, parts }: Tree): LayerDefinition {
  const layers = parts.map(grown), half = layers.length >> 1;
  if (kind === "residual") return residual(sequential(...layers));
  if (kind === "shortcut") {
    return residual(sequential(...layers.slice(0, half)), sequential(...layers.slice(half)));
  }
  return kind === "sequential" ? sequential(...layers) : KEEPING[kind]();
}

describe("toOnnx() and fromOnnx()", () => {
  for (const [what, layers] of Object.entries(LAYERS)) {
    it(`write and read ${what} so that ONNX Runtime gives the same, and they can be trained`, async () => {
      const net = netOf([...layers, affine(3)], INPUT, "float32"), x = batchOf(4, INPUT);
      const bytes = toOnnx(net), scores = net.predict(x);
      assertScores(await runModel(bytes, { x }), scores, "ONNX Runtime");
      const copy = fromOnnx(bytes);
      assertSameBits(copy.predict(x), scores);
      assertEquals(Object.keys(copy.state()).sort(), Object.keys(net.state()).sort());
      assertSameBits(toOnnx(fromOnnx(toOnnx(copy))), toOnnx(copy));
      assertTrainable(copy, x, what);
    });
  }

  it("have a function for every layer that a description may name", () => {
    for (const type of Object.keys(LAYER_FUNCTIONS)) assert(Object.hasOwn(EXPORTERS, type), type);
  });

  it("write and read nets of any layers in any order", async () => {
    const shape = [4, 6, 5];
    await fc.assert(
      fc.asyncProperty(fc.array(anyTree, { maxLength: 4 }), fc.nat(1000), async (trees, seed) => {
        const layers = [...trees.map(grown), globalAverage(), affine(3)];
        const net = netOf(layers, shape, "float32", seed), x = batchOf(2, shape);
        const bytes = toOnnx(net), scores = net.predict(x);
        assertScores(await runModel(bytes, { x }), scores, "ONNX Runtime");
        const copy = fromOnnx(bytes);
        assertScores(copy.predict(x), scores, "fromOnnx");
        assertScores(fromOnnx(toOnnx(copy)).predict(x), scores, "again");
      }),
      { seed: SEED, numRuns: 60 },
    );
  });

  it("keep the layers' options, the names of parameters, and what needs no flatten", () => {
    const layers = [
      ...[conv(3, { kernel: 3 }), batchnorm({ eps: 1e-3, momentum: 0.95 }), relu()],
      ...[residual(sequential(conv(3), groupnorm(3, { eps: 0.1 }))), affine(3)],
    ];
    const copy = fromOnnx(toOnnx(netOf(layers, INPUT, "float32")));
    assertEquals(copy.layers.map(({ layer: { type } }) => type), [
      ...["conv", "batchnorm", "relu", "residual", "affine"],
    ]);
    assertEquals(copy.layers[1].layer.args, [{ eps: 1e-3, momentum: 0.95 }]);
    const [branch] = copy.layers[3].plan.parts!;
    assertEquals(branch.plan.parts![1].layer.args, [3, { eps: 0.1 }]);
    const global = fromOnnx(toOnnx(netOf([conv(3), globalAverage(), affine(3)], INPUT, "float32")));
    assertEquals(global.layers.map(({ layer: { type } }) => type), [
      "conv",
      "globalAverage",
      "affine",
    ]);
  });

  it("write no node more than a layer needs, and call the last value scores", async () => {
    const operators = (layers: readonly LayerDefinition[], inputDim: readonly number[]) => {
      const { graph } = fromBinary(ModelProtoSchema, toOnnx(netOf(layers, inputDim, "float32")));
      assertEquals(graph!.output[0].name, "scores");
      assertEquals(graph!.node.at(-1)!.output, ["scores"]);
      return graph!.node.map(({ opType }) => opType);
    };
    assertEquals(operators([affine(3), relu()], [4]), ["Gemm", "Relu"]);
    assertEquals(operators([affine(3), dropout(0.5)], INPUT), ["Flatten", "Gemm"]);
    const hanging = averagePool(2, { stride: 3, ceilMode: true });
    assertEquals(operators([hanging, affine(3)], INPUT), ["AveragePool", "Flatten", "Gemm"]);
    assertEquals(operators([dropout(0.5)], [3]), ["Identity"]);
    const x = batchOf(2, [3]), bytes = toOnnx(netOf([dropout(0.5)], [3], "float32"));
    assertEquals(await runModel(bytes, { x }), x);
  });

  it("write float64 nets, the course's nets and batches of any size as float32", async () => {
    const net = new ThreeLayerConvNet({ inputDim: [1, 8, 8], numFilters: 3, filterSize: 3 });
    for (const data of Object.values(net.params)) {
      data.data.forEach((_, i) => data.data[i] += i % 3);
    }
    const bytes = toOnnx(net);
    for (const N of [1, 5]) {
      const x = batchOf(N, [1, 8, 8]);
      const scores = net.predict({ data: Float64Array.from(x.data), shape: x.shape });
      assertScores(await runModel(bytes, { x }), scores, `${N} examples`);
    }
    // The data type comes back, the values as float32 holds them.
    const { data } = fromOnnx(bytes).params.W1;
    assertEquals(data, Float64Array.from(Float32Array.from(net.params.W1.data)));
    const single = fromOnnx(bytes, { dtype: "float32" });
    assertEquals(single.dtype, "float32");
    assertEquals(single.params.W1.data, Float32Array.from(net.params.W1.data));
    assertThrows(() => fromOnnx(bytes, { dtype: "f4" as "float32" }), TypeError, "dtype must be");
  });

  it("write layers of one's own by a function, and refuse them by name without", async () => {
    const double = (): LayerDefinition => ({
      type: "double",
      plan: (inShape) => ({
        outShape: inShape,
        params: { scale: { shape: [inShape[0]], init: 2 } },
        forward: ({ data, shape }) => ({
          out: tensor(data.map((value) => 2 * value), shape),
          backward: () => {
            throw new Error("not needed");
          },
        }),
      }),
    });
    const layers = [affine(3), residual(sequential(double())), double()];
    const net = new Net({ inputDim: 4, layers, dtype: "float32" }), x = batchOf(2, [4]);
    assertThrows(
      () => toOnnx(net),
      TypeError,
      "layers[1].residual.branch.sequential[0].double must have a counterpart in ONNX: " +
        "layers of type double need a function options.layers.double",
    );
    const bytes = toOnnx(net, {
      layers: { double: ({ input, names }, graph) => graph.node("Mul", [input, names.scale]) },
    });
    assertScores(await runModel(bytes, { x }), net.predict(x), "ONNX Runtime");
    const none = { layers: { double: 1 } } as never;
    assertThrows(() => toOnnx(net, none), TypeError, "double must have a counterpart in ONNX");
    const wrong = { layers: { double: () => 1 } } as never;
    assertThrows(() => toOnnx(net, wrong), TypeError, "double's output must be a name");
    assertThrows(() => toOnnx({} as never), TypeError, "net must be a net");
    assertThrows(() => toOnnx(net, { layer: {} } as never), TypeError, 'unknown option "layer"');
  });
});

describe("100 digits of MNIST, by a net that has learned from others,", () => {
  it("have the same scores in onnxruntime-node, onnxruntime-web and here", async () => {
    const { xTrain, yTrain, xVal, yVal, xTest } = await readMnist(undefined, 300);
    const unit = (filters: number, stride = 1) =>
      sequential(conv(filters, { stride, bias: false }), batchnorm());
    const layers = [
      ...[unit(8, 2), relu(), residual(sequential(unit(8), relu(), unit(8))), relu()],
      ...[unit(16, 2), relu(), globalAverage(), affine(10)],
    ];
    const net = new Net({ inputDim: [1, 28, 28], layers, dtype: "float32" });
    const options = { numEpochs: 1, batchSize: 50, verbose: false, updateRule: "adam" } as const;
    new Solver(net, { xTrain, yTrain, xVal, yVal }, options).train();
    const x = { data: xTest.data.subarray(0, 100 * 28 * 28), shape: [100, 1, 28, 28] };
    const bytes = toOnnx(net), scores = net.predict(x);
    assertScores(await runModel(bytes, { x }), scores, "onnxruntime-node");
    assertScores(await runModel(bytes, { x }, "web"), scores, "onnxruntime-web");
    assertSameBits(fromOnnx(bytes).predict(x), scores);
  });
});

const skipOnnx = await isMissing("onnx"), skipTorch = await isMissing("torch");

describe("Debian's ONNX checker", { skip: skipOnnx }, () => {
  it("accepts every model, its shapes among them", async () => {
    const models = Object.entries(LAYERS).map(([, layers], i) => {
      const net = netOf([...layers, affine(3), softmax()], INPUT, "float32");
      return [`${i}.onnx`, toOnnx(net)] as const;
    });
    await runPython(
      `
import glob, onnx
paths = glob.glob("*.onnx")
assert len(paths) == ${models.length}
for path in paths:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    shape = inferred.graph.output[0].type.tensor_type.shape
    assert [d.dim_param or d.dim_value for d in shape.dim] == ["N", 3], shape
`,
      Object.fromEntries(models),
    );
  });
});

describe("PyTorch's exporter", { skip: skipTorch }, () => {
  it("writes models that fromOnnx reads: the same scores, and they can be trained", async () => {
    const files = await runPython(`
import torch
from torch import nn
torch.manual_seed(231)
torch.set_num_threads(1)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(4, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.a = nn.Sequential(nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4), nn.GELU(),
                               nn.GroupNorm(4, 8), nn.LeakyReLU(0.2), nn.ConvTranspose2d(8, 8, 3, 1, 1))
        self.b = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(8, 4, 1), nn.Tanh())
        self.c = nn.Sequential(nn.AvgPool2d(3, 1, 1), nn.Conv2d(8, 3, 1), nn.Sigmoid())
        self.end = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.25),
                                 nn.Linear(7, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3, bias=False))

    def forward(self, x):
        x = self.stem(x)
        x = x + self.a(x)
        return self.end(torch.cat([self.b(x), self.c(x)], 1))

net = Net()
x = torch.randn(16, 4, 9, 11)
for i in range(3):
    net(x)
net.eval()
x.numpy().tofile("x.bin")
net(x).detach().numpy().tofile("scores.bin")
for opset in 9, 11, 13, 16:
    axes = {"input": {0: "batch"}, "output": {0: "batch"}}
    torch.onnx.export(net, x, "net%d.onnx" % opset, opset_version=opset, input_names=["input"],
                      output_names=["output"], dynamic_axes=axes)
torch.onnx.export(nn.Sequential(net, nn.Softmax(1)), x[:1], "one.onnx")
torch.onnx.export(net, x, "train.onnx", training=torch.onnx.TrainingMode.TRAINING)
`);
    const floats = (name: string) => new Float32Array(files[name].buffer);
    const x = tensor(floats("x.bin"), [16, ...INPUT]);
    const expected = tensor(floats("scores.bin"), [16, 3]);
    for (const opset of [9, 11, 13, 16]) {
      const net = fromOnnx(files[`net${opset}.onnx`]);
      assertScores(net.predict(x as Tensor<Float32Array>), expected, `opset ${opset}`);
      const types = net.layers.map(({ layer: { type } }) => type);
      assert(types.includes("residual") && types.includes("concat"), types.join());
      assertTrainable(net, x, `opset ${opset}`);
    }
    const softly = fromOnnx(files["one.onnx"]);
    const sums = new Float64Array(16), { data } = softly.predict(x as Tensor<Float32Array>);
    data.forEach((value, i) => sums[Math.floor(i / 3)] += value);
    assert(sums.every((sum) => Math.abs(sum - 1) < 1e-6));
    assertThrows(() => fromOnnx(files["train.onnx"]), TypeError, "BatchNormalization");
  });
});
