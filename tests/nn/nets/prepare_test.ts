import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import {
  affine,
  batchnorm,
  conv,
  depthwiseConv,
  dropout,
  flatten,
  globalAverage,
  type LayerDefinition,
  maxPool,
  Net,
  RandomState,
  relu,
  residual,
  sequential,
  type Tensor,
  tensor,
  zeros,
} from "../../../mod.ts";
import { watchArrays, watchWasm } from "../../support/watch.ts";

const block = (filters: number) => sequential(conv(filters, { bias: false }), batchnorm(), relu());

/** Weights that are packed may be those of another algorithm, which rounds otherwise. */
function assertScores(actual: Tensor<Float32Array>, expected: Tensor<Float32Array>): void {
  assertEquals(actual.shape, expected.shape);
  const largest = Math.max(...expected.data.map(Math.abs));
  actual.data.forEach((value, i) => {
    assert(Math.abs(value - expected.data[i]) <= 1e-5 * largest, `${value}, ${expected.data[i]}`);
  });
}

/** A net with layers of every kind that has weights, inside others too. */
const make = () =>
  new Net({
    inputDim: [3, 12, 12],
    layers: [
      ...[block(8), maxPool(2), relu()],
      residual(sequential(block(8), conv(8))),
      ...[conv(16, { stride: 2 }), relu(), depthwiseConv(), relu(), globalAverage(), affine(4)],
    ],
    dtype: "float32",
    random: new RandomState(1),
  });

/** A layer that counts how often it runs. */
function counted(layer: LayerDefinition, count: () => void): LayerDefinition {
  return {
    ...layer,
    plan(...args) {
      const { forward, withEpilogue, ...plan } = layer.plan(...args);
      const counting = (run: typeof forward): typeof forward => (...args) => {
        count();
        return run(...args);
      };
      return {
        ...plan,
        forward: counting(forward),
        withEpilogue: withEpilogue && ((epilogue) => counting(withEpilogue(epilogue))),
      };
    },
  };
}

/** Layers around batch normalizations, and how many of these are left to run by themselves. */
const normalized: readonly {
  readonly name: string;
  readonly layers: (norm: () => LayerDefinition) => readonly LayerDefinition[];
  readonly left: number;
}[] = [
  {
    name: "after convolutions, with biases or without, and before a relu",
    layers: (norm) => [
      ...[conv(6), norm(), relu(), conv(4, { bias: false, stride: 2 }), norm()],
      ...[depthwiseConv({ bias: false }), norm(), relu()],
    ],
    left: 0,
  },
  {
    name: "in sequences and residual blocks",
    layers: (norm) => [
      residual(
        sequential(sequential(conv(5, { groups: 1 })), norm(), relu(), conv(5), norm()),
        sequential(conv(5, { kernel: 1 }), norm()),
      ),
      relu(),
    ],
    left: 0,
  },
  {
    name: "after another layer, or another normalization",
    layers: (norm) => [
      ...[norm(), relu(), conv(4), relu(), norm(), conv(4), maxPool(2), norm()],
      ...[residual(conv(4)), norm(), conv(4), dropout(0.5), norm(), conv(4), norm(), norm()],
    ],
    left: 6,
  },
];

/** A net whose every number is whole, scales included, so that no order of steps rounds. */
function wholeNet(layers: readonly LayerDefinition[], dtype: "float32" | "float64") {
  const random = new RandomState(3);
  const net = new Net({
    inputDim: [3, 8, 8],
    layers: [...layers, flatten(), affine(2)],
    dtype,
  });
  const state = net.state();
  for (const [name, { data }] of Object.entries(state)) {
    for (let i = 0; i < data.length; i++) {
      const [gamma, variance] = [[1, 1], [-2, 4], [0.5, 0.25], [2, 4]][(i + name.length) % 4];
      if (name.startsWith("gamma")) data[i] = gamma;
      else if (name.startsWith("runningVar")) data[i] = variance;
      else data[i] = random.randint(-1, 2);
    }
  }
  net.loadState(state);
  return net;
}

describe("Net.prepare()", () => {
  for (const { name, layers, left } of normalized) {
    it(`does batch normalization by the weights before it, exactly: ${name}`, () => {
      for (const dtype of ["float32", "float64"] as const) {
        let runs = 0, all = 0;
        const norm = () => {
          all++;
          return counted(batchnorm({ eps: 0 }), () => runs++);
        };
        const net = wholeNet(layers(norm), dtype), server = net.prepare();
        const x = zeros([3, 3, 8, 8], dtype);
        const random = new RandomState(4);
        for (let i = 0; i < x.data.length; i++) x.data[i] = random.randint(-1, 2);
        const expected = net.predict(x);
        assert(Math.max(...expected.data.map(Math.abs)) < 2 ** (dtype === "float32" ? 24 : 53));
        runs = 0;
        assertEquals(server.predict(x), expected);
        assertEquals(runs, left);
        assertEquals(server.predict(x), expected);
        // The net itself still learns.
        runs = 0;
        net.loss(x, [0, 1, 0]);
        assertEquals(runs, all);
      }
    });
  }

  it("uses its arrays again, but neither its input nor the scores it gave", () => {
    const layers = [
      ...[block(32), maxPool(2), residual(sequential(block(32), conv(32))), relu()],
      ...[residual(block(32), sequential(conv(32, { kernel: 1 }), batchnorm()))],
    ];
    const net = new Net({
      inputDim: [3, 48, 48],
      layers: [...layers, globalAverage(), affine(10)],
    });
    const server = net.prepare(), random = new RandomState(5);
    const [first, second] = [1, 2].map(() => random.randn([2, 3, 48, 48]));
    const input = first.data.slice(), scores = server.predict(first), copy = scores.data.slice();
    const bytes = watchArrays(() => server.predict(second));
    assert(bytes.every((size) => size < 8 * 2 * 32 * 24 * 24), `${bytes} bytes`);
    assertEquals(first.data, input);
    assertEquals(scores.data, copy);
    assertEquals(server.predict(first).data, copy);
  });

  it("predicts as the net does, for any number of images", () => {
    const net = make(), server = net.prepare();
    for (const N of [1, 9, 2, 1]) {
      const x = new RandomState(N).randn([N, 3, 12, 12], "float32");
      assertScores(server.predict(x), net.predict(x));
    }
  });

  it("keeps the weights of fully-connected layers packed, and reads them in place", () => {
    const net = new Net({
      inputDim: [700],
      layers: [affine(90), relu(), affine(70)],
      dtype: "float32",
      random: new RandomState(1),
    });
    const server = net.prepare(), x = new RandomState(2).randn([9, 700], "float32");
    const expected = net.predict(x);
    for (const { data } of Object.values(net.params)) data.fill(7);
    const one = tensor(x.data.slice(0, 700), [1, 700]);
    const { modules } = watchWasm(() => server.predict(one));
    const isInPlace = (module: WebAssembly.Module) =>
      WebAssembly.Module.imports(module).some(({ name }) => name === "1");
    // The second layer's are few.
    assertEquals(modules.filter(isInPlace).length, 1);
    assertScores(server.predict(one), tensor(expected.data.slice(0, 70), [1, 70]));
    assertScores(server.predict(x), expected);
    assertEquals(watchWasm(() => server.predict(one)).modules.length, 0);
  });

  it("does not see later training: neither parameters nor running statistics", () => {
    const net = make();
    const x = new RandomState(2).randn([4, 3, 12, 12], "float32");
    net.loss(x, [0, 1, 2, 3]);
    const server = net.prepare(), before = net.predict(x);
    server.predict(x);
    const { grads } = net.loss(x, [0, 1, 2, 3]);
    for (const [name, { data }] of Object.entries(net.params)) {
      grads[name].data.forEach((value, i) => data[i] -= value);
    }
    assertNotEquals(net.predict(x), before);
    assertScores(server.predict(x), before);
    assertScores(net.prepare().predict(x), net.predict(x));
  });

  it("checks its input as the net does", () => {
    const server = make().prepare();
    const x = new RandomState(2).randn([4, 3, 12, 11], "float32");
    assertThrows(() => server.predict(x), RangeError);
    const double = new RandomState(2).randn([4, 3, 12, 12]);
    // @ts-expect-error Another dtype.
    assertThrows(() => server.predict(double), TypeError, "x must be float32");
  });
});
