import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  affine,
  averagePool,
  batchnorm,
  concat,
  conv,
  convTranspose,
  decodeCheckpoint,
  depthwiseConv,
  dropout,
  encodeCheckpoint,
  flatten,
  gelu,
  globalAverage,
  globalMax,
  groupnorm,
  type LayerDefinition,
  layernorm,
  leakyRelu,
  maxPool,
  Net,
  type NetDescription,
  RandomState,
  relu,
  residual,
  sequential,
  sigmoid,
  Solver,
  svmLoss,
  tanh,
  type Tensor,
  tensor,
  ThreeLayerConvNet,
  useKernels,
  zeros,
} from "../../../mod.ts";
import { sumOfSquares } from "../../support/gradients.ts";
import { assertAllGradients } from "../../support/planned.ts";
import { watchArrays } from "../../support/watch.ts";

const unit = (filters: number, options: { kernel?: number; stride?: number } = {}) =>
  sequential(conv(filters, { ...options, bias: false }), batchnorm());

/** ResNet's basic block, with a projection where the shape changes. */
const basicBlock = (filters: number, stride = 1) =>
  sequential(
    residual(
      sequential(unit(filters, { stride }), relu(), unit(filters)),
      stride > 1 ? unit(filters, { kernel: 1, stride }) : undefined,
    ),
    relu(),
  );

/** MobileNetV2's inverted residual block. */
const inverted = (filters: number, expansion: number) =>
  residual(sequential(
    ...[conv(filters * expansion, { kernel: 1, bias: false }), batchnorm(), relu()],
    ...[depthwiseConv({ bias: false }), batchnorm(), relu()],
    ...[conv(filters, { kernel: 1, bias: false }), batchnorm()],
  ));

/** An inception block of 2 + 3 + 2 + 2 channels. */
const inception = () =>
  concat(
    sequential(conv(2, { kernel: 1 }), relu()),
    sequential(conv(2, { kernel: 1 }), relu(), conv(3), relu()),
    sequential(conv(2, { kernel: 1 }), relu(), conv(2, { kernel: 5 }), relu()),
    sequential(maxPool(3, { stride: 1, pad: 1 }), conv(2, { kernel: 1 }), relu()),
  );

interface Architecture {
  readonly inputDim: readonly number[];
  readonly layers: readonly LayerDefinition[];
}

const architectures: Readonly<Record<string, Architecture>> = {
  "LeNet-5, with its average pools": {
    inputDim: [1, 16, 16],
    layers: [
      ...[conv(3, { kernel: 5 }), tanh(), averagePool(2)],
      ...[conv(4, { kernel: 5, pad: 0 }), tanh(), averagePool(2)],
      ...[affine(8), tanh(), affine(6), tanh(), affine(4)],
    ],
  },
  "a residual net with a projection": {
    inputDim: [2, 6, 6],
    layers: [unit(3), relu(), basicBlock(3), basicBlock(4, 2), globalAverage(), affine(4)],
  },
  "MobileNetV2's inverted residual block": {
    inputDim: [3, 5, 5],
    layers: [inverted(3, 2), relu(), globalAverage(), affine(4)],
  },
  "an inception block": {
    inputDim: [3, 5, 5],
    layers: [inception(), maxPool(2), affine(4)],
  },
  "nested residuals": {
    inputDim: [2, 4, 4],
    layers: [
      residual(sequential(
        residual(sequential(conv(2), relu(), residual(conv(2)))),
        relu(),
        conv(2),
      )),
      ...[groupnorm(2), gelu(), convTranspose(2, { kernel: 2, stride: 2 }), leakyRelu(0.2)],
      ...[flatten(), layernorm(), sigmoid(), dropout(0.7), affine(4)],
    ],
  },
};

const y = [0, 3, 1, 2];

describe("Net", () => {
  for (const [name, description] of Object.entries(architectures)) {
    it(`has gradients that agree with central differences, by every tier: ${name}`, () => {
      for (const tier of ["auto", "generated", "naive"] as const) {
        using _ = useKernels(tier);
        const random = new RandomState(5);
        const net = new Net({ ...description, reg: 0.1, seed: 1, random });
        assertAllGradients(net, random.randn([4, ...description.inputDim]), y);
      }
    });

    it(`is the same net after a journey through JSON: ${name}`, () => {
      const net = new Net({ ...description, reg: 0.1, random: new RandomState(3) });
      const text = JSON.stringify(net);
      const copy = Net.fromJSON(JSON.parse(text), { random: new RandomState(3) });
      assertEquals(JSON.stringify(copy), text);
      assertEquals(copy.params, net.params);
      const x = new RandomState(4).randn([4, ...description.inputDim]);
      assertEquals(copy.loss(x, y), net.loss(x, y));
      assertEquals(copy.predict(x), net.loss(x));
      assertEquals(copy.getState(), net.getState());
    });
  }

  it("names parameters by the number of the weights, in the order of the description", () => {
    const net = new Net({
      inputDim: [2, 4, 4],
      layers: [
        batchnorm(),
        ...[relu(), conv(3), batchnorm(), groupnorm(3), relu(), maxPool(2)],
        residual(sequential(unit(3), relu()), unit(3)),
        affine(4),
      ],
    });
    assertEquals(
      Object.keys(net.params).join(" "),
      "gamma1 beta1 W2 b2 gamma2 beta2 gamma3 beta3 W4 gamma4 beta4 W5 gamma5 beta5 W6 b6",
    );
    assertEquals(
      Object.keys(net.getState().statistics).join(" "),
      "runningMean1 runningVar1 runningMean2 runningVar2 runningMean4 runningVar4 runningMean5 runningVar5",
    );
    // A layer without parameters changes no name.
    const names = (...layers: LayerDefinition[]) =>
      Object.keys(new Net({ inputDim: 4, layers }).params);
    assertEquals(names(affine(3), affine(2)), names(tanh(), affine(3), relu(), affine(2)));
  });

  it("lets the kernel of a convolution or a fully-connected layer do relu, which changes no bit", () => {
    const separate: LayerDefinition = {
      type: "identity",
      plan: (inShape) => ({
        outShape: inShape,
        forward: (x) => ({ out: x, backward: (dout) => ({ dx: dout }) }),
      }),
    };
    const make = (...between: readonly LayerDefinition[]) =>
      new Net({
        inputDim: [2, 9, 9],
        layers: [
          ...[conv(4), ...between, relu(), ...between, maxPool(3, { stride: 2 })],
          ...[conv(3), batchnorm(), ...between, relu(), ...between, maxPool(2)],
          ...[conv(3), maxPool(2), ...between, relu(), globalMax()],
          ...[affine(5), ...between, relu(), affine(4)],
        ],
      });
    const x = new RandomState(1).randn([4, 2, 9, 9]);
    const joined = make(), apart = make(separate);
    assertEquals(joined.loss(x, y), apart.loss(x, y));
    assertEquals(joined.predict(x), apart.predict(x));
    // Three relus write over their input, or a kernel does them: they make no array.
    const arrays = (net: Net) => watchArrays(() => net.predict(x)).length;
    assertEquals(arrays(joined), arrays(apart) - 3);
  });

  it("joins by what a layer does, across layers that select, and through sequences", () => {
    const joined: string[] = [];
    /** A layer that tells which epilogues its kernel runs with. */
    const watched = (name: string, layer: LayerDefinition): LayerDefinition => ({
      type: "watched",
      plan(inShape, planner) {
        const plan = layer.plan(inShape, planner);
        return {
          ...plan,
          withEpilogue: (epilogue) => (x, params, run) => {
            joined.push(`${name} ${JSON.stringify(epilogue)}`);
            return plan.withEpilogue!(epilogue)(x, params, run);
          },
        };
      },
    });
    const net = new Net({
      inputDim: [2, 8, 8],
      layers: [
        ...[watched("conv1", conv(3)), relu()],
        ...[watched("conv2", conv(3)), maxPool(2), relu()],
        ...[sequential(watched("conv3", conv(3))), sequential(relu())],
        ...[watched("conv4", conv(3)), batchnorm(), relu()],
        ...[watched("conv5", conv(3)), tanh(), relu(), watched("affine6", affine(4)), relu()],
      ],
    });
    net.predict(zeros([1, 2, 8, 8]));
    const named = ["conv1", "conv2", "conv3", "affine6"].map((name) => `${name} {"relu":true}`);
    assertEquals(joined, named);
  });

  it("computes no gradient that nobody needs", () => {
    const x = new RandomState(1).randn([4, 3, 8, 8]);
    const sizes = (layers: readonly LayerDefinition[]) => {
      const net = new Net({ inputDim: [3, 8, 8], layers });
      net.loss(x, y);
      return watchArrays(() => net.loss(x, y)).filter((size) => size === x.data.byteLength).length;
    };
    assertEquals(sizes([conv(2), globalAverage(), affine(4)]), 0);
    // One output of tanh, and no gradient.
    assertEquals(sizes([tanh(), conv(2), globalAverage(), affine(4)]), 1);
    // The sum, in the place of the convolution's output, and its gradient.
    assertEquals(sizes([residual(conv(3)), globalAverage(), affine(4)]), 2);
    assertEquals(sizes([concat(conv(2), conv(2)), globalAverage(), affine(4)]), 0);
    assertEquals(sizes([globalAverage(), affine(4)]), 0);
  });

  it("takes a loss by its name or as a function", () => {
    const layers = [affine(5), relu(), affine(4)];
    const x = new RandomState(1).randn([4, 6]);
    const svm = new Net({ inputDim: 6, layers, loss: "svm" });
    const scores = svm.predict(x);
    assertEquals(svm.loss(x, y).loss, svmLoss(scores, y).loss);
    assertEquals(Net.fromJSON(svm.toJSON()).loss(x, y), svm.loss(x, y));
    const half = (x: Tensor, y: ArrayLike<number>) => {
      const { loss, dx } = svmLoss(x, y);
      return { loss: loss / 2, dx: tensor(dx.data.map((v) => v / 2), dx.shape) };
    };
    const own = new Net({ inputDim: 6, layers, loss: half });
    assertEquals(own.loss(x, y).loss, svm.loss(x, y).loss / 2);
    assertAllGradients(own, x, y);
    assertThrows(() => Net.fromJSON(own.toJSON()), TypeError, "loss must be a function or one of");
    assertEquals(Net.fromJSON(own.toJSON(), { loss: half }).loss(x, y), own.loss(x, y));
    // @ts-expect-error: no such loss
    assertThrows(() => new Net({ inputDim: 6, layers, loss: "l2" }), TypeError, "softmax, svm");
  });

  it("prints a table of its layers, with parameters and multiply-adds", () => {
    const net = new Net({
      inputDim: [3, 8, 8],
      layers: [residual(sequential(conv(3), batchnorm())), relu(), maxPool(2), affine(10)],
    });
    assertEquals(net.summary().split("\n"), [
      "layer              output  parameters  multiply-adds",
      "input           3 x 8 x 8",
      "residual        3 x 8 x 8",
      "  sequential    3 x 8 x 8",
      "    conv1       3 x 8 x 8          84          5,184",
      "    batchnorm1  3 x 8 x 8           6",
      "relu            3 x 8 x 8",
      "pool1           3 x 4 x 4",
      "affine2                10         490            480",
      "total                             580          5,664",
    ]);
  });

  it("names the kernel of every layer, those inside others too", () => {
    using _ = useKernels("naive");
    const net = new Net({
      inputDim: [4, 8, 8],
      layers: [
        concat(depthwiseConv(), residual(conv(4), sequential())),
        ...[averagePool(2), maxPool(2), convTranspose(3), affine(4)],
      ],
    });
    assertEquals(net.explain().map(({ layer, name }) => `${layer} ${name}`), [
      "depthwiseConv1 conv-naive",
      "conv2 conv-naive",
      "averagePool2 averagepool-naive",
      "pool2 maxpool-naive",
      "convTranspose3 conv-naive",
      "affine4 affine-naive",
    ]);
  });

  it("starts with weights of the given scale, or He's by what each output sums", () => {
    const layers = [
      ...[conv(64, { kernel: 1 }), depthwiseConv({ kernel: 7 })],
      ...[conv(64, { groups: 4 }), convTranspose(64, { kernel: 2, stride: 2 }), affine(50)],
    ];
    const net = new Net({ inputDim: [16, 8, 8], layers });
    const deviation = (t: Tensor) => Math.sqrt(sumOfSquares(t) / t.data.length);
    const expected = { W1: 16, W2: 49, W3: 16 * 9, W4: 64, W5: 64 * 256 };
    for (const [name, fanIn] of Object.entries(expected)) {
      const he = Math.sqrt(2 / fanIn);
      assertAlmostEquals(deviation(net.params[name]), he, 0.06 * he, name);
    }
    const small = new Net({ inputDim: [16, 8, 8], layers, weightScale: 1e-3 });
    assertAlmostEquals(deviation(small.params.W5), 1e-3, 1e-5);
  });

  it("takes kernelSize in place of kernel, and describes it as kernel", () => {
    const size = { kernelSize: [2, 4], stride: 2, pad: 0 } as const;
    const net = new Net({
      inputDim: [4, 12, 12],
      layers: [depthwiseConv({ kernelSize: 5 }), conv(6, size), convTranspose(2, size), affine(3)],
    });
    const shapes = [[4, 1, 5, 5], [6, 4, 2, 4], [6, 2, 2, 4]];
    assertEquals(["W1", "W2", "W3"].map((name) => net.params[name].shape), shapes);
    const { layers } = net.toJSON();
    assertEquals(layers[1], { type: "conv", args: [6, { stride: 2, pad: 0, kernel: [2, 4] }] });
    assertThrows(
      () => conv(4, { kernelSize: 3, kernel: 5 }),
      TypeError,
      "conv.kernel must be left",
    );
    assertThrows(() => conv(4, { kernelSize: 0 }), RangeError, "conv.kernel must be");
  });

  it("is trained by the Solver, and continues from a checkpoint to the same bits", () => {
    const random = new RandomState(2);
    const x = random.randn([20, 2, 6, 6]), labels = random.randint(0, 4, 20);
    const data = { xTrain: x, yTrain: labels, xVal: x, yVal: labels };
    const { layers } = architectures["a residual net with a projection"];
    const make = () =>
      new Solver(
        new Net({ inputDim: [2, 6, 6], layers: [...layers.slice(0, -1), dropout(0.8), affine(4)] }),
        data,
        { updateRule: "adam", numEpochs: 4, batchSize: 10, verbose: false },
      );
    const straight = make();
    straight.train();
    assert(straight.lossHistory.at(-1)! < straight.lossHistory[0]);
    const first = make();
    let bytes: Uint8Array | undefined;
    first.train({ onCheckpoint: (checkpoint) => void (bytes ??= encodeCheckpoint(checkpoint)) });
    const resumed = make();
    resumed.resume(decodeCheckpoint(bytes!));
    resumed.train();
    assertEquals(resumed.lossHistory, straight.lossHistory);
    assertEquals(resumed.model.params, straight.model.params);
  });

  it("describes the course's nets too", () => {
    const net = new ThreeLayerConvNet({ inputDim: [3, 8, 8], numFilters: 4, batchnorm: true });
    const copy = Net.fromJSON(JSON.parse(JSON.stringify(net)));
    assertEquals(copy.params, net.params);
    const x = new RandomState(1).randn([4, 3, 8, 8]);
    assertEquals(copy.loss(x, y), net.loss(x, y));
  });

  it("can use one value twice, with parameters of their own, and is not changed with its arguments", () => {
    const options = { kernel: 3, stride: [1, 1] as [number, number] };
    const twice = conv(4, options);
    const net = new Net({ inputDim: [4, 6, 6], layers: [twice, twice, affine(2)] });
    assertEquals(net.params.W1.shape, net.params.W2.shape);
    assert(net.params.W1.data[0] !== net.params.W2.data[0]);
    const text = JSON.stringify(twice);
    options.stride[0] = 2;
    assertEquals(JSON.stringify(twice), text);
  });
});

describe("A wrong description", () => {
  const net = (...layers: readonly unknown[]) => () =>
    new Net({ inputDim: [4, 16, 16], layers: layers as LayerDefinition[] });

  const wrong: readonly (readonly [() => unknown, new () => Error, string])[] = [
    [
      net(conv(8), relu(), maxPool(2), residual(conv(8), conv(4)), affine(3)),
      RangeError,
      "layers[3].residual.branch gives [8,8,8], its shortcut [4,8,8]",
    ],
    [
      net(conv(8), residual(conv(4))),
      RangeError,
      "layers[1].residual.branch gives [4,16,16], its shortcut [8,16,16]",
    ],
    [
      net(affine(8), conv(3)),
      TypeError,
      "layers[1].conv needs an input of (C, H, W): it gets [8]",
    ],
    [
      net(residual(sequential(conv(4), flatten(), maxPool(2)))),
      TypeError,
      "layers[0].residual.branch.sequential[2].maxPool needs an input of (C, H, W): it gets [1024]",
    ],
    [
      net(concat(conv(2), sequential(relu(), conv(2, { stride: 2 })))),
      RangeError,
      "layers[0].concat[0] gives [2,16,16], layers[0].concat[1] [2,8,8]: planes must agree",
    ],
    [
      net(sequential(conv(2), conv(2, { kernel: 19, pad: 0 }))),
      RangeError,
      "layers[0].sequential[1].conv: The kernel must not be larger than the padded input",
    ],
    [net(conv(6, { groups: 3 })), RangeError, "layers[0].conv: groups must divide the channels"],
    [net(conv(6, { pad: -1 })), RangeError, "layers[0].conv: pad must be"],
    [net(convTranspose(3, { groups: 2 })), RangeError, "layers[0].convTranspose: groups must"],
    [net(convTranspose(3, { outputPad: 1 })), RangeError, "layers[0].convTranspose: outputPad"],
    [net(maxPool(17)), RangeError, "layers[0].maxPool: The pool window must not be larger"],
    [net(averagePool(2, { pad: 2 })), RangeError, "layers[0].averagePool: The pad of a pool"],
    [net(groupnorm(3)), RangeError, "layers[0].groupnorm: groups must divide the channels"],
    [net(layernorm()), TypeError, "layers[0].layernorm needs an input of (D): it gets [4,16,16]"],
    [net(globalAverage(), globalMax()), TypeError, "layers[1].globalMax needs an input of (C, H"],
    [net(conv(3), 5), TypeError, "layers[1] must be a layer, such as conv(8)"],
    [net(conv), TypeError, "layers[0] must be a layer"],
    [
      net(residual(null as unknown as LayerDefinition)),
      TypeError,
      "layers[0].residual.branch must be",
    ],
    [net(conv(3)), TypeError, "layers must end in one score per class"],
    [net(), TypeError, "layers must end in one score per class"],
    [
      () => new Net({ inputDim: 4, layers: conv(3) as never }),
      TypeError,
      "layers must be an array",
    ],
    [() => new Net(null as never), TypeError, "options must be an object"],
    [
      () => new Net({ inputDim: 4, layers: [affine(2)], numClasses: 3 } as never),
      TypeError,
      'unknown option "numClasses"',
    ],
  ];

  for (const [make, type, message] of wrong) {
    it(`is refused when the net is made: ${message}`, () => {
      assertThrows(make, type, message);
    });
  }

  it("draws nothing from the generator", () => {
    const random = new RandomState(0), before = random.getState();
    const layers = [conv(8), residual(conv(4)), affine(3)];
    assertThrows(() => new Net({ inputDim: [4, 8, 8], layers, random }), RangeError);
    assertEquals(random.getState(), before);
  });

  it("is refused as JSON, with its place", () => {
    const right = new Net({ inputDim: 4, layers: [residual(affine(4)), affine(2)] }).toJSON();
    const read = (change: object) => () =>
      Net.fromJSON({ ...right, ...change } as unknown as NetDescription);
    const layer = (type: unknown, ...args: unknown[]) => ({ type, args });
    assertThrows(
      read({ layers: [layer("attention")] }),
      TypeError,
      "layers[0].type must be a layer",
    );
    assertThrows(
      read({ layers: [layer("residual", layer("__proto__"))] }),
      TypeError,
      "layers[0].args[0].type",
    );
    assertThrows(read({ layers: [{ type: "relu" }] }), TypeError, "layers[0]");
    assertThrows(read({ layers: [layer("conv", 0)] }), RangeError, "conv.filters");
    assertThrows(read({ layers: 3 }), TypeError, "layers must be an array");
    assertThrows(read({ depth: 3 }), TypeError, '"depth"');
    assertThrows(read({ dtype: "float16" }), TypeError, "dtype");
    assertThrows(read({ loss: "toString" }), TypeError, "loss must be");
    assertThrows(() => Net.fromJSON("{}" as never), TypeError, "description must be an object");
  });

  it("writes nothing for a batch that is refused", () => {
    const net = new Net({ inputDim: [4, 8, 8], layers: [unit(3), relu(), affine(2)] });
    const before = net.getState();
    assertThrows(() => net.loss(zeros([2, 4, 8, 8]), [0, 2]), RangeError, "from 0 to 1");
    assertThrows(() => net.loss(zeros([2, 4, 8, 7]), [0, 1]), RangeError, "[2,4,8,8]");
    assertThrows(() => net.predict(zeros([2, 256])), TypeError, "[2,4,8,8]");
    assertEquals(net.getState(), before);
  });
});
