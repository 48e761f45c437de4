import { describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import {
  affine,
  batchnorm,
  conv,
  depthwiseConv,
  globalAverage,
  maxPool,
  Net,
  RandomState,
  relu,
  residual,
  sequential,
  type Tensor,
} from "../../../mod.ts";

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

describe("Net.prepare()", () => {
  it("predicts as the net does, for any number of images", () => {
    const net = make(), server = net.prepare();
    for (const N of [1, 9, 2, 1]) {
      const x = new RandomState(N).randn([N, 3, 12, 12], "float32");
      assertScores(server.predict(x), net.predict(x));
    }
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
