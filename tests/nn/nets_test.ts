import { describe, it } from "@std/testing/bdd";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  affineForward,
  type Block,
  BlockNet,
  ConvNet,
  convNetBlocks,
  convReluPoolForward,
  evalNumericalGradient,
  FullyConnectedNet,
  type Labels,
  linspace,
  type ModelState,
  RandomState,
  relError,
  Solver,
  type Tensor,
  tensor,
  ThreeLayerConvNet,
  TwoLayerNet,
  type UpdateRuleName,
  useKernels,
  zeros,
} from "../../mod.ts";
import { assertNumbers, sum, sumOfSquares } from "../support/gradients.ts";

type Net = BlockNet<"float64">;

/**
 * Asserts that a net's gradients agree with central differences, each to its own error. A difference of
 * a few last digits of the loss is none: where normalization takes a shift out again, such as that of a
 * unit whose relu is open for every example, the gradient is 0, and the numerical one what rounding leaves.
 */
function assertNetGradients(
  net: Net,
  x: Tensor<Float64Array>,
  y: Labels,
  largest: Readonly<Record<string, number>>,
  h = 1e-5,
): void {
  const { loss, grads } = net.loss(x, y);
  const rounding = 4 * Number.EPSILON * loss / h;
  assertEquals(Object.keys(grads).sort(), Object.keys(net.params).sort());
  for (const [name, error] of Object.entries(largest)) {
    const numerical = evalNumericalGradient(() => net.loss(x, y).loss, net.params[name], h);
    const { data } = grads[name];
    for (let i = 0; i < data.length; i++) {
      if (Math.abs(numerical.data[i] - data[i]) <= rounding) numerical.data[i] = data[i];
    }
    const found = relError(numerical, grads[name]);
    assert(found <= error, `${name} is off by ${found}, more than ${error}`);
  }
}

/** The course's small problem: 2 examples of 15 numbers, 10 classes. */
function smallProblem(): { random: RandomState; x: Tensor<Float64Array>; y: Int32Array } {
  const random = new RandomState(231);
  return { random, x: random.randn([2, 15]), y: random.randint(0, 10, 2) };
}

describe("TwoLayerNet", () => {
  const x = zeros([3, 5]);
  linspace(-5.5, 4.5, [15]).data.forEach((v, i) => x.data[(i % 3) * 5 + Math.floor(i / 3)] = v);
  const net = new TwoLayerNet({ inputDim: 5, hiddenDim: 50, numClasses: 7 });
  net.params.W1 = linspace(-0.7, 0.3, [5, 50]);
  net.params.b1 = linspace(-0.1, 0.9, [50]);
  net.params.W2 = linspace(-0.3, 0.4, [50, 7]);
  net.params.b2 = linspace(-0.9, 0.1, [7]);

  it("gives the course's scores", () => {
    const scores = net.loss(x);
    assertEquals(scores.shape, [3, 7]);
    const row = [11.53165108, 12.2917344, 13.05181771, 13.81190102, 14.57198434, 15.33206765];
    assertNumbers(scores.data.slice(0, 7), [...row, 16.09215096]);
  });

  it("gives the course's losses", () => {
    net.reg = 0;
    assertAlmostEquals(net.loss(x, [0, 5, 1]).loss, 3.4702243556, 1e-10);
    net.reg = 1;
    assertAlmostEquals(net.loss(x, [0, 5, 1]).loss, 26.5948426952, 1e-10);
  });

  it("has gradients that agree with central differences", () => {
    net.reg = 0;
    const plain = { W1: 1.83e-08, W2: 3.20e-10, b1: 9.83e-09, b2: 4.33e-10 };
    assertNetGradients(net, x, [0, 5, 1], twice(plain));
    net.reg = 0.7;
    const penalised = { W1: 2.53e-07, W2: 7.98e-08, b1: 1.56e-08, b2: 9.09e-10 };
    assertNetGradients(net, x, [0, 5, 1], twice(penalised));
  });

  it("starts with normal weights of the given deviation, and biases 0", () => {
    const net = new TwoLayerNet({ inputDim: 50, hiddenDim: 50, weightScale: 1e-3 });
    assertEquals(Object.keys(net.params), ["W1", "b1", "W2", "b2"]);
    assertAlmostEquals(Math.sqrt(sumOfSquares(net.params.W1) / 2500), 1e-3, 1e-4);
    assertEquals(net.params.b1, zeros([50]));
    assertEquals(net.params.b2, zeros([10]));
  });
});

function twice(errors: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(errors).map(([name, error]) => [name, 2 * error]));
}

describe("FullyConnectedNet", () => {
  it("gives the course's losses and gradients", () => {
    const { random, x, y } = smallProblem();
    const options = { inputDim: 15, weightScale: 5e-2, random };
    const plain = new FullyConnectedNet([20, 30], options);
    assertAlmostEquals(plain.loss(x, y).loss, 2.3004790897684924, 1e-14);
    const plainErrors = { W1: 1.48e-07, W2: 2.21e-05, W3: 3.53e-07 };
    assertNetGradients(
      plain,
      x,
      y,
      twice({ ...plainErrors, b1: 5.38e-09, b2: 2.09e-09, b3: 5.80e-11 }),
    );
    const penalised = new FullyConnectedNet([20, 30], { ...options, reg: 3.14 });
    assertAlmostEquals(penalised.loss(x, y).loss, 7.052114776533016, 1e-14);
    const errors = { W1: 7.36e-09, W2: 6.87e-08, W3: 3.48e-08 };
    assertNetGradients(
      penalised,
      x,
      y,
      twice({ ...errors, b1: 1.48e-08, b2: 1.72e-09, b3: 1.80e-10 }),
    );
  });

  it("gives the course's losses with batch normalization", () => {
    const { random, x, y } = smallProblem();
    for (const [reg, loss] of [[0, 2.2611955101340957], [3.14, 6.996533220108303]]) {
      const net = new FullyConnectedNet([20, 30], {
        inputDim: 15,
        weightScale: 5e-2,
        normalization: "batchnorm",
        reg,
        random,
      });
      assertAlmostEquals(net.loss(x, y).loss, loss, 1e-13);
      // With two examples, batch normalization makes nearly all of W's gradient nothing.
      const largest = { W1: 2.2e-4, W2: 1e-4, W3: 1e-7, b3: 1e-8, gamma1: 1e-7, beta2: 1e-7 };
      assertNetGradients(net, x, y, largest);
    }
  });

  it("has gradients that agree with central differences with layer normalization", () => {
    const { random, x, y } = smallProblem();
    const net = new FullyConnectedNet([20, 30], {
      inputDim: 15,
      normalization: "layernorm",
      reg: 0.1,
      random,
    });
    const names = Object.keys(net.params);
    assert(names.includes("gamma2") && names.includes("beta1") && !names.includes("gamma3"));
    assertNetGradients(net, x, y, Object.fromEntries(names.map((name) => [name, 1e-5])));
  });

  it("gives the course's losses with dropout", () => {
    const { random, x, y } = smallProblem();
    const options = { inputDim: 15, weightScale: 5e-2, seed: 123 };
    const errors = {
      W1: 1.85e-07,
      W2: 2.15e-06,
      W3: 4.56e-08,
      b1: 1.16e-08,
      b2: 1.82e-09,
      b3: 1.48e-10,
    };
    const all = new FullyConnectedNet([20, 30], { ...options, dropout: 1, random });
    assertAlmostEquals(all.loss(x, y).loss, 2.3004790897684924, 1e-14);
    const most = new FullyConnectedNet([20, 30], { ...options, dropout: 0.75, random });
    assertAlmostEquals(most.loss(x, y).loss, 2.302371489704412, 1e-14);
    assertNetGradients(most, x, y, twice({ ...errors, W1: 1.9e-7, W2: 4.76e-6 }));
    // The course has one generator: the last mask of the net before leaves it here.
    const left = new RandomState(123);
    left.rand([2, 30]);
    const half = new FullyConnectedNet([20, 30], { ...options, dropout: 0.5, random: left });
    assertAlmostEquals(half.loss(x, y).loss, 2.3042759220785896, 1e-14);
    assertNetGradients(
      half,
      x,
      y,
      twice({ ...errors, W1: 3.11e-7, W2: 1.84e-7, W3: 5.35e-8, b1: 2.58e-8, b2: 5e-9 }),
    );
  });

  it("draws new masks at each step without a seed, and none in use", () => {
    const { x, y } = smallProblem();
    const net = new FullyConnectedNet([20, 30], { inputDim: 15, dropout: 0.5, weightScale: 1 });
    assert(net.loss(x, y).loss !== net.loss(x, y).loss);
    assertEquals(net.loss(x), net.loss(x));
    const seeded = new FullyConnectedNet([20, 30], { inputDim: 15, dropout: 0.5, seed: 5 });
    assertEquals(seeded.loss(x, y), seeded.loss(x, y));
  });

  it("takes examples of any rank, and no hidden layer at all", () => {
    const net = new FullyConnectedNet([], { inputDim: 12 });
    assertEquals(Object.keys(net.params), ["W1", "b1"]);
    const x = new RandomState(0).randn([2, 3, 4]);
    assertEquals(net.loss(x), net.loss(tensor(x.data, [2, 12])));
    assertEquals(net.loss(x, [1, 2]).grads.W1.shape, [12, 10]);
  });
});

describe("ThreeLayerConvNet", () => {
  it("gives the course's losses", () => {
    // The course does not seed this cell: its numbers continue from those of the cell before.
    const random = new RandomState(231);
    for (const shape of [[2, 3, 8, 8], [3, 3, 3, 3], [3], [2, 3, 8, 8]]) random.randn(shape);
    const net = new ThreeLayerConvNet({ random });
    const x = random.randn([50, 3, 32, 32]), y = random.randint(0, 10, 50);
    assertAlmostEquals(net.loss(x, y).loss, 2.302586071243987, 1e-12);
    net.reg = 0.5;
    // The course sums the squares of the weights in float32, which leaves it 8 digits.
    assertAlmostEquals(net.loss(x, y).loss, 2.508255635671795, 1e-7);
  });

  it("has gradients that agree with central differences, whichever kernels run", () => {
    for (const tier of ["auto", "generated", "naive"] as const) {
      using _ = useKernels(tier);
      const random = new RandomState(231);
      const x = random.randn([2, 3, 16, 16]), y = random.randint(0, 10, 2);
      const net = new ThreeLayerConvNet({
        inputDim: [3, 16, 16],
        numFilters: 3,
        filterSize: 3,
        hiddenDim: 7,
        random,
      });
      const errors = { W1: 1.380104e-04, W2: 1.822723e-02, W3: 3.064049e-04 };
      const biases = { b1: 3.477652e-05, b2: 2.516375e-03, b3: 7.945660e-10 };
      assertNetGradients(net, x, y, twice({ ...errors, ...biases }), 1e-6);
    }
  });

  it("has gradients that agree with central differences with batch normalization and a penalty", () => {
    for (const filterSize of [3, 5, 7]) {
      const random = new RandomState(filterSize);
      const x = random.randn([4, 2, 8, 8]), y = random.randint(0, 10, 4);
      const net = new ThreeLayerConvNet({
        ...{ inputDim: [2, 8, 8], numFilters: 3, filterSize, hiddenDim: 9 },
        ...{ batchnorm: true, weightScale: "he", reg: 0.1, random },
      });
      const { b1: _1, b2: _2, ...others } = net.params;
      assertNetGradients(net, x, y, Object.fromEntries(Object.keys(others).map((n) => [n, 1e-5])));
      // Batch normalization takes out the biases before it.
      const { grads } = net.loss(x, y);
      assertNumbers(grads.b1.data, [0, 0, 0], 1e-14);
    }
  });

  it("has the course's parameters in the course's order", () => {
    const shapes = (net: BlockNet) =>
      Object.entries(net.params).map(([name, { shape }]) => `${name} ${shape}`).join("; ");
    assertEquals(
      shapes(new ThreeLayerConvNet()),
      "W1 32,3,7,7; b1 32; W2 8192,100; b2 100; W3 100,10; b3 10",
    );
    assertEquals(
      shapes(new ThreeLayerConvNet({ inputDim: [1, 9, 7], numFilters: 4, batchnorm: true })),
      "W1 4,1,7,7; b1 4; gamma1 4; beta1 4; W2 48,100; b2 100; gamma2 100; beta2 100; W3 100,10; b3 10",
    );
  });

  it("gives in float32 what it gives in float64", () => {
    const options = {
      inputDim: [3, 8, 8],
      numFilters: 4,
      filterSize: 3,
      weightScale: "he",
    } as const;
    const double = new ThreeLayerConvNet({ ...options, batchnorm: true, reg: 0.01 });
    const single = new ThreeLayerConvNet({
      ...options,
      batchnorm: true,
      reg: 0.01,
      dtype: "float32",
    });
    const x = new RandomState(1).randn([5, 3, 8, 8]), y = [1, 2, 3, 4, 5];
    const x32 = tensor(Float32Array.from(x.data), x.shape);
    const exact = double.loss(x, y), { loss, grads } = single.loss(x32, y);
    assertAlmostEquals(loss, exact.loss, 1e-5);
    for (const [name, gradient] of Object.entries(grads)) {
      assert(gradient.data instanceof Float32Array);
      assertNumbers(gradient.data, [...exact.grads[name].data], 1e-4);
    }
    assertNumbers(single.loss(x32).data, [...double.loss(x).data], 1e-4);
  });

  it("tells which kernels run", () => {
    const net = new ThreeLayerConvNet({ inputDim: [3, 16, 16], numFilters: 2, filterSize: 3 });
    using _ = useKernels("naive");
    const list = net.explain().map(({ layer, name, tier }) => `${layer} ${name} ${tier}`);
    assertEquals(list, [
      "conv1 conv-naive naive",
      "pool1 maxpool-naive naive",
      "affine2 affine-naive naive",
      "affine3 affine-naive naive",
    ]);
  });
});

describe("What a net is told nothing of", () => {
  const shapes = ({ params }: BlockNet) => Object.values(params).map(({ shape }) => `${shape}`);
  const deviation = (t: Tensor) => Math.sqrt(sumOfSquares(t) / t.data.length);

  it("is the course's: images of CIFAR-10, ten classes, small weights, no penalty", () => {
    const two = new TwoLayerNet(), full = new FullyConnectedNet([7, 6]);
    assertEquals(shapes(two), ["3072,100", "100", "100,10", "10"]);
    assertEquals(shapes(full), ["3072,7", "7", "7,6", "6", "6,10", "10"]);
    assertAlmostEquals(deviation(two.params.W1), 1e-3, 1e-5);
    assertAlmostEquals(deviation(full.params.W1), 1e-2, 3e-4);
    assertAlmostEquals(deviation(new ThreeLayerConvNet().params.W2), 1e-3, 1e-5);
    for (const net of [two, full, new ThreeLayerConvNet(), new ConvNet()]) {
      assertEquals([net.reg, net.params.W1.data.constructor], [0, Float64Array]);
    }
  });
});

describe("ConvNet and BlockNet", () => {
  const blocks: Block[] = [
    { conv: 4, batchnorm: true },
    { conv: 5, kernel: 5, stride: 2, pool: 2, dropout: 0.8 },
    { conv: 3, kernel: 1, batchnorm: true, pool: 2 },
    { affine: 6, layernorm: true },
    { affine: 5, batchnorm: true, dropout: 0.7 },
  ];

  it("have gradients that agree with central differences, with all kinds of blocks", () => {
    // The second seed has units that are open for every example.
    for (const seed of [3, 5]) {
      const random = new RandomState(seed);
      const x = random.randn([6, 2, 16, 16]), y = random.randint(0, 4, 6);
      const options = { inputDim: [2, 16, 16], numClasses: 4, reg: 0.05, seed: 1, random };
      for (const list of [blocks, [...blocks.slice(0, 2), { globalAverage: true } as const]]) {
        const net = new ConvNet({ ...options, blocks: list });
        // Some biases are taken out by the batch normalization after them.
        const { b1: _1, b3: _3, b5: _5, ...others } = net.params;
        const names = Object.keys(others).concat(list === blocks ? [] : "b3");
        assertNetGradients(net, x, y, Object.fromEntries(names.map((name) => [name, 1e-5])), 1e-6);
      }
    }
  });

  it("have the naive loops' gradients where one convolution feeds two classes", () => {
    const random = new RandomState(4);
    const x = random.randn([3, 3, 32, 32]), y = [0, 1, 1];
    const net = new ConvNet({ blocks: [{ conv: 16 }], numClasses: 2, random });
    const { grads } = net.loss(x, y);
    using _ = useKernels("naive");
    const expected = net.loss(x, y).grads;
    for (const name of Object.keys(expected)) {
      assertNumbers(grads[name].data, [...expected[name].data], 1e-12);
    }
  });

  it("grow by a line: the parameters follow the description", () => {
    const names = (net: BlockNet) => Object.keys(net.params).join(" ");
    assertEquals(
      names(new ConvNet({ blocks: [{ conv: 8, pool: 2 }, { globalAverage: true }] })),
      "W1 b1 W2 b2",
    );
    const net = new BlockNet({ inputDim: [2, 16, 16], blocks });
    assertEquals(net.params.W4.shape, [3 * 2 * 2, 6]);
    assertEquals(net.params.W6.shape, [5, 10]);
    assertEquals(new ConvNet({ dtype: "float32" }).params.W6.shape, [128, 10]);
    assertEquals(convNetBlocks.length, 6);
  });

  it("have the convolutions that the description leaves out, and the sizes that follow", () => {
    const shapes = ({ params }: BlockNet) => Object.values(params).map(({ shape }) => `${shape}`);
    const deep = shapes(new ConvNet()).filter((_, i) => i % 4 === 0);
    assertEquals(deep, ["32,3,3,3", "32,32,3,3", "64,32,3,3", "64,64,3,3", "128,64,3,3", "128,10"]);
    assertEquals(
      convNetBlocks.map((block) => "pool" in block ? block.pool : undefined),
      [undefined, 2, undefined, 2, undefined, undefined],
    );
  });

  it("take a pool's size as its step too, and drop what is left over", () => {
    const net = new ConvNet({ inputDim: [2, 11, 10], blocks: [{ conv: 4, pool: 3 }] });
    assertEquals(net.params.W2.shape, [4 * 3 * 3, 10]);
    const x = new RandomState(1).randn([2, 2, 11, 10]);
    const { W1, b1, W2, b2 } = net.params;
    const poolParam = { poolHeight: 3, poolWidth: 3, stride: 3 };
    const { out } = convReluPoolForward(x, W1, b1, { stride: 1, pad: 1 }, poolParam);
    assertEquals(net.loss(x), affineForward(out, W2, b2).out);
  });

  it("add the penalty of every layer's weights, and of nothing else", () => {
    const make = (reg: number) =>
      new ConvNet({
        inputDim: [1, 6, 6],
        blocks: [{ conv: 2, batchnorm: true }, { conv: 3 }, { affine: 5 }, { affine: 4 }],
        reg,
      });
    const x = new RandomState(1).randn([3, 1, 6, 6]), y = [0, 1, 2];
    const [without, net] = [make(0), make(0.25)];
    const plain = without.loss(x, y), { loss, grads } = net.loss(x, y);
    let squares = 0;
    for (const [name, gradient] of Object.entries(grads)) {
      const penalty = name.startsWith("W") ? 0.25 : 0;
      if (penalty > 0) squares += sumOfSquares(net.params[name]);
      gradient.data.forEach((value, i) => {
        const expected = plain.grads[name].data[i] + penalty * net.params[name].data[i];
        assertAlmostEquals(value, expected, 1e-14);
      });
    }
    assertAlmostEquals(loss, plain.loss + 0.5 * 0.25 * squares, 1e-12);
  });

  it("start with He's weights, so that numbers keep their size through the net", () => {
    const net = new ConvNet({ inputDim: [16, 8, 8], blocks: [{ conv: 64 }, { affine: 50 }] });
    const deviation = (t: Tensor) => Math.sqrt(sumOfSquares(t) / t.data.length);
    assertAlmostEquals(deviation(net.params.W1), Math.sqrt(2 / (16 * 9)), 0.005);
    assertAlmostEquals(deviation(net.params.W2), Math.sqrt(2 / (64 * 64)), 0.0005);
  });

  it("are the same net for the same seed, and the same to float32's rounding", () => {
    const make = (seed: number) =>
      new ConvNet({ inputDim: [3, 8, 8], blocks: [{ conv: 2 }], random: new RandomState(seed) });
    assertEquals(make(5).params, make(5).params);
    assert(sum(make(5).params.W1) !== sum(make(6).params.W1));
    const single = new ConvNet({
      ...{ inputDim: [3, 8, 8], blocks: [{ conv: 2 }], dtype: "float32" } as const,
      random: new RandomState(5),
    });
    assertEquals(single.params.W1.data, Float32Array.from(make(5).params.W1.data));
  });

  it("use the running statistics in test mode, and leave them alone", () => {
    const net = new ConvNet({ inputDim: [2, 16, 16], blocks });
    const x = new RandomState(0).randn([4, 2, 16, 16]), y = [0, 1, 2, 3];
    for (let i = 0; i < 3; i++) net.loss(x, y);
    const state = net.getState();
    const scores = net.loss(x);
    assertEquals(net.getState(), state);
    // Each example is scored on its own.
    const first = net.loss(tensor(x.data.slice(0, 512), [1, 2, 16, 16]));
    assertNumbers(first.data, [...scores.data.slice(0, 10)], 1e-12);
    assertEquals(net.loss(zeros([0, 2, 16, 16])).shape, [0, 10]);
  });

  it("continue exactly where their state was taken", () => {
    const make = () => new ConvNet({ inputDim: [2, 16, 16], blocks });
    const x = new RandomState(0).randn([4, 2, 16, 16]), y = [0, 1, 2, 3];
    const net = make();
    net.loss(x, y);
    const state = net.getState();
    assertEquals(Object.keys(state.statistics).length, 6);
    const next = net.loss(x, y).loss, after = net.getState();
    // A copy: the step did not change it.
    const other = make();
    other.setState(state);
    assertEquals(other.getState(), state);
    assertEquals(other.loss(x, y).loss, next);
    assertEquals(other.getState(), after);
    net.setState(state);
    assertEquals(net.loss(x, y).loss, next);
    // Nothing is random in use, nor where a seed fixes the masks.
    const seeded = new ConvNet({ inputDim: [2, 16, 16], blocks, seed: 1 });
    assertEquals(seeded.getState().random, undefined);
    assertEquals(new TwoLayerNet().getState(), { statistics: {} });
  });

  it("refuse the state of another net, and change nothing then", () => {
    const net = new ConvNet({ inputDim: [2, 16, 16], blocks });
    const before = net.getState();
    const { statistics, random } = before;
    const bad = (state: unknown) => () => net.setState(state as ModelState);
    assertThrows(bad(null), TypeError, "state must be an object");
    assertThrows(bad({ statistics }), TypeError, "state.random must be a RandomState's");
    assertThrows(bad({ statistics: {}, random }), TypeError, "runningMean1");
    const { runningMean3, ...rest } = statistics;
    assertThrows(
      bad({ statistics: { ...rest, runningMean4: runningMean3 }, random }),
      TypeError,
      "4",
    );
    const long = { ...statistics, runningVar5: zeros([6]) };
    assertThrows(bad({ statistics: long, random }), RangeError, "runningVar5");
    const single = { ...statistics, runningVar5: zeros([5], "float32") };
    assertThrows(bad({ statistics: single, random }), TypeError, "float32");
    assertThrows(bad({ statistics, random: { key: [] } }), TypeError);
    assertEquals(net.getState(), before);
    const plain = new TwoLayerNet();
    assertThrows(() => plain.setState({ statistics: {}, random }), TypeError, "left out");
  });

  it("do not write running statistics for a batch that is refused", () => {
    const net = new ConvNet({ inputDim: [2, 16, 16], blocks });
    const before = net.getState();
    const x = zeros([2, 2, 16, 16]);
    assertThrows(() => net.loss(x, [0, 10]), RangeError, "from 0 to 9: received 10");
    assertThrows(() => net.loss(x, [0]), RangeError, "y must hold one label");
    assertThrows(() => net.loss(zeros([2, 2, 16, 15]), [0, 1]), RangeError, "[2,2,16,16]");
    assertThrows(() => net.loss(zeros([2, 512]), [0, 1]), TypeError, "[2,2,16,16]");
    assertThrows(() => net.loss(zeros([0, 2, 16, 16]), []), RangeError, "an example or more");
    // @ts-expect-error: null is not a list of labels
    assertThrows(() => net.loss(x, null), TypeError, "y must be an array");
    // @ts-expect-error: the net is float64
    assertThrows(() => net.loss(zeros([2, 2, 16, 16], "float32")), TypeError, "x must be float64");
    // @ts-expect-error: an array is not a tensor
    assertThrows(() => net.loss([1, 2, 3]), TypeError, "x must be a tensor");
    assertEquals(net.getState(), before);
  });
});

describe("Training", () => {
  /** Images of a pattern for each class, with noise: what a net can learn. */
  function images(): { x: Tensor<Float64Array>; y: Int32Array } {
    const random = new RandomState(7);
    const patterns = random.randn([10, 3, 16, 16]).data, size = 3 * 16 * 16;
    const x = random.randn([100, 3, 16, 16]), y = random.randint(0, 10, 100);
    x.data.forEach((v, i) => {
      x.data[i] = 0.5 * v + patterns[y[Math.floor(i / size)] * size + i % size];
    });
    return { x, y };
  }

  function lossesOf(dtype: "float32" | "float64", rule: UpdateRuleName): readonly number[] {
    const { x, y } = images();
    const random = new RandomState(231);
    const net = new ThreeLayerConvNet({
      ...{ inputDim: [3, 16, 16], numFilters: 8, filterSize: 7, hiddenDim: 20 },
      ...{ weightScale: 1e-2, reg: 1e-3, dtype, random },
    });
    const solver = new Solver(net, { xTrain: x, yTrain: y, xVal: x, yVal: y }, {
      updateRule: rule,
      optimConfig: { learningRate: 1e-3 },
      batchSize: 20,
      numEpochs: 10,
      verbose: false,
    });
    solver.train();
    return solver.lossHistory;
  }

  it("goes the same way in float32 as in float64 for 50 iterations", () => {
    for (const rule of ["sgdMomentum", "adam"] as const) {
      const double = lossesOf("float64", rule), single = lossesOf("float32", rule);
      assertEquals(double.length, 50);
      assert(double[49] < double[0], `the loss went from ${double[0]} to ${double[49]}`);
      assertNumbers(single, double, 1e-3);
    }
  });
});

describe("Every net", () => {
  const bad = (options: unknown) => () => new ConvNet(options as Record<string, never>);
  const block = (...blocks: unknown[]) => bad({ blocks });

  it("refuses options that are unknown or out of range", () => {
    assertThrows(bad(null), TypeError, "options must be an object");
    assertThrows(bad({ depth: 5 }), TypeError, '"depth"');
    assertThrows(bad({ inputDim: "3" }), TypeError, "inputDim");
    assertThrows(bad({ inputDim: [3, 0, 8] }), RangeError, "inputDim");
    assertThrows(bad({ numClasses: 2.5 }), RangeError, "numClasses");
    assertThrows(bad({ reg: -1 }), RangeError, "reg");
    assertThrows(bad({ weightScale: "xavier" }), TypeError, "weightScale");
    assertThrows(bad({ dtype: "float16" }), TypeError, "dtype");
    assertThrows(bad({ random: 231 }), TypeError, "random must be a RandomState");
    assertThrows(bad({ seed: 1.5 }), RangeError, "seed");
  });

  it("refuses blocks that cannot be, and names them", () => {
    assertThrows(bad({ blocks: 3 }), TypeError, "blocks must be an array");
    assertThrows(block({ conv: 3 }, null), TypeError, "blocks[1] must be a block");
    assertThrows(
      block({ pool: 2 }),
      TypeError,
      "blocks[0] must have conv, affine or globalAverage",
    );
    assertThrows(block({ conv: 0 }), RangeError, "blocks[0].conv");
    assertThrows(block({ conv: 3, kernel: 2.5 }), RangeError, "blocks[0].kernel");
    assertThrows(block({ conv: 3, kernel: 35, pad: 0 }), RangeError, "[35,35]");
    assertThrows(block({ conv: 3, pool: 33 }), RangeError, "[33,33]");
    assertThrows(block({ conv: 3, batchnorm: 1 }), TypeError, "blocks[0].batchnorm");
    assertThrows(block({ conv: 3, layernorm: true }), TypeError, '"layernorm"');
    assertThrows(block({ conv: 3, affine: 3 }), TypeError, '"conv"');
    assertThrows(block({ affine: 3, dropout: 0 }), RangeError, "blocks[0].dropout");
    assertThrows(block({ affine: 3, batchnorm: true, layernorm: true }), TypeError, "not both");
    assertThrows(
      block({ affine: 3 }, { conv: 3 }),
      TypeError,
      "blocks[1] needs an input of (C, H, W)",
    );
    assertThrows(block({ globalAverage: true }, { globalAverage: true }), TypeError, "blocks[1]");
    assertThrows(block({ globalAverage: false }), TypeError, "must be true");
  });

  it("refuses the sizes of the course's nets that cannot be", () => {
    assertThrows(() => new TwoLayerNet({ hiddenDim: 0 }), RangeError, "hiddenDim");
    assertThrows(() => new ThreeLayerConvNet({ filterSize: 0 }), RangeError, "filterSize");
    assertThrows(() => new ThreeLayerConvNet({ numFilters: -1 }), RangeError, "numFilters");
    assertThrows(() => new ThreeLayerConvNet({ inputDim: [32, 32] }), TypeError, "(C, H, W)");
    assertThrows(() => new FullyConnectedNet([20, 0]), RangeError, "hiddenDims[1]");
    // @ts-expect-error: one number is not a list
    assertThrows(() => new FullyConnectedNet(20), TypeError, "hiddenDims must be an array");
    assertThrows(() => new FullyConnectedNet([20], { dropout: 0 }), RangeError, "dropout");
    assertThrows(
      // @ts-expect-error: no such normalization
      () => new FullyConnectedNet([20], { normalization: "groupnorm" }),
      TypeError,
      "normalization",
    );
  });

  it("draws nothing from the generator of a net that is refused", () => {
    const random = new RandomState(0), before = random.getState();
    assertThrows(() => new ConvNet({ blocks: [{ conv: 3 }, { conv: 0 }], random }), RangeError);
    assertEquals(random.getState(), before);
  });
});
